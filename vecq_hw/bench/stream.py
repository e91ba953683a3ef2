"""A valid/ready stream under cocotb: source, checking sink, random stalls.

Every value read after a rising edge is the one that the edge saw; every value written takes effect
after it.  No wait is without end: what does not happen in time is a :class:`StreamError`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import RisingEdge

CLOCK_NS = 2


class StreamError(AssertionError):
    """A stream broke its rules or stopped; the message names stream, word and cycle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSignals:
    """The handles of one stream; ``last`` and ``keep`` are None where a stream has none.

    Attributes
    ----------
    keeps : (int, int)
        What ``keep`` is with each word of a frame but the last, and with the last.
    """

    name: str
    clock: Any
    valid: Any
    ready: Any
    data: Any
    last: Any = None
    keep: Any = None
    keeps: tuple[int, int] = (0, 0)


def axi_stream(dut: Any, name: str, keeps: tuple[int, int] | None = None) -> StreamSignals:
    """The AXI4-Stream ``<name>_t*`` of a top that runs on ``aclk``, with TKEEP if it has one."""
    signals = {part: getattr(dut, f"{name}_t{part}") for part in ("valid", "ready", "data", "last")}
    if keeps is None:
        return StreamSignals(name=name, clock=dut.aclk, **signals)
    keep = getattr(dut, f"{name}_tkeep")
    return StreamSignals(name=name, clock=dut.aclk, keep=keep, keeps=keeps, **signals)


def start_clock(clock: Any) -> None:
    """Let the clock run until the test ends."""
    Clock(clock, CLOCK_NS, "ns").start()


async def reset(clock: Any, reset_n: Any, cycles: int = 2) -> None:
    """Hold the synchronous, active-low reset for some cycles."""
    reset_n.value = 0
    await wait(clock, cycles)
    reset_n.value = 1


async def wait(clock: Any, cycles: int) -> None:
    """Let cycles pass."""
    for _ in range(cycles):
        await RisingEdge(clock)


def place(name: str, words: int, frame: int) -> str:
    """Where a stream stands after so many words, ``frame`` of them a frame, and in which cycle.

    Cycles count from the begin of the simulation, as a waveform shows them.
    """
    cycle = int(get_sim_time("ns")) // CLOCK_NS
    number, word = divmod(words, frame)
    return f"stream {name}, frame {number}, word {word} ({words} words before), cycle {cycle}"


async def until(clock: Any, signal: Any, patience: int) -> bool:
    """Let cycles pass until an edge sees ``signal`` high; False if ``patience`` edges do not."""
    edge = RisingEdge(clock)
    for _ in range(patience):
        await edge
        if signal.value:
            return True
    return False


def no_stalls() -> Iterator[bool]:
    """Never pause."""
    return itertools.repeat(False)


def random_stalls(seed: int) -> Iterator[bool]:
    """Whether to pause, cycle by cycle: stretches of full speed, of coin tosses, of rare words."""
    generator = random.Random(seed)
    while True:
        likelihood = generator.choice((0.0, 0.0, 0.2, 0.5, 0.9))
        for _ in range(generator.randrange(1, 100)):
            yield generator.random() < likelihood


async def send(
    stream: StreamSignals, words: Sequence[int], stalls: Iterator[bool], frame: int, patience: int
) -> None:
    """Send words; every ``frame``-th is the last of its frame.

    Raises
    ------
    StreamError
        A word is not taken for ``patience`` cycles.
    """
    for index, word in enumerate(words):
        if next(stalls):
            stream.valid.value = 0
            await wait(stream.clock, 1)
            while next(stalls):
                await wait(stream.clock, 1)
        stream.valid.value = 1
        stream.data.value = word
        if stream.last is not None:
            stream.last.value = int(index % frame == frame - 1)
        if stream.keep is not None:
            stream.keep.value = stream.keeps[index % frame == frame - 1]
        if not await until(stream.clock, stream.ready, patience):
            here = place(stream.name, index, frame)
            raise StreamError(f"{here}: the word was not taken for {patience} cycles")
    stream.valid.value = 0


class Sink:
    """Takes words, pausing at random, and watches the rules of the stream.

    Once offered, a word stays valid and unchanged until it is taken; where the stream has a
    ``last``, it marks every ``frame``-th word and no other; where it has a ``keep``, that is what
    ``keeps`` says.

    Attributes
    ----------
    words : list of int
        What was taken.
    cycles : list of int
        At which cycle each was taken, counted over all calls of :meth:`receive`.
    """

    def __init__(self, stream: StreamSignals, stalls: Iterator[bool], frame: int) -> None:
        self.stream = stream
        self.words: list[int] = []
        self.cycles: list[int] = []
        self._stalls = stalls
        self._frame = frame
        self._cycle = 0
        self._held: tuple[int, bool, int] | None = None

    async def receive(self, count: int, patience: int) -> None:
        """Take ``count`` further words.

        Raises
        ------
        StreamError
            A rule is broken, or no word comes for ``patience`` cycles.
        """
        stream, edge = self.stream, RisingEdge(self.stream.clock)
        wanted, idle = len(self.words) + count, 0
        ready = False
        while len(self.words) < wanted:
            if ready == next(self._stalls):
                ready = not ready
                stream.ready.value = int(ready)
            await edge
            self._cycle += 1
            idle += 1
            if not self._watch():
                if idle > patience:
                    raise StreamError(f"{self._place()}: no word came for {patience} cycles")
            elif ready:
                self._take()
                idle = 0
        stream.ready.value = 0

    async def stay_empty(self, cycles: int) -> None:
        """Take nothing for some cycles and raise :class:`StreamError` if a word is offered."""
        for _ in range(cycles):
            await RisingEdge(self.stream.clock)
            if self._watch():
                raise StreamError(f"{self._place()}: a word too many")

    def _place(self) -> str:
        return place(self.stream.name, len(self.words), self._frame)

    def _watch(self) -> bool:
        """Whether a word is offered at this edge; it must be the one that was offered before."""
        if not self.stream.valid.value:
            if self._held is not None:
                raise StreamError(f"{self._place()}: valid fell before the word was taken")
            return False
        last = self.stream.last is not None and bool(self.stream.last.value)
        keep = 0 if self.stream.keep is None else self.stream.keep.value.to_unsigned()
        offered = (self.stream.data.value.to_unsigned(), last, keep)
        if self._held not in (None, offered):
            raise StreamError(f"{self._place()}: the word changed before it was taken")
        self._held = offered
        return True

    def _take(self) -> None:
        assert self._held is not None
        word, last, keep = self._held
        due = len(self.words) % self._frame == self._frame - 1
        if self.stream.last is not None and last != due:
            raise StreamError(f"{self._place()}: last is {int(last)}, but must be {int(due)}")
        if self.stream.keep is not None and keep != self.stream.keeps[due]:
            wanted = self.stream.keeps[due]
            raise StreamError(f"{self._place()}: keep is {keep:#x}, but must be {wanted:#x}")
        self.words.append(word)
        self.cycles.append(self._cycle)
        self._held = None
