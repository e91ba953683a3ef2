"""Transposed convolutions, slices and borders: the integer network gives what the model gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.lowered import samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Conv2d, Input, Permute, Take
from vecq_hw.lower import lower
from vecq_hw.lower.transposed import bilinear, transposed
from vecq_hw.network import Network
from vecq_hw.quantize import Vecq
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model
from vecq_hw.train.transposed import (
    QuantizedConvTranspose1d,
    QuantizedConvTranspose2d,
    as_convolution,
)


def chained(layers, shape, fmt):
    """A network of layers without names, one behind the other."""
    named, last = [], "x"
    for number, layer in enumerate(layers):
        named.append(replace(layer, name=f"l{number}", input=last))
        last = f"l{number}"
    source = Input(name="x", shape=shape, format=fmt)
    return Network(name="n", inputs=(source,), layers=tuple(named), outputs=(last,))


def quantizer(layer):
    """The quantizer that a transposed convolution gets, made from its weights."""
    return Vecq(as_convolution(layer.weight, layer.groups), 3)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_are_those_of_torch(kernel, stride, groups):
    """Every padding, output_padding and dilation that torch takes, down and across apart."""
    torch.manual_seed(kernel * 10 + stride)
    x = torch.randint(0, 4, (2, 4, 3, 4))
    compared = 0
    for padding, more, dilation in [(0, 0, 1), (1, 1, 1), (1, 0, 2), (2, 1, 2), (3, 2, 1)]:
        sizes = {"stride": (stride, 2), "padding": (padding, 1), "output_padding": (more, 1)}
        sizes |= {"groups": groups, "dilation": (dilation, 1)}
        if more >= max(stride, dilation):
            continue
        layer = nn.ConvTranspose2d(4, 6, (kernel, 4), **sizes)
        twin = QuantizedConvTranspose2d(
            layer, Vecq(as_convolution(layer.weight, layer.groups), 3), None
        )
        twin.bias = None
        try:
            expected = twin(x.float())
        except RuntimeError:  # torch: the output would be empty
            continue
        made, _ = transposed(twin, (3, 4, 4))
        layers = [*made.before, made.convolution, *made.after]
        network = chained(layers, (3, 4, 4), IntFormat(2, signed=False))
        found = simulate(network, x.numpy().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        step = float(twin.quantizer.codes(as_convolution(twin.weight, twin.groups)).step)
        assert np.array_equal(found, np.rint(expected.detach().numpy() / step))
        compared += 1
    assert compared


def test_phases_multiply_by_no_zero():
    layer = nn.ConvTranspose2d(4, 6, 4, 2, 1)
    twin = QuantizedConvTranspose2d(
        layer, Vecq(as_convolution(layer.weight, layer.groups), 3), None
    )
    made, _ = transposed(twin, (5, 5, 4))
    assert made.convolution.weights.codes.shape == (24, 2, 2, 4)
    assert [type(move) for move in made.after] == [Permute, Take]
    layer = nn.ConvTranspose1d(4, 6, 2, 2)
    made, _ = transposed(
        QuantizedConvTranspose1d(layer, Vecq(as_convolution(layer.weight, layer.groups), 3), None),
        (1, 5, 4),
    )
    assert made.convolution.weights.codes.shape == (12, 1, 1, 4)
    assert [type(move) for move in made.after] == [Permute]


@pytest.mark.parametrize("factor", [(2, 2), (1, 2), (3, 2), (4, 5)])
def test_bilinear_upsampling_is_that_of_torch(factor):
    x = torch.randint(0, 16, (2, 3, 4, 5))
    layers = bilinear((4, 5, 3), factor)
    network = chained(layers, (4, 5, 3), IntFormat(4, signed=False))
    sums = simulate(network, x.numpy().transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    expected = F.interpolate(x.double(), scale_factor=factor, mode="bilinear")
    total = layers[-1].weights.values[0].sum()
    assert np.array_equal(sums, np.rint(expected.numpy() * total))
    assert np.allclose(sums / total, expected.numpy(), atol=1e-12)


class Model(nn.Module):
    """A convolution, what a test does with its activations, and a convolution or Linear."""

    def __init__(self, function, channels, last=nn.Conv2d):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.function = function
        self.last = last(channels, 5, 3) if last is nn.Conv2d else last(channels, 5)

    def forward(self, x):
        return self.last(self.function(self.first(x).relu()))


def swapped(one, other):
    return torch.cat([other, one], 1)


class UNet(nn.Module):
    """One level down and up again, the image beside it."""

    def __init__(self, kernel, stride=2, padding=0, more=0):
        super().__init__()
        self.first, self.down = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 6, kernel, stride, padding, more)
        self.norm, self.join = nn.BatchNorm2d(6), nn.Conv2d(12, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 3, 1)

    def forward(self, x):
        beside = self.first(x).relu()
        x = self.down(F.max_pool2d(beside, 2)).relu()
        x = self.norm(self.up(x)).relu()
        return self.last(self.join(torch.cat([beside, x], 1)).relu())


MODELS = {
    "u-net": (UNet(2), (3, 6, 8)),
    "u-net, phases and a cut": (UNet(4, padding=1), (3, 6, 8)),
    "u-net, zeros between": (UNet(3, padding=1, more=1), (3, 6, 8)),
    "slices": (Model(lambda x: x[:, ::2, 1:, :-1], 4), (3, 6, 8)),
    "halves": (Model(lambda x: swapped(*x.chunk(2, 1)), 8), (3, 6, 8)),
    "flipped": (Model(lambda x: x.flip(3), 8), (3, 6, 8)),
    "rolled": (Model(lambda x: torch.roll(x, (1, -1), (2, 3)), 8), (3, 6, 8)),
    "turned": (Model(lambda x: x.rot90(1, (2, 3)), 8), (3, 6, 8)),
    "one row": (Model(lambda x: x[:, :, 2].flatten(1), 64, nn.Linear), (3, 6, 8)),
    "bilinear": (Model(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), 8), (3, 6, 8)),
    "tokens": (
        Model(lambda x: x.flatten(2).transpose(1, 2), 8, nn.Linear),
        (3, 4, 4),
    ),
    "across tokens": (Model(lambda x: x.flatten(2), 16, nn.Linear), (3, 4, 4)),
    "channels last": (Model(lambda x: x.permute(0, 2, 3, 1), 8, nn.Linear), (3, 4, 6)),
    "focus": (
        nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        (3, 8, 8),
    ),
    "sequence": (
        nn.Sequential(
            nn.Conv1d(3, 4, 3),
            nn.ReLU(),
            nn.ConvTranspose1d(4, 6, 4, 2, 1),
            nn.ReLU(),
            nn.Conv1d(6, 2, 1),
        ),
        (3, 9),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_and_integers_agree(name):
    model, shape = MODELS[name]
    twin = trained_twin(model, shape, 4, 8, input_shape=shape)
    network = lower(twin, shape)
    x = samples(shape, 24, False, 3)
    step = network.tensors[network.outputs[0]].step
    found = simulate(network, network_inputs(network, x)) * step
    expected = twin(torch.from_numpy(x)).detach().numpy()
    if found.ndim == 4 and name not in ("tokens", "across tokens", "channels last"):
        found = found.transpose(0, 3, 1, 2)
    # A code may fall to the other side where floats round.
    close = np.isclose(found.reshape(expected.shape), expected, atol=1.01 * step, rtol=1e-3)
    assert close.mean() > 0.99


def test_parts_of_one_tensor_meet_without_another_rescale():
    class Focus(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(12, 4, 3)

        def forward(self, x):
            rows = x[..., ::2, :], x[..., 1::2, :]
            parts = [part[..., start::2] for start in (0, 1) for part in rows]
            return self.last(torch.cat(parts, 1))

    twin = trained_twin(Focus(), (3, 8, 8), 4, 8, input_shape=(3, 8, 8))
    kinds = [type(layer) for layer in lower(twin, (3, 8, 8)).layers]
    assert kinds.count(Take) >= 4
    assert len(kinds) == kinds.count(Take) + 2
    assert kinds[-1] is Conv2d


def test_what_is_no_choice_of_places_is_refused():
    def mixed(x):
        return x.flatten(1).roll(1, 1).view(x.shape)

    with pytest.raises(VecqError, match="does not keep the samples of a batch apart"):
        quantize_model(Model(lambda x: x.flip(0), 8), 4, 4, input_shape=(3, 6, 8))
    assert quantize_model(Model(mixed, 8), 4, 4, input_shape=(3, 6, 8))
