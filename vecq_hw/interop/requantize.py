"""A source's own arithmetic between an accumulator and the next code, as thresholds.

Conversion to float, products with a positive constant, sums with a constant, maxima, clips and
roundings are monotone, and so is what is made of them.  So a code is a count of thresholds, each of
which bisection finds by evaluating the source's rules themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.shared_rows import shared
from vecq_hw.interop.shorten import channel_ranges, shortened
from vecq_hw.layers import MOST_LOOKUP_BITS, CodeLayer, Lookup, Tensor, Threshold

Requantizer = Callable[[IntArray], IntArray]
"""Accumulators of shape (C, n) to codes of shape (C, n), zero points taken off; monotone along n.

The codes lie within the format of the result.  Any n is asked for, also the same accumulator twice.
"""

MOST_ENUMERATED = 1 << 17
"""Integers of the largest range that is evaluated whole: the thresholds must be the function."""
_PROBES = 1 << 20
"""So many integers of a wider range, in all channels together, and each threshold's neighbours."""
_BLOCK = 1 << 20
"""Evaluations at a time."""


def requantized(
    name: str,
    source: str,
    tensor: Tensor,
    function: Requantizer,
    result: IntFormat,
    step: float,
    node: str = "",
    ranges: IntArray | None = None,
) -> CodeLayer:
    """The layer that computes ``function`` on every integer of the proven range of ``tensor``.

    A Rescale where one is exactly the same.  Else a Threshold, with one row where that serves all
    channels; a Lookup of a narrow tensor where its one table is at most twice that row, as it gives
    a code in one cycle, or where the function is not monotone.

    Parameters
    ----------
    name : str
        Of the layer.
    source : str
        The tensor that it reads, which ``tensor`` describes.
    result : IntFormat
        Of the codes.
    step : float
        Real value of one unit of the codes.
    node : str
        Of the file, for messages.
    ranges : int array of shape (C, 2), optional
        The proven least and greatest integer of each channel, where they are known.

    Raises
    ------
    VecqError
        The function is not monotone and the tensor too wide for a Lookup, or it leaves the format.
    """
    fmt = tensor.format
    narrow = fmt.bits <= MOST_LOOKUP_BITS
    try:
        rule = thresholds(name, source, tensor, function, result, step, ranges)
    except NotMonotoneError:
        if narrow:
            return lookup(name, source, tensor, function, result, step)
        raise VecqError(
            f"node '{node or name}': what lies between its accumulator of {fmt.bits} bits and its"
            " code neither rises nor falls throughout; a monotone function or a code of at most"
            f" {MOST_LOOKUP_BITS} bits is wanted"
        ) from None
    line = shortened(rule, tensor, ranges)
    if line is not None:
        return line
    one = shared(rule, channel_ranges(tensor, ranges))
    if one is not None and narrow:
        table = lookup(name, source, tensor, function, result, step)
        if table.table.size * result.bits <= 2 * one.thresholds.size * fmt.bits:
            return table
    return rule if one is None else one


class NotMonotoneError(VecqError):
    """A function of accumulators rises and falls."""


