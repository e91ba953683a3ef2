"""A rescale as lines in float32, proven to give the same codes.

A rescale has no bits to spare in float32, but it needs none between its thresholds: whatever line
crosses each integer between the same two accumulators is the same function.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.arithmetic import FloatRescale
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Rescale
from vecq_hw.passes.thresholds import thresholds_of

MOST_BITS = 8
"""Widest codes for which a line is sought: 255 thresholds a channel."""

SLOPES = 256
"""So many float32 numbers on either side of the nearest slope are tried."""

_ROUNDING = 2.0**-24 * (1 + 2.0**-20)
"""Half the distance of neighbours in float32, relative, and room for the error of a float64 sum."""

_SingleArray = npt.NDArray[np.float32]
_DoubleArray = npt.NDArray[np.float64]


def float32_rescale(layer: Rescale, source: IntFormat) -> FloatRescale | None:
    """The rescale in float32, or None where no line is found for one of its channels."""
    line = proven_line(layer, source) if source.magnitude <= 1 << 24 else None
    return None if line is None else FloatRescale(*line, layer.format)


def proven_line(
    layer: Rescale, source: IntFormat, moved: IntArray | int = 0, rounded: bool = False
) -> tuple[_SingleArray, _SingleArray] | None:
    """Factor and addend of lines that give the codes, or None where one channel has none.

    Let output v be reached at accumulator t and not yet at its neighbour u.  Where what float32
    makes of the line lies above v at t and below v at u, for every v, all accumulators of the range
    lie on the right side of every v: products, sums and rounding are monotonic.  Both ways of
    computing it are tried at every t and u: product and sum rounded, and the sum alone (FMA).

    Parameters
    ----------
    source : IntFormat
        Of the accumulators.
    moved : int array of shape (C,), optional
        The line takes ``accumulator + moved``, at most 2^24 in magnitude.
    rounded : bool
        The codes are the line's values rounded to nearest, not their floor: v is crossed half a
        code earlier, and never on the tie.
    """
    fmt = layer.format
    if fmt.bits > MOST_BITS or fmt.lo == fmt.hi:
        return None
    rule = thresholds_of(layer, source)
    falling = rule.falling.astype(bool)[:, None]
    reached = rule.thresholds.astype(np.float64)
    missed = reached + np.where(falling, 1, -1)
    rising_levels = np.arange(fmt.lo + 1.0, fmt.hi + 1) - (0.5 if rounded else 0)
    levels = np.where(falling, rising_levels[::-1], rising_levels)
    # What the accumulator never holds asks for nothing.
    above = np.where((source.lo <= reached) & (reached <= source.hi), levels, -np.inf)
    below = np.where((source.lo <= missed) & (missed <= source.hi), levels, np.inf)
    reached += np.reshape(moved, (-1, 1))
    missed += np.reshape(moved, (-1, 1))

    exact = np.ldexp(layer.mantissa.astype(np.float64), -layer.shift).astype(np.float32)
    factor, addend = exact.copy(), np.zeros_like(exact)
    wanting = np.arange(len(exact))
    for step in sorted(range(-SLOPES, SLOPES + 1), key=abs):
        slope: _SingleArray = exact[wanting] + step * np.spacing(exact[wanting])
        points = reached[wanting] * slope[:, None].astype(np.float64)
        short = missed[wanting] * slope[:, None].astype(np.float64)
        low = (above[wanting] - points).max(axis=1)
        high = (below[wanting] - short).min(axis=1)
        middle = _middle(low, high)
        up = _always_above(points, middle, above[wanting])
        down = _always_above(-short, -middle, -below[wanting])
        found = (up & down).all(axis=1)
        factor[wanting[found]], addend[wanting[found]] = slope[found], middle[found]
        wanting = wanting[~found]
        if not wanting.size:
            return factor, addend
    return None


def _middle(low: _DoubleArray, high: _DoubleArray) -> _SingleArray:
    """Between the two; where one is infinite, 1 inside the other."""
    low, high = np.where(np.isinf(low), high - 2, low), np.where(np.isinf(high), low + 2, high)
    return ((low + high) / 2).astype(np.float32)


def _always_above(
    products: _DoubleArray, addend: _SingleArray, levels: _DoubleArray
) -> npt.NDArray[np.bool_]:
    """Whether each line exceeds its level (channels, levels), rounded once and rounded twice.

    Float64 holds the products, and levels are numbers of float32: the sum rounded once exceeds its
    level where it lies further above than half way to the next number.
    """
    twice = products.astype(np.float32) + addend[:, None]
    half_way = np.where(np.isinf(levels), 0, _ROUNDING * np.abs(levels))
    once = products + addend[:, None].astype(np.float64) - half_way
    result: npt.NDArray[np.bool_] = (twice > levels) & (once > levels)
    return result
