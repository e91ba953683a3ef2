"""Layers that move integers and change none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers.tensor import LARGEST_SIZE, OfOneTensor, Tensor, dimension_problems, frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(OfOneTensor):
    """(H, W, C) becomes (H*W*C,), in this order; no integer changes."""

    name: str
    input: str

    def output(self, source: Tensor) -> Tensor:
        """The same integers as a vector."""
        return replace(source, shape=(math.prod(source.shape),))

    def problems(self, source: Tensor) -> Iterator[str]:
        """Nothing can be."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample2d(OfOneTensor):
    """Each pixel ``factor`` times down and across: nearest neighbour."""

    name: str
    input: str
    factor: tuple[int, int]

    def output(self, source: Tensor) -> Tensor:
        """The larger image."""
        height, width, channels = source.shape
        shape = (height * self.factor[0], width * self.factor[1], channels)
        return replace(source, shape=shape)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        if any(not 1 <= factor <= LARGEST_SIZE for factor in self.factor):
            yield f"the factors must be at least 1 and below 2^31, not {self.factor}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Take(OfOneTensor):
    """``x[rows[i], columns[j], channels[k]]``, or ``code`` where one of these indices is -1.

    Slices, flips, shuffled channels, every mode of padding, zeros between the pixels.

    Attributes
    ----------
    rows, columns, channels : int64 arrays of shape (n,), or None
        Indices into the axis, or -1; None leaves the axis as it is.  Of a vector the channels alone
        can be taken.
    code : int
        Within the bits of the tensor that it reads.
    """

    name: str
    input: str
    rows: IntArray | None = None
    columns: IntArray | None = None
    channels: IntArray | None = None
    code: int = 0

    def __post_init__(self) -> None:
        for axis in ("rows", "columns", "channels"):
            if (indices := getattr(self, axis)) is not None:
                object.__setattr__(self, axis, frozen(indices, np.int64))

    @property
    def fills(self) -> bool:
        """Whether any index is -1."""
        return any(indices is not None and indices.min() < 0 for indices in self._axes)

    @property
    def _axes(self) -> tuple[IntArray | None, ...]:
        return self.rows, self.columns, self.channels

    def indices(self, shape: tuple[int, ...]) -> tuple[IntArray, ...]:
        """What it takes of each axis of a tensor of this shape."""
        given = self._axes[-len(shape) :]
        return tuple(
            np.arange(size) if taken is None else taken
            for size, taken in zip(shape, given, strict=True)
        )

    def output(self, source: Tensor) -> Tensor:
        """What is taken; its range covers the code where that is used."""
        shape = tuple(len(taken) for taken in self.indices(source.shape))
        fmt = source.format
        if self.fills:
            lo, hi = min(fmt.lo, self.code), max(fmt.hi, self.code)
            fmt = IntFormat(fmt.bits, fmt.signed, lo, hi)
        return replace(source, shape=shape, format=fmt)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        if not source.is_image and (self.rows is not None or self.columns is not None):
            yield f"it takes rows or columns of a tensor of shape {source.shape}; it has channels"
            return
        names = ("rows", "columns", "channels")[-len(source.shape) :]
        for what, size in zip(names, source.shape, strict=True):
            if (taken := getattr(self, what)) is None:
                continue
            if taken.ndim != 1 or not taken.size:
                yield f"the {what} have the shape {taken.shape}; one axis, not empty, is wanted"
            elif taken.min() < -1 or taken.max() >= size:
                yield f"the {what} are {taken.min()}..{taken.max()}; -1 to {size - 1} are wanted"
            elif taken.max() < 0:
                yield f"the {what} are all -1; at least one that is read is wanted"
        if not IntFormat(source.format.bits, source.format.signed).contains(self.code, self.code):
            yield f"the code {self.code} does not fit {source.format!r}"

    def __repr__(self) -> str:
        axes = ("rows", "columns", "channels")
        sizes = [
            f"{len(taken)} {axis}"
            for axis, taken in zip(axes, self._axes, strict=True)
            if taken is not None
        ]
        return f"Take({self.name}: {', '.join(sizes)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permute(OfOneTensor):
    """Reshaped to ``split``, its axes in ``order``, reshaped to ``shape``.

    Pixel shuffles, transposes, tokens; with the axes as they are, a reshape.

    Attributes
    ----------
    split : tuple of int
        Sizes whose product is that of the tensor.
    order : tuple of int
        Which axis of ``split`` comes first, second and so on.
    shape : (C,) or (H, W, C)
    """

    name: str
    input: str
    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]

    def output(self, source: Tensor) -> Tensor:
        """The same integers in another order."""
        return replace(source, shape=self.shape)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        count = math.prod(source.shape)
        for what, sizes in (("split", self.split), ("shape", self.shape)):
            if any(size < 1 for size in sizes) or math.prod(sizes) != count:
                yield (
                    f"the {what} is {sizes}; positive sizes whose product is the {count} integers"
                    f" of '{self.input}' are wanted"
                )
        if sorted(self.order) != list(range(len(self.split))):
            yield f"the order {self.order} does not name each axis of the split {self.split} once"
