"""Parameters of float models from files of others."""

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from tests.zoo.networks.residual import ResNet8
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.train import (
    ModelRecipe,
    load_checkpoint,
    load_float_state,
    mlp,
    quantize_model,
    save_checkpoint,
)

torch.set_num_threads(1)  # on small networks a second thread only waits


def trained():
    """A model whose statistics are no longer those of a fresh one."""
    torch.manual_seed(7)
    model = ResNet8(4)
    model(torch.rand(16, 3, 8, 8))
    return model.eval()


def under(prefix):
    return lambda state: {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    "written",
    [
        dict,
        under("module."),
        under("model."),
        under("_orig_mod.module."),
        lambda state: {"state_dict": under("model.")(state), "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}, "best": None},
        lambda state: {"state": {"model_state_dict": dict(state)}},
        lambda state: {name: tensor.half() for name, tensor in state.items()},
        lambda state: {n: t for n, t in state.items() if "num_batches_tracked" not in n},
        lambda state: {name: nn.Parameter(t, False) for name, t in state.items()},
    ],
)
def test_a_float_state_comes_into_a_model_and_its_twin(tmp_path, written):
    model, fresh = trained(), ResNet8(4).eval()
    torch.save(written(model.state_dict()), tmp_path / "float.pt")
    load_float_state(fresh, tmp_path / "float.pt")
    x = torch.rand(5, 3, 8, 8)
    assert torch.allclose(fresh(x), model(x), atol=1e-2)
    twin = quantize_model(fresh, 16, 16, input_shape=(3, 8, 8)).train()
    assert torch.equal(twin.get_parameter("conv.weight"), fresh.conv.weight)
    assert torch.equal(twin.get_buffer("bn.running_mean"), fresh.bn.running_mean)


def test_files_of_the_older_format_are_read(tmp_path):
    model, fresh = trained(), ResNet8(4).eval()
    torch.save(model.state_dict(), tmp_path / "f.pt", _use_new_zipfile_serialization=False)
    load_float_state(fresh, tmp_path / "f.pt")
    assert torch.equal(fresh.fc.weight, model.fc.weight)


class Unsafe:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mlp(6, 4).state_dict(), r"of another architecture: 'fc3.weight' has the shape \(4, 32\)"),
        ({"fc1.weight": torch.ones(64, 6)}, "architecture: it has no 'bn1.weight' and 10 more$"),
        (mlp(6, 3).state_dict() | {"head.weight": torch.ones(1)}, "the model has no 'head.weight'"),
        (
            {"fc1.weight": torch.ones(64, 6), "a": torch.ones(1), "b": torch.ones(1)},
            "it has no 'bn1.weight' and 10 more, and the model has no 'a' and 1 more",
        ),
        (under("model.")(mlp(6, 3).state_dict()) | {"loss.weight": torch.ones(1)}, "'loss.weight'"),
        ({name: t.int() for name, t in mlp(6, 3).state_dict().items()}, "is of the type int32"),
        ({"epoch": 3}, "holds no state_dict, a mapping from names to tensors"),
        ([1, 2], "holds no state_dict"),
        (torch.ones(3), "holds no state_dict"),
        ({}, "holds no state_dict"),
        (quantize_model(mlp(6, 3)).state_dict(), "is of a quantized model; go on with that"),
        (mlp(6, 3), "is no file of tensors alone .*; save the model's state_dict"),
        ({"a": Unsafe()}, "is no file of tensors alone"),
    ],
)
def test_other_files_are_refused_and_the_model_is_left(tmp_path, content, message, capsys):
    torch.save(content, tmp_path / "float.pt")
    model = mlp(6, 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(VecqError, match=message):
        load_float_state(model, tmp_path / "float.pt")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert "run" not in capsys.readouterr().out


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("no tensors")
    for name, message in (
        ("gone.pt", "there is no such file"),
        (".", "is a folder"),
        ("text.pt", "is no file of tensors alone"),
    ):
        with pytest.raises(VecqError, match=message):
            load_float_state(mlp(6, 3), tmp_path / name)


def test_a_float_checkpoint_of_ours_is_a_float_state(tmp_path):
    recipe = ModelRecipe(model="mlp", shape=(6,), classes=3, weight_bits=None, activation_bits=None)
    model, fresh = recipe.build(), mlp(6, 3)
    save_checkpoint(model, recipe, tmp_path / "float.pt")
    load_float_state(fresh, tmp_path / "float.pt")
    assert torch.equal(fresh.fc1.weight, model.fc1.weight)


def test_training_begins_with_a_float_state(tmp_path):
    model = mlp(64, 10)
    torch.save(under("module.")(model.state_dict()), tmp_path / "float.pt")
    common = ["train", "--epochs", "1", "--batch-size", "1437", "--learning-rate", "1e-9"]
    begun = [*common, "--from", str(tmp_path / "float.pt"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(vecq, begun)
    assert done.exit_code == 0, done.output
    twin, _ = load_checkpoint(tmp_path / "out" / "checkpoint.pt")
    assert torch.allclose(twin.fc1.weight, model.fc1.weight, atol=1e-6)
    words = [*begun[:-1], str(tmp_path / "words"), "--method", "pq"]
    assert CliRunner().invoke(vecq, words).exit_code == 0
    _, recipe = load_checkpoint(tmp_path / "words" / "checkpoint.pt")
    assert recipe.options == {"start": 0.0, "distilled": True}  # words at once
    gone = [*common, "--from", str(tmp_path / "gone.pt"), "--out", str(tmp_path / "other")]
    refused = CliRunner().invoke(vecq, gone)
    assert "gone.pt': there is no such file" in str(refused.exception)
    assert not (tmp_path / "other").exists()
