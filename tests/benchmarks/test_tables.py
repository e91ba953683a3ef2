"""The queue of runs behind the tables, and the tables made of their results."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import method_rows, run_tables
from vecq_hw import data
from vecq_hw.train import PRESETS, ModelRecipe, SavedTraining, Training, save_checkpoint

ROOT = Path(__file__).parents[2]


def script(path):
    """As a module of its own, so that a test may change its constants."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """The script, working in a folder of its own, and what it told vecq train."""
    told = []
    places = {"QUEUE": "tables.json", "RESULTS": "results", "WORK": "work"}
    for name, place in places.items():
        monkeypatch.setattr(run_tables, name, tmp_path / place)
    monkeypatch.setattr("sys.argv", ["run_tables.py"])
    started = run_tables.run_to_its_end

    def start(arguments):
        told.append(arguments[1:])
        return started(arguments)

    monkeypatch.setattr(run_tables, "run_to_its_end", start)
    monkeypatch.setattr(run_tables, "told", told, raising=False)
    return run_tables


@pytest.mark.nightly  # trains, again and again, in processes of its own
def test_runs_are_kept_skipped_and_continued(queue, monkeypatch):
    options = "--preset mlp-digits --epochs 2 --weight-bits 1"
    queue.QUEUE.write_text(json.dumps([{"name": "few/w1", "options": options, "seeds": 1}]))
    # Stopped in the middle: nothing is kept, and the next start goes on.
    finish = queue.run_to_its_end
    queue.run_to_its_end = lambda arguments: queue.told.append(arguments[1:]) or queue.STOPPED
    assert queue.main() == queue.STOPPED
    assert queue.told[0][:8] == [*options.split(), "--seed", "0"]
    assert not queue.RESULTS.exists()
    queue.run_to_its_end = finish
    assert queue.main() == 0
    result = json.loads((queue.RESULTS / "few" / "w1" / "seed0.json").read_text())
    assert result["command"] == f"vecq train {options} --seed 0"
    assert result["epochs"] == 2
    assert result["seed"] == 0
    assert 0.2 < result["integer_accuracy"] <= 1
    assert result["device"].endswith(", 1 thread")
    assert result["commit"].rstrip("+") == queue.commit().rstrip("+")
    assert queue.main() == 0  # skipped
    assert len(queue.told) == 2
    assert result["schedule"]["learning_rate"] == PRESETS["mlp-digits"].settings.learning_rate
    slower = replace(PRESETS["mlp-digits"].settings, learning_rate=1e-3)
    with monkeypatch.context() as within:  # as after a pull
        changed = {**PRESETS, "mlp-digits": replace(PRESETS["mlp-digits"], settings=slower)}
        within.setattr("vecq_hw.train.PRESETS", changed)
        assert not next(queue.queue()).is_done()
    queue.run_to_its_end = lambda arguments: queue.told.append(arguments[1:]) or 2
    changed = options.replace("--epochs 2", "--epochs 3")
    queue.QUEUE.write_text(json.dumps([{"name": "few/w1", "options": changed, "seeds": 1}]))
    assert queue.main() == 1  # failed
    assert queue.told[-1][0] == "--preset"  # other options begin anew, and are not done
    monkeypatch.setattr("sys.argv", ["run_tables.py", "other"])
    assert queue.main() == 0
    assert len(queue.told) == 3


@pytest.fixture
def stopped(queue, monkeypatch):
    """The queue with one run, which has a checkpoint of its first epoch; the name of its preset."""
    name = "mlp-digits"
    entry = {"name": "few/w1", "options": f"--preset {name} --weight-bits 1", "seeds": 1}
    queue.QUEUE.write_text(json.dumps([entry]))
    monkeypatch.setattr(queue, "run_to_its_end", lambda given: queue.told.append(given) or 130)
    assert queue.main() == queue.STOPPED
    (run,) = queue.queue()
    digits = data.load("digits")
    recipe = ModelRecipe(model="mlp", shape=digits.shape, classes=digits.classes, weight_bits=1)
    settings = replace(PRESETS[name].settings, seed=0)
    training = Training(recipe.build(), digits, settings)
    saved = SavedTraining(
        settings=settings,
        data="digits",
        data_digest=digits.digest,
        state=training.state_dict(),
    )
    save_checkpoint(training.model, recipe, run.folder / "checkpoint.pt", saved)
    return queue, name


def test_a_checkpoint_of_the_same_recipe_is_gone_on_with(stopped):
    queue, _ = stopped
    assert queue.main() == queue.STOPPED
    assert queue.told[-1][1] == "--resume"


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("schedule", {"settings": replace(PRESETS["mlp-digits"].settings, learning_rate=1e-3)}),
        ("model", {"model": "cnn"}),
        ("data", {"data": "other"}),
    ],
)
def test_a_checkpoint_is_left_where_its_preset_has_changed(
    stopped, monkeypatch, capsys, what, changes
):
    queue, name = stopped
    digits = data.load("digits")
    other = replace(digits, y_train=digits.y_train[::-1].copy())
    monkeypatch.setattr(queue, "loaded", lambda name: {"other": other}.get(name, digits))
    # As after a pull: the same command, of another recipe.
    changed = {**PRESETS, name: replace(PRESETS[name], **changes)}
    monkeypatch.setattr("vecq_hw.train.PRESETS", changed)
    assert queue.main() == queue.STOPPED
    assert queue.told[-1][1] == "--preset"
    assert (
        f"few/w1/seed0 begins anew: its checkpoint is of another {what}" in capsys.readouterr()[0]
    )
    (run,) = queue.queue()
    assert not (run.folder / "checkpoint.pt").exists()


def test_a_damaged_checkpoint_is_left(stopped, capsys):
    queue, _ = stopped
    (run,) = queue.queue()
    (run.folder / "checkpoint.pt").write_bytes(b"PK")
    assert queue.main() == queue.STOPPED
    assert queue.told[-1][1] == "--preset"
    assert "seed0/checkpoint.pt' is damaged" in capsys.readouterr()[0]


def test_a_run_has_one_process_that_works_on_it(queue, monkeypatch):
    options = "--preset mlp-digits"
    names = ("few/w1", "few/w2")
    entries = [{"name": name, "options": options, "seeds": 1} for name in names]
    queue.QUEUE.write_text(json.dumps(entries))
    monkeypatch.setattr(
        queue, "run_to_its_end", lambda arguments: queue.told.append(arguments) or 2
    )
    first, second = queue.queue()
    with queue.taken(first) as ours:
        assert ours
        assert queue.main() == 1
        assert [arguments[-1] for arguments in queue.told] == [str(second.folder)]
    assert queue.main() == 1
    assert len(queue.told) == 3


def test_best_intervals_of_gaussian_weights_are_those_of_table_1(queue):
    model = nn.Sequential(nn.Conv2d(32, 64, 3))
    places = (torch.arange(32 * 64 * 9) + 0.5) / (32 * 64 * 9)
    with torch.no_grad():
        model[0].weight.copy_(0.3 * torch.special.ndtri(places).view(64, 32, 3, 3))
    best = queue.best_intervals(model)
    assert (best["layer"], best["weights"]) == ("0", 32 * 64 * 9)
    wanted = script("python/paper_tables.py").PAPER_LAMBDA
    assert {int(k): v for k, v in best["lambda"].items()} == pytest.approx(wanted, abs=0.0015)


def test_every_run_of_the_queue_can_be_begun():
    runs = list(run_tables.queue())
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        assert run.options[0] == "--preset"
        assert run.options[1] in PRESETS
        assert "--seed" in run.options


RESULT = {
    "commit": "abc", "device": "CPU x", "torch": "2", "seed": 0, "epochs": 10, "weight_bits": 2,
    "test_samples": 10000, "qat_accuracy": 0.99, "integer_accuracy": 0.9912,
    "prediction_differences": 3, "training_seconds": 5.0, "test_seconds": 1.0,
}  # fmt: skip


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The script, and how to give it the result of a run of the queue."""
    made = script("python/paper_tables.py")
    made.OUT = tmp_path
    monkeypatch.setattr(run_tables, "RESULTS", tmp_path / "runs")
    runs = {run.name: run for run in run_tables.queue()}

    def keep(name, **changes):
        run = runs[name]
        run.result.parent.mkdir(parents=True, exist_ok=True)
        run.result.write_text(json.dumps({"command": run.command, **RESULT, **changes}))

    made.keep = keep
    return made


