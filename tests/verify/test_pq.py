"""Networks whose weights are words of books: simulator, plain Python and targets, by decoders."""

import numpy as np
import pytest
import torch
from torch import nn

from tests import plain
from vecq_hw import data
from vecq_hw.data import checked_dataset
from vecq_hw.layers import ProductWeights
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.network import Network
from vecq_hw.quantize import weight_method
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)


def by_books(network: Network) -> Schedule:
    """A fold of two outputs by a word, or half of one, for each layer of words."""
    folds = dict(default_schedule(network).folds)
    for number, layer in enumerate(network.products):
        if isinstance(layer.weights, ProductWeights):
            pe = 2 if layer.outputs // layer.groups % 2 == 0 else 1
            simd = layer.weights.block
            simd = simd // 2 if number % 2 and simd % 2 == 0 else simd
            folds[layer.name] = Fold(pe=pe, simd=simd, kind=FoldKind.CODE_BOOK)
    return Schedule(folds=folds)


@pytest.mark.needs_cxx
def test_a_small_network_of_words_is_what_it_was_in_training(tmp_path, monkeypatch):
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
    method = weight_method("pq", block=4, words=16, iterations=10)
    twin = quantize_model(model, 1, 8, method=method, input_shape=(8, 4, 4))
    fit(twin, seen, epochs=10, batch_size=16, learning_rate=0.01, progress=False)
    network = lower(twin, (8, 4, 4))
    assert [layer.weights.block for layer in network.products] == [4, 4]
    assert prediction_differences(twin, network, seen.x_test) <= 1
    codes = network_inputs(network, seen.x_test)
    outputs = simulate(network, codes)
    assert np.mean(predictions(network, outputs) == y) > 0.9
    for image, wanted in zip(codes[:2].tolist(), outputs[:2].tolist(), strict=True):
        assert plain.evaluate(network, image)[network.outputs[0]] == wanted
    schedule = by_books(network)
    assert [(f.simd, f.kind) for f in schedule.folds.values()] == [
        (4, FoldKind.CODE_BOOK),
        (2, FoldKind.CODE_BOOK),
    ]
    found = compare.verify(
        network, codes, targets=targets.choose(["hls"]), folder=tmp_path, schedule=schedule
    )
    assert [(row.status.value, row.mismatches) for row in found.rows] == [("passed", 0)]


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("books", [True, False], ids=["by books", "by values"])
def test_digits_on_all_targets(tmp_path, books):
    digits = data.load("digits")
    torch.manual_seed(0)
    net = build_model("cnn", digits.shape, digits.classes)
    model = quantize_model(net, 1, 8, method="pq", input_shape=digits.shape)
    fit(model, digits, progress=False)
    network = lower(model, digits.shape)
    codes = network_inputs(network, digits.x_test)
    assert len(codes) > 500
    assert np.mean(predictions(network, simulate(network, codes)) == digits.y_test) > 0.96
    schedule = by_books(network) if books else default_schedule(network)
    kinds = [fold.kind for fold in schedule.folds.values()]
    assert kinds.count(FoldKind.CODE_BOOK) == (2 if books else 0)
    found = compare.verify(
        network, codes, targets=targets.choose(None), folder=tmp_path, schedule=schedule
    )
    for row in found.rows:
        assert (row.status.value, row.mismatches) == ("passed", 0), row
