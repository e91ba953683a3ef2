"""The cells of the streaming accelerator as recurrences: pipeline depths, buffers, stalls.

In each cycle a stream moves a word where one is offered and the receiver is ready; an offered word
stays until it is taken.

Most cells are a pipeline of ``depth`` stages that moves as one and stands still while the word at
its end is not taken (``vecq_matrix_vector.sv``, ``vecq_rescale.sv``).  Its recurrence runs on a
local clock that counts the cycles in which the pipeline moves: a word that enters at local cycle L
is offered at L + depth, whatever happens.  ``stalls[j]`` is how many cycles the pipeline has stood
still once output word j is taken, and so turns local cycles into cycles.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import NamedTuple

from vecq_hw.simulate.dataflow.times import Channel, Process, Room, Times, Waits, fill

BLOCK = 64
"""Words that are tried at once."""
UNLIMITED = 1 << 60
"""Capacity of a buffer that is never full."""


def source(target: Channel, words: int, pauses: Sequence[bool]) -> Process:
    """Offer a word in every cycle; begin none in the cycles that ``pauses`` marks."""

    def steps() -> Waits:
        now = 0
        for word in range(words):
            while now < len(pauses) and pauses[now]:
                now += 1
            target.offers.append(now)
            while len(target.takes) <= word:
                yield target.takes, word
            now = target.takes[word] + 1

    return Process(steps(), (target.offers,))


class LateError(Exception):
    """A word is taken after its deadline."""


def sink(
    origin: Channel, words: int, pauses: Sequence[bool] = (), deadlines: Sequence[int] = ()
) -> Process:
    """Take every word, none in the cycles that ``pauses`` marks.

    Where there are ``deadlines``, one for each word, a word after its own raises LateError.
    """

    def steps() -> Waits:
        for word in range(words):
            while len(origin.offers) <= word:
                yield origin.offers, word
            now = origin.offers[word]
            while now < len(pauses) and pauses[now]:
                now += 1
            if deadlines and now > deadlines[word]:
                raise LateError
            origin.takes.append(now)

    return Process(steps(), (origin.takes,))


def fork(origin: Channel, targets: Sequence[Channel], words: int) -> list[Process]:
    """Offer each word to every target at once; it is taken when all of them have taken it.

    A target that was quick waits for the others.  Latency: none.
    """

    def offer() -> Waits:
        for word in range(words):
            while len(origin.offers) <= word:
                yield origin.offers, word
            for target in targets:
                target.offers.append(origin.offers[word])

    def take() -> Waits:
        for word in range(words):
            for target in targets:
                while len(target.takes) <= word:
                    yield target.takes, word
            origin.takes.append(max(target.takes[word] for target in targets))

    offers = [target.offers for target in targets]
    return [Process(offer(), offers), Process(take(), (origin.takes,))]


@dataclass(slots=True, eq=False)
class Buffer:
    """Words of ``groups_in`` groups come in, words of ``groups_out`` go out, in order.

    It is ready while ``capacity`` groups leave room for a word; a word is offered from the cycle
    after the one that completes it.  With one group on both sides and a capacity of 2 it is
    ``vecq_stream_register.sv``, with more a FIFO; else it is ``vecq_stream_width.sv``.
    """

    origin: Channel
    target: Channel
    room: Room

    def processes(self, words_in: int, words_out: int) -> list[Process]:
        """The two sides, for so many words."""
        return [
            *fill(self.origin, self.room, words_in),
            Process(self._offer(words_out), (self.target.offers,)),
        ]

    @property
    def is_full(self) -> bool:
        """Whether, as far as is known, the next word would find no room."""
        return self.room.after(len(self.origin.takes)) >= len(self.target.takes)

    def _offer(self, words: int) -> Waits:
        takes, offers, gone = self.origin.takes, self.target.offers, self.target.takes
        free = 0
        for word in range(words):
            completing = -(-(word + 1) * self.room.groups_out // self.room.groups_in) - 1
            while len(takes) <= completing:
                yield takes, completing
            offers.append(max(takes[completing] + 1, free))
            while len(gone) <= word:
                yield gone, word
            free = gone[word] + 1


class _PipelineEnd:
    """The end of a pipeline that stands still while its last word is not taken.

    Attributes
    ----------
    due : Times
        Local cycle at which each word is offered.
    """

    def __init__(self, target: Channel, words: int) -> None:
        target.pushing = True
        self.due, self.stalls = Times(), Times()
        self._target, self._words = target, words
        self.grows = (target.offers, target.takes, self.stalls)

    def process(self) -> Process:
        """Offers words while the pipeline's front waits for input."""

        def steps() -> Waits:
            while (wait := self.advance()) is not None:
                yield wait

        return Process(steps(), self.grows)

    def advance(self) -> tuple[Times, int] | None:
        """Offer what is due; what the next word waits for, or None after the last one."""
        target, due, stalls = self._target, self.due, self.stalls
        offers, takes, room = target.offers, target.takes, target.room
        word = len(stalls)
        stalled = stalls[-1] if stalls else 0
        quiet = False  # the word before was taken at once
        while word < len(due):
            if quiet and room is not None and (count := self._unhindered(word, stalled, room)):
                cycles = [local + stalled for local in due[word : word + count]]
                offers.extend(cycles)
                takes.extend(cycles)
                stalls.extend([stalled] * count)
                word += count
                continue
            offer = due[word] + stalled
            if room is not None:
                after = room.after(word)
                if after >= len(room.freed):
                    return room.freed, after
                offers.append(offer)
                takes.append(max(offer, room.freed[after] + 1) if after >= 0 else offer)
            else:
                if len(offers) == word:
                    offers.append(offer)
                if len(takes) <= word:
                    return takes, word
            quiet = takes[word] == offer
            stalled += takes[word] - offer
            stalls.append(stalled)
            word += 1
        return None if word == self._words else (due, word)

    def _unhindered(self, word: int, stalled: int, room: Room) -> int:
        """How many words from ``word`` on surely find room when they are offered; perhaps 0."""
        if room.groups_in != room.groups_out:
            return 0
        after = word - room.capacity
        count = min(len(self.due) - word, len(room.freed) - after, BLOCK)
        if count < 2:
            return 0
        rooms = room.freed[max(after, 0) : max(after + count, 0)]
        offers = self.due[word + count - len(rooms) : word + count]
        in_time = all(freed < local + stalled for freed, local in zip(rooms, offers, strict=True))
        return count if in_time else 0


