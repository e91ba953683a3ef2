"""The smallest FIFOs between layers that never stall a network, found by running it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vecq_hw.accelerator.plan import plan
from vecq_hw.network import Add, Concat, Network
from vecq_hw.schedule import Schedule, check
from vecq_hw.simulate.dataflow.frames import grow_until_complete, is_complete, set_depths
from vecq_hw.simulate.dataflow.processes import Graph
from vecq_hw.simulate.dataflow.recurrences import LateError
from vecq_hw.simulate.dataflow.times import run


def fifo_depths(network: Network, schedule: Schedule, frames: int = 2) -> dict[str, int]:
    """The depth of every link, in words of its producer.

    With these depths every output word of ``frames`` frames comes in the very cycle in which it
    would come with FIFOs without limit, and none of them can be smaller by a word: the network
    would stand still, or a word would come later.  Deeper FIFOs never delay a word, so the links
    are shrunk one after the other.

    Raises
    ------
    VecqError
        The schedule does not fit.
    """
    check(network, schedule)
    return _Search(network, schedule, frames).result()


def _stored(graph: Graph) -> dict[str, int]:
    return {name: link.stored() for name, link in graph.links.items()}


class _Search:
    """Depths that are enough, and shrink."""

    def __init__(self, network: Network, schedule: Schedule, frames: int) -> None:
        self._arguments = (plan(network, schedule), frames)
        ideal = Graph(*self._arguments)
        self._depths: dict[str, int | None] = dict.fromkeys(ideal.links)
        set_depths(ideal, self._depths)
        run(ideal.processes)
        self._deadlines = {
            name: ideal.channel(end).takes for name, end in ideal.plan.outputs.items()
        }
        self._stored = _stored(ideal)
        least = Graph(*self._arguments)
        self._least = {name: link.least for name, link in least.links.items()}
        run(least.processes)
        grow_until_complete(least, self._least)
        joins = {la.name for la in network.layers if isinstance(la, Add | Concat)}
        self._branches = [
            name for name, link in least.links.items() if link.planned.reader in joins
        ]

    def result(self) -> dict[str, int]:
        # Only the branches of joins have to store much: the rest mostly fits at once.
        self._shrink([name for name in self._depths if name not in self._branches])
        for name in self._branches:
            self._shrink([name])
        return {name: depth for name, depth in self._depths.items() if depth is not None}

    def _lateness(self, changed: Mapping[str, int]) -> int:
        """By how many cycles the first late word is late; if none is, the change is kept."""
        graph = Graph(*self._arguments, deadlines=self._deadlines)
        set_depths(graph, {**self._depths, **changed})
        try:
            run(graph.processes)
        except LateError as error:
            return error.cycles
        assert is_complete(graph)  # no depth is less than what ends every deadlock
        self._depths |= changed
        self._stored = _stored(graph)
        return 0

    def _shrink(self, names: Sequence[str]) -> None:
        """Find the smallest depths of these links, given those of all others."""
        if len(names) == 1:
            self._shrink_one(names[0])
        elif names and self._lateness({name: self._least[name] for name in names}):
            self._shrink(names[: len(names) // 2])
            self._shrink(names[len(names) // 2 :])

    def _shrink_one(self, name: str) -> None:
        """Close in on the smallest depth from both sides.

        More than a link stores is never wanted.  Below the smallest depth, each further word tends
        to bring the output forward by as much, which tells where to look; else halve.
        """
        least, stored = self._least[name], self._stored[name]
        enough = self._depths[name] = max(stored, least)
        if enough == least or not (late := self._lateness({name: least})):
            return
        too_small, slope, slow = least, 0.0, 0
        while (width := enough - too_small) > 1:
            step = math.ceil(late / slope) if slope > 0 else 1
            middle = too_small + (width // 2 if slow > 2 else min(step, width - 1))
            if found := self._lateness({name: middle}):
                slope = (late - found) / (middle - too_small)
                too_small, late = middle, found
            else:
                enough = self._depths[name] = max(self._stored[name], too_small + 1)
            slow = 0 if enough - too_small <= width // 2 else slow + 1
