"""What a memory of constants holds, as synthesis sees it: columns that never change are none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray

PACKED_WORDS = 60
"""Words up to which equal columns are found; in more of them no two are taken to be equal."""
Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The columns of a memory's words, the least significant bit first.

    Attributes
    ----------
    keys : int64 array of shape (elements of a word, bits of an element)
        0 or 1 of a column that is always that; else a larger number, the same for equal columns.
    most : int or None
        Bits of an element that are read; None: all.
    """

    keys: Keys
    most: int | None = None

    @property
    def read(self) -> npt.NDArray[np.bool_]:
        """Which columns change and are read; shape (elements * bits,)."""
        found = self.keys > 1
        found[:, self.keys.shape[1] if self.most is None else self.most :] = False
        return found.reshape(-1)

    def part(self, first: int, count: int) -> Keys:
        """The keys of so many columns from one on; shape (count,)."""
        return self.keys.reshape(-1)[first : first + count]


def contents(values: IntArray, bits: int) -> Contents:
    """The columns of words of ``bits`` bits.

    Parameters
    ----------
    values : int array of shape (words, elements)
        Of which the low ``bits`` bits are stored.

    Examples
    --------
    >>> contents(np.array([[1, 3], [3, 1]]), 3).keys.tolist()
    [[1, 4, 0], [1, 3, 0]]
    """
    values = values.astype(np.int64)
    places = np.arange(bits)
    always = np.bitwise_and.reduce(values, axis=0)[:, np.newaxis] >> places & 1
    ever = np.bitwise_or.reduce(values, axis=0)[:, np.newaxis] >> places & 1
    if len(values) <= PACKED_WORDS:
        stored = values[:, :, np.newaxis] >> places & 1
        weights = np.int64(1) << np.arange(len(values), dtype=np.int64)
        found = 2 + np.einsum("weo,w->eo", stored, weights)
    else:
        found = 2 + np.arange(always.size, dtype=np.int64).reshape(always.shape)
    return Contents(np.where(always == ever, always, found))


def unknown(elements: int, bits: int) -> Contents:
    """Columns of which none is constant, and none equals another."""
    return Contents(2 + np.arange(elements * bits, dtype=np.int64).reshape(elements, bits))


def functions(keys: Keys) -> int:
    """How many different columns change; ``keys`` has any shape."""
    return int((np.unique(keys) > 1).sum())


def drawn(words: int, columns: int) -> int:
    """The same of words drawn at random.

    The columns of a memory of 2, 4 or 8 words repeat: of ``f`` possible functions that are no
    constants, columns drawn at random leave ``f·(1 − e^(−columns/f))``.
    """
    possible = 2.0 ** min(words, 40) / 2 - 1
    return round(possible * -math.expm1(-columns / possible)) if possible else 0
