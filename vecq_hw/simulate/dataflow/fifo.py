"""The smallest FIFOs between layers that never stall a network, found by running it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vecq_hw.accelerator.cells import Join, Plan
from vecq_hw.accelerator.plan import plan
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, check
from vecq_hw.simulate.dataflow.frames import (
    MOST_FRAMES,
    SEARCHED_FRAMES,
    end_of,
    frames_under_way,
    grow_until_complete,
    is_complete,
    set_depths,
)
from vecq_hw.simulate.dataflow.processes import Graph
from vecq_hw.simulate.dataflow.recurrences import LateError
from vecq_hw.simulate.dataflow.times import run

SETTLING_FRAMES = 1
"""So many frames after those that are under way at once, each frame repeats the one before."""
REGISTERED_WORDS = 4
"""At most, of a branch in the stream registers at both ends of its FIFO and in its join."""


def fifo_depths(network: Network, schedule: Schedule) -> dict[str, int]:
    """The depth of every link, in words of its producer.

    With these depths the network never stands still, whatever its inputs and outputs pause, and
    without pauses no output word of frames back to back comes later than with FIFOs without limit;
    of several outputs a quick one may, once it would otherwise be frames ahead of the slowest.
    None of them can be smaller by a word: the network could stand still, or a word would come
    later.

    Raises
    ------
    VecqError
        The schedule does not fit.
    """
    check(network, schedule)
    planned, frames = plan(network, schedule), SEARCHED_FRAMES
    while True:
        search = _Search(planned, frames)
        depths = search.result()
        # A branch that holds all words of these frames cannot have held any of them up.
        words = {name: frames * search.words[name] for name in search.branches}
        short = any(depths[name] + REGISTERED_WORDS > count for name, count in words.items())
        if not short and (frames >= MOST_FRAMES or _keeps_pace(planned, depths, frames + 1)):
            return depths
        frames *= 2


def with_fifo_depths(network: Network, schedule: Schedule) -> Schedule:
    """The schedule with the depths of :func:`fifo_depths`, unless it has depths already."""
    if schedule.fifo_depths is not None:
        return schedule
    return replace(schedule, fifo_depths=fifo_depths(network, schedule))


def _without_limit(planned: Plan, frames: int) -> Graph:
    """Frames through FIFOs that are never full."""
    graph = Graph(planned, frames)
    set_depths(graph, dict.fromkeys(graph.links))
    run(graph.processes)
    return graph


def _keeps_pace(planned: Plan, depths: Mapping[str, int], frames: int) -> bool:
    """Whether no word is late in so many frames, and in more than are under way at once.

    A full FIFO holds up the words behind it, which are of a later frame where frames are shorter
    than what all cells of a branch hold together.  A quick output may wait for the slowest one,
    from which it otherwise goes further away with each frame.
    """
    while True:
        ideal = _without_limit(planned, frames)
        ends = np.array([end_of(ideal, frame) for frame in range(frames)])
        deadlines = {}
        for name, stream in planned.outputs.items():
            takes = np.array(ideal.channel(stream).takes).reshape(frames, stream.words)
            deadlines[name] = (takes + (ends - takes[:, -1])[:, np.newaxis]).ravel().tolist()
        graph = Graph(planned, frames, deadlines=deadlines)
        set_depths(graph, depths)
        try:
            run(graph.processes)
        except LateError:
            return False
        enough = frames_under_way(graph) + SETTLING_FRAMES
        if enough <= frames:
            return True
        frames = enough


def _stored(graph: Graph) -> dict[str, int]:
    return {name: link.stored() for name, link in graph.links.items()}


class _Search:
    """Depths that are enough, and shrink."""

    def __init__(self, planned: Plan, frames: int) -> None:
        self._plan, self._frames = planned, frames
        ideal = _without_limit(self._plan, self._frames)
        self._depths: dict[str, int | None] = dict.fromkeys(ideal.links)
        self._deadlines = {
            name: ideal.channel(end).takes for name, end in self._plan.outputs.items()
        }
        self._stored = _stored(ideal)
        self._late: dict[tuple[int | None, ...], float] = {}
        """What is known of depths that have been tried."""
        safe = Graph(self._plan, self._frames, worst_case=True)
        self._least = {name: link.least for name, link in safe.links.items()}
        self._safe = dict(self._least)
        """Depths that let the network stand still under no pauses."""
        run(safe.processes)
        grow_until_complete(safe, self._safe)
        joins = {cell.layer.name for cell in self._plan.cells if isinstance(cell, Join)}
        self.words = {name: link.planned.source.words for name, link in safe.links.items()}
        """The words of a frame on each link."""
        self.branches = [name for name, link in safe.links.items() if link.planned.reader in joins]

    def result(self) -> dict[str, int]:
        # Only the branches of joins have to store much: the rest mostly fits at once.
        self._shrink([name for name in self._depths if name not in self.branches])
        for name in self.branches:
            self._shrink([name])
        # Where several links together end a deadlock they may have grown by more than they need,
        # and a word that comes earlier may delay another: a pipeline that it halts takes no more.
        while smaller := self._shrunk_by_a_word(list(self._depths)):
            # In turns, word by word; what could not be smaller once cannot be when others are.
            while smaller:
                self._shrink_equally(smaller, self._least)
                smaller = self._shrunk_by_a_word(smaller)
        return {name: depth for name, depth in self._depths.items() if depth is not None}

    def _lateness(self, changed: Mapping[str, int]) -> float:
        """By how many cycles the first late word is late, infinite if the network can stand still.

        Where that is 0 the change is kept.
        """
        depths = {**self._depths, **changed}
        if known := self._late.get(tuple(depths.values())):
            return known
        found = self._late[tuple(depths.values())] = self._lateness_of(depths)
        return found

    def _lateness_of(self, depths: dict[str, int | None]) -> float:
        graph = Graph(self._plan, self._frames, deadlines=self._deadlines)
        set_depths(graph, depths)
        try:
            run(graph.processes)
        except LateError as error:
            return error.cycles
        if not self._is_safe(depths):
            return math.inf
        self._depths = depths
        self._stored = _stored(graph)
        return 0

    def _is_safe(self, depths: Mapping[str, int | None]) -> bool:
        if all(depth is None or depth >= self._safe[name] for name, depth in depths.items()):
            return True  # deeper FIFOs than are safe are safe
        graph = Graph(self._plan, self._frames, worst_case=True)
        set_depths(graph, depths)
        run(graph.processes)
        return is_complete(graph)

    def _shrink(self, names: Sequence[str]) -> None:
        """Find small depths of these links, given those of all others."""
        if len(names) == 1:
            self._shrink_one(names[0])
        elif names and self._lateness({name: self._safe[name] for name in names}):
            self._shrink(names[: len(names) // 2])
            self._shrink(names[len(names) // 2 :])

    def _shrink_one(self, name: str) -> None:
        """Find the smallest depth that is safe and in time; more than it stores is never wanted."""
        self._depths[name] = max(self._stored[name], self._safe[name])
        self._shrink_equally([name], self._safe)

    def _shrink_equally(self, names: Sequence[str], least: Mapping[str, int]) -> None:
        """Make all of these links smaller by as many words as all of them can be at once.

        Close in on that from both sides.  Below the smallest depth, each further word tends to
        bring the output forward by as much, which tells where to look; else halve.
        """
        now = {name: self._bounded(name) for name in names}
        enough = min(now[name] - least[name] for name in names)
        floor = {name: depth - enough for name, depth in now.items()}
        if enough == 0 or not (late := self._lateness(floor)):
            return
        too_small, slope, slow = 0, 0.0, 0
        while (width := enough - too_small) > 1:
            step = math.ceil(late / slope) if slope > 0 else 1
            halve = slow > 2 or late == math.inf
            middle = too_small + (width // 2 if halve else min(step, width - 1))
            if found := self._lateness({name: depth + middle for name, depth in floor.items()}):
                slope = 0.0 if late == math.inf else (late - found) / (middle - too_small)
                too_small, late = middle, found
            else:
                stored = max(max(self._stored[n], self._safe[n]) - floor[n] for n in names)
                enough = min(middle, max(stored, too_small + 1))
                self._depths.update({name: depth + enough for name, depth in floor.items()})
            slow = 0 if enough - too_small <= width // 2 else slow + 1

    def _shrunk_by_a_word(self, names: Sequence[str]) -> list[str]:
        """Those that could be made smaller by a word, one after the other."""
        return [
            name
            for name in names
            if (fewer := self._bounded(name) - 1) >= self._least[name]
            and not self._lateness({name: fewer})
        ]

    def _bounded(self, name: str) -> int:
        depth = self._depths[name]
        assert depth is not None  # it has been shrunk
        return depth
