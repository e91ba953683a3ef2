"""The queue of runs behind the tables, and the tables made of their results."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import run_tables
from vecq_hw.train import PRESETS

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
    queue.run_to_its_end = lambda arguments: queue.told.append(arguments[1:]) or 2
    changed = options.replace("--epochs 2", "--epochs 3")
    queue.QUEUE.write_text(json.dumps([{"name": "few/w1", "options": changed, "seeds": 1}]))
    assert queue.main() == 1  # failed
    assert queue.told[-1][0] == "--preset"  # other options begin anew, and are not done
    (queue.RESULTS / "few" / "w1" / "seed0.json").unlink()
    (queue.WORK / "few" / "w1" / "seed0" / "checkpoint.pt").write_bytes(b"")
    assert queue.main() == 1
    assert queue.told[-1][0] == "--resume"
    monkeypatch.setattr("sys.argv", ["run_tables.py", "other"])
    assert queue.main() == 0
    assert len(queue.told) == 4


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


def test_tables_say_what_was_run_and_what_not(tmp_path):
    tables = script("python/paper_tables.py")
    tables.OUT, tables.RUNS = tmp_path, tmp_path / "runs"
    run = {
        "name": "lenet5-mnist/w2a8", "command": "vecq train --weight-bits 2 --seed 0",
        "commit": "abc", "device": "CPU x", "torch": "2", "seed": 0, "epochs": 10,
        "qat_accuracy": 0.99, "integer_accuracy": 0.9912, "prediction_differences": 3,
        "training_seconds": 5.0, "test_seconds": 1.0,
    }  # fmt: skip
    results = {"lenet5-mnist/w2a8": run}
    results["lenet5-mnist/w32a32"] = run | {
        "best_intervals": {
            "layer": "conv2",
            "weights": 9,
            "lambda": {str(k): 0.1 for k in range(2, 9)},
        }
    }
    for seed, accuracy in enumerate((0.98, 0.99, 0.97)):
        changes = {"seed": seed, "integer_accuracy": accuracy}
        results[f"digits/vecq-w2a8/seed{seed}"] = run | changes
    for name, content in results.items():
        path = tables.RUNS / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    tables.main()
    lines = (tmp_path / "table5.md").read_text().splitlines()
    assert "| 2/8 | 0.41 | 99.12 | 99.43 | 99.00 | 3 | 10 |" in lines
    assert "| 4/8 | 0.80 | not run | 99.53 |  |  |  |" in lines
    assert "| `vecq train --weight-bits 2` | 0, 0 | 10 | abc | CPU x | 2 | 12 |" in lines
    lines = (tmp_path / "table8.md").read_text().splitlines()
    assert "| vecq-w2a8 | 98.00 ± 0.58 | 97.00..99.00 | 3 of 8 |" in lines
    assert "| twn-w2a8 | not run |  | 0 of 8 |" in lines
    lines = (tmp_path / "table9.md").read_text().splitlines()
    assert any(line.startswith("| mean error |  | +0.8957 | +0.4860 ") for line in lines)
    assert any(line.startswith("| vgg-quarter-cifar10/w32a32 | not run ") for line in lines)
    assert (
        "| 2 | 0.995687 | 0.9957 | 6.130e-02 | 6.130e-02 |" in (tmp_path / "table1.md").read_text()
    )
    assert (tmp_path / "fig6.svg").read_text().startswith("<?xml")
