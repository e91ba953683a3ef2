"""The smallest FIFOs between layers that never stall a network, found by running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, check
from vecq_hw.simulate.dataflow.cells import LateError
from vecq_hw.simulate.dataflow.frames import grow_until_complete, is_complete, set_depths
from vecq_hw.simulate.dataflow.graph import Graph
from vecq_hw.simulate.dataflow.times import run


def fifo_depths(network: Network, schedule: Schedule, frames: int = 2) -> dict[str, int]:
    """The depth of every link, in words of its producer.

    With these depths every output word of ``frames`` frames comes in the very cycle in which it
    would come with FIFOs without limit, and none of them can be smaller by a word: the network
    would stand still, or a word would come later.  (Deeper FIFOs never delay a word, so each depth
    is found by bisection, one link after the other.)

    Raises
    ------
    VecqError
        The schedule does not fit.
    """
    check(network, schedule)
    return _Search(network, schedule, frames).result()


class _Search:
    def __init__(self, network: Network, schedule: Schedule, frames: int) -> None:
        self._arguments = (network, schedule, frames)
        ideal = Graph(*self._arguments)
        self._depths: dict[str, int | None] = dict.fromkeys(ideal.links)
        set_depths(ideal, self._depths)
        run(ideal.processes)
        self._deadlines: Mapping[str, Sequence[int]] = {
            name: end.channel.takes for name, end in ideal.outputs.items()
        }
        least = Graph(*self._arguments)
        self._least = {name: link.least for name, link in least.links.items()}
        run(least.processes)
        grow_until_complete(least, self._least)

    def result(self) -> dict[str, int]:
        self._shrink(list(self._depths))
        return {name: depth for name, depth in self._depths.items() if depth is not None}

    def _in_time(self, changed: Mapping[str, int]) -> bool:
        graph = Graph(*self._arguments, deadlines=self._deadlines)
        set_depths(graph, {**self._depths, **changed})
        try:
            run(graph.processes)
        except LateError:
            return False
        return is_complete(graph)

    def _shrink(self, names: Sequence[str]) -> None:
        """Find the smallest depths of these links, given those of all others."""
        least = {name: self._least[name] for name in names}
        if self._in_time(least):
            self._depths |= least
        elif len(names) == 1:
            self._depths[names[0]] = self._smallest(names[0])
        else:
            self._shrink(names[: len(names) // 2])
            self._shrink(names[len(names) // 2 :])

    def _smallest(self, name: str) -> int:
        """Between the least depth, which is too small, and the next step upwards that is not."""
        too_small, step = self._least[name], 1
        while not self._in_time({name: too_small + step}):
            too_small += step
            step *= 2
        enough = too_small + step
        while enough - too_small > 1:
            middle = (too_small + enough) // 2
            if self._in_time({name: middle}):
                enough = middle
            else:
                too_small = middle
        return enough
