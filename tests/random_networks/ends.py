"""Networks of several inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.random_networks.branches import Branches
from tests.random_networks.draws import (
    ANY_GRID,
    Draw,
    chance,
    pair,
    random_format,
)
from tests.random_networks.growth import WIDEST
from vecq_hw.formats import (
    Grid,
)
from vecq_hw.network import Network


def random_ends(
    draw: Draw, name: str = "ends", *, kinds: Sequence[type[Grid]] = ANY_GRID
) -> Network:
    """One to three inputs and one to three outputs, not one of each.

    An input joins as it is, or behind a layer; an output is a tensor on the way, perhaps an input,
    or what a branch of its own makes of one.
    """
    images = draw.integer(0, 3) > 0
    shape = (*pair(draw, 1, 5), draw.integer(1, 4)) if images else (draw.integer(1, 9),)
    net = Branches(draw, name, shape, random_format(draw, 1, 6), kinds)
    inputs = draw.integer(1, 3)
    passed = [net.last]
    for place in range(max(inputs, draw.integer(1, 3))):
        if chance(draw, 3):
            (net.grow if images else net.rescale)()
        if place < inputs - 1:
            net.meet()
        passed.append(net.last)
    if images and chance(draw, 3):
        net.flatten()
        net.dense(3)
    further = []
    for _ in range(draw.integer(1 if inputs == 1 else 0, 2)):
        tensor = draw.choice(passed)
        narrow = net.tensors[tensor].format.bits <= WIDEST
        further.append(net.head(tensor) if narrow and chance(draw) else tensor)
    if net.last in further and len(set(further)) == 1 and inputs == 1:
        further.append(net.head(net.last))
    network = net.network(*further)
    drawn = list(network.outputs)
    return replace(network, outputs=tuple(drawn[::-1] if chance(draw) else drawn))
