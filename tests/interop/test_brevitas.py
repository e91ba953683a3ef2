"""Networks of Brevitas, through QONNX and QCDQ: the codes of every quantizer are its own."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.brevitas_networks import Network, images, made, own_codes
from tests.strategies import drawn_by
from vecq_hw.errors import VecqError
from vecq_hw.interop import Imported, import_file
from vecq_hw.interop.brevitas import import_module
from vecq_hw.interop.reals import source_rule
from vecq_hw.lower import lower
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.storage import digest


def by_qcdq(network: Network, folder: Path) -> Imported:
    from brevitas.export import export_onnx_qcdq

    path = folder / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_onnx_qcdq(
            network, input_shape=(1, *network.shape),
            export_path=str(path), dynamo=False,
        )  # fmt: skip
    return import_file(path)


def differences(found: Imported, network: Network, x: torch.Tensor) -> tuple[int, int, int]:
    """How many codes of the taps differ from the module's, how many are compared, and on ties.

    The module adds floats in an order of its own.  Where that decides a tie, the codes may differ;
    what that sample gives behind it is not compared.
    """
    wanted = own_codes(network, x)
    codes = network_inputs(found.network, x.numpy(), source_rule(found.report))
    tensors = simulate(found.network, {found.network.inputs[0].name: codes},
                       taps=list(found.network.tensors))  # fmt: skip
    differing = compared = ties = 0
    whole = np.ones(len(x), bool)
    used: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for tap in found.report.taps:
        module = tap.source.strip("/").split("/")[0] if "/" in tap.source else "out"
        if (module, tap.name) in seen or module not in wanted:
            continue
        seen.add((module, tap.name))
        index = used.get(module, 0)
        used[module] = index + 1
        array = tensors[tap.name].astype(np.int64)
        array = array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        right, near = wanted[module][index]
        array = array[:, :, 0] if right.ndim == 3 else array  # a sequence is an image of one row
        assert array.shape == right.shape
        wrong = array != right
        tied = wrong & near & (np.abs(array - right) <= 2)  # signs are 2 apart
        differing += int((wrong & ~tied)[whole].sum())
        compared += right[whole].size
        ties += int(tied[whole].sum())
        whole &= ~tied.reshape(len(tied), -1).any(axis=1)
    assert set(used) == set(wanted)
    return differing, compared, ties


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_networks(data: st.DataObject):
    network = made(drawn_by(data), data.draw(st.integers(0, 2**16)))
    found = import_module(network, network.shape)
    differing, compared, _ = differences(found, network, images(network, 20))
    assert differing == 0, f"{differing} of {compared}"


def test_lower_takes_a_module_and_leaves_it_as_it_is(tmp_path):
    draw = Seeded(3)
    network = made(draw, 3)
    shape = network.shape
    before = {name: value.clone() for name, value in parameters(network).items()}
    lowered = lower(network, shape, name="net")
    again = import_module(network, shape, "net").network
    assert digest(lowered) == digest(again)
    assert all(torch.equal(before[name], value) for name, value in parameters(network).items())
    if not network.binary:
        found = by_qcdq(network, tmp_path)
        assert differences(found, network, images(network, 20))[0] == 0


@pytest.mark.parametrize("shape", [None, (), (1, 0, 3), "3", (1.5,), {"x": (1,)}])
def test_a_module_needs_the_shape_of_one_sample(shape):
    with pytest.raises(VecqError, match="needs the shape of one sample"):
        lower(made(Seeded(0), 0), shape)


def test_what_brevitas_does_not_export_is_said():
    with pytest.raises(VecqError, match="Brevitas cannot export the model"):
        lower(made(Seeded(0), 0), (17, 2, 2))


def test_integers_of_one_bit_are_no_signs():
    """Brevitas exports them as signs, and the codes 0 and 1 would become -1 and 1."""
    import brevitas.nn as qnn

    layers = qnn.QuantIdentity(return_quant_tensor=True), qnn.QuantReLU(bit_width=1)
    with pytest.raises(VecqError, match=r"'1\.act_quant' gives integers of 1 bit"):
        lower(torch.nn.Sequential(*layers).eval(), (3,))


def parameters(network: Network) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Brevitas, which calls torch the old way
        return dict(network.state_dict())


class Seeded:
    """The choices of a generator."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def integer(self, least: int, most: int) -> int:
        return int(self._rng.integers(least, most + 1))

    def choice(self, options):
        return options[int(self._rng.integers(len(options)))]


@pytest.mark.nightly
def test_two_hundred_round_trips(tmp_path, record_property):
    """Through QONNX, and through QCDQ where no weights are binary; all codes are counted."""
    trips = {"qonnx": 0, "qcdq": 0}
    compared = differing = ties = 0
    for seed in range(160):
        network = made(Seeded(seed), seed)
        shape, x = network.shape, images(network, 20)
        forms = {"qonnx": import_module(network, shape)}
        if not network.binary:
            forms["qcdq"] = by_qcdq(network, tmp_path)
        for form, found in forms.items():
            wrong, count, tied = differences(found, network, x)
            trips[form] += 1
            differing, compared, ties = differing + wrong, compared + count, ties + tied
    record_property("round_trips", sum(trips.values()))
    record_property("codes", compared)
    record_property("differing", differing)
    record_property("on_ties", ties)
    assert ties < 1e-4 * compared
    assert sum(trips.values()) >= 200
    assert differing == 0, f"{differing} of {compared}"
