"""Recurrences over the cycles at which words move, each computed as soon as what it needs is known.

A :class:`Times` is a growing list of cycles.  A process is a generator that appends to such lists
and, while it waits for others to grow, yields each with the index that it wants to read.  What is
appended follows from the lists alone, so the order in which processes run does not change a number;
where all of them wait, the hardware stands still for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Times(list[int]):
    """Cycles, ascending, with the processes that wait for more: index, process, its turn."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[int, Process, int]] = []

    @property
    def is_awaited(self) -> bool:
        """Whether a process waits for more."""
        return any(waiter.turn == turn for _, waiter, turn in self.waiting)

    def forget(self) -> None:
        """Let no process wait."""
        self.waiting = []

    def await_by(self, index: int, process: Process) -> None:
        """Wake ``process`` once entry ``index`` is there."""
        self.waiting.append((index, process, process.turn))

    def wake(self, ready: deque[Process]) -> None:
        """Move those to ``ready`` whose entry is there."""
        count, waiting = len(self), self.waiting
        for index, _, _ in waiting:
            if index < count:
                break
        else:
            return
        self.waiting = []
        for index, waiter, turn in waiting:
            if waiter.turn != turn:
                continue  # another list woke it
            if index < count:
                waiter.turn += 1
                ready.append(waiter)
            else:
                self.waiting.append((index, waiter, turn))


Wait = tuple[Times, int]
Waits = Generator[Sequence[Wait], None, None]


class Receiver(Protocol):
    """What takes the words of a channel within the process of their sender."""

    def take(self, word: int, offer: int) -> int | Wait:
        """When it takes ``word``, offered from ``offer`` on; or what that waits for."""

    def idle(self) -> Sequence[Wait]:
        """Go on with what needs no further word; what that waits for."""

    def grows(self) -> list[Times]:
        """The lists that it appends to."""


@dataclass(slots=True, eq=False)
class Channel:
    """One stream: word k is offered from ``offers[k]`` on and moves in cycle ``takes[k]``.

    Without a ``receiver``, a process appends to ``takes``.
    """

    offers: Times = field(default_factory=Times)
    takes: Times = field(default_factory=Times)
    receiver: Receiver | None = None

    def send(self, word: int, offer: int) -> Wait | None:
        """Offer ``word`` from ``offer`` on; None once it is taken, else what it waits for."""
        offers, takes = self.offers, self.takes
        if len(offers) == word:
            offers.append(offer)
        if len(takes) == word:
            if self.receiver is None:
                return takes, word
            taken = self.receiver.take(word, offer)
            if not isinstance(taken, int):
                return taken
            takes.append(taken)
        return None

    def idle(self) -> Sequence[Wait]:
        """What the receiver does meanwhile, while no word is sent, waits for this."""
        return () if self.receiver is None else self.receiver.idle()

    def finish(self) -> Waits:
        """Let the receiver go on after the last word."""
        while waits := self.idle():
            yield waits

    def grows(self) -> list[Times]:
        """All lists that sending appends to."""
        further = [] if self.receiver is None else self.receiver.grows()
        return [self.offers, self.takes, *further]


@dataclass(slots=True, eq=False)
class Process:
    """A generator, the lists that it appends to itself and the channels that it sends to."""

    steps: Waits
    lists: Sequence[Times] = ()
    channels: Sequence[Channel] = ()
    turn: int = 0
    """How often it has run; tells a wait that is over from one that is not."""


def run(processes: Sequence[Process]) -> None:
    """Let the processes run until each has ended or waits for a list that no other will grow.

    They may be run again once something that they wait for has changed from outside.
    """
    grows = {
        id(process): [*process.lists, *(t for c in process.channels for t in c.grows())]
        for process in processes
    }
    for lists in grows.values():
        for times in lists:
            times.forget()
    ready = deque(processes)
    while ready:
        process = ready.popleft()
        process.turn += 1
        waits = next(process.steps, ())
        for times in grows[id(process)]:
            if times.waiting:
                times.wake(ready)
        for times, index in waits:
            if index < len(times):
                ready.append(process)
                break
        else:
            for times, index in waits:
                times.await_by(index, process)
