"""The shortest Rescale that is the same as a Threshold on every integer of a proven range.

Let level k be reached from u = T_k on, u the accumulator, negated in a falling channel.  A line
``(m * u + offset) >> s`` is that row where, for every level,

    k * 2^s <= m * T_k + offset      and      m * (T_k - 1) + offset <= k * 2^s - 1

as far as T_k and T_k - 1 lie in the range.  So an offset exists for m and s where the greatest of
``k * 2^s - m * T_k`` is at most the least of ``k * 2^s - 1 - m * (T_k - 1)``.  The slopes
``m / 2^s`` for which one exists in real numbers are an interval, since the room between the two is
a concave function of the slope; integers are tried in it with rising s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.arithmetic import half_of
from vecq_hw.formats import IntArray
from vecq_hw.layers import LONGEST_SHIFT, PRODUCT_LIMIT, Rescale, Tensor, Threshold
from vecq_hw.passes.thresholds import thresholds_of

_FLATTEST = 2.0**-62
_BISECTIONS = 64
_MOST = PRODUCT_LIMIT - 1
"""Two numbers up to here, one a product and one a level, are added in int64."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


def shortened(rule: Threshold, tensor: Tensor, ranges: IntArray | None = None) -> Rescale | None:
    """The Rescale with the fewest shifted bits that is the same on the range of ``tensor``.

    Where the ranges of channels are known, it is the same on these.

    One shift for all channels, or one for each where one for all leaves the products' limit.  None
    where a channel has no line.  The thresholds of what is given are worked out again in Python
    integers and compared.

    ``ranges`` has the shape (C, 2): the least and the most of each channel.
    """
    ends = channel_ranges(tensor, ranges)
    lines = Lines.of(rule, ends)
    if not lines.found.all():
        return None
    least = lines.shift
    wide = int(least.max(initial=1))
    for shifts in (np.full_like(least, wide), least):
        moved = shifts - least
        if not _fits(lines, moved):
            continue
        mantissa, room = lines.mantissa << moved, lines.offset << moved
        # Of the offsets that serve, none at all costs nothing.
        lowest, highest = room, room + (lines.slack + 1 << moved) - 1
        half = half_of(shifts)
        offset = np.where((lowest <= half) & (half <= highest), 0, (lowest + highest >> 1) - half)
        layer = Rescale(
            name=rule.name,
            input=rule.input,
            mantissa=np.where(rule.falling == 1, -mantissa, mantissa),
            offset=offset,
            shift=shifts,
            format=rule.format,
            step=rule.step,
        )
        if not list(layer.problems(tensor)):
            proof = thresholds_of(layer, tensor.format)
            if not _equal(proof, rule, ends):
                raise AssertionError(f"'{rule.name}': the line found is not the thresholds")
            return layer
    return None


def _fits(lines: Lines, moved: IntArray) -> bool:
    """Whether mantissas and offsets stay within int64 where they are moved up."""
    pairs = zip(lines.mantissa.tolist(), lines.offset.tolist(), moved.tolist(), strict=True)
    return all(abs(m) << s <= _MOST and abs(b) << s <= _MOST for m, b, s in pairs)


def channel_ranges(tensor: Tensor, ranges: IntArray | None) -> _Ints:
    """Least and greatest integer of each channel, shape (C, 2): its own, or the tensor's."""
    if ranges is not None:
        return np.asarray(ranges, np.int64)
    return np.tile(np.array([tensor.format.lo, tensor.format.hi], np.int64), (tensor.channels, 1))


