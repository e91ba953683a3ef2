"""Activations of -1 and 1, as those of BinaryNet: one bit each, with weights of one bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.lowered import samples, trained_twin
from vecq_hw import data
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import QuantizedSign
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import evaluate, fit, quantize_model


class Sign(nn.Module):
    def forward(self, x):
        return x.sign()


class Binary(nn.Module):
    """Convolutions, one of them padded by -1, pools of both kinds, vectors, another border."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, groups=2), nn.BatchNorm2d(8)
        self.conv3, self.norm3 = nn.Conv2d(8, 6, 2), nn.BatchNorm2d(6)
        self.fc1, self.norm4 = nn.Linear(12, 9), nn.BatchNorm1d(9)
        self.fc2 = nn.Linear(9, 4)

    def forward(self, x):
        x = torch.sign(self.norm1(self.conv1(x)))
        x = F.pad(x, (1, 1, 1, 1), value=-1)
        x = F.max_pool2d(self.norm2(self.conv2(x)), 2, 1).sign()
        x = F.pad(x, (0, 1, 0, 1), mode="replicate")
        x = self.norm3(F.avg_pool2d(self.conv3(x).sign(), (2, 2), (2, 3))).sign()
        x = self.norm4(self.fc1(x.flatten(1))).sign()
        return self.fc2(x)


def test_signs_are_codes_of_one_bit_and_no_sum_differs():
    shape = (3, 8, 7)
    twin = trained_twin(Binary(), shape, 1, 8, signed=True)
    network = lower(twin, shape)
    made = [tensor for name, tensor in network.tensors.items() if "rescale" in name]
    assert [repr(tensor.format) for tensor in made].count("u1") == 5
    padded = [layer for layer in network.layers if isinstance(layer, Conv2d) and any(layer.padding)]
    assert [(layer.padding, layer.pad_code) for layer in padded] == [((1, 1, 1, 1), 0)]
    x = samples(shape, 300, True, 5)
    with torch.no_grad():
        want = twin(torch.from_numpy(x)).numpy()
    step = network.tensors[network.outputs[0]].step
    got = simulate(network, network_inputs(network, x)) * step
    # A sum of the first layer may lie on a threshold as exactly as floats can tell.
    assert (np.abs(got - want) <= 0.6 * step).all(axis=1).mean() > 0.97


class Mixed(nn.Module):
    """Signs that are multiplied, added, put side by side, and looked up."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(20, 4)

    def forward(self, x):
        a, b = torch.sign(self.fc1(x)), torch.relu(self.fc2(x))
        c = torch.sign(torch.tanh(b) - 0.3)
        return self.fc3(torch.cat([a * b, a + c, torch.sigmoid(a) * b, c], 1))


def test_signs_among_other_values():
    twin = trained_twin(Mixed(), (6,), 4, 8, signed=True)
    network = lower(twin, (6,))
    x = samples((6,), 200, True, 5)
    with torch.no_grad():
        want = twin(torch.from_numpy(x)).numpy()
    step = network.tensors[network.outputs[0]].step
    got = simulate(network, network_inputs(network, x)) * step
    # The codes of the products and of the sum go either way on a tie.
    assert (np.abs(got - want) <= 0.6 * step).all(axis=1).mean() > 0.9
    assert np.abs(got - want).max() < 0.05 * np.abs(want).max()


def test_a_network_of_signs_trains_on_digits():
    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.norm1 = nn.Linear(64, 128, bias=False), nn.BatchNorm1d(128)
            self.fc2, self.norm2 = nn.Linear(128, 64, bias=False), nn.BatchNorm1d(64)
            self.fc3 = nn.Linear(64, 10)

        def forward(self, x):
            x = torch.sign(self.norm1(self.fc1(x.flatten(1))))
            return self.fc3(torch.sign(self.norm2(self.fc2(x))))

    torch.manual_seed(0)
    digits = data.load("digits")
    twin = quantize_model(Mlp(), weight_bits=1, activation_bits=8)
    fit(twin, digits, epochs=8, seed=0)
    network = lower(twin, digits.shape)
    assert evaluate(twin, digits.x_test, digits.y_test) > 0.9
    assert prediction_differences(twin, network, digits.x_test) == 0


def test_the_gradient_is_that_of_a_hardtanh():
    x = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5], requires_grad=True)
    signs = QuantizedSign()(x)
    assert signs.tolist() == [-1, -1, 1, 1, 1]
    signs.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(4, 2, 3, padding=1)], "layer '2' pads signs with 0, which is none of them"),
        ([nn.ZeroPad2d(1), nn.Conv2d(4, 2, 3)], "layer '2' pads with 0, which is no value of"),
        ([nn.AvgPool2d(3, 1, 1), nn.Conv2d(4, 2, 1)], "averages signs and zeros around them"),
    ],
)
def test_a_zero_among_signs_is_refused(layers, message):
    twin = trained_twin([nn.Conv2d(3, 4, 1), Sign(), *layers], (3, 5, 5), 1, 8)
    with pytest.raises(VecqError, match=message):
        lower(twin, (3, 5, 5))
