"""An MLP and a LeNet5 that have learnt a little, and the digits that they see."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path

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

    Those of 28 × 28 are MNIST's where ``VECQ_DATA`` names a folder that holds it.
    """
    folder = Path(os.environ.get("VECQ_DATA", "")) / "mnist"
    if size == 28 and folder.is_dir():
        arrays = []
        for part, count in (("train", SEEN), ("t10k", 1000)):
            arrays.append(_idx(folder / f"{part}-images-idx3-ubyte.gz")[:count, np.newaxis] / 255)
            arrays.append(_idx(folder / f"{part}-labels-idx1-ubyte.gz")[:count])
        return checked_dataset("MNIST", *arrays)
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


def _idx(path: Path) -> np.ndarray:
    """LeCun's format: zeros, the type (8 is unsigned bytes), the axes, their sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    assert content[:3] == b"\0\0\x08"
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


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
    right = (predictions(outputs) == part.y_test).mean()
    assert right > 0.7, f"{network.name}: {right:.1%}"
    return network


def images(network: Network, count: int, size: int = 28) -> IntArray:
    """The first digits to test on, as codes."""
    return network_inputs(network, digits(size).x_test[:count])
