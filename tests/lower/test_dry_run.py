"""What lowering refuses is said before training."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.layers import Dense, Rescale
from vecq_hw.lower import dry_run
from vecq_hw.quantize import weight_method
from vecq_hw.train import build_model, quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits

IMAGES = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)


def test_the_network_of_an_untrained_model_has_its_layers_and_changes_nothing():
    torch.manual_seed(0)
    twin = quantize_model(build_model("cnn", (1, 8, 8), 10))
    before = copy.deepcopy(twin.state_dict())
    random = torch.get_rng_state()
    network = dry_run(twin, IMAGES)
    assert [layer.name for layer in network.layers if isinstance(layer, Rescale)] == [
        "conv1_rescale",
        "conv2_rescale",
    ]
    assert isinstance(network.layers[-1], Dense)
    assert twin.training
    assert twin.relu1.training
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_layer_that_a_few_samples_leave_dark_is_no_reason():
    layers = [nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10, bias=False)]
    model = nn.Sequential(nn.Flatten(), *layers)
    with torch.no_grad():
        model[1].bias.fill_(-100.0)
    assert len(dry_run(quantize_model(model), IMAGES).layers) == 3


@pytest.mark.parametrize(
    ("twin", "message"),
    [
        (
            quantize_model(build_model("imdb", (8,), 2)),
            r"the model fails on samples of the shape \(1, 8, 8\): Expected tensor .* Long, Int",
        ),
        (
            quantize_model(nn.Sequential(nn.Flatten(), nn.Linear(63, 10))),
            r"the model fails on samples of the shape \(1, 8, 8\): mat1 and mat2",
        ),
        (
            quantize_model(
                nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
                method=weight_method("mul2q", mean=True),
            ),
            "train with the mean-free form",
        ),
        (quantize_model(nn.Sequential(nn.Linear(8, 4)), activation_bits=None), "activations are f"),
    ],
)
def test_what_cannot_be_lowered_is_refused(twin, message):
    with pytest.raises(VecqError, match=message):
        dry_run(twin, IMAGES)
