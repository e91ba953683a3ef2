"""Static orders: which word a unit that keeps a block of words gives next, as nested axes.

A Take or Permute gives each integer from a place that is known beforehand.  As it is separable,
that place is a sum over nested counters: no list is as long as a frame.  An axis is split where it
repeats itself, and two that go on evenly become one, so that most axes are plain counters.

What is kept: from the first word that is still to be read.  How exactly the unit knows that word is
its level, the number of outer axes on which it depends: of 0 it is that of the frame, of all the
order never goes back, so that nothing need be kept.  The level with the smallest memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.layers import OrderLayer, Permute, Take

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One of nested counters.

    Attributes
    ----------
    offsets : int64 array of shape (n,)
        What each place adds to the number of the word that is read.
    fills : bool array of shape (n,)
        The places at which no word is read, whatever the other axes say; not all of them.
    """

    offsets: Indices
    fills: npt.NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Its places."""
        return len(self.offsets)

    @property
    def reads(self) -> Indices:
        """The offsets of the places at which a word is read.

        The shape is (places,): one entry for each place that reads.
        """
        return self.offsets[~self.fills]

    @property
    def is_even(self) -> bool:
        """Whether it goes on by the same number from each place to the next."""
        return not self.fills.any() and len(set(np.diff(self.offsets).tolist())) <= 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moves:
    """What a read at each place of an axis changes, if it is this axis that goes on.

    Attributes
    ----------
    word, kept : int64 arrays of shape (n,)
        How much further the next word read lies, and the first word kept; 0 where a place is not
        left by a read.
    fills, ends : bool arrays of shape (n,)
        Where no word is read; from where on none is read, so that an outer axis goes on.
    """

    word: Indices
    kept: Indices
    fills: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.bool_]

    @property
    def is_even(self) -> bool:
        """Whether each place but the last reads a word and is left by the same move."""
        pairs = set(zip(self.word[:-1].tolist(), self.kept[:-1].tolist(), strict=True))
        return not self.fills.any() and len(pairs) <= 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """In which order the words of a frame are given.

    Attributes
    ----------
    axes : sequence of Axis
        The outermost first; their least offsets are 0.
    base : int
        Added to all of them.
    words : int
        Of a frame that comes in.
    """

    axes: tuple[Axis, ...]
    base: int
    words: int

    @property
    def steps(self) -> int:
        """Words of a frame that goes out."""
        return math.prod(axis.size for axis in self.axes)

    @property
    def is_identity(self) -> bool:
        """Whether every word goes out as it came in."""
        return self.steps == self.words and np.array_equal(self.read, np.arange(self.words))

    @cached_property
    def gives_word(self) -> npt.NDArray[np.bool_]:
        """For each step whether it reads a word, else it gives the code that fills.

        The shape is (steps,).
        """
        fills = np.zeros((), np.bool_)
        for axis in self.axes:
            fills = fills[..., np.newaxis] | axis.fills
        return ~fills.ravel()

    @cached_property
    def read(self) -> Indices:
        """The words that are read, one after the other.

        The shape is (reads,).
        """
        return self.base + _sums([axis.reads for axis in self.axes])

    @cached_property
    def _choice(self) -> tuple[int, int]:
        """The level with the smallest memory, and the places of that."""
        options = []
        for level in range(len(self.axes) + 1):
            kept = self._kept_at(level)
            if level < 2 or (np.diff(kept) >= 0).all():
                span = int((self.read - kept).max()) + 1
                # As many again come in meanwhile; a power of two, which needs no remainder.
                options.append(
                    (1 << (2 * span - 1).bit_length(), -(level == len(self.axes)), level)
                )
        slots, _, level = min(options)
        return level, slots

    @property
    def level(self) -> int:
        """On how many of the outer axes the first word kept depends."""
        return self._choice[0]

    @property
    def slots(self) -> int:
        """Words that are kept at most: twice those between the first kept and any that is read."""
        return self._choice[1]

    @property
    def never_goes_back(self) -> bool:
        """Whether the first word kept is that which is read next."""
        return bool(np.array_equal(self.kept, self.read))

    @cached_property
    def kept(self) -> Indices:
        """For each read the first word that is kept: none before it is read again.

        The shape is (reads,).
        """
        return self._kept_at(self.level)

    def _kept_at(self, level: int) -> Indices:
        inner = math.prod(len(axis.reads) for axis in self.axes[level:])
        return self.base + _sums(self._kept_offsets(level)).repeat(inner)

    def _kept_offsets(self, level: int) -> list[Indices]:
        offsets = [axis.reads for axis in self.axes[:level]]
        if level == 1:  # the least that is still to come
            offsets[0] = np.minimum.accumulate(offsets[0][::-1])[::-1]
        return offsets

    @cached_property
    def moves(self) -> tuple[Moves, ...]:
        """How each axis moves."""
        result = []
        kept = self._kept_offsets(self.level)
        for number, axis in enumerate(self.axes):
            places = np.flatnonzero(~axis.fills)
            word, first_kept = np.zeros((2, axis.size), np.int64)
            word[places[:-1]] = np.diff(axis.reads) + _rewound(
                [inner.reads for inner in self.axes[number + 1 :]]
            )
            if number < len(kept):
                first_kept[places[:-1]] = np.diff(kept[number]) + _rewound(kept[number + 1 :])
            ends = np.arange(axis.size) >= places[-1]
            result.append(Moves(word=word, kept=first_kept, fills=axis.fills, ends=ends))
        return tuple(result)

    @property
    def frame_move(self) -> tuple[int, int]:
        """What the last read of a frame adds: to the word, to the first word kept."""
        kept = self._kept_offsets(self.level)
        word = self.words + _rewound([axis.reads for axis in self.axes])
        return word, self.words + _rewound(kept)


def _sums(parts: Sequence[Indices]) -> Indices:
    """The sums of one element of each part, the last part's changing first."""
    total = np.zeros(1, np.int64)
    for part in parts:
        total = np.add.outer(total, part).ravel()
    return total


