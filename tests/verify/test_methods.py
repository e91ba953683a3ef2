"""Networks that each method trained on digits: every target computes the simulator's integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests import plain
from tests.shares import named, nightly
from vecq_hw import data, storage
from vecq_hw.formats import IntArray, TwosComplement
from vecq_hw.layers import BinaryBases, Dense, ProductWeights
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.network import Network
from vecq_hw.quantize import METHODS, DropBits, weight_method
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify.compare import Report, Status, verify
from vecq_hw.verify.targets import TARGETS
from vecq_hw.verify.vectors import with_corners

torch.set_num_threads(1)

EXPRESSIVE = tuple(each for each in TARGETS if each.name not in ("qonnx", "netlist"))
"""QONNX has no Rescale to 16 bits, which ends the networks of ELQ; netlists have other tests."""
BITS = {"vecq": 2, "esb": 4, "sq": 2, "elq": 2, "srq": 3, "dropbits": 4, "alq": 2, "pq": 2}
"""Bits of a code, for each method whose network every change is judged by."""
OTHERS = {"bwn": 1, "twn": 2, "ttq": 2, "inq": 4, "mul2q": 2, "dorefa": 3, "minmax": 4}
OTHERS |= {"tqt": 4, "lsq": 3}
"""Bits of a code, for each of the other methods; their networks have scalar codes."""
OPTIONS: dict[str, dict[str, float]] = {
    "dropbits": {"strength": 0.3},
    "pq": {"block": 4, "words": 16},
}
"""So that bits are dropped, and that there are words, in small networks."""


def small(name: str) -> nn.Module:
    """With a convolution of several channels where these share bases or words."""
    torch.manual_seed(0)
    deeper = (nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    deeper = deeper if METHODS[name].BLOCKS else ()
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
        *deeper,
        *(nn.Flatten(), nn.Linear(64 if deeper else 128, 10)),
    )


def trained(
    name: str, model: nn.Module, options: Mapping[str, float], **settings: float
) -> Network:
    """What digits have taught the model; its predictions are those of the integers."""
    digits = data.load("digits")
    method = weight_method(name, **options)
    bits = (BITS | OTHERS)[name]
    twin = quantize_model(model, bits, 8, method=method, input_shape=digits.shape)
    fit(twin, digits, progress=False, **settings)
    network = lower(twin, digits.shape, name=name)
    assert prediction_differences(twin, network, digits.x_test) <= 2
    widths = [one.width.item() for one in twin.modules() if isinstance(one, DropBits)]
    if widths:  # the network has those that were learned
        assert [one.weights.grid for one in network.products] == [*map(TwosComplement, widths)]
        assert min(widths) < bits
    return network


def right(network: Network, outputs: IntArray) -> float:
    """The part of the digits that is recognised."""
    return float(np.mean(predictions(network, outputs) == data.load("digits").y_test))


def by_kinds(network: Network) -> Schedule:
    """Units of bases and of words for the layers that have such, half of the outputs a cycle.

    A Dense decodes its words, where they have an even number of weights; others look sums up.
    """
    folds = dict(default_schedule(network).folds)
    for layer in network.products:
        pe = layer.outputs // 2
        match layer.weights:
            case BinaryBases(group=group):
                folds[layer.name] = Fold(pe=pe, simd=group, kind=FoldKind.BASE_SERIAL)
            case ProductWeights(block=block):  # half a word a cycle, or a whole one
                half = isinstance(layer, Dense) and block % 2 == 0
                kind = FoldKind.CODE_BOOK if half else FoldKind.PARTIAL_SUMS
                folds[layer.name] = Fold(pe=pe, simd=block // 2 if half else block, kind=kind)
    return Schedule(folds=folds)


def kinds(schedule: Schedule) -> list[FoldKind]:
    """The kinds of the units that are no streaming ones."""
    return [one.kind for one in schedule.folds.values() if one.kind is not FoldKind.STREAMING]


def side_by_side(networks: Mapping[str, Network]) -> Network:
    """One network that computes all of them, so that each target is built once.

    Four share an input: hls4ml copies one to no more than seven layers.
    """
    sources, layers = {}, []
    for number, (name, one) in enumerate(networks.items()):
        (given,) = one.inputs
        source = f"digits_{number // 4}"
        sources[source] = replace(given, name=source)
        names = {each.name: f"{name}_{each.name}" for each in one.layers} | {given.name: source}
        layers += [
            replace(each, name=names[each.name], input=names[each.input]) for each in one.layers
        ]
    outputs = tuple(f"{name}_{one.outputs[0]}" for name, one in networks.items())
    inputs = tuple(sources.values())
    return Network(name="methods", inputs=inputs, layers=tuple(layers), outputs=outputs)


def verified(network: Network, codes: IntArray, folder: Path, schedule: Schedule) -> Report:
    """Every target computes every integer of these codes and of the corners, at each input."""
    given = with_corners(network, {source.name: codes for source in network.inputs})
    report = verify(network, given, targets=EXPRESSIVE, folder=folder, schedule=schedule)
    assert len(report.rows) == len(EXPRESSIVE) == 5
    assert report.warnings == ()
    for row in report.rows:
        assert (row.status, row.mismatches) == (Status.PASSED, 0), row.message
        assert row.vectors > len(codes) == 597
    return report


@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("names", [named(BITS, name="eight"), nightly(OTHERS, name="others")])
def test_every_target_computes_what_each_method_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Mapping[str, int]
) -> None:
    assert {*BITS, *OTHERS} == {*METHODS}
    monkeypatch.setenv("CXXFLAGS", "-O0")
    settings = {"epochs": 6, "batch_size": 32, "learning_rate": 0.02}
    networks = {
        name: trained(name, small(name), OPTIONS.get(name, {}), **settings) for name in names
    }
    together = side_by_side(networks)
    storage.save(together, tmp_path / "network.npz")
    assert storage.digest(storage.load(tmp_path / "network.npz")) == storage.digest(together)
    codes = network_inputs(networks[next(iter(names))], data.load("digits").x_test)
    given = {source.name: codes for source in together.inputs}
    outputs = simulate(together, given, taps=together.outputs)
    for (name, one), tap in zip(networks.items(), together.outputs, strict=True):
        assert np.array_equal(network_inputs(one, data.load("digits").x_test), codes), name
        assert np.array_equal(outputs[tap], simulate(one, codes)), name
        assert right(one, outputs[tap]) > 0.85, name
        computed = plain.evaluate(one, codes[0].tolist())
        assert computed[one.outputs[0]] == outputs[tap][0].tolist(), name
    schedule = by_kinds(together)
    if names is BITS:
        words = [FoldKind.PARTIAL_SUMS, FoldKind.CODE_BOOK]
        assert kinds(schedule) == [FoldKind.BASE_SERIAL] * 2 + words
    for row in verified(together, codes, tmp_path, schedule).rows:
        assert [*row.by_output] == [*together.outputs]
        assert all(part.distinct_outputs > 100 for part in row.by_output.values())


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("name", BITS)
def test_every_target_computes_the_network_that_each_method_trained(
    tmp_path: Path, name: str
) -> None:
    digits = data.load("digits")
    torch.manual_seed(0)
    network = trained(name, build_model("cnn", digits.shape, digits.classes), {})
    codes = network_inputs(network, digits.x_test)
    assert right(network, simulate(network, codes)) > 0.95
    schedules = {"values": default_schedule(network), "kinds": by_kinds(network)}
    if not kinds(schedules["kinds"]):
        del schedules["kinds"]
    assert ("kinds" in schedules) == METHODS[name].BLOCKS
    for units, schedule in schedules.items():
        verified(network, codes, tmp_path / units, schedule)
