"""How a Rescale multiplies: by constants, or by the bits of its mantissas one by one; its steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.units import ROOM_OF_SPACED, StepRun, Unit, mantissa_bits
from vecq_hw.arithmetic import half_of
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Rescale

WIDEST_ALIGNED = 61
"""Bits of an accumulator or constant with zeros behind it, of which sums have at most 64 bits."""


def constant_lanes(layer: Rescale, lanes: int) -> npt.NDArray[np.bool_]:
    """Which of the lanes multiply by the same mantissa in each of their words; shape (lanes,)."""
    words = layer.mantissa.reshape(-1, lanes)
    constant: npt.NDArray[np.bool_] = (words == words[0]).all(axis=0)
    return constant


def rescale_turns(layer: Rescale, source: IntFormat, lanes: int, interval: int) -> int:
    """How many lanes a unit of ``vecq_rescale_serial.sv`` works on, one after the other.

    With the fewest units where a word of ``lanes`` comes every ``interval`` cycles; 0 where there
    is no time for one lane, where sums of the format ``source`` grow too wide when they are
    aligned, or where it has rows.
    """
    if layer.rows is not None:
        return 0  # its memories are in the order in which words come
    most = min(lanes, (interval - 1) // (mantissa_bits(layer) + 1))
    constant = int((np.abs(layer.offset) + half_of(layer.shift)).max())
    widest = max(source.bits, constant.bit_length()) + align_bits(layer)
    if widest > WIDEST_ALIGNED or not most:
        return 0
    units = -(-lanes // most)
    return -(-lanes // units)


def align_bits(layer: Rescale) -> int:
    """Zeros behind an accumulator of ``vecq_rescale_serial.sv``.

    It halves its sum once for each mantissa bit, which loses nothing if the sum is to be shifted
    right by at least as many.
    """
    return max(mantissa_bits(layer) - int(layer.shifts.min()), 0)


def serial_rescale(layer: Rescale, turns: int) -> Unit:
    """The unit of ``vecq_rescale_serial.sv``, a word per period.

    For each turn a cycle a mantissa bit and one for the rest of the constant; the word is kept
    until the last of them, and four stages behind that one is the result.
    """
    cycles = turns * (mantissa_bits(layer) + 1)
    begin = StepRun(gap=1, steps=1, needs=0, frees=0, gives=False)
    end = StepRun(gap=cycles - 1, steps=1, needs=-1, frees=1, gives=True)
    return Unit(pattern=[begin, end], words=1, capacity=1, depth=4, room=ROOM_OF_SPACED)
