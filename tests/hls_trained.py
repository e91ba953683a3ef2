"""An MLP and a LeNet5 that have learnt a little, and the digits that they see."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from vecq_hw import data
from vecq_hw.data import Dataset, checked_dataset
from vecq_hw.formats import IntArray
from vecq_hw.lower import lower
from vecq_hw.network import Network
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, fit, quantize_model

BITS = (1, 2, 3, 4, 8)
KINDS = ("mlp", "lenet5")
SEEN = 1000
"""Images that a network learns from."""


@cache
def digits(size: int = 28) -> Dataset:
    """At least 1,000 images to test on: scikit-learn's digits, 8 × 8, or enlarged to 28 × 28.

    Those of 28 × 28 are MNIST's where its folder lies among the data.
    """
    if size == 28 and (data.data_folder() / "mnist").is_dir():
        large = data.load("mnist")
        x_train, y_train = large.x_train[:SEEN], large.y_train[:SEEN]
        return checked_dataset("MNIST", x_train, y_train, large.x_test[:1000], large.y_test[:1000])
    small = data.load("digits")
    x_train = small.x_train.reshape(-1, 1, 8, 8)
    x_test = np.concatenate([small.x_test, small.x_train]).reshape(-1, 1, 8, 8)
    y_test = np.concatenate([small.y_test, small.y_train])
    if size == 28:
        x_train, x_test = map(_enlarged, (x_train, x_test))
    return checked_dataset("digits", x_train, small.y_train, x_test, y_test)


def _enlarged(x: np.ndarray) -> np.ndarray:
    large = np.kron(x, np.ones((3, 3), np.float32))
    return np.pad(large, ((0, 0), (0, 0), (2, 2), (2, 2)))


@cache
def trained(kind: str, bits: int, size: int = 28) -> Network:
    """With ``bits`` bits a weight and 8 an activation; it has learnt what a digit is."""
    torch.manual_seed(bits)
    seen = digits(size)
    part = checked_dataset(
        seen.name, seen.x_train[:SEEN], seen.y_train[:SEEN], seen.x_test[:300], seen.y_test[:300]
    )
    model = quantize_model(build_model(kind, seen.shape, seen.classes), bits, 8)
    fit(model, part, epochs=3 if kind == "mlp" else 1, batch_size=16, progress=False)
    network = lower(model, seen.shape, name=f"{kind}{bits}")
    outputs = simulate(network, network_inputs(network, part.x_test))
    right = (predictions(network, outputs) == part.y_test).mean()
    assert right > 0.7, f"{network.name}: {right:.1%}"
    return network


def images(network: Network, count: int, size: int = 28) -> IntArray:
    """The first digits to test on, as codes."""
    return network_inputs(network, digits(size).x_test[:count])
