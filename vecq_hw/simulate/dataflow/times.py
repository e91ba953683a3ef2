"""Recurrences over the cycles at which words move, each computed as soon as what it needs is known.

A :class:`Times` is a growing list of cycles: when a word is offered, taken, freed.  A process is a
generator that appends to lists of its own and yields ``(times, index)`` while it waits for another
list to grow beyond ``index``.  Each list has one writer, so the order in which processes run does
not change a number; where all of them wait, the hardware stands still for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field


class Times(list[int]):
    """Cycles, ascending, with the processes that wait for more of them."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[int, Process]] = []


Waits = Generator[tuple[Times, int], None, None]


@dataclass(slots=True, eq=False)
class Process:
    """A generator and the lists that only it appends to."""

    steps: Waits
    grows: Sequence[Times]


@dataclass(slots=True, eq=False)
class Channel:
    """One stream: word k is offered from ``offers[k]`` on and moves in cycle ``takes[k]``."""

    offers: Times = field(default_factory=Times)
    takes: Times = field(default_factory=Times)


def run(processes: Sequence[Process]) -> None:
    """Let the processes run until each has ended or waits for a list that no other will grow."""
    ready = deque(processes)
    while ready:
        process = ready.popleft()
        wait = next(process.steps, None)
        for times in process.grows:
            if times.waiting:
                count = len(times)
                ready.extend(waiter for index, waiter in times.waiting if index < count)
                times.waiting = [entry for entry in times.waiting if entry[0] >= count]
        if wait is not None:
            times, index = wait
            if index < len(times):
                ready.append(process)
            else:
                times.waiting.append((index, process))
