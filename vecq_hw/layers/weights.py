"""The weights of a layer, in three kinds; consumers read values, which are integers in each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import (
    BitPlanes,
    Grid,
    IntArray,
    IntFormat,
    TwosComplement,
    bit_planes,
    planes_of,
)
from vecq_hw.layers.tensor import frozen

MOST_WORDS = 1 << 16
"""The most words of a book."""
_BYTES = TwosComplement(8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """Codes as trained and the grid that gives them integer values.

    Attributes
    ----------
    codes : int16 array of shape (O, C) or (O, KH, KW, C)
    grid : Grid
    step : float
        Real value of the integer value 1; for VecQ that is alpha / 2.
    """

    codes: IntArray
    grid: Grid
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", frozen(self.codes, np.int16))

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The integer values; same shape as the codes."""
        return self.grid.values(self.codes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return self.codes.shape

    @property
    def bits(self) -> int:
        """The bits of a weight where each is stored by itself."""
        return self.grid.bits

    @property
    def stored_bits(self) -> int:
        """The bits of all codes together."""
        return self.codes.size * self.grid.bits

    @property
    def value_format(self) -> IntFormat:
        """The format of the values that a code can stand for."""
        return self.grid.value_format

    @property
    def planes(self) -> BitPlanes:
        """The fewest bit planes that hold every value that a code can stand for."""
        return bit_planes(self.grid)

    @property
    def kind(self) -> str:
        """The kind of the values, for messages."""
        return type(self.grid).__name__

    def problems(self) -> Iterator[str]:
        """What is illegal about them, as sentences."""
        codes, fmt = self.codes, self.grid.code_format
        if codes.size and not fmt.contains(int(codes.min()), int(codes.max())):
            yield (
                f"the codes {codes.min()}..{codes.max()} do not fit"
                f" {fmt.bits} bits ({fmt.lo}..{fmt.hi})"
            )

    def flipped(self, places: IntArray) -> Self:
        """The weights with bits of their memory inverted, each of 0 to ``stored_bits - 1``.

        ``places`` has the shape (flips,).
        """
        return replace(self, codes=_flipped(self.codes, self.grid.code_format, places))

    def __repr__(self) -> str:
        return f"{self.bits}-bit"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProductWeights:
    """Blocks of neighbouring input channels, each of which is a word of a book.

    Stock et al., *And the Bit Goes Down*, ICLR 2020: the layer shares the book, a block stores the
    index of its word alone.

    Attributes
    ----------
    indices : int32 array of shape (O, C / d) or (O, KH, KW, C / d)
    book : int16 array of shape (K, d)
        Codes of ``grid``; K is 2, 4, 8, ... 2^16, so that every pattern of an index has a word.
    grid : Grid
    step : float
        Real value of the integer value 1.
    """

    indices: IntArray
    book: IntArray
    grid: Grid = _BYTES
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", frozen(self.indices, np.int32))
        object.__setattr__(self, "book", frozen(self.book, np.int16))
        words = len(self.book) if self.book.ndim == 2 else 0
        if not 2 <= words <= MOST_WORDS or words & (words - 1) or not self.book.shape[1]:
            raise VecqError(
                f"a book has the shape (2, 4, 8, ... or {MOST_WORDS} words, block), not"
                f" {self.book.shape}; repeat a word to fill it"
            )
        if not self.indices.ndim:
            raise VecqError("the indices of a book are an array of shape (O, blocks)")

    @property
    def block(self) -> int:
        """Weights of a word."""
        return int(self.book.shape[1])

    @property
    def index_bits(self) -> int:
        """The bits of an index."""
        return (len(self.book) - 1).bit_length()

    @property
    def book_values(self) -> npt.NDArray[np.int32]:
        """The integer values of the book; shape (K, d)."""
        return self.grid.values(self.book)

    @property
    def book_planes(self) -> BitPlanes:
        """The fewest of two's complement that hold every value of the book."""
        values = self.book_values
        return BitPlanes(IntFormat.covering(int(values.min()), int(values.max())).bits, signs=False)

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The integer values; shape (O, C) or (O, KH, KW, C)."""
        return self.book_values[self.indices].reshape(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return (*self.indices.shape[:-1], self.indices.shape[-1] * self.block)

    @property
    def bits(self) -> int:
        """The bits of a weight where each is stored by itself."""
        return self.grid.bits

    @property
    def stored_bits(self) -> int:
        """The bits of all indices and of the book together."""
        return self.indices.size * self.index_bits + self.book.size * self.grid.bits

    @property
    def value_format(self) -> IntFormat:
        """The format of the values that the book can hold."""
        return self.grid.value_format

    @property
    def planes(self) -> BitPlanes:
        """The fewest bit planes that hold every value of the book."""
        return planes_of(self.book_values)

    @property
    def kind(self) -> str:
        """The kind of the values, for messages."""
        return type(self).__name__

    def problems(self) -> Iterator[str]:
        """What is illegal about them, as sentences."""
        fmt, indices = self.grid.code_format, self.indices
        if not fmt.contains(int(self.book.min()), int(self.book.max())):
            yield (
                f"the book's codes {self.book.min()}..{self.book.max()} do not fit"
                f" {fmt.bits} bits ({fmt.lo}..{fmt.hi})"
            )
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self.book):
            yield (
                f"the indices {indices.min()}..{indices.max()} leave the book of"
                f" {len(self.book)} words"
            )

    def flipped(self, places: IntArray) -> Self:
        """The weights with bits of their memory inverted; the indices come first.

        ``places`` has the shape (flips,).
        """
        border = self.indices.size * self.index_bits
        first, second = places[places < border], places[places >= border] - border
        index = IntFormat(self.index_bits, signed=False)
        return replace(
            self,
            indices=_flipped(self.indices, index, first),
            book=_flipped(self.book, self.grid.code_format, second),
        )

    def __repr__(self) -> str:
        return f"{_each(self)}-bit product of {len(self.book)} × {self.block}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BinaryBases:
    """Sums of binary vectors, as many for each group of input channels as it is worth.

    A group of n neighbouring weights of one output is ``sum_i coordinate_i * (+-1, ..., +-1)``
    (Qu et al., *Adaptive Loss-aware Quantization*, CVPR 2020).  A coordinate of 0 is a base that
    was pruned; such bases stand last in their group, and their bits are 0.

    Attributes
    ----------
    bases : uint8 array of shape (O, G, I, n) or (O, KH, KW, G, I, n)
        1 for +1 and 0 for -1, of at most I bases; the G groups of n channels lie side by side.
    coordinates : int16 array of shape (O, G, I) or (O, KH, KW, G, I)
    step : float
        Real value of the integer value 1.
    """

    bases: IntArray
    coordinates: IntArray
    step: float = 1.0

    def __post_init__(self) -> None:
        bases, coordinates = frozen(self.bases, np.uint8), frozen(self.coordinates, np.int16)
        if bases.ndim < 4 or coordinates.shape != bases.shape[:-1] or not all(bases.shape[-2:]):
            raise VecqError(
                f"bases and coordinates have the shapes {bases.shape} and {coordinates.shape};"
                " (O, ..., groups, bases, channels) and the same without channels are wanted"
            )
        if bases.size and bases.max() > 1:
            raise VecqError(f"the bits of a base are 0 and 1, not {bases.max()}")
        order = np.argsort(coordinates == 0, axis=-1, kind="stable")
        coordinates = np.take_along_axis(coordinates, order, axis=-1)
        bases = np.take_along_axis(bases, order[..., np.newaxis], axis=-2)
        bases = np.where(coordinates[..., np.newaxis] == 0, 0, bases)
        object.__setattr__(self, "bases", frozen(bases, np.uint8))
        object.__setattr__(self, "coordinates", frozen(coordinates, np.int16))

    @property
    def group(self) -> int:
        """Input channels of a group."""
        return int(self.bases.shape[-1])

    @property
    def counts(self) -> IntArray:
        """How many bases each group has; shape (O, ..., G)."""
        result: IntArray = np.count_nonzero(self.coordinates, axis=-1)
        return result

    def passes(self, outputs: int) -> float:
        """How many passes a group takes on average where ``outputs`` are computed side by side.

        They take as many as the one of them with the most bases there.

        Parameters
        ----------
        outputs : int
            Divides all outputs; with 1 the result is the mean number of bases.
        """
        counts = self.counts
        side_by_side = counts.reshape(len(counts) // outputs, outputs, -1)
        return float(side_by_side.max(axis=1).mean())

    @property
    def coordinate_format(self) -> IntFormat:
        """The narrowest that holds all coordinates; unsigned where none is negative."""
        coordinates = self.coordinates
        least, most = int(coordinates.min(initial=0)), int(coordinates.max(initial=0))
        return IntFormat.covering(least, most, signed=least < 0)

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The integer values; shape (O, C) or (O, KH, KW, C)."""
        signs = 2 * self.bases.astype(np.int32) - 1
        sums = np.multiply(signs, self.coordinates[..., np.newaxis]).sum(axis=-2, dtype=np.int32)
        result: npt.NDArray[np.int32] = sums.reshape(self.shape)
        return result

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return (*self.bases.shape[:-3], self.bases.shape[-3] * self.group)

    @property
    def bits(self) -> int:
        """The bits of a weight where each is stored by itself."""
        return self.planes.bits

    @property
    def stored_bits(self) -> int:
        """The bits of all bases that are left, of their coordinates, and of the counts."""
        return sum(self._parts)

    @property
    def _parts(self) -> tuple[int, int, int]:
        """Bits of bases, of coordinates, of counts."""
        kept, counts = int(self.counts.sum()), self.counts.size
        return kept * self.group, kept * self.coordinate_format.bits, counts * self._count_bits

    @property
    def _count_bits(self) -> int:
        return int(self.bases.shape[-2]).bit_length()

    @property
    def value_format(self) -> IntFormat:
        """The format of the values that these weights have."""
        values = self.values
        return IntFormat.covering(int(values.min()), int(values.max()))

    @property
    def planes(self) -> BitPlanes:
        """The fewest bit planes that hold the values."""
        return planes_of(self.values)

    @property
    def kind(self) -> str:
        """The kind of the values, for messages."""
        return type(self).__name__

    def problems(self) -> Iterator[str]:
        """Nothing more can be."""
        yield from ()

    def flipped(self, places: IntArray) -> Self:
        """The weights with bits of their memory inverted: bases, coordinates, counts.

        A base that a longer count would bring in has the coordinate 0.

        ``places`` has the shape (flips,).
        """
        kept, (bases_end, coordinates_size, _) = self.coordinates != 0, self._parts
        places = np.sort(places)
        ends = np.searchsorted(places, [bases_end, bases_end + coordinates_size])
        first, second, third = np.split(places, ends)
        bases, coordinates = self.bases.copy(), self.coordinates.copy()
        bit = IntFormat(1, signed=False)
        bases[kept] = _flipped(bases[kept], bit, first)
        coordinates[kept] = _flipped(coordinates[kept], self.coordinate_format, second - bases_end)
        counts = IntFormat(self._count_bits, signed=False)
        left = _flipped(self.counts, counts, third - bases_end - coordinates_size)
        coordinates[np.arange(kept.shape[-1]) >= left[..., np.newaxis]] = 0
        return replace(self, bases=bases, coordinates=coordinates)

    def __repr__(self) -> str:
        return f"{_each(self)}-bit binary bases"


AnyWeights = Weights | ProductWeights | BinaryBases
"""What a layer multiplies by: ``values`` of a ``shape``, a ``step``, ``stored_bits``."""


def _each(weights: ProductWeights | BinaryBases) -> str:
    """Stored bits of a weight."""
    return f"{weights.stored_bits / max(math.prod(weights.shape), 1):.3g}"


def _flipped(codes: IntArray, fmt: IntFormat, places: IntArray) -> IntArray:
    """Codes of a format with bits inverted that are numbered from the first code's lowest on."""
    flat = codes.astype(np.int64).reshape(-1)
    elements, bits = np.divmod(places, fmt.bits)
    np.bitwise_xor.at(flat, elements, np.int64(1) << bits)
    flat &= (1 << fmt.bits) - 1
    if fmt.signed:
        flat -= (flat >> (fmt.bits - 1)) << fmt.bits
    return flat.reshape(codes.shape)
