"""Reshapes, transposes and shuffles between the layers of a model, in the integer network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Flatten, Permute
from vecq_hw.lower import lower

torch.set_num_threads(1)  # on small networks a second thread only waits


class Between(nn.Module):
    """A function of images between two convolutions."""

    def __init__(self, function, channels=8):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(channels, 2, 1)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x).relu()).contiguous())


def shuffled(x):
    b, c, h, w = x.shape
    return x.view(b, 4, c // 4, h, w).transpose(1, 2).contiguous().view(b, c, h, w)


@pytest.mark.parametrize(
    ("function", "channels"),
    [
        (shuffled, 8),
        (nn.ChannelShuffle(2), 8),
        (lambda x: F.pixel_shuffle(x, 2), 2),
        (nn.PixelUnshuffle(2), 32),
        (lambda x: x.transpose(2, 3), 8),
        (lambda x: x.permute(0, 3, 1, 2), 6),
        (lambda x: x.flatten(2).unsqueeze(-1), 8),
        (lambda x: x.reshape(len(x), 4, 8, 6), 4),
        (lambda x: x.view(len(x), 4, 48).transpose(1, 2).reshape(len(x), 12, 4, 4), 12),
        (lambda x: x.flatten(1).view(len(x), -1, 1, 1), 192),
    ],
)
def test_orders_of_values_are_those_of_the_model(function, channels):
    model, shape = Between(function, channels), (3, 6, 8)
    twin = trained_twin(model, shape, 4, 8, input_shape=shape)
    network = check_codes(twin, shape, samples(shape, 32, False, 9))
    moved = [layer for layer in network.layers if not isinstance(layer, Conv2d)]
    assert sum(isinstance(layer, Permute | Flatten) for layer in moved) == 1


class Line(nn.Module):
    """A sequence as an image of height 1, and back."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(3, 6, 3, padding=1)
        self.second, self.last = nn.Conv2d(6, 6, (1, 3), groups=6), nn.Linear(6, 2)

    def forward(self, x):
        x = self.second(self.first(x).relu().unsqueeze(2)).relu().squeeze(2)
        return self.last(x.mean(-1))


def test_axes_of_size_one_cost_no_layer():
    twin = trained_twin(Line(), (3, 9), 4, 8, input_shape=(3, 9))
    network = check_codes(twin, (3, 9), samples((3, 9), 32, False, 9))
    assert not any(isinstance(layer, Permute) for layer in network.layers)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.relu(x.unsqueeze(1)).squeeze(1), "gives samples of the shape"),
    ],
)
def test_what_no_layer_does_is_refused(function, message):
    with pytest.raises(VecqError, match=message):
        lower(trained_twin(Between(function), (3, 6, 8), 4, 8, input_shape=(3, 6, 8)), (3, 6, 8))
