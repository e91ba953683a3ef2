"""Rescale, Threshold and Lookup by operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.arithmetic import FloatRescale, half_of
from vecq_hw.emit.onnx.writer import (
    BOOL,
    FLOAT64,
    INT64,
    Writer,
    by_channel,
    carrier,
    floored_shift,
    integer,
)
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Lookup, Rescale, Tensor, Threshold


def rescale(w: Writer, x: str, layer: Rescale, source: Tensor) -> str:
    """In float64 where that holds every intermediate, else in int64."""
    fmt, image = layer.format, source.is_image

    def placed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if layer.rows is None:
            return by_channel(values, image)
        each: npt.NDArray[Any] = np.broadcast_to(values, layer.mantissa.shape)[layer.rows]
        return np.moveaxis(each.reshape(source.shape), -1, 0)

    offset, shift = layer.offset + half_of(layer.shift), np.asarray(layer.shift, np.int64)
    lines = np.broadcast_to(shift, layer.mantissa.shape)
    flat = (part.ravel() for part in (layer.mantissa, layer.offset, lines))
    if FloatRescale.is_exact(source.format.magnitude, *flat):
        factor = np.ldexp(layer.mantissa.astype(np.float64), -shift)
        total = w("Mul", w.cast(x, FLOAT64), placed(factor))
        total = w("Add", total, placed(np.ldexp(offset.astype(np.float64), -shift)))
        total = w("Floor", total)
    else:
        total = w("Mul", w.cast(x, INT64), placed(layer.mantissa))
        total = floored_shift(w, w("Add", total, placed(offset)), placed(lines))
    return w.cast(clipped(w, total, fmt), carrier(fmt))


def clipped(w: Writer, x: str, fmt: IntFormat) -> str:
    """Saturated to the range of a format."""
    kind = w.types[x]
    return w("Clip", x, np.array(fmt.lo, kind), np.array(fmt.hi, kind))


def threshold(w: Writer, x: str, layer: Threshold, source: Tensor) -> str:
    """A binary search in each channel's row: as many comparisons as the output has bits.

    A falling channel counts ``-acc >= -t``.  The rows are filled up to one less than a power of two
    by thresholds that no accumulator reaches.  One row for all channels stands once.
    """
    fmt, image = layer.format, source.is_image
    levels = fmt.hi - fmt.lo
    steps = levels.bit_length()
    lo, hi = source.format.lo, source.format.hi
    falling = layer.falling[:, np.newaxis].astype(bool)
    kind = integer(max(hi, -lo) + 1)
    # Beyond the proven range they ask for nothing more, and fit the type.
    rows = np.clip(layer.thresholds, lo - 1, hi + 1)
    rows = np.where(falling, -rows[:, ::-1], rows)
    never = np.where(falling, 1 - lo, hi + 1)
    missing = (1 << steps) - 1 - levels
    table = np.concatenate([rows, np.repeat(never, missing, axis=1)], axis=1).astype(kind)
    width = table.shape[1]
    x = w.cast(x, kind)
    if layer.falling.any():
        signs = 1 - 2 * layer.falling.astype(kind)
        x = w("Mul", x, signs if layer.shared else by_channel(signs, image))
    found = w("Mul", w.cast(x, INT64), np.array(0))
    if not steps:
        return w.cast(w("Add", found, np.array(fmt.lo)), carrier(fmt))
    flat = w.constant(table.reshape(-1), "thresholds")
    rows_at = np.arange(len(table)) * width
    first = rows_at if layer.shared else by_channel(rows_at, image)
    for step in (1 << bit for bit in reversed(range(steps))):
        place = w("Add", found, first + step - 1)
        reached = w("GreaterOrEqual", x, w("Gather", flat, place), kind=BOOL)
        more = w("Cast", reached, kind=INT64, to=INT64)
        found = w("Add", found, w("Mul", more, np.array(step)) if step > 1 else more)
    return w.cast(w("Add", found, np.array(fmt.lo)) if fmt.lo else found, carrier(fmt))


def lookup(w: Writer, x: str, layer: Lookup, source: Tensor) -> str:
    """A Gather from the table, or from the channel's."""
    tables, entries = layer.table.shape
    first = np.array(-source.format.lo)
    if tables > 1:
        first = by_channel(np.arange(tables) * entries - source.format.lo, source.is_image)
    place = w("Add", w.cast(x, INT64), first)
    return gathered(w, layer.table.reshape(-1), place, layer.format)


def gathered(w: Writer, table: IntArray, place: str, fmt: IntFormat) -> str:
    """The entries of a table at places, in the type of their format.

    ``table`` has the shape (entries,).
    """
    kind = w.carrier(fmt)
    return w("Gather", w.constant(table.astype(kind), "table"), place, kind=kind)
