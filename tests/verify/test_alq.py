"""Networks that ALQ trained: simulator, plain Python and targets, on units of binary bases."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests import plain
from vecq_hw import data
from vecq_hw.data import checked_dataset
from vecq_hw.layers import BinaryBases
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.network import Network
from vecq_hw.quantize import Alq
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)


def by_bases(network: Network) -> Schedule:
    """A fold of two outputs by all channels of a group for each layer of bases."""
    folds = dict(default_schedule(network).folds)
    for layer in network.products:
        if isinstance(layer.weights, BinaryBases):
            pe = 2 if layer.outputs // layer.groups % 2 == 0 else 1
            folds[layer.name] = Fold(pe=pe, simd=layer.weights.group, kind=FoldKind.BASE_SERIAL)
    return Schedule(folds=folds)


def kinds(schedule: Schedule) -> list[FoldKind]:
    return [fold.kind for fold in schedule.folds.values()]


@pytest.mark.needs_cxx
def test_a_small_network_of_bases_is_what_it_was_in_training(tmp_path, monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-O0")
    rng = np.random.default_rng(0)
    y = np.arange(96) % 4
    x = rng.random((96, 8, 4, 4))
    x[np.arange(96), 2 * y] += 0.5
    seen = checked_dataset("pictures", x, y, x, y)
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 4)),
    )
    twin = quantize_model(model, 2, 8, method=partial(Alq, prune=0.5))
    fit(twin, seen, epochs=10, batch_size=16, learning_rate=0.01, progress=False)
    network = lower(twin, (8, 4, 4))
    assert all(isinstance(layer.weights, BinaryBases) for layer in network.products)
    counts = [layer.weights.counts for layer in network.products]
    assert {count for one in counts for count in np.unique(one)} == {0, 1, 2}
    assert prediction_differences(twin, network, seen.x_test) <= 1
    codes = network_inputs(network, seen.x_test)
    outputs = simulate(network, codes)
    assert np.mean(predictions(network, outputs) == y) > 0.9
    for image, wanted in zip(codes[:2].tolist(), outputs[:2].tolist(), strict=True):
        assert plain.evaluate(network, image)[network.outputs[0]] == wanted
    schedule = by_bases(network)
    assert kinds(schedule) == [FoldKind.BASE_SERIAL] * 2
    found = compare.verify(
        network, codes, targets=targets.choose(["hls"]), folder=tmp_path, schedule=schedule
    )
    assert [(row.status.value, row.mismatches) for row in found.rows] == [("passed", 0)]


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("serial", [True, False], ids=["by bases", "by values"])
def test_digits_on_all_targets(tmp_path, serial):
    digits = data.load("digits")
    torch.manual_seed(0)
    model = quantize_model(build_model("cnn", digits.shape, digits.classes), 2, 8, method=Alq)
    fit(model, digits, progress=False)
    network = lower(model, digits.shape)
    codes = network_inputs(network, digits.x_test)
    assert len(codes) > 500
    assert np.mean(predictions(network, simulate(network, codes)) == digits.y_test) > 0.97
    schedule = by_bases(network) if serial else default_schedule(network)
    assert (FoldKind.BASE_SERIAL in kinds(schedule)) == serial
    found = compare.verify(
        network, codes, targets=targets.choose(None), folder=tmp_path, schedule=schedule
    )
    for row in found.rows:
        assert (row.status.value, row.mismatches) == ("passed", 0), row
