"""A Rescale or Threshold as lines that are rounded half to even, proven to give the same codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.emit.onnx.writer import EXACT_FLOAT32
from vecq_hw.formats import FloatArray, IntArray, IntFormat
from vecq_hw.layers import Rescale, Threshold
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.simulate.lines import proven_line

MOST_CODE_BITS = 12
"""Bits of codes whose thresholds are tried or written: 4095 for each channel."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """``rint(clip(acc * factor + addend, lo, hi))`` in float32; arrays of shape (C,)."""

    factor: npt.NDArray[np.float32]
    addend: npt.NDArray[np.float32]


def line_of(layer: Rescale | Threshold, source: IntFormat) -> Line | None:
    """The line of each channel, or None where one channel has none.

    First ``m 2^-s`` and ``b 2^-s`` themselves, whose ties go half to even and not up, so that they
    serve only where no accumulator meets a tie; then another slope and offset between the
    thresholds (``simulate.lines``).  Codes of more than :data:`MOST_CODE_BITS` have too many
    thresholds to try, and a line only where ``m 2^-s`` and ``b 2^-s`` are integers.
    """
    if not isinstance(layer, Rescale):
        return None
    shift = layer.shifts
    own = Line(
        np.ldexp(layer.mantissa.astype(np.float64), -shift).astype(np.float32),
        np.ldexp(layer.offset.astype(np.float64), -shift).astype(np.float32),
    )
    if _is_exact(layer, source):
        return own
    if layer.format.bits > MOST_CODE_BITS:
        return None
    if holds(own, thresholds_of(layer, source), source):
        return own
    found = proven_line(layer, source, rounded=True) if source.magnitude <= 1 << 24 else None
    return None if found is None else Line(*found)


def _is_exact(layer: Rescale, source: IntFormat) -> bool:
    """Whether products and sums are integers that float32 holds, so that nothing is rounded."""
    unit = np.int64(1) << layer.shifts
    if (layer.mantissa % unit).any() or (layer.offset % unit).any():
        return False
    factor, addend = abs(layer.mantissa // unit), abs(layer.offset // unit)
    return all(
        int(m) * source.magnitude + int(b) <= EXACT_FLOAT32
        for m, b in zip(factor, addend, strict=True)
    )


def holds(line: Line, rule: Threshold, source: IntFormat) -> bool:
    """Whether a line gives the codes of thresholds, on all accumulators of a range.

    Each level is reached at its threshold and not at the neighbour before it.  Products, sums and
    rounding are monotonic, so that all others follow.  Both ways of computing are tried: product
    and sum rounded to float32, and neither.
    """
    fmt = rule.format
    falling = rule.falling[:, np.newaxis].astype(bool)
    rising = np.arange(fmt.lo + 1, fmt.hi + 1)
    levels = np.where(falling, rising[::-1], rising)
    reached = rule.thresholds
    missed = reached + np.where(falling, 1, -1)
    factor, addend = line.factor[:, np.newaxis], line.addend[:, np.newaxis]

    def codes(points: IntArray, kind: type[np.floating]) -> FloatArray:
        values = points.astype(kind) * factor.astype(kind) + addend.astype(kind)
        rounded: FloatArray = np.rint(np.clip(values, fmt.lo, fmt.hi))
        return rounded

    for kind in (np.float32, np.float64):
        up = (codes(reached, kind) >= levels) | (reached < source.lo) | (reached > source.hi)
        down = (codes(missed, kind) < levels) | (missed < source.lo) | (missed > source.hi)
        if not (up & down).all():
            return False
    # A format of one code asks for nothing, and is what the clip makes of any line.
    return True
