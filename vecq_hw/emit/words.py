"""Arrays as stream words or memory lines; a word is that of :mod:`vecq_hw.bench.words`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from vecq_hw.bench.words import pack, pack_frame, padded_bits, unpack, unpack_frame
from vecq_hw.formats import IntArray

__all__ = ["pack", "pack_rows", "padded_bits", "unpack", "unpack_rows"]


def pack_rows(elements: IntArray, lanes: int, bits: int) -> list[int]:
    """The words of all elements, ``lanes`` a word, in the array's order.

    ``elements`` has any shape; the last word of them all may be partial.
    """
    return pack_frame(elements.reshape(-1).tolist(), lanes, bits)


def unpack_rows(words: Iterable[int], lanes: int, bits: int, signed: bool) -> npt.NDArray[np.int64]:
    """The elements of all words: int64 array of shape (elements,)."""
    return np.array(unpack_frame(words, lanes, bits, signed), dtype=np.int64)
