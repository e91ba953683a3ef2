"""The cells of the streaming accelerator as recurrences: pipeline depths, stalls.

In each cycle a stream moves a word where one is offered and the receiver is ready; an offered word
stays until it is taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import cycle, islice

from vecq_hw.accelerator.units import Unit
from vecq_hw.simulate.dataflow.buffers import Room
from vecq_hw.simulate.dataflow.times import Channel, Process, Times, Wait, Waits

UNLIMITED = 1 << 60
"""Capacity of a buffer that is never full."""
BLOCK = 64
"""Words that are tried at once."""


class LateError(Exception):
    """A word is taken ``cycles`` after its deadline."""

    def __init__(self, cycles: int) -> None:
        super().__init__(cycles)
        self.cycles = cycles


def source(target: Channel, words: int, pauses: Sequence[bool]) -> Process:
    """Offer a word in every cycle; begin none in the cycles that ``pauses`` marks."""

    def steps() -> Waits:
        now = 0
        for word in range(words):
            while now < len(pauses) and pauses[now]:
                now += 1
            while (wait := target.send(word, now)) is not None:
                yield (wait,)
            now = target.takes[word] + 1
        yield from target.finish()

    return Process(steps(), channels=[target])


def sink(
    origin: Channel, words: int, pauses: Sequence[bool] = (), deadlines: Sequence[int] = ()
) -> Process:
    """Take every word, none in the cycles that ``pauses`` marks.

    Where there are ``deadlines``, one for each word, a word after its own raises LateError.
    """

    def steps() -> Waits:
        for word in range(words):
            while len(origin.offers) <= word:
                yield ((origin.offers, word),)
            now = origin.offers[word]
            while now < len(pauses) and pauses[now]:
                now += 1
            if deadlines and now > deadlines[word]:
                raise LateError(now - deadlines[word])
            origin.takes.append(now)

    return Process(steps(), lists=[origin.takes])


def fork(origin: Channel, targets: Sequence[Channel], words: int) -> Process:
    """Offer each word to every target at once; it is taken when all of them have taken it.

    A target that was quick waits for the others.  Latency: none.
    """

    def steps() -> Waits:
        for word in range(words):
            while len(origin.offers) <= word:
                yield ((origin.offers, word), *(wait for t in targets for wait in t.idle()))
            offer = origin.offers[word]
            while waits := [w for t in targets if (w := t.send(word, offer)) is not None]:
                # A target that has the word goes on, which may be what another one waits for.
                yield [*waits, *(wait for t in targets for wait in t.idle())]
            origin.takes.append(max(target.takes[word] for target in targets))
        while waits := [wait for target in targets for wait in target.idle()]:
            yield waits

    return Process(steps(), lists=[origin.takes], channels=targets)


class Pipeline:
    """``depth`` stages that move as one and stand still while the word at their end has no place.

    One word goes out for every ``period`` words that come in.

    The place is in a stream register of ``room`` words, ``vecq_pipeline_end.sv``, which offers a
    word from the next cycle on; or, where ``room`` is 0, the word is offered at once and leaves
    when it is taken.  The recurrence runs on a local clock that counts the cycles in which the
    pipeline moves: what enters at local cycle L is at the end at L + ``depth``, whatever happens.
    ``stalls[j]`` cycles it has stood still once output word j has left its end: these turn local
    cycles into cycles.

    Attributes
    ----------
    local : int
        Local cycle of the last entry.
    due : list of int
        Local cycle at which each output word is at the end.
    """

    def __init__(self, target: Channel, depth: int, room: int = 0, period: int = 1) -> None:
        self.local = -1
        self.due: list[int] = []
        self.stalls: list[int] = []
        self.depth = depth
        self.period = period
        self._room = room
        self._stored: list[int] = []  # when each output word came into the register
        self._target = target
        # Of the output words, so many have been accounted for at the local clock's front; the
        # pipeline has stood still so long for them, and the front is not before the last of them.
        self.taken = 0
        self.stalled = 0
        self._floor = -1

    def take(self, word: int, offer: int) -> int | Wait:
        """When ``word`` enters, offered from ``offer`` on; or what that waits for."""
        if (wait := self.enter(offer)) is not None:
            return wait
        if (word + 1) % self.period == 0:
            self.due.append(self.local + self.depth)
        return self.local + self.stalled

    def enter(self, arrival: int, gap: int = 1) -> Wait | None:
        """Move the front to ``gap`` local cycles on, or later, where the cycle is ``arrival``."""
        due, stalls = self.due, self.stalls
        least = self.local + gap
        while True:
            local = max(least, self._floor, arrival - self.stalled)
            if self.taken >= len(due) or due[self.taken] > local:
                self.local = local
                return None
            # All that is due by ``least`` comes before; what is due later only if there is a wait.
            last = max(self.taken, bisect_right(due, least, self.taken) - 1)
            while len(stalls) <= last:
                wait = self._advance()
                if wait is not None and len(stalls) <= last:
                    return wait
            self.stalled, self._floor, self.taken = stalls[last], due[last], last + 1

    def idle(self) -> Sequence[Wait]:
        """Offer what is due, while the front waits; what that waits for."""
        wait = self._advance()
        further = self._target.idle()
        return further if wait is None else (wait, *further)

    def grows(self) -> list[Times]:
        """The lists of the target."""
        return self._target.grows()

    def _advance(self) -> Wait | None:
        return self._store() if self._room else self._offer()

    def _store(self) -> Wait | None:
        """Let words into the register as it has places, and offer them."""
        takes, due, stalls, stored = self._target.takes, self.due, self.stalls, self._stored
        wait = self._offer_stored()
        while (word := len(stalls)) < len(due):
            stalled = stalls[-1] if stalls else 0
            entry = due[word] + stalled
            if (leaver := word - self._room) >= 0:
                if leaver >= len(takes):
                    return wait
                entry = max(entry, takes[leaver] + 1)
            stored.append(entry)
            stalls.append(entry - due[word])
            wait = self._offer_stored() if wait is None else wait
        return wait

    def _offer_stored(self) -> Wait | None:
        """Offer what the register holds, word by word, until one is not taken."""
        target, stored, takes = self._target, self._stored, self._target.takes
        while (word := len(takes)) < len(stored):
            offer = max(stored[word], takes[-1] if word else -1) + 1
            if (wait := target.send(word, offer)) is not None:
                return wait
        return None

    def _offer(self) -> Wait | None:
        """Offer words at the end of the last stage, until one is not taken."""
        target, due, stalls = self._target, self.due, self.stalls
        room = target.receiver if isinstance(target.receiver, Room) else None
        word = len(stalls)
        stalled = stalls[-1] if stalls else 0
        quiet = False  # the word before was taken at once
        while word < len(due):
            if quiet and room is not None and (count := self._unhindered(word, stalled, room)):
                cycles = [local + stalled for local in due[word : word + count]]
                target.offers.extend(cycles)
                target.takes.extend(cycles)
                stalls.extend([stalled] * count)
                word += count
                continue
            offer = due[word] + stalled
            if (wait := target.send(word, offer)) is not None:
                return wait
            stall = target.takes[word] - offer
            quiet = not stall
            stalled += stall
            stalls.append(stalled)
            word += 1
        return None

    def _unhindered(self, word: int, stalled: int, room: Room) -> int:
        """How many words from ``word`` on surely find room when they are offered; perhaps 0."""
        if room.groups_in != room.groups_out:
            return 0
        after = word - room.capacity
        count = min(len(self.due) - word, len(room.freed) - after, BLOCK)
        if count < 2:
            return 0
        places = room.freed[max(after, 0) : max(after + count, 0)]
        offers = self.due[word + count - len(places) : word + count]
        in_time = all(freed < local + stalled for freed, local in zip(places, offers, strict=True))
        return count if in_time else 0


def join(
    turns: Sequence[Sequence[Channel]],
    target: Channel,
    depth: int,
    words: int,
    lead: Channel | None = None,
    room: int = 0,
) -> Process:
    """A pipeline with several streams in front: Add, Subtract, Multiply, Concat.

    Step k takes a word of every channel in ``turns[k % len(turns)]``, all in one cycle, and gives
    one.  The first of all turns waits for a word of ``lead``, too, and leaves it.
    """
    pipeline = Pipeline(target, depth, room)

    def steps() -> Waits:
        for word, channels in enumerate(islice(cycle(turns), words)):
            arrival = 0
            wanted = channels if lead is None or word % len(turns) else [*channels, lead]
            for channel in wanted:
                number = len(channel.takes)
                while len(channel.offers) <= number:
                    yield ((channel.offers, number), *pipeline.idle())
                arrival = max(arrival, channel.offers[number])
            while not isinstance(taken := pipeline.take(word, arrival), int):
                yield (taken,)
            for channel in channels:
                channel.takes.append(taken)
        while waits := pipeline.idle():
            yield waits

    takes = {id(c): c.takes for channels in turns for c in channels}
    return Process(steps(), lists=list(takes.values()), channels=[target])


def join_kept(
    left: Channel, kept: Channel, target: Channel, depth: int, words: int, frame: tuple[int, int]
) -> Process:
    """A pipeline in front of which words of ``left`` meet those of a frame that is kept.

    Parameters
    ----------
    frame : (int, int)
        How many words of ``kept`` a frame has, and how often they are used, one after the other.
        There is room for two frames; a word is free once it was used for the last time.
    """
    own, positions = frame
    pipeline, freed = Pipeline(target, depth), Times()
    kept.receiver = Room(freed, 2 * own)

    def steps() -> Waits:
        for word in range(words):
            number, place = divmod(word, own * positions)
            position, index = divmod(place, own)
            needed = number * own + index
            while len(kept.takes) <= needed:
                yield ((kept.offers, needed), *pipeline.idle())
            while len(left.offers) <= word:
                yield ((left.offers, word), *pipeline.idle())
            arrival = max(left.offers[word], kept.takes[needed] + 1)
            while not isinstance(taken := pipeline.take(word, arrival), int):
                yield (taken,)
            left.takes.append(taken)
            if position == positions - 1:
                freed.append(taken)
        while waits := pipeline.idle():
            yield waits

    return Process(steps(), lists=[left.takes, freed], channels=[target])


def unit_process(unit: Unit, origin: Channel, target: Channel, periods: int) -> Process:
    """A unit between two streams, for so many periods."""
    freed = Times()
    origin.receiver = Room(freed, unit.capacity)
    pipeline = Pipeline(target, unit.depth, unit.room)
    steps = _read(unit, origin.takes, freed, pipeline, periods)
    return Process(steps, lists=[freed], channels=[target])


def _read(unit: Unit, takes: Times, freed: Times, pipeline: Pipeline, periods: int) -> Waits:
    due, depth = pipeline.due, unit.depth
    for base in range(0, periods * unit.words, unit.words):
        for gap, count, needs, frees, gives in unit.pattern:
            word = base + needs if needs >= 0 else -1
            while count:
                # The next step alone, which may have to wait or may meet a stall.
                arrival = 0
                if word >= 0:
                    while len(takes) <= word:
                        yield ((takes, word), *pipeline.idle())
                    arrival = takes[word] + 1
                while (wait := pipeline.enter(arrival, gap)) is not None:
                    yield (wait,)
                local, now, steps = pipeline.local, pipeline.local + pipeline.stalled, 1
                if count > 1:
                    steps = _together(count, word, takes, now)
                    if frees:  # in cycles, so all of the steps must be before the next stall
                        limit = due[pipeline.taken] if pipeline.taken < len(due) else UNLIMITED
                        steps = min(steps, limit - local, depth if gives else count)
                if frees:
                    freed.extend(range(now, now + steps) if frees == 1 else [now] * frees)
                if gives:
                    due.extend(range(local + depth, local + depth + steps))
                if word >= 0:
                    word += steps
                pipeline.local = local + steps - 1
                count -= steps
                gap = 1
    while waits := pipeline.idle():
        yield waits


def _together(count: int, word: int, takes: Times, now: int) -> int:
    """How many of ``count`` steps, the first in cycle ``now``, surely do not wait for input.

    The first reads ``word``, or none of them does where that is -1.  A word comes in each cycle
    at most, so if the last word is there in time, all are; stalls only give them more time.
    """
    if word < 0:
        return count
    steps = min(count, len(takes) - word)
    return steps if takes[word + steps - 1] < now + steps - 1 else 1
