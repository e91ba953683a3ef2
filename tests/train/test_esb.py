"""ESB on both sides, in every kind of layer, in training that is stopped, and through targets."""

import copy
import re

import numpy as np
import pytest
import torch
from torch import nn

from tests.lowered import samples
from tests.shares import nightly
from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.formats import MiniFloat
from vecq_hw.layers import Lookup, Threshold
from vecq_hw.lower import lower
from vecq_hw.passes.thresholds import with_thresholds
from vecq_hw.quantize import EsbHardtanh, EsbReLU, EsbSigned, InputQuantizer
from vecq_hw.quantize.activation_esb import MOST_BITS
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import LayerQuantization, Settings, Training, quantize_model
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)

IMAGE, STEPS = (3, 8, 6), (3, 1, 7)


class Residual(nn.Module):
    """Two branches, one of them depthwise without an activation at its end, as in MobileNetV2."""

    def __init__(self):
        super().__init__()
        self.expand, self.bn = nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.project, self.skip = nn.Conv2d(6, 4, 1), nn.Conv2d(3, 4, 1)
        self.clamp, self.pool, self.end = nn.ReLU6(), nn.AvgPool2d(2), nn.Linear(48, 3)

    def forward(self, x):
        y = self.project(self.clamp(self.depthwise(self.clamp(self.bn(self.expand(x))))))
        return self.end(torch.flatten(self.pool(torch.relu(y + self.skip(x))), 1))


class Steps(nn.Module):
    """A sequence through a GRU or LSTM behind an activation on levels."""

    def __init__(self, kind):
        super().__init__()
        self.conv, self.states, self.end = (
            nn.Conv1d(3, 4, 3),
            kind(4, 5, batch_first=True),
            nn.Linear(5, 2),
        )

    def forward(self, x):
        return self.end(self.states(torch.relu(self.conv(x)).transpose(1, 2))[0][:, -1])


NETS = {
    "residual, depthwise, averaged": (IMAGE, Residual),
    "transposed, padded, grouped": (
        IMAGE,
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.ReLU(), nn.MaxPool2d(2),
            nn.ConvTranspose2d(6, 4, 2, stride=2), nn.Hardtanh(-1.0, 1.0),
            nn.ConstantPad2d(1, 0.5), nn.Conv2d(4, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3),
        ),
    ),
    "a table behind levels": (
        (5,), lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.GELU(), nn.Linear(8, 3))
    ),
    "no relu": (
        (5,), lambda: nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 6), nn.SiLU(), nn.Linear(6, 3))
    ),
    "gru": ((3, 9), lambda: Steps(nn.GRU)),
    "lstm": ((3, 9), lambda: Steps(nn.LSTM)),
}  # fmt: skip


def twin_of(name, activation_bits=4, **settings):
    shape, make = NETS[name]
    torch.manual_seed(3)
    overrides = {"input": LayerQuantization(activation=8)}
    settings = {"activation_method": "esb", "method": "esb", "input_shape": shape} | settings
    twin = quantize_model(make(), 4, activation_bits, overrides, **settings)
    for seed in range(4):
        twin(torch.from_numpy(samples(shape, 40, True, seed)))
    return twin.eval(), shape


def integers(network, x):
    x = x[:, :, np.newaxis] if x.ndim == 3 else x  # a sequence is an image of height 1
    return simulate(network, network_inputs(network, x))


@pytest.mark.parametrize("bits", [4, *map(nightly, (2, 3, 6, MOST_BITS))])
@pytest.mark.parametrize("name", NETS)
def test_integers_give_what_training_gives(name, bits):
    twin, shape = twin_of(name, bits)
    network = lower(twin, shape)
    x = samples(shape, 300, True, 9)
    step = network.tensors[network.outputs[0]].step
    found = integers(network, x).reshape(len(x), -1) * step
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x)).numpy()
    apart = np.abs(found - wanted).max(axis=1)
    # Where a sum lies on a tie, training and integers may take two levels.
    assert np.median(apart) <= 0.6 * step + 1e-5 * np.abs(wanted).max()
    assert (apart > 0.1 * wanted.std()).mean() < 0.05
    if bits > 2:
        assert any(isinstance(layer, Lookup) for layer in network.layers)
        assert any(
            isinstance(module, EsbReLU | EsbHardtanh | EsbSigned) for module in twin.modules()
        )
    # Thresholds count to the same levels.
    counted = with_thresholds(network, most_bits=5)
    assert np.array_equal(integers(counted, x[:60]), integers(network, x[:60]))
    assert bits != 4 or name == "no relu" or any(isinstance(la, Threshold) for la in counted.layers)


