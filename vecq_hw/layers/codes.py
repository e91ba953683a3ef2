"""Layers that make codes of a format of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers.tensor import (
    UNSTORED_DEFAULT,
    OfOneTensor,
    Tensor,
    frozen,
    step_problems,
)

LONGEST_SHIFT = 62
"""Numeric contract, rule 4."""

PRODUCT_LIMIT = 1 << 62
"""Numeric contract, rule 4: ``-2^62 <= acc * mantissa + offset < 2^62``."""

MOST_LOOKUP_BITS = 12
"""The most bits that a Lookup reads: numeric contract, rule 3."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescale(OfOneTensor):
    """``clamp((acc * mantissa[c] + offset[c] + 2^(s-1)) >> s, lo, hi)``: the lossy layer.

    Numeric contract, rule 4.  Batch norm, bias and scales fold into it; an unsigned format makes
    it a ReLU.

    Attributes
    ----------
    mantissa, offset : int64 arrays of shape (C,), with ``rows`` (classes, C)
    shift : int, or int64 array of shape (C,), 1..62
        One for all channels, or one for each where their gains differ too much for one.  An array
        of equal shifts becomes the one; the two have cells of their own in hardware.
    format : IntFormat
        Of the output; ``lo`` and ``hi`` are the clamp.
    step : float
        Real value of one output unit.
    rows : int64 array of shape (positions,), optional
        The class of each position, row-major, which chooses mantissa and offset.
    """

    name: str
    input: str
    mantissa: IntArray
    offset: IntArray
    shift: int | IntArray
    format: IntFormat
    step: float = 1.0
    rows: IntArray | None = field(default=None, metadata=UNSTORED_DEFAULT)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mantissa", frozen(self.mantissa, np.int64))
        object.__setattr__(self, "offset", frozen(self.offset, np.int64))
        shift = frozen(self.shift, np.int64)
        alike = shift.ndim == 0 or (
            shift.shape == self.mantissa.shape[-1:] and len(set(shift.tolist())) == 1
        )
        object.__setattr__(self, "shift", int(shift.flat[0]) if alike else shift)
        if self.rows is not None:
            object.__setattr__(self, "rows", frozen(self.rows, np.int64))

    @property
    def channels(self) -> int:
        """C."""
        return int(self.mantissa.shape[-1])

    @property
    def classes(self) -> int:
        """How many lines each channel has: that of a position is chosen by its class."""
        return 1 if self.rows is None else len(self.mantissa)

    @property
    def shifts(self) -> IntArray:
        """The shift of each channel; shape (C,)."""
        return np.broadcast_to(np.asarray(self.shift, np.int64), self.mantissa.shape[-1:])

    @property
    def mantissa_bits(self) -> IntArray:
        """How many bits each mantissa has, its sign among them; shape of the mantissa.

        0 of a channel that is constant.
        """
        magnitudes = np.abs(self.mantissa).ravel().tolist()
        bits = np.array([m.bit_length() + (m > 0) for m in magnitudes], np.int64)
        return bits.reshape(self.mantissa.shape)

    def of_used_classes(self) -> Rescale:
        """The same function with a class for each line that some position has.

        Where all positions have one line, as in an image of one pixel, it has no ``rows``.
        """
        if self.rows is None:
            return self
        channels = self.channels
        lines, rows = np.unique(
            np.concatenate([self.mantissa, self.offset], axis=1)[self.rows],
            axis=0,
            return_inverse=True,
        )
        if len(lines) == self.classes:
            return self
        mantissa, offset = lines[:, :channels], lines[:, channels:]
        if len(lines) == 1:
            return replace(self, mantissa=mantissa[0], offset=offset[0], rows=None)
        return replace(self, mantissa=mantissa, offset=offset, rows=rows.reshape(-1))

    def output(self, source: Tensor) -> Tensor:
        """The tensor of its codes."""
        return replace(source, format=self.format, step=self.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        channels = source.channels
        if self.rows is not None and self.rows.shape != (source.positions,):
            yield (
                f"the rows have the shape {self.rows.shape}, not ({source.positions},), a class for"
                " each position"
            )
            return
        classes = () if self.rows is None else self.mantissa.shape[:1]
        wanted = (*classes, channels)
        if self.mantissa.shape != wanted or self.offset.shape != wanted:
            yield (
                f"mantissa and offset have the shapes {self.mantissa.shape} and"
                f" {self.offset.shape}, not {wanted}"
            )
            return
        if self.rows is not None and not np.isin(self.rows, np.arange(self.classes)).all():
            yield (
                f"the classes of positions reach from {self.rows.min()} to {self.rows.max()}, not"
                f" from 0 to {self.classes - 1}"
            )
        if not isinstance(self.shift, int) and self.shift.shape != (channels,):
            yield f"the shifts have the shape {self.shift.shape}, not ({channels},)"
            return
        wrong = self.shifts[(self.shifts < 1) | (self.shifts > LONGEST_SHIFT)]
        if wrong.size:
            yield f"the shift must be 1 to {LONGEST_SHIFT}, not {wrong[0]}"
        yield from step_problems(self.step)
        pairs = zip(self.mantissa.ravel().tolist(), self.offset.ravel().tolist(), strict=True)
        for line, (m, b) in enumerate(pairs):
            ends = (source.format.lo * m + b, source.format.hi * m + b)
            if min(ends) < -PRODUCT_LIMIT or max(ends) >= PRODUCT_LIMIT:
                yield (
                    f"channel {line % channels}: accumulator * {m} + {b} leaves ±2^62;"
                    " shorten the mantissa and the shift"
                )
                return

    def __repr__(self) -> str:
        own = f", shifts {self.shifts.min()}..{self.shifts.max()}"
        ending = "" if isinstance(self.shift, int) else own
        if self.rows is not None:
            ending += f", {self.classes} classes of rows"
        return f"Rescale({self.name}: {self.channels} channels → {self.format!r}{ending})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Threshold(OfOneTensor):
    """Counts thresholds: ``lo`` plus how many of its channel's thresholds the accumulator reaches.

    An exact equivalent of a Rescale on the proven range (``passes.thresholds``).  A rising channel
    counts ``acc >= t``, a falling one ``acc <= t``.  A threshold that no accumulator reaches lies
    outside the proven range.

    Attributes
    ----------
    thresholds : int64 array of shape (1 or C, format.hi - format.lo), each row ascending
        One row for all channels, or one for each.
    falling : int64 array of shape (1 or C,), 0 or 1
        Of each row.
    format : IntFormat
        Of the output.
    step : float
        Real value of one output unit.
    """

    name: str
    input: str
    thresholds: IntArray
    falling: IntArray
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", frozen(self.thresholds, np.int64))
        object.__setattr__(self, "falling", frozen(self.falling, np.int64))

    @property
    def shared(self) -> bool:
        """Whether one row serves all channels."""
        return len(self.thresholds) == 1

    def by_channel(self, channels: int) -> Threshold:
        """The same with a row for each channel."""
        if len(self.thresholds) == channels:
            return self
        rows = np.repeat(self.thresholds, channels, axis=0)
        return replace(self, thresholds=rows, falling=np.repeat(self.falling, channels))

    def output(self, source: Tensor) -> Tensor:
        """The tensor of its codes."""
        return replace(source, format=self.format, step=self.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        shapes, levels = (
            (self.thresholds.shape, self.falling.shape),
            self.format.hi - self.format.lo,
        )
        channels = source.channels
        if shapes not in [((rows, levels), (rows,)) for rows in (1, channels)]:
            yield (
                f"thresholds and falling have the shapes {shapes[0]} and {shapes[1]}, not"
                f" {(channels, levels)} and {(channels,)}, or {(1, levels)} and (1,) for all"
                " channels"
            )
            return
        if (self.thresholds[:, 1:] < self.thresholds[:, :-1]).any():
            yield "the thresholds of a channel must ascend"
        if not np.isin(self.falling, (0, 1)).all():
            yield "falling must be 0 or 1 for each channel"
        yield from step_problems(self.step)

    def __repr__(self) -> str:
        rows, levels = self.thresholds.shape
        own = f"{rows} channels" if rows > 1 else "one row"
        return f"Threshold({self.name}: {own} × {levels} → {self.format!r})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookup(OfOneTensor):
    """``table[c, x - lo]``, lo the least of the input's proven range: any function of a code.

    Attributes
    ----------
    table : int64 array of shape (1 or C, hi - lo + 1)
        One for all channels, or one for each; an entry for each integer of the proven range.
    format : IntFormat
        Of the output, which holds every entry.
    step : float
        Real value of one output unit.
    """

    name: str
    input: str
    table: IntArray
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", frozen(self.table, np.int64))

    def by_pattern(self, source: IntFormat) -> IntArray:
        """The entry of each pattern of the input's bits; shape (1 or C, 2^bits).

        A pattern stands for a number outside the proven range where that is narrower than its bits:
        it has the entry of the nearest number inside.
        """
        numbers = np.arange(1 << source.bits)
        if source.signed:
            numbers -= numbers >> (source.bits - 1) << source.bits
        return self.table[:, np.clip(numbers, source.lo, source.hi) - source.lo]

    def over(self, source: IntFormat, wanted: IntFormat) -> IntArray:
        """The table over the range of another input, with the nearest entries of its own.

        The shape is (1, entries) or, with a table for each channel, (C, entries).
        """
        numbers = np.clip(np.arange(wanted.lo, wanted.hi + 1), source.lo, source.hi)
        return self.table[:, numbers - source.lo]

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the entries."""
        return replace(source, format=self.format, step=self.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        fmt = source.format
        if fmt.bits > MOST_LOOKUP_BITS:
            yield (
                f"it reads {fmt.bits} bits; a table takes at most {MOST_LOOKUP_BITS}, so put a"
                " Rescale before it"
            )
            return
        entries = fmt.hi - fmt.lo + 1
        if self.table.shape not in ((1, entries), (source.channels, entries)):
            yield (
                f"the table has the shape {self.table.shape}, not (1, {entries}) or"
                f" ({source.channels}, {entries}): an entry for each of {fmt.lo}..{fmt.hi}"
            )
            return
        least, most = int(self.table.min()), int(self.table.max())
        if not self.format.contains(least, most):
            yield (
                f"the entries {least}..{most} leave {self.format.lo}..{self.format.hi}"
                f" ({self.format!r})"
            )
        yield from step_problems(self.step)

    def __repr__(self) -> str:
        tables, entries = self.table.shape
        own = f"{tables} tables" if tables > 1 else "one table"
        return f"Lookup({self.name}: {own} × {entries} → {self.format!r})"
