"""Networks for the tests of the hls4ml emitter, and a project of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.hls_networks import Builder
from vecq_hw.emit import hls4ml
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import Grid, IntArray, IntFormat, MidRise
from vecq_hw.layers import Add, Concat, Conv2d, Dense, Rescale, SumPool2d, Upsample2d, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.vectors import corner_vectors, random_vectors

U8, S6 = IntFormat(8, signed=False), IntFormat(6, signed=True)


def branches(bits: int, name: str = "branches") -> Network:
    """Every layer that hls4ml takes; formats and mantissas of both signs; a clamp as of ReLU6."""
    net = Builder(name, (6, 6, 3), IntFormat(7, signed=True), seed=bits)
    net.conv(4, bits, (3, 3), (2, 2), (1, 1), bias=100).rescale(S6)
    entry = net.last
    net.conv(4, bits, (3, 3), padding=(1, 1)).rescale(S6)
    net.layers.append(Add(name=f"{name}_sum", inputs=(net.last, entry, entry)))
    net.rescale(IntFormat(8, False, 0, 200))
    least = 1 << (bits - 1)
    net.layers.append(
        Conv2d(
            name=f"{name}_depthwise",
            input=net.last,
            weights=Weights(
                codes=net.rng.integers(-least, least, (4, 3, 3, 1)), grid=MidRise(bits)
            ),
            bias=net.rng.integers(-50, 50, 4),
            padding=(1, 1),
            groups=4,
        )
    )
    net.rescale(U8)
    fork = net.last
    net.pool((2, 2), (2, 2), (1, 1))
    net.layers.append(Upsample2d(name=f"{name}_up", input=net.last, factor=(2, 3)))
    window = {"kernel": (2, 3), "stride": (1, 2), "padding": (0, 1)}
    net.layers.append(SumPool2d(name=f"{name}_total", input=net.last, **window))
    net.rescale(U8)
    net.layers.append(Concat(name=f"{name}_joined", inputs=(fork, net.last, fork)))
    net.conv(5, bits, (2, 2)).rescale(IntFormat(8, True, -100, 90)).flatten()
    return net.dense(6, bits, bias=30).network()


def corners() -> Network:
    """Wrapping accumulators, one-bit codes, symmetric and asymmetric clamps, wide weights."""
    net = Builder("corners", (12,), IntFormat(9, True, -200, 50))
    net.dense(10, 3, wrap=9, bias=1 << 40).rescale(IntFormat(8, True, -127, 127))
    net.dense(9, 16).rescale(IntFormat(1, signed=True))
    net.dense(8, 2).rescale(IntFormat(5, True, -9, -2), shift=1)
    net.dense(8, 1).rescale(IntFormat(6, True, 5, 20), shift=1).own_shifts()
    net.lookup(IntFormat(6, True), own=True)
    net.dense(7, 5).rescale(IntFormat(12, signed=False)).own_shifts()
    fork, gains = len(net.layers) - 1, np.arange(-3, 4)
    net.dense(7, 2)  # gains so small that the sums end below the point
    tiny = {"mantissa": gains, "offset": gains, "shift": 40, "format": net.layers[fork].format}
    net.layers.append(Rescale(name="corners_tiny", input=net.last, **tiny))
    return net.add(fork).dense(5, 2, bias=1 << 45).network()


def regridded(network: Network, grid: Grid) -> Network:
    """The network with random codes of another grid, as many bits wide."""
    rng, fmt = np.random.default_rng(0), grid.code_format
    layers = [
        replace(
            layer,
            weights=Weights(codes=rng.integers(fmt.lo, fmt.hi + 1, layer.weights.shape), grid=grid),
        )
        if isinstance(layer, Dense | Conv2d)
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def inputs(network: Network, count: int = 30) -> IntArray:
    return np.concatenate([random_vectors(network, count), corner_vectors(network)])


def write(network: Network, folder: Path, io_type: str | None = None, count: int = 30) -> Vectors:
    """The project of ``network`` in ``folder``; the vectors that it compares with."""
    x = inputs(network, count)
    vectors = Vectors(inputs=x, outputs=simulate(network, x))
    hls4ml.emit(network, default_schedule(network), vectors, io_type=io_type).write(folder)
    return vectors