def _equal(one: Threshold, other: Threshold, ends: IntArray) -> bool:
    """Whether two rules are the same function on the ranges of the channels."""
    for a, b, falls_a, falls_b, (lo, hi) in zip(
        one.thresholds,
        other.thresholds,
        one.falling.tolist(),
        other.falling.tolist(),
        ends.tolist(),
        strict=True,
    ):
        if falls_a != falls_b:  # a channel that is constant neither rises nor falls
            levels = [
                (np.count_nonzero(row <= lo) if not falls else np.count_nonzero(row >= hi),
                 np.count_nonzero(row <= hi) if not falls else np.count_nonzero(row >= lo))
                for row, falls in ((a, falls_a), (b, falls_b))
            ]  # fmt: skip
            if len({*levels[0], *levels[1]}) != 1:
                return False
        elif not np.array_equal(*(np.clip(row, lo - falls_a, hi + 1 - falls_a) for row in (a, b))):
            return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """A line for each channel, in the accumulator that makes it rise.

    Attributes
    ----------
    found : bool array of shape (C,)
        Whether the channel has one.
    mantissa, offset, shift : int64 arrays of shape (C,)
        ``(m * u + offset) >> s``: the half of a Rescale is part of the offset.
    slack : int64 array of shape (C,)
        So much may be added to the offset.
    """

    found: npt.NDArray[np.bool_]
    mantissa: _Ints
    offset: _Ints
    shift: _Ints
    slack: _Ints

    @classmethod
    def of(cls, rule: Threshold, ends: IntArray) -> Lines:
        """The shortest line of each channel of a Threshold, on ranges of shape (C, 2)."""
        rows = _Rows.of(rule, ends)
        channels = len(rows.levels_at)
        found = rows.constant.copy()
        mantissa, slack = np.zeros((2, channels), np.int64)
        shift, offset = np.ones(channels, np.int64), np.zeros(channels, np.int64)
        offset[found], slack[found] = rows.constants[found] << 1, 1
        left = np.flatnonzero(~found)
        if not left.size:
            return cls(found, mantissa, offset, shift, slack)
        steepest, middle, flattest = rows.slopes(left)
        possible = middle > 0
        left, flattest = left[possible], flattest[possible]
        middle, steepest = middle[possible], steepest[possible]
        for s in range(1, LONGEST_SHIFT + 1):
            if not left.size:
                break
            best, lowest, room = _at_shift(rows, left, s, flattest, middle, steepest)
            good = room >= 0
            at = left[good]
            found[at], mantissa[at], shift[at] = True, best[good], s
            offset[at], slack[at] = lowest[good], room[good]
            left, flattest = left[~good], flattest[~good]
            middle, steepest = middle[~good], steepest[~good]
        return cls(found, mantissa, offset, shift, slack)


