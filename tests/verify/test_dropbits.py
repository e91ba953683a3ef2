"""Networks whose layers learned their widths: storage, simulator, plain Python and targets."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests import plain
from vecq_hw import data, storage
from vecq_hw.data import checked_dataset
from vecq_hw.formats import TwosComplement
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import DropBits
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)


def learned(twin):
    return [module.width.item() for module in twin.modules() if isinstance(module, DropBits)]


def test_the_network_has_the_widths_that_were_learned(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(48) % 4
    x = (rng.normal(size=(48, 4, 4, 4)) / 2 + 3 * np.eye(4)[y][:, :, None, None]).astype(np.float32)
    seen = checked_dataset("blobs", x, y, x, y)
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(24, 4)),
    )
    twin = quantize_model(model, 4, 8, method=partial(DropBits, strength=0.03))
    fit(twin, seen, epochs=12, batch_size=8, learning_rate=0.02, progress=False)
    network = lower(twin, (4, 4, 4))
    grids = [layer.weights.grid for layer in network.products]
    assert grids == [TwosComplement(bits) for bits in learned(twin)]
    assert len({*grids}) > 1
    codes = network_inputs(network, x)
    outputs = simulate(network, codes)
    assert np.mean(predictions(network, outputs) == y) > 0.9
    assert prediction_differences(twin, network, x) <= 1
    for image, wanted in zip(codes[:2].tolist(), outputs[:2].tolist(), strict=True):
        assert plain.evaluate(network, image)[network.outputs[0]] == wanted
    storage.save(network, tmp_path / "network.npz")
    again = storage.load(tmp_path / "network.npz")
    assert [layer.weights.grid for layer in again.products] == grids
    assert np.array_equal(simulate(again, codes), outputs)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_digits_on_all_targets(tmp_path):
    digits = data.load("digits")
    torch.manual_seed(0)
    model = build_model("cnn", digits.shape, digits.classes)
    twin = quantize_model(model, 4, 8, method=DropBits)
    fit(twin, digits, progress=False)
    assert min(learned(twin)) < 4
    network = lower(twin, digits.shape)
    codes = network_inputs(network, digits.x_test)
    assert len(codes) > 500
    assert np.mean(predictions(network, simulate(network, codes)) == digits.y_test) > 0.95
    found = compare.verify(network, codes, targets=targets.choose(None), folder=tmp_path)
    for row in found.rows:
        assert (row.status.value, row.mismatches) == ("passed", 0), row
