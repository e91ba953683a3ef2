"""The network of unrolled_network.py as training makes it, on a set of tables.

scikit-learn's 569 cell samples, of which the first 16 of 30 features are told and two classes are
asked for: the largest set of its tables for classes that comes without a download.  Layers of 64,
32, 32 and 2 outputs, VecQ weights of 4 bits, activations of 6 bits.  A scale belongs to a layer and
has mantissas of 8 bits, sign included: activations of 6 bits cannot tell more.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from vecq_hw.data import Dataset
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.network import Network
from vecq_hw.train import evaluate, fit, quantize_model

SIZES = (16, 64, 32, 32, 2)
TRAINING_SAMPLES = 400
WEIGHT_BITS, ACTIVATION_BITS, MANTISSA_BITS = 4, 6, 8


def table() -> Dataset:
    """The samples in an order of their own, each feature with mean 0 and spread 1 in training."""
    found = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(found.data))
    x, y = found.data[order, : SIZES[0]], found.target[order].astype(np.int64)
    first = x[:TRAINING_SAMPLES]
    x = ((x - first.mean(axis=0)) / first.std(axis=0)).astype(np.float32)
    return Dataset(
        name="cells",
        x_train=x[:TRAINING_SAMPLES],
        y_train=y[:TRAINING_SAMPLES],
        x_test=x[TRAINING_SAMPLES:],
        y_test=y[TRAINING_SAMPLES:],
        classes=2,
    )


def trained() -> tuple[Network, dict[str, float]]:
    """The lowered network, and how often it is right on the samples that it was not trained on."""
    data = table()
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    twin = quantize_model(nn.Sequential(*layers[:-1]), WEIGHT_BITS, ACTIVATION_BITS)
    fit(twin, data, epochs=60, seed=0, progress=False)
    made = lower(twin, name="tagger", mantissa_bits=MANTISSA_BITS)
    told = {
        "test_samples": len(data.y_test),
        "accuracy": round(evaluate(twin, data.x_test, data.y_test), 4),
        "predictions_that_lowering_changes": prediction_differences(twin, made, data.x_test),
    }
    return made, told
