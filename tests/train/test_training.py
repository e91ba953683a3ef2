"""Training that is stopped and continued, schedules, presets, and several processes."""

import contextlib
import copy
import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.train.test_fit import blobs
from vecq_hw import cli, data, storage
from vecq_hw.errors import VecqError
from vecq_hw.quantize import Interval, Spread
from vecq_hw.train import (
    PRESETS,
    ModelRecipe,
    Optimizer,
    SavedTraining,
    Settings,
    Training,
    build_model,
    evaluate,
    load_checkpoint,
    load_training,
    run,
    save_checkpoint,
)

torch.set_num_threads(1)


def pictures(samples=48, shape=(1, 8, 8), classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(2 * samples) % classes
    x = rng.random((2 * samples, *shape)) * 0.3
    x[np.arange(2 * samples), 0, y + 2] += 0.7
    return data.checked_dataset("pictures", x[:samples], y[:samples], x[samples:], y[samples:])


class WithDropout(nn.Sequential):
    """Everything that has a state or draws random numbers."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(256, 3),
        )


RECIPE = ModelRecipe(model=f"{__file__}:WithDropout", shape=(1, 8, 8), classes=3)


def begun(settings):
    torch.manual_seed(5)
    return Training(RECIPE.build(), pictures(), settings)


def assert_equal(first, second):
    """Every leaf of two states, bit for bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second


def comparable(training):
    """Its whole state, without how long the epochs took."""
    state = training.state_dict()
    state["history"] = [row[:-1] for row in state["history"]]
    return state | {"model": dict(training.model.state_dict())}


@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("milestones", [None, (1, 3)])
def test_two_epochs_and_two_more_are_four(tmp_path, optimizer, milestones):
    settings = Settings(
        epochs=4, batch_size=10, optimizer=optimizer, milestones=milestones, weight_decay=1e-3,
        padding=1, flip=True, learning_rate=0.01, seed=3,
    )  # fmt: skip
    whole = begun(settings)
    run(whole, progress=False)

    class Stopped(Exception):
        pass

    def stop(epoch):
        if epoch.number == 2:
            saved = SavedTraining(
                settings=settings, data="x", data_digest="", state=half.state_dict()
            )
            save_checkpoint(half.model, RECIPE, tmp_path / "half.pt", saved)
            raise Stopped

    half = begun(settings)
    with pytest.raises(Stopped):
        run(half, after_epoch=stop, progress=False)
    torch.manual_seed(99)  # what the next process draws otherwise
    model, recipe, saved = load_training(tmp_path / "half.pt", RECIPE.model)
    assert recipe == RECIPE
    assert saved.settings == settings
    again = Training(model, pictures(), saved.settings)
    again.load_state_dict(saved.state)
    assert len(again.history) == 2
    run(again, progress=False)
    assert_equal(comparable(again), comparable(whole))


def test_training_needs_no_longer_than_its_epochs():
    training = begun(Settings(epochs=1, batch_size=16))
    run(training, progress=False)
    assert training.finished
    state = copy.deepcopy(comparable(training))
    run(training, progress=False)
    assert_equal(comparable(training), state)


def rates(**settings):
    training = begun(Settings(batch_size=16, learning_rate=0.1, **settings))
    run(training, progress=False)
    return [epoch.learning_rate for epoch in training.history]


def test_schedules():
    assert rates(epochs=4, milestones=(1, 3)) == pytest.approx([0.1, 0.01, 0.01, 0.001])
    assert rates(epochs=4) == pytest.approx(
        [0.05 * (1 + np.cos(np.pi * part / 4)) for part in range(4)]
    )


def test_weight_decay_and_sgd_reach_the_optimizer():
    for optimizer, own in ((Optimizer.ADAM, "betas"), (Optimizer.SGD, "momentum")):
        training = begun(Settings(optimizer=optimizer, weight_decay=0.25))
        (group,) = training.state_dict()["optimizer"]["param_groups"]
        assert own in group
        assert group["weight_decay"] == 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": -1.0}, "weight decay is 0 to 1e30"),
        ({"padding": -1}, "padded with 0 pixels or more"),
        ({"milestones": (3, 2)}, "rising numbers between 0 and the 40 epochs, not 3, 2"),
        ({"milestones": (40,)}, "rising numbers"),
        ({"epochs": 0}, "at least one epoch"),
        ({"batch_size": 1}, "at least 2 samples"),
        ({"learning_rate": float("inf")}, "learning rate must be positive"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(VecqError, match=message):
        Settings(**settings)


def test_settings_that_do_not_fit_data_or_device():
    model = build_model("mlp", (6,), 3)
    with pytest.raises(VecqError, match="only images are cropped"):
        Training(model, blobs(), Settings(flip=True))
    with pytest.raises(VecqError, match="not of a training of this model"):
        Training(model, blobs(), Settings()).load_state_dict(
            begun(Settings(optimizer=Optimizer.SGD)).state_dict() | {"random": None}
        )


def every_place(tree, where=()):
    """Each value within a state, by the keys that lead to it."""
    yield where
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from every_place(value, (*where, key))


def with_value(tree, where, value):
    if not where:
        return value
    key, *rest = where
    if isinstance(tree, dict):
        return {**tree, key: with_value(tree[key], rest, value)}
    return type(tree)(
        with_value(item, rest, value) if index == key else item for index, item in enumerate(tree)
    )


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_whatever_a_forged_state_holds_it_is_refused_or_trained_on_with(optimizer):
    """Each value of the state becomes each odd value; the next epoch may refuse numbers, too."""
    settings = Settings(epochs=2, batch_size=40, optimizer=optimizer, milestones=(1,))
    training = begun(settings)
    training.run_epoch()
    state, model = training.state_dict(), training.model.state_dict()
    odd = (None, "x", -1, 2**70, float("nan"), [], {}, torch.ones(2), torch.full((), torch.inf))
    states = [with_value(state, where, value) for where in every_place(state) for value in odd]
    reader, taken = begun(settings), [state]
    for forged in states:
        try:
            reader.load_state_dict(forged)
        except VecqError:
            continue
        taken.append(forged)
        reader = begun(settings)
    assert len(taken) < len(states) / 10
    for forged in taken[:: max(len(taken) // 6, 1)]:
        again = begun(settings)
        again.model.load_state_dict(model)
        again.load_state_dict(forged)
        with contextlib.suppress(VecqError):  # its numbers may lead nowhere
            again.run_epoch()


def test_presets_scale_their_milestones():
    preset = PRESETS["lenet5-mnist"]
    assert preset.settings_for(None).milestones == (35, 50)
    assert preset.settings_for(10).milestones == (6, 9)
    assert preset.settings_for(1).milestones == ()
    for preset in PRESETS.values():
        assert preset.settings_for(2).epochs == 2


def test_the_quarter_network_has_a_quarter_of_the_channels():
    whole, quarter = (
        [m for m in build_model(name, (3, 32, 32), 10).modules() if isinstance(m, nn.Conv2d)]
        for name in ("vgg_like", "vgg_like_quarter")
    )
    assert [m.out_channels for m in quarter] == [m.out_channels // 4 for m in whole]


def main(*arguments, monkeypatch, capsys):
    """The command in this process, which has torch already: status, output, errors."""
    monkeypatch.setattr(sys, "argv", ["vecq", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr()
    return stop.value.code, shown.out, shown.err


def test_float_rows_have_no_integers(tmp_path, monkeypatch, capsys):
    status, shown, errors = main(
        "train", "--epochs", 2, "--weight-bits", "float", "--activation-bits", "float",
        "--out", tmp_path / "float", monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 0, errors
    assert "integer" not in shown
    assert "epoch 1 of 2: loss " in shown  # a log has a line for each
    assert "epoch 2 of 2: loss " in shown
    metrics = json.loads((tmp_path / "float" / "metrics.json").read_text())
    assert metrics["weight_bits"] is None
    assert "integer_accuracy" not in metrics
    assert not (tmp_path / "float" / "network.npz").exists()
    status, _, errors = main(
        "lower", tmp_path / "float" / "checkpoint.pt", "--out", tmp_path / "n.npz",
        monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 2
    assert "error: " in errors


def test_the_class_instead_of_its_scores_is_as_often_right(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        status, shown, errors = main(*arguments, monkeypatch=monkeypatch, capsys=capsys)
        assert status == 0, errors
        return shown

    run("train", "--preset", "mlp-digits", "--epochs", 2, "--out", tmp_path / "out")
    said = []
    for name, options in (("scores", ()), ("class", ("--argmax",)), ("best", ("--top-k", 3))):
        file = tmp_path / f"{name}.npz"
        run("lower", tmp_path / "out" / "checkpoint.pt", *options, "--out", file)
        shown = run("simulate", file, "--data", "digits")
        said.append(re.search(r"integer accuracy +(\S+) %", shown)[1])
    assert said[0] == said[1] == said[2]
    assert float(said[0]) > 50
    assert storage.load(tmp_path / "class.npz").tensors["argmax"].shape == (1,)
    assert storage.load(tmp_path / "best.npz").tensors["topk"].shape == (3,)


def test_a_signal_leaves_a_checkpoint_to_go_on_with(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from vecq_hw.cli import main; main()"
    )
    options = ["--preset", "mlp-digits", "--epochs", "300", "--threads", "1", "--out", str(out)]
    command = [sys.executable, "-c", code, "train", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (out / "train.csv").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)  # as timeout(1) and a CI do; Ctrl-C is alike
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"'vecq train --resume --out {out}' goes on" in errors.decode()
    assert b"Traceback" not in errors
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    assert names == [".vecq", ".vecq/files.json", ".vecq/lock", "checkpoint.pt", "train.csv"]
    model, _, saved = load_training(out / "checkpoint.pt")
    with (out / "train.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(saved.state["history"]) >= 1
    digits = data.load("digits")
    assert evaluate(model, digits.x_test, digits.y_test) > 0.2
    # What was stopped is not overwritten.
    before = (out / "checkpoint.pt").read_bytes()
    status, _, errors = main("train", "--out", out, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 2
    assert "go on with --resume, replace it with --force, or give another --out" in errors
    assert (out / "checkpoint.pt").read_bytes() == before


def test_resume_of_the_command_gives_the_very_network(tmp_path, monkeypatch, capsys):
    whole, half = tmp_path / "whole", tmp_path / "half"
    options = ("--preset", "mlp-digits", "--epochs", 4, "--threads", 1)
    status, _, errors = main(
        "train", *options, "--out", whole, monkeypatch=monkeypatch, capsys=capsys
    )
    assert status == 0, errors
    _, recipe, saved = load_training(whole / "checkpoint.pt")
    # As the process leaves it that is stopped after two epochs.
    digits = data.load("digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(recipe.model, recipe.shape, recipe.classes)
    training = Training(recipe.quantize(model), digits, saved.settings)
    training.run_epoch()
    training.run_epoch()
    saved = SavedTraining(
        settings=saved.settings,
        data="digits",
        data_digest=digits.digest,
        state=training.state_dict(),
    )
    save_checkpoint(training.model, recipe, half / "checkpoint.pt", saved)
    status, _, errors = main(
        "train", "--resume", "--threads", 1, "--out", half, monkeypatch=monkeypatch, capsys=capsys
    )
    assert status == 0, errors
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (whole, half))
    assert first["network_digest"] == second["network_digest"]
    assert first["losses"] == second["losses"]
    # What it lowers to has a name that tells it from others, and so has its top module.
    monkeypatch.chdir(tmp_path)
    for options, name in (
        ((), "half"),
        (("--out", tmp_path / "mnist.npz"), "mnist"),
        (("--name", "eye", "--out", "mnist.npz"), "eye"),
    ):
        status, shown, errors = main(
            *("lower", half / "checkpoint.pt", *options, "--json", "-"),
            monkeypatch=monkeypatch,
            capsys=capsys,
        )
        assert status == 0, errors
        assert json.loads(shown)["name"] == name
    for name in ("", " ", "\udcff", "a\nb"):
        status, _, errors = main(
            "lower", half / "checkpoint.pt", "--name", name, monkeypatch=monkeypatch, capsys=capsys
        )
        assert status == 2
        assert "a name of printable characters is wanted" in errors
    # A new training in that folder is asked for, and takes away what is not its own.
    status, _, errors = main("train", "--out", half, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 2
    assert "holds a finished training; --force replaces it" in errors
    assert (half / "network.npz").exists()
    options = ("--epochs", 2, "--weight-bits", "float", "--activation-bits", "float")
    status, _, errors = main(
        "train", *options, "--force", "--out", half, monkeypatch=monkeypatch, capsys=capsys
    )
    assert status == 0, errors
    assert not (half / "network.npz").exists()
    assert json.loads((half / "metrics.json").read_text())["weight_bits"] is None


def test_settings_of_the_method_are_kept_in_the_checkpoint(tmp_path, monkeypatch, capsys):
    status, _, errors = main(
        "train", "--epochs", 1, "--method-options", "spread=std,interval=paper", "--per-channel",
        "--out", tmp_path / "out", monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 0, errors
    model, recipe = load_checkpoint(tmp_path / "out" / "checkpoint.pt")
    assert recipe.options == {"spread": "std", "interval": "paper", "per_channel": True}
    quantizer = model.fc1.quantizer
    assert (quantizer.spread, quantizer.interval) == (Spread.DEVIATION, Interval.PAPER)
    assert quantizer.per_channel


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--resume", "--epochs", "9"], "--epochs cannot be given"),
        (["--resume", "--out", "absent"], "there is no such file"),
        (["--resume", "--out", "plain"], "no training to go on with"),
        (["--resume", "--out", "other"], "a Python file that would be run"),
        (["--resume", "--out", "other", "--model", "net.py:net"], "is of another model"),
        (["--preset", "lenet"], "there is no preset 'lenet'; there are lenet5-mnist"),
        (["--data", "mnist", "--data-dir", "plain"], "data 'mnist' is not in 'plain'"),
        (["--weight-bits", "float"], "activations of a network with float weights stay float"),
        (["--activation-bits", "half"], "'half' is not a valid integer range"),
        (["--milestones", "1,x"], "'1,x' is no list of epochs"),
        (["--milestones", "50"], "between 0 and the 40 epochs"),
        (["--device", "tpu"], "cpu or cuda is wanted"),
        (["--optimizer", "lion"], "lion"),
        (["--crop-padding", "9"], "8 × 8 are padded with at most 8 pixels at each side, not 9"),
        (["--threads", "1000000"], "1000000 is not in the range"),
        (["--seed", "1" * 23], "a seed is 0 to 9223372036854775807, not 111"),
        (["--method-options", "interval=best"], "interval is one of paper, exact, search, not"),
        (["--method-options", "step=1"], "no setting 'step'; it has per_channel, interval, spread"),
        (
            ["--method-options", "interval=exact", "--lambda", "paper"],
            "--method-options and --lambda both say interval",
        ),
        (
            ["--method", "mul2q", "--method-options", "mean=true"],
            "so it is not trained: layer 'fc1'",
        ),
    ],
)
def test_mistakes_at_the_command(tmp_path, monkeypatch, capsys, arguments, says):
    plain = ModelRecipe(model="mlp", shape=(1, 8, 8), classes=10)
    save_checkpoint(plain.build(), plain, tmp_path / "plain" / "checkpoint.pt")
    lines = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, {}))"
    (tmp_path / "net.py").write_text(lines.format(10))
    other = ModelRecipe(model=f"{tmp_path}/net.py:net", shape=(1, 8, 8), classes=10)
    save_checkpoint(other.build(), other, tmp_path / "other" / "checkpoint.pt")
    (tmp_path / "net.py").write_text(lines.format(9))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, _, errors = main("train", *arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 2, errors
    assert says in errors
    assert sorted(tmp_path.rglob("*")) == before


def test_load_checkpoint_reads_a_checkpoint_of_training(tmp_path):
    training = begun(Settings(epochs=1, batch_size=16))
    run(training, progress=False)
    saved = SavedTraining(
        settings=training.settings, data="x", data_digest="", state=training.state_dict()
    )
    save_checkpoint(training.model, RECIPE, tmp_path / "c.pt", saved)
    model, _ = load_checkpoint(tmp_path / "c.pt", RECIPE.model)
    x = torch.from_numpy(pictures().x_test)
    assert torch.equal(model(x), training.model(x))


def test_the_example_of_the_guide_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "training.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(code, {})
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list("123")
