"""Chains of layers with weights, and graphs of every kind of layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.random_networks.branches import Branches
from tests.random_networks.draws import (
    ANY_KIND,
    Draw,
    chance,
    pair,
    random_format,
)
from tests.random_networks.growth import Growth
from vecq_hw.layers import (
    MaxPool2d,
)
from vecq_hw.network import Network


def random_chain(
    draw: Draw,
    name: str = "chain",
    *,
    images: bool | None = None,
    max_layers: int = 3,
    kinds: Sequence[type] = ANY_KIND,
) -> Network:
    """Layers with weights over a vector or a small image, a rescale or a pool behind most of them.

    ``images`` None: either; ``max_layers`` counts the layers with weights.
    """
    images = chance(draw) if images is None else images
    image = (*pair(draw, 1, 6), draw.integer(1, 3)) if images else None
    net = Growth(draw, name, image or (draw.integer(1, 16),), random_format(draw, 1, 8), kinds)
    if chance(draw, 4):
        net.rescale()
    for _ in range(draw.integer(1, max_layers)):
        if chance(draw, 6):
            net.take()
        if chance(draw, 6):
            net.permute(None if images else (math.prod(net.tensor.shape),))
        if len(net.tensor.shape) == 3 and chance(draw, 3):
            net.flatten()
        if len(net.tensor.shape) == 3:
            net.convolution(draw.integer(1, 6))
        else:
            net.dense(draw.choice([1, 2, 3, 4, 5, 6, 8, 9, 12]))
        if not chance(draw, 4):
            net.rescale()
        if chance(draw, 4):
            net.lookup()
        if len(net.tensor.shape) == 3 and chance(draw):
            net.pool(MaxPool2d)
    if chance(draw, 4):
        net.choice()
    return net.network()


def random_graph(draw: Draw, name: str = "graph", *, kinds: Sequence[type] = ANY_KIND) -> Network:
    """Images through every kind of layer, with branches that part and meet again."""
    shape = (*pair(draw, 1, 6), draw.integer(1, 4))
    net = Branches(draw, name, shape, random_format(draw, 1, 6), kinds)
    for _ in range(draw.integer(1, 4)):
        net.grow()
    if chance(draw, 3):
        net.flatten()
        net.dense(3)
    if chance(draw, 4):
        net.choice()
    return net.network()
