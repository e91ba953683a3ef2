"""Real digits through training and lowering: what the user is promised."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from tests.shares import nightly
from vecq_hw import data
from vecq_hw.layers import Rescale
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, evaluate, fit, quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits


@functools.cache
def float_model(kind, seed):
    digits = data.load("digits")
    torch.manual_seed(seed)
    model = build_model(kind, digits.shape, digits.classes)
    fit(model, digits, seed=seed, progress=False)
    return model


@pytest.mark.parametrize(
    ("kind", "seed", "weight_bits", "least"),
    [
        ("mlp", 0, 2, 0.97),
        nightly("mlp", 1, 2, 0.97),
        nightly("mlp", 0, 1, 0.96),
        nightly("mlp", 1, 1, 0.96),
        nightly("cnn", 0, 2, 0.98),
        ("cnn", 0, 1, 0.97),
    ],
)
def test_integer_accuracy(kind, seed, weight_bits, least):
    digits = data.load("digits")
    model = quantize_model(float_model(kind, seed), weight_bits, 8)
    fit(model, digits, seed=seed, progress=False)
    network = lower(model, digits.shape)
    outputs = simulate(network, network_inputs(network, digits.x_test))
    accuracy = np.mean(predictions(network, outputs) == digits.y_test)
    assert accuracy >= least
    assert prediction_differences(model, network, digits.x_test) <= 1
    assert abs(accuracy - evaluate(model, digits.x_test, digits.y_test)) <= 1 / 597
    # Trained batch norms: one shift for all channels.
    assert all(isinstance(la.shift, int) for la in network.layers if isinstance(la, Rescale))
    # The pixels, sixteenths, stay apart and exact in 8 bits.
    codes = network_inputs(network, digits.x_test)
    assert network.inputs[0].step == np.float32(1 / 255)
    assert len(np.unique(codes)) == 17


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("hidden", [32, 200])
def test_a_bias_decides_between_equal_sums_of_few_bits(hidden, weight_bits, activation_bits):
    digits = data.load("digits")
    torch.manual_seed(0)
    layers = [nn.Linear(64, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 10)]
    model = quantize_model(nn.Sequential(nn.Flatten(), *layers), weight_bits, activation_bits)
    fit(model, digits, epochs=2, seed=0, progress=False)
    network = lower(model, digits.shape)
    assert prediction_differences(model, network, digits.x_test) <= 1