def lines_of(path):
    return path.read_text().splitlines()


def test_tables_say_what_was_run_and_what_not(tables, tmp_path):
    tables.keep("lenet5-mnist/w2a8")
    best = {"layer": "conv2", "weights": 9, "lambda": {str(k): 0.1 for k in range(2, 9)}}
    tables.keep("lenet5-mnist/w32a32", best_intervals=best)
    tables.keep("lenet5-mnist/w1a8", command="vecq train --epochs 1")  # of other options than now
    (tmp_path / "table5.md").write_text(tables.table5())
    (tmp_path / "table9.md").write_text(tables.table9())
    lines = lines_of(tmp_path / "table5.md")
    assert "| 2/8 | 0.41 | 99.12 | 99.43 | 99.00 | 3 | 10 |" in lines
    assert "| 4/8 | 0.80 | not run | 99.53 |  |  |  |" in lines
    assert "| 1/8 | 0.21 | not run |  |  |  |  |" in lines
    command = "vecq train --preset lenet5-mnist --epochs 10 --weight-bits 2 --activation-bits 8"
    assert f"| `{command}` | 0 | 10 | abc | CPU x | 2 | 6 |" in lines
    lines = lines_of(tmp_path / "table9.md")
    assert any(line.startswith("| mean error |  | +0.8957 | +0.4860 ") for line in lines)
    assert any(line.startswith("| vgg-quarter-cifar10/w32a32 | not run ") for line in lines)
    assert "| 2 | 0.995687 | 0.9957 | 6.130e-02 | 6.130e-02 |" in tables.table1()


