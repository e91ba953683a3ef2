"""Memories of ``rtl/vecq_rescale_serial.sv``: mantissas and constants, bit by bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.arithmetic import half_of
from vecq_hw.formats import IntArray, IntFormat


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SerialMemories:
    """What the unit reads for a frame.

    Attributes
    ----------
    bits : int64 array of shape (words * turns * mantissa bits, units * 2)
        Of each unit a bit of the mantissa and one of the constant.
    rests : int64 array of shape (words * turns, units)
        The constants without those low bits.
    rest_bits : int
        Of a rest, signed.
    further : int64 array of shape (words * turns, units)
        By how much more than the least shift each channel shifts.
    """

    bits: npt.NDArray[np.int64]
    rests: npt.NDArray[np.int64]
    rest_bits: int
    further: npt.NDArray[np.int64]


def serial_memories(
    mantissa: IntArray,
    offset: IntArray,
    shift: int | IntArray,
    mantissa_bits: int,
    lanes: int,
    turns: int,
) -> SerialMemories:
    """The constants of a rescale in the order of ``lanes`` channels per word.

    Lane ``turn * units + unit`` of a word is worked on by a unit in a turn; where the lanes do not
    divide, the last turn has fewer.

    Parameters
    ----------
    mantissa, offset : int arrays of shape (C,)
    shift : int, or int array of shape (C,)
    mantissa_bits : int
        Every mantissa fits it, signed.  Where it is more than the least shift, the constant is
        shifted left by the difference, as the unit does with the accumulator.

    Examples
    --------
    >>> memories = serial_memories(np.array([3]), np.array([5]), 3, 3, 1, 1)  # 5 + 4 is 1 * 8 + 1
    >>> memories.bits.tolist(), memories.rests.tolist(), memories.rest_bits
    ([[1, 1], [1, 0], [0, 0]], [[1]], 2)
    >>> serial_memories(np.array([3]), np.array([5]), 1, 3, 1, 1).rests.tolist()  # (5 + 1) * 4
    [[3]]
    """
    m, b = mantissa.astype(np.int64), offset.astype(np.int64)
    align = max(mantissa_bits - int(np.min(shift)), 0)
    # The last mantissa bit counts negative: its term is the complement, one too little.
    constant = ((b + half_of(shift)) << align) + ((m < 0).astype(np.int64) << (mantissa_bits - 1))
    further = np.broadcast_to(shift - np.min(shift), m.shape).astype(np.int64)
    units = -(-lanes // turns)
    words = m.size // lanes
    pads = ((0, 0), (0, turns * units - lanes))

    def in_turns(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """To shape (words * turns, units)."""
        return np.pad(values.reshape(words, lanes), pads).reshape(words * turns, units)

    places = np.arange(mantissa_bits)[:, np.newaxis]
    bits = np.stack([(in_turns(v)[:, np.newaxis] >> places) & 1 for v in (m, constant)], axis=-1)
    rests = in_turns(constant >> mantissa_bits)
    return SerialMemories(
        bits=bits.reshape(-1, units * 2),
        rests=rests,
        rest_bits=IntFormat.covering(int(rests.min()), int(rests.max())).bits,
        further=in_turns(further),
    )
