"""Whole networks for the RTL: weights of every width side by side, real digits, a text."""

from __future__ import annotations

import numpy as np

from rtl_tests.networks import INQ, TTQ
from tests.hls_networks import Builder, Calibrated
from tests.text_networks import text
from vecq_hw import data
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntArray, IntFormat, TwosComplement
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import with_thresholds
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.vectors import corner_vectors, random_vectors


def digits(count: int) -> IntArray:
    """Handwritten digits of the test split, 8 × 8 × 1, 8 bits."""
    images = data.load("digits").x_test[:count]
    return np.rint(images * 255).astype(np.int64).transpose(0, 2, 3, 1)


def lenet5() -> Builder:
    """LeNet5 with all its channels, on 8 × 8 digits; weights of 8, 4, 2, 1 and 2 bits."""
    net = Calibrated("lenet5", (8, 8, 1), 0)
    net.sample = digits(8)
    net.conv(6, 8, (5, 5), padding=(2, 2), fold=Fold(pe=6, simd=1)).norm().pool((2, 2), (2, 2))
    net.conv(16, 4, (5, 5), padding=(2, 2), fold=Fold(pe=8, simd=6)).norm().pool((2, 2), (2, 2))
    net.flatten().dense(120, 2, fold=Fold(pe=8, simd=16, kind=FoldKind.BIT_SERIAL)).norm()
    return net.dense(84, 1, fold=Fold(pe=12, simd=10)).norm().dense(10, 2, bias=50)


def resnet8() -> Builder:
    """ResNet-8 (MLPerf Tiny) on 8 × 8 × 3, a quarter of its channels; weights of 1 to 8 bits."""
    net = Calibrated("resnet8", (8, 8, 3), 1)
    net.conv(4, 4, (3, 3), padding=(1, 1)).norm()
    for channels, stride, bits in ((4, 1, 1), (8, 2, 2), (16, 2, 8)):
        entry = shortcut = len(net.layers) - 1
        if stride > 1:
            net.conv(channels, bits, (1, 1), (stride, stride)).norm(128)
            shortcut = len(net.layers) - 1
        net.branch(entry).conv(channels, bits, (3, 3), (stride, stride), (1, 1)).norm()
        net.conv(channels, bits, (3, 3), padding=(1, 1)).norm(128).add(shortcut).norm()
    return net.sum((2, 2), (2, 2)).norm(128).flatten().dense(10, 2)


def depthwise() -> Builder:
    """Blocks as those of MobileNet: a kernel for each channel, then a mix of the channels."""
    net = Calibrated("depthwise", (8, 8, 1), 2)
    net.sample = digits(8)
    net.conv(6, 4, (3, 3), padding=(1, 1)).norm()
    for stride, bits in ((1, 2), (2, 1)):
        channels = net.tensor.shape[-1]
        pads = (1, 1) if stride == 1 else (0, 0, 1, 1)  # as TFLite's SAME
        net.conv(channels, bits, (3, 3), (stride, stride), pads, groups=channels).norm()
        net.conv(2 * channels, bits, (1, 1)).norm()
    return net.sum((4, 4), (4, 4)).norm(128).flatten().dense(10, 2)


def grids() -> Builder:
    """Weights off VecQ's grid in padded, grouped and depthwise convolutions, and signed codes.

    One is padded by a code other than 0.  All sums of the pool have one row of thresholds.
    """
    net = Calibrated("grids", (8, 8, 1), 3)
    net.sample = digits(8)
    net.conv(6, TTQ, (3, 3), padding=(1, 1)).norm()
    net.conv(6, TwosComplement(2), (3, 3), padding=(1, 1), groups=6, fold=Fold(pe=2, simd=1)).norm()
    net.conv(12, TwosComplement(4), (3, 3), (2, 2), (1, 1), groups=2, fold=Fold(pe=12, simd=3))
    net.rescale(IntFormat(6, signed=True))
    net.conv(8, TwosComplement(2), (3, 3), padding=(0, 1, 2, 1), pad_code=-5).norm()
    net.sum((4, 4), (4, 4)).norm(128).one_row()
    return net.flatten().dense(10, INQ)


BUILDERS = {
    "lenet5": lenet5,
    "resnet8": resnet8,
    "depthwise": depthwise,
    "grids": grids,
    "text": text,
}


def image_network(name: str) -> tuple[Network, Schedule]:
    """A network and its folds; a Rescale to 4 bits or fewer becomes thresholds."""
    builder = BUILDERS[name]()
    network = with_thresholds(builder.network())
    return network, Schedule(folds={**default_schedule(network).folds, **builder.folds})


def vectors(network: Network, count: int) -> Vectors:
    """The corners, then real digits where they fit, else random images."""
    real = network.inputs[0].shape == (8, 8, 1)
    some = digits(count) if real else random_vectors(network, count)
    inputs = np.concatenate([corner_vectors(network), some])
    return Vectors(inputs=inputs, outputs=simulate(network, inputs))
