"""Buffers between the cells of the streaming accelerator: when there is room, when words go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecq_hw.simulate.dataflow.times import Channel, Process, Times, Wait, Waits


@dataclass(slots=True, eq=False)
class Room:
    """The places of a buffer of ``capacity`` groups; a group is a word where both numbers are 1.

    ``freed[k]`` is the cycle in which ``groups_out`` groups are read for the k-th time; their place
    is free from the next cycle on.
    """

    freed: Times
    capacity: int
    groups_in: int = 1
    groups_out: int = 1

    def after(self, word: int) -> int:
        """Which entry of ``freed`` makes room for ``word``; below 0 there always is room."""
        return -((self.capacity - (word + 1) * self.groups_in) // self.groups_out) - 1

    def completing(self, word: int) -> int:
        """Which word that comes in completes ``word`` that goes out."""
        return -(-(word + 1) * self.groups_out // self.groups_in) - 1

    def take(self, word: int, offer: int) -> int | Wait:
        """When it takes ``word``, offered from ``offer`` on; or what that waits for."""
        after = self.after(word)
        if after < 0:
            return offer
        return max(offer, self.freed[after] + 1) if after < len(self.freed) else (self.freed, after)

    def idle(self) -> Sequence[Wait]:
        """Nothing is to be done."""
        return ()

    def grows(self) -> list[Times]:
        """Others free the places."""
        return []


@dataclass(slots=True, eq=False)
class FrameRoom(Room):
    """:class:`Room` for frames of ``groups``, of which the last words are partial.

    A word may be the last of its frame or not: there must be room for all of its groups.
    """

    groups: int = 1

    def after(self, word: int) -> int:
        """Which entry of ``freed`` makes room for ``word``; below 0 there always is room."""
        frame, place = divmod(word, -(-self.groups // self.groups_in))
        gone = frame * self.groups + place * self.groups_in + self.groups_in - self.capacity
        return self._index(gone - 1, self.groups_out)

    def completing(self, word: int) -> int:
        """Which word that comes in completes ``word`` that goes out."""
        frame, place = divmod(word, -(-self.groups // self.groups_out))
        last = min((place + 1) * self.groups_out, self.groups) - 1
        return self._index(frame * self.groups + last, self.groups_in)

    def _index(self, group: int, width: int) -> int:
        """Which word of ``width`` groups holds ``group``."""
        frame, place = divmod(group, self.groups)
        return frame * -(-self.groups // width) + place // width


@dataclass(slots=True, eq=False)
class PositionRoom(Room):
    """:class:`Room` for positions of ``groups_in`` words, each of which gives ``groups_out`` words.

    All words but the last of a position are always taken; the last one once the words that the
    position before gave are gone.
    """

    def after(self, word: int) -> int:
        """Which entry of ``freed`` makes room for ``word``; below 0 there always is room."""
        position, place = divmod(word, self.groups_in)
        return position * self.groups_out - 1 if place == self.groups_in - 1 else -1

    def completing(self, word: int) -> int:
        """Which word that comes in completes ``word`` that goes out."""
        return (word // self.groups_out + 1) * self.groups_in - 1


@dataclass(slots=True, eq=False)
class Buffer:
    """Words of ``room.groups_in`` groups come in, words of ``room.groups_out`` go out, in order.

    It is ready while the room's capacity leaves place for a word; a word is offered from the cycle
    after the one that completes it.  With one group on both sides and a capacity of 2 it is
    ``vecq_stream_register.sv``, with more a FIFO; else it is ``vecq_stream_width.sv``.
    """

    origin: Channel
    target: Channel
    room: Room

    def process(self, words: int) -> Process:
        """Its two sides, for so many words out."""
        self.origin.receiver = self.room

        def steps() -> Waits:
            takes, target, free = self.origin.takes, self.target, 0
            for word in range(words):
                completing = self.room.completing(word)
                while len(takes) <= completing:
                    yield ((takes, completing), *target.idle())
                offer = max(takes[completing] + 1, free)
                while (wait := target.send(word, offer)) is not None:
                    yield (wait,)
                free = target.takes[word] + 1
            yield from target.finish()

        return Process(steps(), channels=[self.target])

    @property
    def is_full(self) -> bool:
        """Whether, as far as is known, the next word would find no room."""
        return self.room.after(len(self.origin.takes)) >= len(self.target.takes)