def test_kinds_of_quantizers_and_their_levels():
    twin, _ = twin_of("residual, depthwise, averaged", 3)
    kinds = [type(module) for module in twin.modules() if hasattr(module, "levels")]
    assert kinds.count(InputQuantizer) == 1
    assert {EsbReLU, EsbHardtanh, EsbSigned} <= {*kinds}
    levels = [0, 1, 2, 3, 4, 6, 8, 12]
    assert EsbReLU(3).levels.tolist() == levels
    assert repr(EsbReLU(3).format) == "u4[0..12]"
    assert EsbReLU(4).levels.tolist()[-5:] == [14, 16, 20, 24, 28]
    assert EsbReLU(2).levels.tolist() == [0, 1, 2, 3]
    assert EsbSigned(4).levels.tolist() == sorted({*levels, *(-level for level in levels)})
    assert EsbSigned(4).grid == EsbReLU(3).grid == MiniFloat(4, 1)
    clamped = EsbHardtanh(3, 0.0, 6.0)
    clamped(torch.linspace(0, 60, 1000))
    step = float(clamped.step)
    assert clamped.format.hi == max(level for level in levels if abs(level * step - 6) < 2 * step)
    with pytest.raises(VecqError, match="ESB activations have 2 to 10 bits, not 11"):
        EsbReLU(11)
    with pytest.raises(VecqError, match="no method 'ESB' for activations; did you mean 'esb'"):
        quantize_model(nn.Sequential(nn.Linear(2, 2)), activation_method="ESB")


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_an_activation_takes_the_nearest_level_and_passes_what_is_not_clamped(kind):
    for quantizer in (EsbReLU(3), EsbSigned(4)):
        x = torch.randn(4000, dtype=kind, generator=torch.Generator().manual_seed(1)) * 3
        quantizer.to(kind)(x)
        step, x = quantizer.step.item(), x.requires_grad_()
        y = quantizer.eval()(x)
        y.sum().backward()
        levels = quantizer.levels
        edges = (levels[1:] + levels[:-1]) / 2 * step
        inputs = x.detach().double().numpy()
        away = np.abs(inputs[:, None] - edges).min(axis=1) > 1e-6
        wanted = levels[np.searchsorted(edges, inputs, side="right")] * step
        assert np.allclose(y.detach().double().numpy()[away], wanted[away], rtol=1e-6)
        ends = (0 if quantizer.format.lo == 0 else -14 * step), 14 * step
        inside = (inputs > ends[0]) & (inputs < ends[1])
        assert 0.3 < inside.mean() < 1
        assert np.array_equal(x.grad.numpy() != 0, inside)
        assert [quantizer.integer(value) for value in (5 * step, 4.9 * step, 99.0)] == [6, 4, 12]
    with pytest.raises(VecqError, match="met no value but zero"):
        EsbReLU(3).eval()(torch.ones(3))


def test_training_goes_on_bit_for_bit_and_copies_are_alike():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    x = (rng.normal(size=(120, *IMAGE)) + y[:, None, None, None]).astype(np.float32)
    data = Dataset(name="images", classes=3, x_train=x, y_train=y, x_test=x, y_test=y)
    settings = Settings(epochs=4, batch_size=30, seed=1)

    def begun():
        torch.manual_seed(2)
        return quantize_model(Residual(), 5, 4, method="esb", activation_method="esb")

    whole, first = Training(begun(), data, settings), Training(begun(), data, settings)
    for _ in range(4):
        whole.run_epoch()
    for _ in range(2):
        first.run_epoch()
    state = copy.deepcopy((first.model.state_dict(), first.state_dict()))
    rest = Training(begun(), data, settings)
    rest.model.load_state_dict(state[0])
    rest.load_state_dict(state[1])
    for _ in range(2):
        rest.run_epoch()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[name], value), name
    assert whole.history[-1].loss < 0.95 * whole.history[0].loss
    copied = copy.deepcopy(whole.model.eval())
    images = torch.from_numpy(x)
    assert torch.equal(copied(images), whole.model(images))


@pytest.mark.needs_cxx
@pytest.mark.parametrize("chosen", [["hls"], nightly(["hls", "rtl"])])
def test_targets_compute_the_levels(tmp_path, monkeypatch, chosen):
    monkeypatch.setenv("CXXFLAGS", "-O0")
    for name in NETS if "rtl" in chosen else ("a table behind levels",):
        twin, shape = twin_of(name)
        network = lower(twin, shape)
        x = samples(shape, 60, True, 9)
        x = network_inputs(network, x[:, :, np.newaxis] if x.ndim == 3 else x)
        folder = tmp_path / re.sub(r"\W", "_", name)
        report = compare.verify(network, x, targets=targets.choose(chosen), folder=folder)
        assert [(row.status.value, row.mismatches) for row in report.rows] == [
            ("passed", 0) for _ in chosen
        ]
