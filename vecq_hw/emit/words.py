"""How elements lie in a stream word or a memory line: numeric contract, rule 7."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray


def padded_bits(lanes: int, bits: int) -> int:
    """Width of an AXI4-Stream word: ``lanes`` elements of ``bits`` bits, up to whole bytes.

    Examples
    --------
    >>> padded_bits(3, 5)
    16
    """
    return 8 * -(-lanes * bits // 8)


def pack(elements: Iterable[int], bits: int) -> int:
    """One word: element 0 in the least significant bits, each in exactly ``bits`` bits.

    Examples
    --------
    >>> hex(pack([1, -1, 2], 4))
    '0x2f1'
    """
    mask, word = (1 << bits) - 1, 0
    for position, element in enumerate(elements):
        word |= (element & mask) << position * bits
    return word


def unpack(word: int, lanes: int, bits: int, signed: bool) -> list[int]:
    """The elements of a word.

    Examples
    --------
    >>> unpack(0x2F1, 3, 4, signed=True)
    [1, -1, 2]
    """
    mask, half = (1 << bits) - 1, (1 << bits >> 1) if signed else 0
    # Flipping the sign bit and taking half the range off again extends the sign.
    return [((word >> lane * bits & mask) ^ half) - half for lane in range(lanes)]


def pack_rows(elements: IntArray, lanes: int, bits: int) -> list[int]:
    """The words of all elements, ``lanes`` a word, in the array's order."""
    return [pack(row, bits) for row in elements.reshape(-1, lanes).tolist()]


def unpack_rows(words: Iterable[int], lanes: int, bits: int, signed: bool) -> npt.NDArray[np.int64]:
    """The elements of all words: int64 array of shape (elements,)."""
    elements = [element for word in words for element in unpack(word, lanes, bits, signed)]
    return np.array(elements, dtype=np.int64)