def thresholds(
    name: str,
    source: str,
    tensor: Tensor,
    function: Requantizer,
    result: IntFormat,
    step: float,
    ranges: IntArray | None = None,
) -> Threshold:
    """The thresholds of a function over the proven range of what it reads, found by bisection.

    Where the ranges of channels are known, each has those of its own range.

    ``ranges`` has the shape (C, 2): the least and the most of each channel.

    Raises
    ------
    NotMonotoneError
        The thresholds found do not give the function.
    VecqError
        The function leaves the format of the result.
    """
    evaluate = _checked(function, result)
    ends = channel_ranges(tensor, ranges)
    at_ends = evaluate(ends)
    falling = at_ends[:, 0] > at_ends[:, 1]
    # A falling channel rises with the negated accumulator u = sign * x.
    sign = np.where(falling, -1, 1)[:, np.newaxis]
    first = np.where(falling, -ends[:, 1], ends[:, 0])[:, np.newaxis]
    last = np.where(falling, -ends[:, 0], ends[:, 1])[:, np.newaxis]
    levels = np.arange(result.lo + 1, result.hi + 1)
    below = np.tile(first - 1, (1, len(levels)))  # not reached
    above = np.tile(last + 1, (1, len(levels)))  # reached, or beyond the range
    for _ in range(64):
        middle = (below + above) >> 1
        open_ = above - below > 1
        if not open_.any():
            break
        asked = np.clip(middle, first, last) * sign
        reached = _in_parts(evaluate, asked) >= levels
        above = np.where(open_ & reached, middle, above)
        below = np.where(open_ & ~reached, middle, below)
    rows_of = np.where(sign > 0, above, -above[:, ::-1])
    rule = Threshold(
        name=name,
        input=source,
        thresholds=rows_of.astype(np.int64),
        falling=falling.astype(np.int64),
        format=result,
        step=step,
    )
    _check(rule, ends, evaluate)
    return rule


def lookup(
    name: str,
    source: str,
    tensor: Tensor,
    function: Requantizer,
    result: IntFormat,
    step: float,
) -> Lookup:
    """Any function of a narrow code, as a table; one for all channels where they are alike."""
    fmt = tensor.format
    codes = np.arange(fmt.lo, fmt.hi + 1)
    table = _checked(function, result)(np.tile(codes, (tensor.channels, 1)))
    if (table == table[:1]).all():
        table = table[:1]
    return Lookup(name=name, input=source, table=table, format=result, step=step)


def _checked(function: Requantizer, result: IntFormat) -> Callable[[IntArray], IntArray]:
    """The function in int64; codes that leave the format are refused."""

    def evaluate(x: IntArray) -> IntArray:
        codes = np.asarray(function(x))
        if codes.shape != x.shape or codes.dtype.kind not in "iu":
            raise TypeError(f"a requantizer gave {codes.dtype} {codes.shape} for {x.shape}")
        if codes.size and not result.contains(int(codes.min()), int(codes.max())):
            raise VecqError(f"codes of {codes.min()}..{codes.max()} leave {result!r}")
        return codes.astype(np.int64, copy=False)

    return evaluate


def _in_parts(evaluate: Callable[[IntArray], IntArray], x: IntArray) -> npt.NDArray[np.int64]:
    """``evaluate`` on a few columns at a time: what it holds in between stays small."""
    width = max(1, _BLOCK // max(len(x), 1))
    if x.shape[1] <= width:
        return np.asarray(evaluate(x), np.int64)
    parts = [evaluate(x[:, start : start + width]) for start in range(0, x.shape[1], width)]
    return np.concatenate(parts, axis=1)


def _check(rule: Threshold, ends: IntArray, evaluate: Callable[[IntArray], IntArray]) -> None:
    """Compare thresholds and function where that can differ, everywhere in a small range."""
    lo, hi = ends[:, :1], ends[:, 1:]
    channels, count = len(rule.thresholds), int((hi - lo).max()) + 1
    if count <= MOST_ENUMERATED and count * channels <= _PROBES * 8:
        points = np.minimum(lo + np.arange(count), hi)
    else:
        each = min(MOST_ENUMERATED, max(_PROBES // channels, 1 << 10))
        spread = np.linspace(ends[:, 0], ends[:, 1], each, axis=1).astype(np.int64)
        near = rule.thresholds
        around = (near - 1, near, near + 1, spread)
        points = np.clip(np.concatenate(around, axis=1), lo, hi)
    found = _in_parts(evaluate, points)
    for row, falls, x, wanted in zip(rule.thresholds, rule.falling, points, found, strict=True):
        if falls:
            counts = len(row) - np.searchsorted(row, x, side="left")
        else:
            counts = np.searchsorted(row, x, side="right")
        if not np.array_equal(counts + rule.format.lo, wanted):
            raise NotMonotoneError("a function of accumulators rises and falls")
