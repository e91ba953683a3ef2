"""How elements lie in a stream word or a memory line: numeric contract, rule 7."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def padded_bits(lanes: int, bits: int) -> int:
    """Width of an AXI4-Stream word: ``lanes`` elements of ``bits`` bits, up to whole bytes.

    Examples
    --------
    >>> padded_bits(3, 5)
    16
    """
    return 8 * -(-lanes * bits // 8)


def slot_bits(bits: int) -> int:
    """The least of 8, 16, 32, ... that holds an element: its place on a stream of a chosen width.

    Examples
    --------
    >>> [slot_bits(bits) for bits in (1, 8, 9, 33)]
    [8, 8, 16, 64]
    """
    return max(8, 1 << (bits - 1).bit_length())


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


def pack_frame(frame: Sequence[int], lanes: int, bits: int) -> list[int]:
    """The words of a frame, ``lanes`` elements each.

    Examples
    --------
    >>> pack_frame([1, 2, 3, 4], lanes=2, bits=4)
    [33, 67]
    """
    return [pack(frame[start : start + lanes], bits) for start in range(0, len(frame), lanes)]


def unpack_frame(words: Iterable[int], lanes: int, bits: int, signed: bool) -> list[int]:
    """The elements of a frame from its words.

    Examples
    --------
    >>> unpack_frame([33, 67], lanes=2, bits=4, signed=False)
    [1, 2, 3, 4]
    """
    return [element for word in words for element in unpack(word, lanes, bits, signed)]
