"""Checkpoints: whole or refused, of one's own data and model, and never a file run unasked."""

import copy
import io
import json
import random
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.test_trees import ODD, places
from tests.train.test_fit import blobs
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.train import (
    LayerQuantization,
    ModelRecipe,
    SavedTraining,
    Settings,
    fit,
    load_checkpoint,
    load_training,
    save_checkpoint,
)
from vecq_hw.train.checkpoint import _read, _sealed

torch.set_num_threads(1)

RECIPE = ModelRecipe(
    model="mlp",
    shape=(6,),
    classes=3,
    weight_bits=3,
    overrides={"fc1": LayerQuantization(weight=5)},
)


def saved(tmp_path):
    torch.manual_seed(0)
    model = RECIPE.build()
    fit(model, blobs(), epochs=2, progress=False)
    save_checkpoint(model, RECIPE, tmp_path / "checkpoint.pt")
    return model, tmp_path / "checkpoint.pt"


def test_checkpoint_round_trip(tmp_path):
    model, path = saved(tmp_path)
    again, recipe = load_checkpoint(path)
    assert recipe == RECIPE
    x = torch.from_numpy(blobs().x_test)
    assert torch.equal(again(x), model(x))
    assert not again.training
    assert [again.fc1.quantizer.bits, again.fc2.quantizer.bits] == [5, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    model, path = saved(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(VecqError, match="cannot be written"):
        save_checkpoint(model, RECIPE, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


class Rogue:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_files_that_are_no_checkpoint(tmp_path, capsys):
    _, path = saved(tmp_path)
    content = path.read_bytes()
    bad = tmp_path / "bad.pt"
    for damaged in (content[: len(content) // 2], b"", b"plain text", content[:100]):
        bad.write_bytes(damaged)
        with pytest.raises(VecqError, match="is damaged, or no file that"):
            load_checkpoint(bad)
    torch.save({"fc.weight": torch.ones(3)}, bad)
    with pytest.raises(VecqError, match="is damaged, or no file that"):
        load_checkpoint(bad)
    with pytest.raises(VecqError, match="there is no such file"):
        load_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(VecqError, match="is a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(VecqError, match="cannot be read: embedded null byte"):
        load_checkpoint(tmp_path / "a\0b")
    for forged, says in (
        ({"vecq_checkpoint": 2, "model": Rogue()}, "is no file that `vecq train` wrote"),
        ({"vecq_checkpoint": 99}, "has the format version 99; this vecq reads 2"),
        ({"vecq_checkpoint": 2, "model": "mlp"}, "recipe is None, but ModelRecipe is wanted"),
        ([1, 2], "is no file that `vecq train` wrote"),
    ):
        forge(forged, bad)
        with pytest.raises(VecqError, match=says):
            load_checkpoint(bad)
    bad.write_bytes(_sealed(b"no archive" + content[-200:-87] + b"PK\x05\x06" + bytes(18)))
    with pytest.raises(VecqError, match="is no file that `vecq train` wrote"):
        load_checkpoint(bad)
    assert "this must not run" not in capsys.readouterr().out


def forge(content, path):
    """A checkpoint of any contents with the right digest."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(_sealed(buffer.getvalue()))


def test_every_flipped_bit_is_found(tmp_path):
    _, path = saved(tmp_path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for at in (*rng.integers(0, len(content), 120), 0, len(content) - 1):
        damaged = bytearray(content)
        damaged[at] ^= 1 << rng.integers(0, 8)
        path.write_bytes(damaged)
        with pytest.raises(VecqError, match="its digest is not that of its contents"):
            load_checkpoint(path)


def test_torch_itself_reads_the_archive(tmp_path):
    model, path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    assert torch.equal(content["state"]["fc1.weight"], model.fc1.weight)


def contents(tmp_path):
    """What a checkpoint to go on from holds."""
    _, path = saved(tmp_path)
    model, recipe = load_checkpoint(path)
    settings = Settings(epochs=3, milestones=(1, 2))
    rest = SavedTraining(settings=settings, data="x", data_digest="y", state={})
    save_checkpoint(model, recipe, path, rest)
    return path, _read("it", path)


def test_forged_recipes_and_settings_with_the_right_digest_only_ever_give_a_sentence(tmp_path):
    path, content = contents(tmp_path)
    draw, refused = random.Random(0), 0
    for _ in range(60):
        forged = copy.deepcopy(content)
        tree = draw.choice([forged["recipe"], forged["training"], forged["training"]["settings"]])
        container, key = draw.choice(list(places(tree)))
        container[key] = draw.choice(ODD)
        forge(forged, path)
        try:
            load_training(path)
        except VecqError as error:
            assert len(str(error)) < 600  # noqa: PT017
            refused += 1
    assert refused > 40


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": [1 << 40]}, "a 'mlp' of 3 classes of samples of .* has more parameters than it"),
        ({"shape": [1 << 70]}, "samples of positive sizes, in 64 bits, not 118"),
        ({"classes": 1 << 40}, "more parameters than it holds"),
        ({"classes": -1}, "gives 1 score or more, not"),
        ({"weight_bits": "2"}, r"recipe.weight_bits is '2', but int or None is wanted"),
        ({"weight_bits": 2.5}, r"recipe.weight_bits is 2.5, but int or None is wanted"),
        ({"overrides": [1]}, r"recipe.overrides is \[1\]"),
        ({"method": "magic"}, "there is no method 'magic'"),
    ],
)
def test_recipes_that_do_not_fit_are_refused_before_memory_is_taken(tmp_path, changes, says):
    path, content = contents(tmp_path)
    forge(content | {"recipe": content["recipe"] | changes}, path)
    with pytest.raises(VecqError, match=says) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, "x", [1.0], torch.zeros(3), torch.zeros(()).long()])
def test_states_that_do_not_fit_are_refused(tmp_path, value):
    path, content = contents(tmp_path)
    forge(content | {"state": content["state"] | {"fc1.bias": value}}, path)
    with pytest.raises(VecqError):
        load_checkpoint(path)
    forge(content | {"state": value}, path)
    with pytest.raises(VecqError, match="no mapping of tensors"):
        load_checkpoint(path)


def test_archives_that_unpack_out_of_proportion_are_refused(tmp_path):
    path, buffer = tmp_path / "bomb.pt", io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(70 << 20))
    path.write_bytes(_sealed(buffer.getvalue()))
    with pytest.raises(VecqError, match="would unpack from"):
        load_checkpoint(path)


def test_a_checkpoint_alone_runs_no_file(tmp_path, monkeypatch, capsys):
    file = tmp_path / "model.py"
    text = "print('run')\nfrom torch import nn\ndef make(): return nn.Sequential(nn.Linear(6, 3))"
    file.write_text(text)
    recipe = ModelRecipe(model=f"{file}:make", shape=(6,), classes=3)
    path = tmp_path / "checkpoint.pt"
    model = recipe.build()
    save_checkpoint(model, recipe, path)
    capsys.readouterr()
    with pytest.raises(VecqError, match=r"a Python file that would be run; .* with --model"):
        load_checkpoint(path)
    lowering = ["lower", str(path), "--out", str(tmp_path / "n.npz")]
    refused = CliRunner().invoke(vecq, lowering)
    assert "would be run" in str(refused.exception)
    assert capsys.readouterr().out == ""
    # The file that is named is the one that is run, wherever it was before.
    moved = file.rename(tmp_path / "moved.py")
    again, read = load_checkpoint(path, model=f"{moved}:make")
    assert capsys.readouterr().out == "run\n"
    assert torch.equal(again.get_submodule("0").weight, model.get_submodule("0").weight)
    assert read.model == f"{moved}:make"
    named = CliRunner().invoke(vecq, [*lowering, "--model", f"{moved}:make"])
    assert "no statistics" in str(named.exception)
    _, plain = saved(tmp_path)
    with pytest.raises(VecqError, match=f"its model is 'mlp', not '{moved}:make'"):
        load_checkpoint(plain, model=f"{moved}:make")


def test_training_goes_on_with_the_same_data_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clouds = blobs()
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Linear(6, 3))"
    )

    def store(**changes):
        names = ("x_train", "y_train", "x_test", "y_test")
        np.savez("set.npz", **{name: getattr(clouds, name) for name in names} | changes)

    def train(*options):
        return CliRunner().invoke(vecq, ["train", "--out", "out", *options])

    store()
    named = ("--model", "net.py:net")
    float_bits = ("--weight-bits", "float", "--activation-bits", "float")
    first = train("--data", "set.npz", *named, *float_bits, "--epochs", "1")
    assert first.exit_code == 0, first.output
    assert "would be run" in str(train("--resume").exception)
    assert train("--resume", *named).exit_code == 0
    for name in ("x_train", "x_test", "y_train", "y_test"):
        changed = np.roll(getattr(clouds, name), 1, axis=0)
        store(**{name: changed})
        refused = train("--resume", *named)
        assert "was trained on other samples or labels than" in str(refused.exception), name


def test_sequences_train_and_lower_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = rng.normal(size=(120, 3, 10)) * 0.3
    x[np.arange(120), y] += 1
    np.savez("set.npz", x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.ReLU(),"
        " nn.Flatten(), nn.Linear(48, 3))"
    )
    options = ["--data", "set.npz", "--model", "net.py:net", "--epochs", "6", "--batch-size", "16"]
    done = CliRunner().invoke(vecq, ["train", "--out", "out", *options])
    assert done.exit_code == 0, done.output + str(done.exception)
    done = CliRunner().invoke(vecq, ["simulate", "out/network.npz", "--data", "set.npz"])
    assert done.exit_code == 0, done.output + str(done.exception)
    accuracy = json.loads((tmp_path / "out" / "metrics.json").read_text())["integer_accuracy"]
    assert accuracy > 0.6
    assert f"integer accuracy {100 * accuracy:.2f} %" in done.output


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))", "has no '1.spread'"),
        ("nn.Sequential(nn.Linear(6, 2))", r"'0.weight' has the shape \(3, 6\) there and \(2, 6\)"),
        ("nn.Sequential(nn.Linear(6, 3, bias=False))", "its '0.bias' has no place in this one"),
        ("nn.Sequential(nn.GLU())", "layer '0' .* not supported"),
        ("None", "returned NoneType; a torch.nn.Module is wanted"),
    ],
)
def test_checkpoint_of_another_model(tmp_path, monkeypatch, source, message):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    file = tmp_path / "model.py"
    head = "from torch import nn\ndef make():\n    return "
    file.write_text(head + "nn.Sequential(nn.Linear(6, 3))")
    recipe = ModelRecipe(model=f"{file}:make", shape=(6,), classes=3)
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(recipe.build(), recipe, path)
    load_checkpoint(path, model=recipe.model)
    file.write_text(head + source)
    with pytest.raises(VecqError, match=message) as caught:
        load_checkpoint(path, model=recipe.model)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "__pycache__").exists()
