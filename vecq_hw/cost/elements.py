"""The parts of the cells that take each element by itself."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.cells import Comparison, Elementwise, Ranking, SerialRescale
from vecq_hw.accelerator.memories.serial_rescale import serial_memories
from vecq_hw.accelerator.memories.thresholds import threshold_lines
from vecq_hw.accelerator.rescale import align_bits, constant_lanes
from vecq_hw.accelerator.units import mantissa_bits
from vecq_hw.arithmetic import half_of
from vecq_hw.cost import multipliers
from vecq_hw.cost.contents import Keys, contents, functions, unknown
from vecq_hw.cost.structure import Structure, bits_of, log2, pipeline_end
from vecq_hw.formats import IntArray, IntFormat, signed_bits
from vecq_hw.layers import Lookup, Rescale, Tensor, Threshold
from vecq_hw.schedule import Fabric

FEW_INPUTS = 6
"""Inputs of a comparison of codes with constants, up to which it is one function of them."""
IN_TABLES = 1 << 30
"""Words of a memory that is never a block, as it is read without a register."""


def elementwise(cell: Elementwise, source: Tensor) -> Structure:
    """A Rescale, Threshold or Lookup."""
    lanes, fmt = cell.source.lanes, source.format
    match cell.layer:
        case Rescale():
            made = _rescale(cell.layer, lanes, fmt, dsp=cell.dsp)
            pipeline_end(made, lanes * cell.layer.format.bits, cell.room)
            return made
        case Threshold():
            return _threshold(cell.layer, lanes, source)
        case Lookup():
            return _lookup(cell.layer, lanes, source)
        case _:
            assert_never(cell.layer)


def _rescale(layer: Rescale, lanes: int, fmt: IntFormat, *, dsp: bool) -> Structure:
    """``vecq_rescale``: a product, a sum of two halves and a clamp for each lane."""
    made = Structure("rescale")
    mantissa = mantissa_bits(layer)
    offset = signed_bits(layer.offset + half_of(layer.shifts))
    words = layer.channels // lanes
    lines = layer.classes * words
    accumulator = fmt.bits + (not fmt.signed)
    total = min(max(fmt.bits + 1 + mantissa, offset) + 2, 64)
    shift = int(layer.shifts.min())
    mantissas = contents(layer.mantissa.reshape(-1, lanes), mantissa)
    offsets = contents((layer.offset + half_of(layer.shifts)).reshape(-1, lanes), offset)
    made.rom(lines, lanes * mantissa, stages=2, found=mantissas)
    made.rom(lines, lanes * offset, stages=3, found=offsets)
    made.register(2 * lanes * fmt.bits)
    if dsp:  # chosen before synthesis has read the memory
        made.multiply(accumulator, mantissa, lanes, dsp=True)
    else:
        factors = layer.mantissa.reshape(-1, lanes)[0].tolist()
        for factor, constant, keys in zip(
            factors, constant_lanes(layer, lanes), mantissas.keys, strict=True
        ):
            if constant:
                multipliers.by_constant(made, accumulator, factor)
            else:
                multipliers.of_any(made, accumulator, mantissa, factor=keys, signed=fmt.signed)
    further = np.broadcast_to(layer.shifts - layer.shifts.min(), layer.mantissa.shape)
    further = further.reshape(-1, lanes)
    low = min(total // 2, shift) if isinstance(layer.shift, int) else None
    for lane, least in enumerate((shift + further.min(axis=0)).tolist()):
        factor = unknown(1, mantissa).keys[0] if dsp else mantissas.keys[lane]
        _sum(made, accumulator, factor, offsets.keys[lane], total, low, least)
        _clamp(made, total - least, layer.format)
    out = layer.format.bits
    made.table(4, lanes * out)
    made.register(lanes * (out + 2))
    _further(made, layer, further, total - shift, stages=3)
    made.count(words)
    made.control += 6 + (layer.classes > 1)
    if layer.rows is not None and layer.classes > 1:
        made.rom(layer.rows.size, bits_of(lines))
        made.count(layer.rows.size)
        made.register(lanes * fmt.bits + bits_of(words))
        made.add(bits_of(lines))
    return made


def _sum(
    made: Structure, bits: int, factor: Keys, offset: Keys, total: int, low: int | None, shift: int
) -> None:
    """A product's register, its sum with an offset of ``total`` bits, and what the shift leaves.

    No carry comes from below the lowest bits that may be set, and no register holds what is always
    the same.  The sum has a low half of so many bits, or with None is one.

    Parameters
    ----------
    bits : int
        Of the signed number that is multiplied.
    factor, offset : int64 array of shape (bits,)
        Their keys (:class:`vecq_hw.cost.contents.Contents`).
    """
    zeros = _always_zero(factor)
    product = bits + len(factor) - _repeated_sign(factor)
    first = max(zeros, _always_zero(offset))
    made.register(max(product - zeros, 0))
    if low is None:
        made.add(total - first)
        made.register(total - shift)
    else:
        if first < low:
            made.add(low - first + 1)
            made.register(1)
        made.add(total - max(low, first) + 1)
        made.register(max(product - max(low, zeros), 0) + functions(offset[low:]))
    made.register(total - shift)


def _always_zero(keys: Keys) -> int:
    """How many of the lowest bits are always 0."""
    return int(np.argmax(keys != 0)) if keys.any() else len(keys)


def _repeated_sign(keys: Keys) -> int:
    """How many of the highest bits are copies of the one below them."""
    return int(np.argmax(keys[::-1] != keys[-1]) or len(keys)) - 1


def _clamp(made: Structure, bits: int, fmt: IntFormat) -> None:
    """Whether a signed number of so many bits lies below or above a format.

    Bits below the lowest that is set in a bound are passed over, and a number that is not
    negative is above a power of two if one of its upper bits is set.
    """
    if fmt.lo:
        made.compare(bits - _zeros(fmt.lo) - 2)
    above = fmt.hi + 1
    if above & (above - 1):
        made.compare(bits - _zeros(above) - 1)
    else:
        made.table(bits - _zeros(above), 1)


def _zeros(number: int) -> int:
    """Zeros behind the last bit of a number that is set."""
    return (number & -number).bit_length() - 1


def signed_digits(values: IntArray) -> npt.NDArray[np.int64]:
    """Digits that are not 0, of each number in canonical signed digits.

    The result has the shape of ``values``.
    """
    magnitude = np.abs(values.astype(np.int64))
    digits: npt.NDArray[np.int64] = np.bitwise_count((3 * magnitude) ^ magnitude).astype(np.int64)
    return digits


def _further(made: Structure, layer: Rescale, further: IntArray, width: int, stages: int) -> None:
    """The shifter of channels that shift further than the least.

    Parameters
    ----------
    further : int array of shape (words, lanes)
        By how much, as the memory holds it.
    """
    words, lanes = further.shape
    if isinstance(layer.shift, int) or words == 1:
        return
    bits = int(further.max()).bit_length()
    found = contents(further, bits)
    made.rom(words, lanes * bits, stages=1 + stages, found=found)
    made.table(3, int((found.keys > 1).sum()) * max(width, 1))


def serial_rescale(cell: SerialRescale, source: Tensor, fabric: Fabric) -> Structure:
    """``vecq_rescale_serial``: one bit of a mantissa per cycle."""
    layer, lanes, turns = cell.layer, cell.source.lanes, cell.turns
    fmt, mantissa = source.format, mantissa_bits(layer)
    made = Structure("rescale serial")
    units = -(-lanes // turns)
    words = layer.channels // lanes
    all_turns = words * turns
    align = align_bits(layer)
    memories = serial_memories(layer.mantissa, layer.offset, layer.shift, mantissa, lanes, turns)
    rest = memories.rest_bits
    held = fmt.bits + (not fmt.signed) + align
    total = max(held, rest) + 1
    out = layer.format.bits
    bits, rests = contents(memories.bits, 1), contents(memories.rests, rest)
    made.rom(all_turns * mantissa, 2 * units, registers=1, found=bits)
    made.rom(all_turns, units * rest, registers=1, found=rests)
    made.register(lanes * fmt.bits)
    made.register(units * (2 * total + held + 4))
    if fabric is Fabric.ECP5:
        made.choose(turns + 1, units * total)
    else:
        made.choose(turns, units * fmt.bits)
    if fabric is Fabric.LUT4:  # in front of a register, not of the sum
        made.table(4, units * total)
    made.add(total, units, fronts=0 if fabric is Fabric.LUT4 else total, chosen=True)
    width = total - (int(layer.shifts.min()) + align - mantissa)
    if layer.format.hi - layer.format.lo == (1 << out) - 1:
        made.table(max(width - out, 1) + 1, units)
    else:
        made.compare(max(width - 2, 0), 2 * units)
    made.table(3, units * out)
    made.register(units * turns * out)
    _further(made, layer, memories.further, width, stages=1)
    made.count(mantissa + 1)
    made.control += bits_of(turns) + 3
    made.count(all_turns * mantissa)
    made.count(all_turns)
    made.control += 10
    pipeline_end(made, lanes * out, cell.unit.room)
    return made


def _threshold(layer: Threshold, lanes: int, source: Tensor) -> Structure:
    """``vecq_threshold``: a comparison for each bit of the count, one stage behind the other."""
    made = Structure("threshold")
    fmt = source.format
    lines, bits, count = threshold_lines(layer, fmt, lanes)
    trees = lines.reshape(-1, 1 << count, lines.shape[1])  # (words, lines, lanes)
    words = source.channels // lanes
    compare = max(bits, fmt.bits + 1)
    made.register(lanes * fmt.bits * count)
    for stage in range(1, count + 1):
        # Constants of the lane in all words, chosen by the word and the bits so far.
        chosen = trees[:, 1 << (stage - 1) : 1 << stage].reshape(-1, trees.shape[2])
        found = contents(chosen, bits)
        made.register(lanes * stage)
        inputs = fmt.bits + log2(len(trees)) + stage - 1
        if inputs <= FEW_INPUTS:
            made.flat[inputs] += lanes
            continue
        made.compare(compare, lanes)
        for lane in range(lanes):
            first = lane % trees.shape[2] * bits
            made.rom(len(chosen), bits, most_in_luts=IN_TABLES, stages=0, first=first, found=found)
    out = layer.format.bits
    made.table(2 + out, lanes * out)
    made.register(lanes * out)
    made.register(bits_of(words) * (count + 1))
    made.count(words)
    made.control += count + 2
    return made


def _lookup(layer: Lookup, lanes: int, source: Tensor) -> Structure:
    """``vecq_lookup``: a table, or one for each channel."""
    made = Structure("lookup")
    bits, out, codes = source.format.bits, layer.format.bits, layer.table.shape[1]
    if len(layer.table) > 1:
        words = source.channels // lanes
        values = layer.table.reshape(words, lanes, -1).swapaxes(1, 2).reshape(-1, lanes)
        found = contents(values, out)
        for lane in range(lanes):
            made.rom(
                *(words << bits, out),
                most_in_luts=256,
                first=lane * out,
                found=found,
                used=words * codes,
            )
        made.count(words)
    else:
        found = contents(layer.table.reshape(-1, 1), out)
        for first in range(0, lanes, 8):
            ports = min(8, lanes - first)
            made.rom(1 << bits, out, most_in_luts=256, ports=ports, found=found, used=codes)
    made.control += 1
    return made


def argmax(cell: Comparison, bits: int) -> Structure:
    """``vecq_argmax``: a tree of comparisons, and the largest so far."""
    made = Structure("argmax")
    lanes = cell.source.lanes
    index = bits_of(cell.period * lanes)
    nodes = lanes
    while nodes > 1:
        pairs = -(-nodes // 2)
        made.compare(bits, nodes // 2, inverted=True)
        made.table(3, nodes // 2 * (bits + (nodes < lanes) * index + 1))
        made.register(pairs * (bits + bits_of(lanes)))
        nodes = pairs
    made.compare(bits, inverted=True)
    made.add(index)
    made.register(bits + index)
    made.control += index + cell.depth + 1
    return made


def topk(cell: Ranking, bits: int) -> Structure:
    """``vecq_topk``: a sorted list into which an element is put."""
    made = Structure("topk")
    count, index = cell.layer.count, bits_of(cell.period)
    made.compare(bits, count)
    made.register(count * (bits + 2 * index))
    made.table(3, count * bits)
    made.table(5, count * index)
    made.table(3, count * index)
    made.control += index + 2 * count
    return made