def _at_shift(
    rows: _Rows, which: _Ints, shift: int, flattest: _Floats, middle: _Floats, steepest: _Floats
) -> tuple[_Ints, _Ints, _Ints]:
    """For each channel the best mantissa at a shift, its least offset, and the room above that.

    The room is negative where there is none.
    """
    unit = 2.0**shift
    limit = np.nextafter(float(_MOST // rows.reach), 0.0)
    least = np.ceil(np.minimum(flattest * unit, limit))
    most = np.floor(np.minimum(steepest * unit, limit))
    best = np.zeros(len(which), np.int64)
    lowest, room = np.zeros(len(which), np.int64), np.full(len(which), -1, np.int64)
    if rows.most_level << shift > _MOST:
        return best, lowest, room
    # Floats found the ends, so the integers next to them are tried as well.
    centre = np.rint(middle * unit)
    tried: list[_Floats] = []
    for candidate in (centre, centre - 1, centre + 1, centre - 2, centre + 2, least, most):
        tried.append(candidate)
        sane = (candidate >= np.maximum(least - 1, 1)) & (candidate <= np.minimum(most + 1, limit))
        new = sane & ~np.any([candidate == other for other in tried[:-1]], axis=0)
        if not new.any():
            continue
        at = np.flatnonzero(new)
        m = candidate[at].astype(np.int64)
        low, high = rows.offsets(which[at], m, shift)
        better = (high - low > room[at]) & (np.abs(low) <= _MOST)
        at, m, low, high = at[better], m[better], low[better], high[better]
        best[at], lowest[at], room[at] = m, low, high - low
    return best, lowest, room


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of thresholds as constraints on lines.

    Attributes
    ----------
    levels : int64 array of shape (K,)
    levels_at : int64 array of shape (C, K)
        Where each level is reached by the accumulator that makes it rise.
    reached, missed : bool arrays of shape (C, K)
        Whether an accumulator of the range reaches the level, and whether one does not.
    constant : bool array of shape (C,)
    constants : int64 array of shape (C,)
        Their codes.
    reach : int
        Largest magnitude of an accumulator, and one more.
    """

    levels: _Ints
    levels_at: _Ints
    reached: npt.NDArray[np.bool_]
    missed: npt.NDArray[np.bool_]
    constant: npt.NDArray[np.bool_]
    constants: _Ints
    reach: int

    @property
    def most_level(self) -> int:
        """Largest magnitude of a level."""
        return int(np.abs(self.levels).max(initial=0))

    @classmethod
    def of(cls, rule: Threshold, ends: IntArray) -> _Rows:
        falling = rule.falling.astype(bool)[:, np.newaxis]
        at = np.where(falling, -rule.thresholds[:, ::-1], rule.thresholds).astype(np.int64)
        first = np.where(falling, -ends[:, 1:], ends[:, :1])
        last = np.where(falling, -ends[:, :1], ends[:, 1:])
        at = np.clip(at, first, last + 1)
        reached, missed = at <= last, at > first
        constant = np.asarray(~(reached & missed).any(axis=1))
        return cls(
            levels=np.arange(rule.format.lo + 1, rule.format.hi + 1),
            levels_at=at,
            reached=reached,
            missed=missed,
            constant=constant,
            constants=rule.format.lo + np.count_nonzero(reached, axis=1),
            reach=int(np.abs(ends).max()) + 1,
        )

    def offsets(self, which: _Ints, mantissa: _Ints, shift: int) -> tuple[_Ints, _Ints]:
        """The least and the greatest offset that serve; int64 holds every product here."""
        at, m = self.levels_at[which], mantissa[:, np.newaxis]
        levels = self.levels << shift
        far = np.int64(PRODUCT_LIMIT)
        lowest = np.where(self.reached[which], levels - m * at, -far).max(axis=1)
        highest = np.where(self.missed[which], levels - 1 - m * (at - 1), far).min(axis=1)
        return lowest, highest

    def slopes(self, which: _Ints) -> tuple[_Floats, _Floats, _Floats]:
        """The steepest slope with room for an offset, that with most room, the flattest.

        0 where no slope has room.
        """
        at = self.levels_at[which].astype(np.float64)
        up = np.where(self.reached[which], 0.0, -np.inf)
        down = np.where(self.missed[which], 0.0, np.inf)
        levels = self.levels.astype(np.float64)
        rows = np.arange(len(which))

        def room(slope: _Floats) -> tuple[_Floats, _Floats]:
            """Between the two bounds of the offset, and how that grows with the slope."""
            low = levels - slope[:, np.newaxis] * at + up
            high = levels - slope[:, np.newaxis] * (at - 1) + down
            i, j = low.argmax(axis=1), high.argmin(axis=1)
            return high[rows, j] - low[rows, i], at[rows, i] - (at[rows, j] - 1)

        flat = np.full(len(which), _FLATTEST)
        steep = np.full(len(which), 2.0 * (len(self.levels) + 1))
        low, high = flat.copy(), steep.copy()
        for _ in range(_BISECTIONS):
            middle = np.sqrt(low * high)
            growing = room(middle)[1] > 0
            low, high = np.where(growing, middle, low), np.where(growing, high, middle)
        middle = np.sqrt(low * high)
        candidates = np.stack([low, middle, high])
        rooms = np.stack([room(one)[0] for one in candidates])
        middle = candidates[rooms.argmax(axis=0), rows]
        middle = np.where(rooms.max(axis=0, initial=-np.inf) > 0, middle, 0.0)
        start = np.where(middle > 0, middle, 1.0)
        steepest = _border(lambda slope: room(slope)[0] > 0, start, steep)
        flattest = _border(lambda slope: room(slope)[0] > 0, start, flat)
        return steepest, middle, flattest


def _border(
    inside: Callable[[_Floats], npt.NDArray[np.bool_]], start: _Floats, end: _Floats
) -> _Floats:
    """The last slope between ``start`` and ``end`` that is inside."""
    ends_inside = inside(end)
    good, bad = start.copy(), end.copy()
    for _ in range(_BISECTIONS):
        middle = np.sqrt(good * bad)
        yes = inside(middle)
        good, bad = np.where(yes, middle, good), np.where(yes, bad, middle)
    return np.where(ends_inside, end, good)
