"""Recurrences over the cycles at which words move, each computed as soon as what it needs is known.

A :class:`Times` is a growing list of cycles: when a word is offered, taken, freed.  A process is a
generator that appends to lists of its own and yields ``(times, index)`` while it waits for another
list to grow beyond ``index``.  What is appended follows from other lists alone, so the order in
which processes run does not change a number; where all wait, the hardware stands still for ever.
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
    """A generator and the lists that it appends to."""

    steps: Waits
    grows: Sequence[Times]


@dataclass(slots=True, eq=False)
class Room:
    """The free places of a buffer of ``capacity`` groups, or of words where a word is a group.

    ``freed[k]`` is the cycle in which ``groups_out`` groups are read for the k-th time; their place
    can be taken from the next cycle on.
    """

    freed: Times
    capacity: int
    groups_in: int = 1
    groups_out: int = 1

    def after(self, word: int) -> int:
        """Which entry of ``freed`` makes room for ``word``; below 0 there is room from the start."""
        return -((self.capacity - (word + 1) * self.groups_in) // self.groups_out) - 1


@dataclass(slots=True, eq=False)
class Channel:
    """One stream: word k is offered from ``offers[k]`` on and moves in cycle ``takes[k]``.

    Where the receiver is a buffer, its ``room`` alone decides when it takes a word; a sender that
    is ``pushing`` then computes ``takes`` itself, which spares a process for each stream.
    """

    offers: Times = field(default_factory=Times)
    takes: Times = field(default_factory=Times)
    room: Room | None = None
    pushing: bool = False


def fill(channel: Channel, room: Room, words: int) -> list[Process]:
    """Take so many words into a buffer as soon as there is room."""
    channel.room = room
    if channel.pushing:
        return []

    def steps() -> Waits:
        offers, takes, freed = channel.offers, channel.takes, room.freed
        for word in range(words):
            while len(offers) <= word:
                yield offers, word
            now = offers[word]
            while (after := room.after(word)) >= len(freed):
                yield freed, after
            takes.append(max(now, freed[after] + 1) if after >= 0 else now)

    return [Process(steps(), (channel.takes,))]


def run(processes: Sequence[Process]) -> None:
    """Let the processes run until each has ended or waits for a list that no other will grow.

    They may be run again once something that they wait for has changed from outside.
    """
    for process in processes:
        for times in process.grows:
            times.waiting = []
    ready = deque(processes)
    while ready:
        process = ready.popleft()
        wait = next(process.steps, None)
        for times in process.grows:
            if times.waiting:
                still = []
                for entry in times.waiting:
                    if entry[0] < len(times):
                        ready.append(entry[1])
                    else:
                        still.append(entry)
                times.waiting = still
        if wait is not None:
            times, index = wait
            if index < len(times):
                ready.append(process)
            else:
                times.waiting.append((index, process))