def pipeline(
    turns: Sequence[Sequence[Channel]], target: Channel, depth: int, words: int
) -> list[Process]:
    """A word out for each step, without a buffer in front: Rescale, Threshold, Add, Concat.

    Step k takes a word of every channel in ``turns[k % len(turns)]``, all in one cycle.
    """
    end = _PipelineEnd(target, words)

    def steps() -> Waits:
        due, stalls = end.due, end.stalls
        local, stalled, taken = -1, 0, 0
        for channels in islice(cycle(turns), words):
            arrival = 0
            for channel in channels:
                word = len(channel.takes)
                while len(channel.offers) <= word:
                    yield channel.offers, word
                arrival = max(arrival, channel.offers[word])
            least = local + 1
            local = max(least, arrival - stalled)
            while taken < len(due) and due[taken] <= local:
                if len(stalls) <= taken:
                    end.advance()
                    while len(stalls) <= taken:
                        yield stalls, taken
                stalled = stalls[taken]
                local = max(least, due[taken], arrival - stalled)
                taken += 1
            for channel in channels:
                channel.takes.append(local + stalled)
            due.append(local + depth)

    takes = list({id(c.takes): c.takes for c in chain.from_iterable(turns)}.values())
    return [Process(steps(), (*takes, end.due, *end.grows)), end.process()]


