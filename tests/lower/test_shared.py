"""A module that is called several times: one set of weights, one layer for each call."""

import pytest
import torch
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from vecq_hw.layers import Conv2d, Dense
from vecq_hw.train import LayerQuantization, parameter_count
from vecq_hw.train.quantized_layers import Quantized


class Loop(nn.Module):
    """Hidden layers that are one, with one batch norm."""

    def __init__(self, steps=3):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.norm, self.steps = nn.BatchNorm1d(8), steps

    def forward(self, x):
        x = self.first(x).relu()
        for _ in range(self.steps):
            x = self.norm(self.inner(x)).relu()
        return self.last(x)


class Heads(nn.Module):
    """One convolution on images of two sizes, as detectors have it, and behind itself."""

    def __init__(self):
        super().__init__()
        self.head, self.pool = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4 * 8 * 6 + 4 * 4 * 3, 3)

    def forward(self, x):
        fine = self.relu(self.head(self.relu(self.head(x))))
        coarse = self.relu(self.head(self.pool(fine)))
        return self.fc(torch.cat([fine.flatten(1), coarse.flatten(1)], 1))


@pytest.mark.parametrize(
    ("model", "shape", "name", "calls"),
    [(Loop(), (6,), "inner", 3), (Heads(), (4, 8, 6), "head", 3)],
)
def test_each_call_is_a_layer_with_the_same_weights(model, shape, name, calls):
    twin = trained_twin(model, shape, 4, 8, overrides={name: LayerQuantization(weight=3)})
    layers = [module for module in twin.modules() if isinstance(module, Quantized)]
    assert len(layers) == len([m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)])
    assert parameter_count(twin) == parameter_count(model)
    network = check_codes(twin, shape, samples(shape, 64, False, 99), clean_part=0.3)
    names = [name, *(f"{name}_{call}" for call in range(2, calls + 1))]
    made = [layer for layer in network.layers if isinstance(layer, Dense | Conv2d)]
    shared = [layer for layer in made if layer.name in names]
    assert [layer.name for layer in shared] == names
    assert all(layer.weights is shared[0].weights for layer in shared)
    assert shared[0].weights.codes.min() >= -4


def test_gradients_of_all_calls_meet():
    twin = trained_twin(Loop(), (6,), 4, 8).train()
    x = torch.from_numpy(samples((6,), 64, False, 3))
    twin(x).square().sum().backward()
    assert twin.inner.weight.grad.abs().sum() > 0
    assert [n for n, _ in twin.named_parameters() if n.startswith("inner")] == [
        "inner.weight",
        "inner.bias",
    ]
