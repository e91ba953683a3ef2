"""What each layer loses at each width, in closed form."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from vecq_hw import data
from vecq_hw.cli import vecq
from vecq_hw.quantize.vecq import direct_quantization_loss
from vecq_hw.quantize.vecq import vecq as quantized
from vecq_hw.search import sensitivities
from vecq_hw.train import build_model


def test_the_direct_loss_in_closed_form_is_that_of_the_quantized_weights(small) -> None:
    dataset = data.load(small["data"])
    torch.manual_seed(0)
    model = build_model(small["model"], dataset.shape, dataset.classes)
    found = sensitivities(model, dataset, ["one", "three"], [1, 2, 5, 8])
    assert [one.layer for one in found] == ["one", "three"]
    for one in found:
        w = model.get_parameter(f"{one.layer}.weight").detach()
        assert one.weights == w.numel()
        assert one.energy > 0
        for bits, direct in one.direct.items():
            codes, alpha = quantized(w, bits)
            seen = direct_quantization_loss(w.double(), alpha.double() * (codes.double() + 0.5))
            assert direct == pytest.approx(float(seen), rel=1e-4)
            assert one.loss[bits] == 0.5 * one.energy * direct
        assert sorted(one.loss.values(), reverse=True) == [*one.loss.values()]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_command_prints_and_draws_each_layer(small, tmp_path) -> None:
    dataset = data.load(small["data"])
    model = build_model(small["model"], dataset.shape, dataset.classes)
    torch.save(model.state_dict(), tmp_path / "float.pt")
    picture = tmp_path / "picture.png"
    given = ["--data", small["data"], "--model", small["model"], "--bits", "1..3,8"]
    given += ["--from", str(tmp_path / "float.pt"), "--plot", str(picture), "--json", "-"]
    ran = CliRunner().invoke(vecq, ["sensitivity", *given])
    assert ran.exit_code == 0, ran.exception
    layers = json.loads(ran.stdout)["layers"]
    assert [one["layer"] for one in layers] == ["one", "two", "three"]
    assert all([*one["loss"]] == ["1", "2", "3", "8"] for one in layers)
    assert picture.read_bytes().startswith(b"\x89PNG")