def test_texts_say_what_was_run_and_what_not(tables):
    tables.keep("imdb/w2a8", validation_accuracies=[0.5, 0.8711])
    lines = tables.table6().splitlines()
    assert "| 2/8 | 0.63 | 99.12 | 85.54 | 99.00 | 3 | 87.11 | 10 |" in lines
    assert "| 4/8 | 1.26 | not run | 86.24 |  |  |  |  |" in lines
    assert sum("not run" in line for line in lines) == 7
    command = "vecq train --preset lstm-imdb --weight-bits 2 --activation-bits 8"
    assert f"| `{command}` | 0 | 10 | abc | CPU x | 2 | 6 |" in lines


def test_sizes_of_the_lstms_are_those_of_the_record(tables, tmp_path, monkeypatch):
    row = {
        "cell": "states", "what": "LSTM of IMDB, 2-bit weights", "family": "xcup", "luts": 11,
        "physical_luts": 12, "flip_flops": 13, "block_rams_36k": 2.0, "command": "c", "commit": "d",
    }  # fmt: skip
    record = tmp_path / "cells.json"
    record.write_text(json.dumps({"yosys": "0.7", "rows": [row, row | {"cell": "other"}]}))
    monkeypatch.setattr(tables, "CELLS", record)
    lines = tables.table6().splitlines()
    assert [line for line in lines if "xcup" in line] == [
        "| IMDB, 2-bit weights | xcup | 11 | 12 | 13 | 2 |"
    ]


