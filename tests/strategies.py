"""Hypothesis strategies of what ``random_networks`` draws, whose choices can then be shrunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from hypothesis import strategies as st

from tests import random_networks
from vecq_hw.formats import MidRise
from vecq_hw.network import Network

MID_RISE = (MidRise,)

Made = TypeVar("Made")
Option = TypeVar("Option")
Arguments = ParamSpec("Arguments")


class _Drawn:
    """The choices of hypothesis."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, least: int, most: int) -> int:
        return self._draw(st.integers(least, most))

    def choice(self, options: Sequence[Option]) -> Option:
        return self._draw(st.sampled_from(options))


def drawn_by(data: st.DataObject) -> random_networks.Draw:
    """The choices of an interactive draw."""
    return _Drawn(data.draw)


def _strategy(
    make: Callable[Concatenate[random_networks.Draw, Arguments], Made],
) -> Callable[Arguments, st.SearchStrategy[Made]]:
    @st.composite
    def drawn(draw: st.DrawFn, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        return make(_Drawn(draw), *args, **kwargs)

    return drawn


formats = _strategy(random_networks.random_format)
grids = _strategy(random_networks.random_grid)
weights = _strategy(random_networks.random_weights)
rescales = _strategy(random_networks.random_rescale)
networks = _strategy(random_networks.random_chain)
graphs = _strategy(random_networks.random_graph)
sequences = _strategy(random_networks.random_sequence)
several_ends = _strategy(random_networks.random_ends)
schedules = _strategy(random_networks.random_schedule)


def random_inputs(network: Network, count: int, seed: int) -> np.ndarray:
    """Seeded codes over the whole input format."""
    source = network.inputs[0]
    rng = np.random.default_rng(seed)
    return rng.integers(source.format.lo, source.format.hi + 1, (count, *source.shape))