def _rewound(parts: Sequence[Indices]) -> int:
    """What it adds to the sum that each of the parts goes from its last to its first."""
    return sum(int(part[0] - part[-1]) for part in parts)


def word_order(
    layer: OrderLayer, shape: tuple[int, ...], lanes: int, channels: int
) -> tuple[Order, int]:
    """The order of a layer's words, and how many elements are in each.

    Parameters
    ----------
    shape : (C,) or (H, W, C)
        Of what comes in.
    lanes : int
        In which it comes; of these as many stay together as the order keeps together.
    channels : int
        Of what goes out.
    """
    axes = _element_axes(layer, shape)
    count = math.prod(shape)
    group = math.gcd(lanes, channels, count)
    while not _keeps_together(axes, group):
        group = max(g for g in range(1, group) if group % g == 0)
    words = [*axes[:-1], Axis(axes[-1].offsets[::group], axes[-1].fills[::group])]
    words = [Axis(axis.offsets // group, axis.fills) for axis in words]
    base = 0
    split: list[Axis] = []
    for axis in words:
        least = int(axis.reads.min())
        base += least
        split += _split(Axis(axis.offsets - least, axis.fills))
    base += sum(int(axis.reads.min()) for axis in split)
    split = [Axis(axis.offsets - axis.reads.min(), axis.fills) for axis in split]
    return Order(axes=tuple(_merged(split)), base=base, words=count // group), group


def _element_axes(layer: OrderLayer, shape: tuple[int, ...]) -> list[Axis]:
    """The axes of what goes out, with the places of its elements in what comes in."""
    match layer:
        case Take():
            strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
            taken = layer.indices(shape)
            return [
                Axis(np.where(indices < 0, 0, indices * stride), indices < 0)
                for indices, stride in zip(taken, strides, strict=True)
            ]
        case Permute():
            strides = [math.prod(layer.split[axis + 1 :]) for axis in range(len(layer.split))]
            axes = [_even(layer.split[axis], strides[axis]) for axis in layer.order]
            return _merged(axes)
        case _:
            assert_never(layer)


def _even(size: int, step: int) -> Axis:
    return Axis(np.arange(size) * step, np.zeros(size, np.bool_))


def _keeps_together(axes: Sequence[Axis], group: int) -> bool:
    """Whether so many elements that lie side by side stay so, in words of as many."""
    *outer, last = axes
    if last.size % group or any((axis.reads % group).any() for axis in outer):
        return False
    offsets, fills = last.offsets.reshape(-1, group), last.fills.reshape(-1, group)
    if (fills != fills[:, :1]).any():
        return False
    read = offsets[~fills[:, 0]]
    return not (read[:, 0] % group).any() and bool((read - read[:, :1] == np.arange(group)).all())


def _split(axis: Axis) -> list[Axis]:
    """An axis as nested ones, where its places repeat themselves a number further on."""
    size = axis.size
    for period in (p for p in range(1, size) if size % p == 0):
        offsets, fills = axis.offsets.reshape(-1, period), axis.fills.reshape(-1, period)
        further = np.diff(offsets[:, ~fills[0]], axis=0)
        if (fills == fills[0]).all() and (further == further[0, 0]).all():
            step = int(further[0, 0])
            return [_even(size // period, step), *_split(Axis(offsets[0], fills[0]))]
    return [axis]


def _merged(axes: Sequence[Axis]) -> list[Axis]:
    """The axes without those of one place; two that go on as one become one."""
    result: list[Axis] = []
    for axis in axes:
        if axis.size == 1 and not axis.fills.any():
            continue
        outer = result[-1] if result else None
        if outer is not None and outer.is_even and axis.is_even:
            both = np.add.outer(outer.offsets, axis.offsets).ravel()
            if (joined := Axis(both, np.zeros(len(both), np.bool_))).is_even:
                result[-1] = joined
                continue
        result.append(axis)
    return result or [_even(1, 0)]
