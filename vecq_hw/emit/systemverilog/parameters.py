"""Numbers of layers as the parameters and memories that the cells of ``rtl/`` take."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import GatherSum, Lookup
from vecq_hw.schedule import Fabric


def signed_literal(value: int) -> str:
    """A literal of 64 bits.

    Examples
    --------
    >>> signed_literal(-3)
    "-64'sd3"
    """
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"


def word_literal(values: IntArray, bits: int) -> str:
    """A literal of ``bits`` bits of each value, the first one in the least significant bits.

    ``values`` has any shape, whose elements lie in order.

    Examples
    --------
    >>> word_literal(np.array([3, -1]), 4)
    "8'hf3"
    """
    (word,) = pack_rows(values, values.size, bits)
    return f"{values.size * bits}'h{word:x}"


def bit(value: bool) -> str:
    """A literal of one bit."""
    return f"1'b{int(value)}"


def carry_choice(fabric: Fabric) -> dict[str, object]:
    """The parameter of cells that use what carry cells of ECP5 can do; or none."""
    return {"CarryChoice": 1} if fabric is Fabric.ECP5 else {}


def memory_text(values: IntArray, lanes: int, bits: int) -> str:
    """A memory file of ``lanes`` values of ``bits`` bits per line, hexadecimal.

    ``values`` has any shape, whose elements lie in order.
    """
    digits = -(-lanes * bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in pack_rows(values, lanes, bits))


def lookup_lines(layer: Lookup, source: IntFormat, lanes: int) -> IntArray:
    """The memory of ``vecq_lookup``, addressed by an element's bits behind the word's number.

    Returns
    -------
    int64 array of shape (2^bits, 1), or (C / lanes * 2^bits, lanes) with a table for each channel

    Examples
    --------
    >>> layer = Lookup(name="t", input="x", table=np.array([[8, 9, 5]]), format=IntFormat(4, False))
    >>> lookup_lines(layer, IntFormat(2, signed=True, lo=-2, hi=0), 1).ravel()
    array([5, 5, 8, 9])
    """
    tables = layer.by_pattern(source)
    width = 1 if len(tables) == 1 else lanes
    # (words, lanes, patterns) to (words, patterns, lanes)
    lines = tables.reshape(-1, width, 1 << source.bits)
    return lines.swapaxes(1, 2).reshape(-1, width)


def gather_lines(layer: GatherSum, positions: int) -> tuple[npt.NDArray[np.int64], int, int]:
    """The list of ``vecq_gather_sum``: position, shift, whether the row's last, whether empty.

    Returns
    -------
    lines : int64 array of shape (entries,)
    bits : int
        Of a line.
    shift_bits : int

    Examples
    --------
    >>> layer = GatherSum(
    ...     name="g", input="x", indptr=[0, 2, 2], indices=[0, 3], shifts=[0, 0, 0, 1]
    ... )
    >>> lines, bits, shift_bits = gather_lines(layer, 4)
    >>> [f"{line:0{bits}b}" for line in lines], shift_bits
    (['00000', '01111', '11000'], 1)
    """
    found = layer.entries
    index_bits = max((positions - 1).bit_length(), 1)
    shift_bits = int(found.shifts.max()).bit_length()
    empty = (found.positions < 0).astype(np.int64)
    flags = found.last.astype(np.int64) | empty << 1
    fields = np.maximum(found.positions, 0) | found.shifts << index_bits
    return fields | flags << (index_bits + shift_bits), index_bits + shift_bits + 2, shift_bits
