"""``vecq lower`` and what ``vecq show`` says of its mantissas."""

import json
import sys

import numpy as np
import pytest
import torch

from vecq_hw import cli, storage
from vecq_hw.errors import VecqError
from vecq_hw.layers import Rescale, Threshold
from vecq_hw.limits import MANTISSA_BITS
from vecq_hw.lower import lower
from vecq_hw.simulate import simulate
from vecq_hw.train import build_model
from vecq_hw.train.checkpoint import ModelRecipe, save_checkpoint


@pytest.fixture
def twin(tmp_path):
    recipe = ModelRecipe(model="mlp", shape=(1, 4, 4), classes=3, activation_bits=4)
    torch.manual_seed(0)
    twin = recipe.quantize(build_model(recipe.model, recipe.shape, recipe.classes))
    twin(torch.rand(64, 1, 4, 4))
    save_checkpoint(twin.eval(), recipe, tmp_path / "checkpoint.pt")
    return twin


def vecq(*arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vecq", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_mantissas_have_the_bits_that_the_command_line_says(twin, tmp_path, monkeypatch, capsys):
    least, most = MANTISSA_BITS
    for bits in (least - 1, most + 1):
        status = vecq("lower", tmp_path / "checkpoint.pt", "--mantissa-bits", bits,
                      monkeypatch=monkeypatch)  # fmt: skip
        assert status == 2
        assert f"{least}<=x<={most}" in capsys.readouterr().err
        with pytest.raises(VecqError, match=f"mantissas have {least} to {most} bits"):
            lower(twin, (1, 4, 4), mantissa_bits=bits)
    for bits in MANTISSA_BITS:
        out = tmp_path / f"{bits}.npz"
        options = ("--mantissa-bits", bits, "--out", out, "--json", tmp_path / f"{bits}.json")
        assert not vecq("lower", tmp_path / "checkpoint.pt", *options, monkeypatch=monkeypatch)
        rescale = next(la for la in storage.load(out).layers if isinstance(la, Rescale))
        assert rescale.mantissa_bits.max() == bits
        said = json.loads((tmp_path / f"{bits}.json").read_text())["mantissa_bits"]
        assert said[rescale.name] == rescale.mantissa_bits.tolist()
        assert f"{rescale.name} " in capsys.readouterr().out
        assert not vecq("show", out, "--json", "-", monkeypatch=monkeypatch)
        assert json.loads(capsys.readouterr().out)["mantissa_bits"] == said


def test_thresholds_on_request(twin, tmp_path, monkeypatch):
    kinds = []
    x = np.random.default_rng(0).integers(0, 16, (20, 16))
    outputs = []
    for options in ((), ("--thresholds", 4)):
        out = tmp_path / f"{len(options)}.npz"
        arguments = ("lower", tmp_path / "checkpoint.pt", "--out", out, *options)
        assert not vecq(*arguments, monkeypatch=monkeypatch)
        network = storage.load(out)
        kinds.append([type(layer) for layer in network.layers if layer.name.endswith("_rescale")])
        outputs.append(simulate(network, x))
    assert Threshold in kinds[1]
    assert Threshold not in kinds[0]
    assert np.array_equal(*outputs)