def test_methods_stand_beside_vecq_of_as_many_bits(tables, monkeypatch):
    for seed, accuracy in enumerate((0.98, 0.99, 0.97)):
        tables.keep(f"digits/vecq-w2a8/seed{seed}", seed=seed, integer_accuracy=accuracy)
        tables.keep(
            f"digits/pq-w1a8/seed{seed}",
            seed=seed, integer_accuracy=accuracy + 0.005, stored_bits_per_weight=1.17,
        )  # fmt: skip
    areas = [
        {"method": "vecq", "weight_bits": 2, "settings": "", "unit": "two", "luts_per_mac": 13.9},
        {"method": "srq", "weight_bits": 2, "settings": "", "unit": "2", "luts_per_mac": 10.0},
        {"method": "srq", "weight_bits": 3, "settings": "", "unit": "3", "luts_per_mac": 20.0},
        {"method": "alq", "weight_bits": 1, "settings": "part=128", "unit": "base",
         "luts_per_mac": 12.0},
    ]  # fmt: skip
    monkeypatch.setattr(method_rows, "_areas", lambda: areas)
    tables.keep("digits/dropbits-0.05-w4a8/seed0", stored_bits_per_weight=2.25)
    bases = {
        "fc1": {"weights": 300, "mean": 0.5, "outputs": 16, "passes": 1.0},
        "fc2": {"weights": 100, "mean": 1.0, "outputs": 16, "passes": 2.0},
    }
    tables.keep("digits/alq-w2a8/seed0", stored_bits_per_weight=0.75, bases=bases)
    lines = tables.table8().splitlines()
    assert "| vecq-w2a8 | 2 | 98.00 ± 0.58 | 1.00 | 3 of 8 |  | 13.9 | two |" in lines
    beside = "+0.50 ± 0.82 (2)"
    assert f"| pq-w1a8 | 1.17 | 98.50 ± 0.58 | 1.00 | 3 of 8 | {beside} |  |  |" in lines
    assert "| twn-w2a8 |  | not run |  | 0 of 8 |  |  |  |" in lines
    ends = [line.split(" | ", 5)[-1] for line in lines if line.startswith(("| alq-w2", "| dropb"))]
    assert "+1.12 ± 0.58 (2) | 12.5 | two's complement, 2.25 bits |" in ends
    assert "+1.12 ± 0.58 (2) | 15.0 | 1.25 passes of: base |" in ends
    pictures = tables.pictures()
    assert set(pictures) == {"digits_bits", "digits_luts", "mnist_bits", "mnist_luts"}
    assert all(picture.startswith(b"<?xml") for picture in pictures.values())


def test_goals_say_what_was_reached_and_what_not(tables):
    tables.keep("methods-mnist/float/seed0", weight_bits=None)
    bases = {"fc1": {"weights": 9, "mean": 0.25, "outputs": 16, "passes": 0.5}}
    tables.keep(
        "methods-mnist/alq-pruned-w2a8/seed0",
        integer_accuracy=0.98, stored_bits_per_weight=0.47, bases=bases,
    )  # fmt: skip
    tables.keep("methods-mnist/esb-w4a8/seed0", integer_accuracy=0.992)
    tables.keep("methods-mnist/vecq-w4a8/seed0", integer_accuracy=0.993)
    tables.keep("methods-mnist/sq-vecq-w1a8/seed0", integer_accuracy=0.99)
    tables.keep("lenet5-mnist/w1a8", integer_accuracy=0.991)  # for want of one of five epochs
    page = tables.methods()
    command = "`python -m benchmarks.run_tables methods-mnist/{}`"
    alq = command.format("alq-pruned-w2a8")
    assert f"coordinates counted | 0.470 bits | yes | {alq} |" in page
    assert f"below float | −1.12 ± 0.17 (1) | no | {alq} |" in page
    assert "both printed | 0.250 and 0.500 | yes | `vecq show` |" in page
    wanted = "LeNet5 on MNIST, ESB(4, 1) at most 0.15 below 4-bit VecQ, three seeds"
    reached = "−0.10 ± 0.12 (1) | yes (within the error), with 1 of 3 seeds"
    assert f"| {wanted} | {reached} | {command.format('esb-w4a8')} |" in page
    reached = "−0.10 ± 0.14 (1; the other of table 5, 10 epochs of SGD)"
    assert f"VecQ, 1 bit, LeNet5 on MNIST | {reached} | reported, with 1 of 3 seeds |" in page
    pq = "LeNet5 on MNIST: at most 1 bit a weight, books counted"
    assert f"| {pq} | not run |  | {command.format('pq-block8-w1a8')} |" in page
    assert "| ESB | not run |  |  | −0.10 ± 0.12 (1) | 2 (4) | no |" in page
