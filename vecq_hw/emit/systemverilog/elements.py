"""The cells that take each element, or those of several streams, by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from vecq_hw.accelerator import units
from vecq_hw.accelerator.cells import Comparison, Elementwise, Join, Ranking, SerialRescale
from vecq_hw.accelerator.memories.serial_rescale import serial_memories
from vecq_hw.accelerator.memories.thresholds import threshold_lines
from vecq_hw.accelerator.rescale import constant_lanes
from vecq_hw.arithmetic import half_of
from vecq_hw.emit.systemverilog.instances import Memory, Placed
from vecq_hw.emit.systemverilog.parameters import (
    bit,
    carry_choice,
    lookup_lines,
    signed_literal,
    word_literal,
)
from vecq_hw.emit.systemverilog.streams import NamedStream
from vecq_hw.formats import IntArray, signed_bits
from vecq_hw.layers import (
    Add,
    Concat,
    Lookup,
    Multiply,
    Rescale,
    Subtract,
    Tensor,
    Threshold,
)
from vecq_hw.schedule import Fabric


def elementwise(cell: Elementwise, source: NamedStream, read: Tensor, fabric: Fabric) -> Placed:
    """The cell of a layer that makes codes."""
    match cell.layer:
        case Rescale():
            return _rescale(cell, cell.layer, source, fabric)
        case Threshold():
            return _threshold(cell.layer, source, read)
        case Lookup():
            return _lookup(cell.layer, source, read)
        case _:
            assert_never(cell.layer)


def _rescale(cell: Elementwise, layer: Rescale, source: NamedStream, fabric: Fabric) -> Placed:
    lanes = source.lanes
    rounding = layer.offset + half_of(layer.shifts)
    mantissa_bits, offset_bits = signed_bits(layer.mantissa), signed_bits(rounding)
    parameters: dict[str, object] = {
        "Channels": layer.channels,
        "Lanes": lanes,
        "AccumulatorBits": source.bits,
        "InputSigned": bit(source.signed),
        "MantissaBits": mantissa_bits,
        "OffsetBits": offset_bits,
        "Shift": layer.shifts.min(),
        "OutputBits": layer.format.bits,
        "Lo": signed_literal(layer.format.lo),
        "Hi": signed_literal(layer.format.hi),
        "UseDsp": bit(cell.dsp),
        "Room": cell.room,
        "MantissaFile": Memory("mantissa", layer.mantissa, lanes, mantissa_bits),
        "OffsetFile": Memory("offset", rounding, lanes, offset_bits),
    }
    if not cell.dsp:
        constant = constant_lanes(layer, lanes)
        if constant.any():
            ones = "".join("01"[lane] for lane in constant[::-1].tolist())
            parameters["Constant"] = f"{lanes}'b{ones}"
            factors = np.where(constant, layer.mantissa.reshape(-1, lanes)[0], 0)
            parameters["Factors"] = word_literal(factors, mantissa_bits)
        if not constant.all():
            parameters |= carry_choice(fabric)
    parameters |= _shifter(layer, layer.shifts - layer.shifts.min(), lanes)
    return Placed("vecq_rescale", parameters | _classes(layer, lanes))


def _classes(layer: Rescale, lanes: int) -> dict[str, object]:
    """The parameters of a cell whose positions have classes; or none."""
    if layer.rows is None or layer.classes == 1:
        return {}
    words = layer.channels // lanes
    bits = (layer.classes * words - 1).bit_length()
    return {
        "Classes": layer.classes,
        "Positions": layer.rows.size,
        "RowsFile": Memory("rows", layer.rows * words, 1, bits),
    }


def _shifter(layer: Rescale, further: IntArray, lanes: int) -> dict[str, object]:
    """The parameters of a cell whose channels shift ``further`` than the least; or none."""
    if isinstance(layer.shift, int):
        return {}
    bits = int(layer.shifts.max() - layer.shifts.min()).bit_length()
    further = np.broadcast_to(further, layer.mantissa.shape) if layer.rows is not None else further
    return {"ShiftBits": bits, "ShiftFile": Memory("shifts", further, lanes, bits)}


def serial_rescale(cell: SerialRescale, source: NamedStream, fabric: Fabric) -> Placed:
    """The cell of a Rescale that takes the bits of its mantissas one by one."""
    layer, bits = cell.layer, units.mantissa_bits(cell.layer)
    memories = serial_memories(
        layer.mantissa, layer.offset, layer.shift, bits, source.lanes, cell.turns
    )
    pairs, constants = memories.bits.shape[1], memories.rests.shape[1]
    parameters: dict[str, object] = {
        "Channels": layer.mantissa.size,
        "Lanes": source.lanes,
        "Turns": cell.turns,
        "AccumulatorBits": source.bits,
        "InputSigned": bit(source.signed),
        "MantissaBits": bits,
        "RestBits": memories.rest_bits,
        "Shift": layer.shifts.min(),
        "OutputBits": layer.format.bits,
        "Lo": signed_literal(layer.format.lo),
        "Hi": signed_literal(layer.format.hi),
        "BitsFile": Memory("bits", memories.bits, pairs, 1),
        "RestsFile": Memory("rests", memories.rests, constants, memories.rest_bits),
    }
    shifter = _shifter(layer, memories.further, constants)
    parameters |= carry_choice(fabric) | shifter
    if fabric is Fabric.LUT4:
        parameters["Ready"] = bit(True)
    return Placed("vecq_rescale_serial", parameters)


def _threshold(layer: Threshold, source: NamedStream, read: Tensor) -> Placed:
    lines, bits, count_bits = threshold_lines(layer, read.format, source.lanes)
    parameters: dict[str, object] = {
        "Channels": read.channels,
        "Lanes": source.lanes,
        "InputBits": source.bits,
        "InputSigned": bit(source.signed),
        "ThresholdBits": bits,
        "CountBits": count_bits,
        "OutputBits": layer.format.bits,
        "Lo": signed_literal(layer.format.lo),
        "Hi": signed_literal(layer.format.hi),
        "File": Memory("thresholds", lines, lines.shape[1], bits),
    }
    if layer.shared and read.channels > 1:
        parameters["SharedRow"] = bit(True)
    return Placed("vecq_threshold", parameters)


def _lookup(layer: Lookup, source: NamedStream, read: Tensor) -> Placed:
    lines = lookup_lines(layer, read.format, source.lanes)
    bits, own = layer.format.bits, len(layer.table) > 1
    parameters: dict[str, object] = {
        "Channels": read.channels,
        "Lanes": source.lanes,
        "InputBits": source.bits,
        "OutputBits": bits,
        "OwnTables": bit(own),
        "File": Memory("table", lines, lines.shape[1], bits),
    }
    return Placed("vecq_lookup", parameters)


def argmax(cell: Comparison, source: NamedStream) -> Placed:
    """The cell that finds the greatest channel."""
    parameters: dict[str, object] = {
        "Elements": cell.period * source.lanes,
        "Lanes": source.lanes,
        "ElementBits": source.bits,
        "Signed": bit(source.signed),
    }
    return Placed("vecq_argmax", parameters)


def topk(cell: Ranking, source: NamedStream) -> Placed:
    """The cell that finds the greatest channels."""
    parameters: dict[str, object] = {
        "Channels": cell.period,
        "Count": cell.layer.count,
        "ElementBits": source.bits,
        "Signed": bit(source.signed),
    }
    return Placed("vecq_topk", parameters)


def join(cell: Join, sources: Sequence[NamedStream], target: NamedStream, fabric: Fabric) -> Placed:
    """The cell that makes one stream of several."""
    source = sources[0]
    operands: dict[str, object] = {"Operands": len(sources)}
    lanes: dict[str, object] = {"Lanes": source.lanes}
    match cell.layer:
        case Add():
            return Placed("vecq_add", operands | lanes | _sum(sources, target))
        case Subtract():
            subtract = {"Subtract": bit(True)}
            return Placed("vecq_add", lanes | _sum(sources, target) | subtract)
        case Multiply():
            right = sources[1]
            product: dict[str, object] = {
                "LeftBits": source.bits,
                "LeftSigned": bit(source.signed),
                "RightBits": right.bits,
                "RightSigned": bit(right.signed),
                "ProductBits": target.bits,
            }
            product |= {"UseDsp": bit(True)} if cell.dsp else carry_choice(fabric)
            if cell.kept is not None:
                product |= {"Words": cell.kept.words, "Positions": cell.positions}
            return Placed("vecq_multiply", lanes | product)
        case Concat():
            turns = [sum(turn[0] is stream for turn in cell.turns) for stream in cell.sources]
            literal = ", ".join(f"32'd{count}" for count in reversed(turns))
            words = {"WordBits": source.word, "Turns": f"{{{literal}}}"}
            if cell.lead is not None:
                words["Lead"] = [stream is cell.lead for stream in cell.sources].index(True)
            return Placed("vecq_concat", operands | words)
        case _:
            assert_never(cell.layer)


def _sum(operands: Sequence[NamedStream], target: NamedStream) -> dict[str, object]:
    """The widths of a sum, and of each operand where they differ."""
    signed = any(operand.signed for operand in operands)
    bits = max(operand.bits + (signed and not operand.signed) for operand in operands)
    result: dict[str, object] = {
        "ElementBits": bits,
        "Signed": bit(signed),
        "SumBits": target.bits,
    }
    if len({(operand.bits, operand.signed) for operand in operands}) > 1:
        widths = ", ".join(f"32'd{operand.bits}" for operand in reversed(operands))
        signs = "".join(str(int(operand.signed)) for operand in reversed(operands))
        result |= {
            "OperandBits": f"{{{widths}}}",
            "OperandSigned": f"{len(operands)}'b{signs}",
            "AllBits": sum(operand.bits for operand in operands),
        }
    return result