class Step(NamedTuple):
    """Consecutive steps of one kind, of a unit that reads its words from a buffer.

    Attributes
    ----------
    gap : int
        Local cycles from the step before to the first of these; those between do nothing.
    count : int
        How many steps, one a local cycle.
    needs : int
        Index within the period of the word that the first of them reads and that must have come in,
        or -1; the others read the words after it.
    frees : int
        How many words each of them frees, in the order in which they came; 0 or 1 where ``count``
        is more than 1.
    gives : bool
        Whether each of them completes an output word.
    """

    gap: int
    count: int
    needs: int
    frees: int
    gives: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A buffer of ``capacity`` words and the periodic steps of the pipeline that reads it.

    A word can be read from the cycle after it came in; its place is free in the cycle after the
    step that freed it.
    """

    pattern: Sequence[Step]
    words: int
    """Words that come in a period."""
    capacity: int
    depth: int

    @property
    def cycles(self) -> int:
        """Cycles of a period without stalls."""
        return sum(step.gap + step.count - 1 for step in self.pattern)

    @property
    def outputs(self) -> int:
        """Words that go out a period."""
        return sum(step.gives * step.count for step in self.pattern)

    def processes(self, origin: Channel, target: Channel, periods: int) -> list[Process]:
        """Writer, reader and pipeline end, for so many periods."""
        end, freed = _PipelineEnd(target, periods * self.outputs), Times()
        return [
            *fill(origin, Room(freed, self.capacity), periods * self.words),
            Process(self._read(origin.takes, freed, end, periods), (freed, end.due, *end.grows)),
            end.process(),
        ]

    def _read(self, takes: Times, freed: Times, end: _PipelineEnd, periods: int) -> Waits:
        due, stalls, depth = end.due, end.stalls, self.depth
        local, stalled, taken = -1, 0, 0
        for base in range(0, periods * self.words, self.words):
            for gap, count, needs, frees, gives in self.pattern:
                word = base + needs if needs >= 0 else -1
                while count:
                    # The next step alone, which may have to wait or may meet a stall.
                    least = local = local + gap
                    arrival = 0
                    if word >= 0:
                        while len(takes) <= word:
                            yield takes, word
                        arrival = takes[word] + 1
                        local = max(least, arrival - stalled)
                        word += 1
                    if taken < len(due) and due[taken] <= local:
                        # All that is due by ``least`` has its share in this step, whatever is due
                        # after it only if the step has to wait as long.
                        taken = max(taken, bisect_right(due, least, taken) - 1)
                        while taken < len(due) and due[taken] <= local:
                            if len(stalls) <= taken:
                                end.advance()
                                while len(stalls) <= taken:
                                    yield stalls, taken
                            stalled = stalls[taken]
                            local = max(least, due[taken], arrival - stalled)
                            taken += 1
                    steps = 1
                    if count > 1:
                        steps = self._together(local, count, word, takes, stalled)
                        if frees:  # in cycles, so all of the steps must be before the next stall
                            steps = min(steps, due[taken] - local) if taken < len(due) else steps
                            steps = min(steps, depth) if gives else steps
                    if frees:
                        now = local + stalled
                        freed.extend(range(now, now + steps) if frees == 1 else [now] * frees)
                    if gives:
                        due.extend(range(local + depth, local + depth + steps))
                    if word >= 0:
                        word += steps - 1
                    local += steps - 1
                    count -= steps
                    gap = 1

    @staticmethod
    def _together(local: int, count: int, word: int, takes: Times, stalled: int) -> int:
        """How many of ``count`` steps from ``local`` on do not wait for input.

        ``word`` is what the second of them reads, or -1.  A word comes in each cycle at most, so if
        the last word is there in time, all are; further stalls only give them more time.
        """
        if word < 0:
            return count
        last = min(word + count - 2, len(takes) - 1)
        steps = last - word + 2
        if steps < 2 or takes[last] + 1 > local + steps - 1 + stalled:
            return 1
        return steps
