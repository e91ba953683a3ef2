"""Sequences through recurrent layers."""

from __future__ import annotations

import numpy as np

from tests.random_networks.draws import (
    ANY_GRID,
    Draw,
    chance,
    generator,
    random_format,
    random_grid,
    random_weights,
)
from tests.random_networks.growth import Growth
from vecq_hw.formats import (
    IntFormat,
)
from vecq_hw.layers import (
    Conv2d,
    Embedding,
    Gru,
    Lstm,
    Tensor,
)
from vecq_hw.network import Network


def random_recurrent(draw: Draw, name: str, source: str, tensor: Tensor, gru: bool) -> Lstm | Gru:
    """A recurrent layer over sums (1, L, gates * H), most of whose gates are not saturated."""
    rng = generator(draw)
    gates = 3 if gru else 4
    elements = tensor.channels // gates
    weights = random_weights(draw, (gates * elements, elements), random_grid(draw))
    shift = draw.integer(24, 28)
    reach = [
        max(tensor.format.magnitude, 1),
        max(int(np.abs(weights.values.astype(np.int64)).sum(axis=1).max()) * 127, 1),
    ]
    most = [min((100 << shift) // r, (1 << 20) - 1) for r in reach]
    mantissa_x, mantissa_h = (rng.integers(-m - 1, m + 1, gates * elements) for m in most)
    offset = rng.integers(-60 << shift, (60 << shift) + 1, gates * elements)
    fields = {
        "name": name,
        "input": source,
        "weights": weights,
        "mantissa_x": mantissa_x,
        "mantissa_h": mantissa_h,
        "offset": offset,
        "shift": shift,
        "sequence": chance(draw),
    }
    if not gru:
        return Lstm(**fields)
    return Gru(**fields, state_offset=rng.integers(-(1 << shift), 1 << shift, elements))


def random_sequence(draw: Draw, name: str = "sequence") -> Network:
    """Indices or vectors step by step, through recurrent layers, to a few sums."""
    length, channels, words = draw.integer(1, 5), draw.integer(1, 5), draw.integer(1, 9)
    if chance(draw):
        fmt = IntFormat.covering(0, words - 1, signed=False)
        net = Growth(draw, name, (length,), fmt, ANY_GRID)
        taken = random_weights(draw, (words, channels), random_grid(draw))
        net.append(Embedding(name=net.label("embedding"), input=net.last, weights=taken))
    else:
        net = Growth(draw, name, (1, length, channels), random_format(draw, 1, 8), ANY_GRID)
    for _ in range(draw.integer(1, 2)):
        if not net.tensor.is_image:
            break
        net.readable()
        gru, elements = chance(draw), draw.integer(1, 6)
        gates = (3 if gru else 4) * elements
        taken = net.weights(gates, 1, 1, net.tensor.channels)
        net.append(Conv2d(name=net.label("sums"), input=net.last, weights=taken))
        net.append(random_recurrent(draw, net.label("states"), net.last, net.tensor, gru))
    if chance(draw):
        net.flatten()
        net.dense(draw.integer(1, 3))
    return net.network()
