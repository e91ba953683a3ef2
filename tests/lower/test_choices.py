"""A model that ends in the class itself, or in the best few."""

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.layers import ArgMax, TopK
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import predict, quantize_model


class Ended(nn.Module):
    """Scores of 1-bit weights, so that equal ones are common, and what chooses among them."""

    def __init__(self, choice, norm=False):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 5, bias=True)
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()
        self.choice = choice

    def forward(self, x):
        return self.choice(self.norm(self.last(torch.relu(self.first(x)))))


def _unpacked(x):
    _, indices = x.topk(2)
    return indices


CHOICES = {
    "argmax": (lambda x: x.argmax(1), 1),
    "keepdim": (lambda x: torch.argmax(x, dim=-1, keepdim=True), 1),
    "topk": (lambda x: torch.topk(x, 3).indices, 3),
    "getitem": (lambda x: x.topk(k=5, dim=1)[1], 5),
    "unpacked": (_unpacked, 2),
}


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("shape", [None, (6,)])
def test_the_indices_are_those_of_the_twin(name, norm, shape):
    choice, count = CHOICES[name]
    torch.manual_seed(0)
    twin = quantize_model(Ended(choice, norm), 1, 4, input_shape=shape).train()
    x = torch.randn(200, 6)
    twin(x)
    network = lower(twin.eval())
    assert isinstance(network.layers[-1], ArgMax | TopK)
    assert network.tensors[network.outputs[0]].shape == (count,)
    indices = simulate(network, network_inputs(network, x.numpy()))
    different = (indices != twin(x).reshape(200, -1).numpy()).any(axis=1).sum()
    assert different <= 2
    assert prediction_differences(twin, network, x.numpy()) <= 1
    assert np.array_equal(predict(twin, x.numpy()), twin(x).reshape(200, -1)[:, 0].numpy())


def test_what_else_chooses_is_refused():
    for choice in (
        lambda x: x.argmax(0),
        lambda x: x.topk(2).values,
        lambda x: torch.topk(x, 2, largest=False).indices,
    ):
        with pytest.raises(VecqError):
            quantize_model(Ended(choice), 2, 8)
