"""What each layer loses at each width, in closed form."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vecq_hw import data
from vecq_hw.cli import vecq
from vecq_hw.quantize.vecq import direct_quantization_loss
from vecq_hw.quantize.vecq import vecq as quantized
from vecq_hw.search import sensitivities
from vecq_hw.search.sensitivity import activation_sensitivities
from vecq_hw.train import build_model, quantize_model


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


def test_the_loss_of_narrow_activations_is_that_of_squared_gradients_and_errors(small) -> None:
    dataset = data.load(small["data"])
    torch.manual_seed(0)
    model = build_model(small["model"], dataset.shape, dataset.classes)
    twin = quantize_model(model, 8, 8, input_shape=dataset.shape)
    places = {"one": ["relu"], "two": ["last"], "three": []}
    found = activation_sensitivities(twin, dataset, places, [1, 3, 8])
    assert found["three"] == {1: 0.0, 3: 0.0, 8: 0.0}
    assert found["one"][1] > found["one"][3] > found["one"][8] == 0.0
    # By hand, sample by sample, from the activations of the layer before the last one.
    places_ = np.linspace(0, len(dataset.x_train) - 1, min(256, len(dataset.x_train))).astype(int)
    x, y = (torch.from_numpy(a[places_]) for a in (dataset.x_train, dataset.y_train))
    part = twin.get_submodule
    seen = part("two")(part("relu")(part("one")(part("input_quantizer")(x)))).detach()
    fine = part("last")(seen).detach().requires_grad_()
    torch.nn.functional.cross_entropy(part("three")(fine), y, reduction="sum").backward()
    coarse = copy.deepcopy(part("last"))
    coarse.bits = 3
    error = (coarse(seen) - fine).detach()
    rise = 0.5 * float((fine.grad * error).square().sum()) / len(x)
    assert found["two"][3] == pytest.approx(rise, rel=1e-4)


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
