"""`vecq train`: float and quantized, stopped and continued; mistakes in what it is given."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vecq_hw import cli, data, storage
from vecq_hw.quantize import Interval, Spread
from vecq_hw.train import (
    ModelRecipe,
    SavedTraining,
    Training,
    build_model,
    evaluate,
    load_checkpoint,
    load_training,
    save_checkpoint,
)

torch.set_num_threads(1)


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


def test_the_log_has_the_epochs_of_the_checkpoint_wherever_a_signal_comes(
    tmp_path, monkeypatch, capsys
):
    replace = os.replace
    for before in (True, False):
        out, moved = tmp_path / str(before), []

        def interrupted(source, target, before=before, out=out, moved=moved):
            moved.append(Path(target))
            place = out / "checkpoint.pt"
            now = moved.count(place) == 2 and moved[-1] == place
            if now and before:
                raise KeyboardInterrupt
            replace(source, target)
            if now:
                raise KeyboardInterrupt

        monkeypatch.setattr("vecq_hw.files.os.replace", interrupted)
        options = ("train", "--preset", "mlp-digits", "--epochs", 4, "--out", out)
        status, _, errors = main(*options, monkeypatch=monkeypatch, capsys=capsys)
        monkeypatch.setattr("vecq_hw.files.os.replace", replace)
        assert status == 130
        _, _, saved = load_training(out / "checkpoint.pt")
        done = len(saved.state["history"])
        assert f"holds {done} of 4 epochs" in errors
        with (out / "train.csv").open() as file:
            assert len(list(csv.DictReader(file))) == done == 2  # the move is done all the same


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
        wanted = "a name of printable characters is wanted" if name else "behind --name; a value"
        assert wanted in errors
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
        (["--activation-bits", "half"], "'half' is not a valid whole number"),
        (["--milestones", "1,x"], "'1,x' is no list of epochs"),
        (["--milestones", "50"], "between 0 and the 40 epochs"),
        (["--device", "tpu"], "cpu or cuda is wanted"),
        (["--optimizer", "lion"], "lion"),
        (["--crop-padding", "9"], "8 × 8 are padded with at most 8 pixels at each side, not 9"),
        (["--threads", "1000000"], "1000000 is not in the range"),
        (["--seed", "1" * 23], "is not in the range 0<=x<=4294967295"),
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
