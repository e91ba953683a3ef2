"""Sums over positions that a list names: the neighbours of a node, the words of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import MAX_BITS, IntArray, IntFormat
from vecq_hw.layers.codes import LONGEST_SHIFT
from vecq_hw.layers.tensor import OfOneTensor, Tensor, dimension_problems, frozen


class Entries(NamedTuple):
    """The lists of all rows, one behind the other; arrays of one length.

    Attributes
    ----------
    positions : int64 array
        -1 for an empty row.
    shifts : int64 array
    last : bool array
        Of its row.
    """

    positions: IntArray
    shifts: IntArray
    last: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatherSum(OfOneTensor):
    """Exact sums of the positions that each row lists; (H, W, C) becomes (1, M, C).

    ``out[i] = sum of x[j] << shifts[j] over j in indices[indptr[i]:indptr[i + 1]]``, positions of
    the image in raster order.  A position may be listed several times, and so adds several times;
    the sum of an empty row is 0.  The three arrays are those of a sparse matrix in CSR form.

    Attributes
    ----------
    indptr : int64 array of shape (M + 1,)
        From 0 to the number of indices, never falling.
    indices : int64 array of shape (E,)
        Of positions, 0 to ``H * W - 1``.
    shifts : int64 array of shape (H * W,), or None
        How far the codes of each position move left, 0 to 62: the steps of positions may differ by
        powers of two.
    """

    name: str
    input: str
    indptr: IntArray
    indices: IntArray
    shifts: IntArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "indptr", frozen(self.indptr, np.int64))
        object.__setattr__(self, "indices", frozen(self.indices, np.int64))
        if self.shifts is not None:
            object.__setattr__(self, "shifts", frozen(self.shifts, np.int64))

    @property
    def rows(self) -> int:
        """M."""
        return self.indptr.size - 1

    @property
    def edge_shifts(self) -> IntArray:
        """The shift of each index; shape (E,)."""
        shifts = self.shifts
        return np.zeros_like(self.indices) if shifts is None else shifts[self.indices]

    @property
    def entries(self) -> Entries:
        """The list as hardware walks over it: an empty row has an entry of its own."""
        counts = np.diff(self.indptr)
        places = np.maximum(counts, 1)
        size, ends = int(places.sum()), np.cumsum(places) - 1
        full = np.ones(size, bool)
        full[ends[counts == 0]] = False
        positions = np.full(size, -1, np.int64)
        positions[full] = self.indices
        shifts = np.zeros(size, np.int64)
        shifts[full] = self.edge_shifts
        last = np.zeros(size, bool)
        last[ends] = True
        return Entries(positions, shifts, last)

    def summed(self, terms: IntArray) -> IntArray:
        """The sums of each row over axis 0 of ``terms``, one for each index; shape (M, ...)."""
        sums = np.zeros((self.rows, *terms.shape[1:]), terms.dtype)
        filled = np.flatnonzero(np.diff(self.indptr))
        if filled.size:
            sums[filled] = np.add.reduceat(terms, self.indptr[filled], axis=0)
        return sums

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the sums, in a format that holds those of every row.

        Raises
        ------
        VecqError
            The sums would need more bits than any format has.
        """
        # Python integers: by how much each row multiplies the ends of the format.
        gains = self.summed(np.left_shift(np.ones(self.indices.size, object), self.edge_shifts))
        least, most = int(gains.min()), int(gains.max())
        lo, hi = (end * gain for end, gain in _worst(source.format, least, most))
        if max(hi, -lo - 1).bit_length() >= MAX_BITS:
            raise VecqError(
                f"layer '{self.name}': the sums would need more than {MAX_BITS} bits (they can"
                f" reach {max(hi, -lo)}); use shorter rows, smaller shifts or a narrower format"
            )
        fmt = IntFormat.covering(lo, hi, source.format.signed)
        return Tensor(shape=(1, self.rows, source.channels), format=fmt, step=source.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        indptr, indices, positions = self.indptr, self.indices, source.positions
        if indptr.ndim != 1 or indptr.size < 2 or indices.ndim != 1:
            yield (
                f"indptr and indices have the shapes {indptr.shape} and {indices.shape};"
                " (rows + 1,) with at least one row, and (indices,), are wanted"
            )
            return
        if indptr[0] != 0 or indptr[-1] != indices.size or (np.diff(indptr) < 0).any():
            yield f"indptr must rise from 0 to the {indices.size} indices"
        if indices.size and not 0 <= indices.min() <= indices.max() < positions:
            yield (
                f"the indices {indices.min()}..{indices.max()} leave the {positions} positions of"
                f" '{self.input}'"
            )
            return
        if self.shifts is None:
            return
        if self.shifts.shape != (positions,):
            yield f"the shifts have the shape {self.shifts.shape}, not ({positions},)"
        elif not 0 <= self.shifts.min() <= self.shifts.max() <= LONGEST_SHIFT:
            worst = self.shifts[(self.shifts < 0) | (self.shifts > LONGEST_SHIFT)][0]
            yield f"the shifts must be 0 to {LONGEST_SHIFT}, not {worst}"

    def __repr__(self) -> str:
        own = "" if self.shifts is None else f", shifts {self.shifts.min()}..{self.shifts.max()}"
        return f"GatherSum({self.name}: {self.indices.size} indices in {self.rows} rows{own})"


def _worst(fmt: IntFormat, least: int, most: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Which gain makes the lower end of a format least, and the upper one greatest."""
    return (
        (fmt.lo, most if fmt.lo < 0 else least),
        (fmt.hi, most if fmt.hi > 0 else least),
    )
