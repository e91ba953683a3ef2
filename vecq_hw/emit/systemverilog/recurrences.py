"""The parameters and memories of ``rtl/vecq_lstm.sv`` and ``rtl/vecq_gru.sv``."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from vecq_hw import arithmetic
from vecq_hw.accelerator.memories.folded import unit_memories
from vecq_hw.emit.systemverilog.instances import Memory
from vecq_hw.emit.systemverilog.parameters import bit
from vecq_hw.formats import IntArray, IntFormat, signed_bits
from vecq_hw.layers import Gru, Lstm, RecurrentLayer
from vecq_hw.layers.sequences import (
    CANDIDATE_SHIFT,
    RESET_SHIFT,
    STATE,
    candidate_ranges,
    gate_ranges,
)
from vecq_hw.schedule import Fabric, Fold

TABLE_BITS = 9


def recurrence(
    layer: RecurrentLayer, fold: Fold, source: IntFormat
) -> tuple[dict[str, object], dict[str, Memory]]:
    """The parameters, but for those of the input's stream, and the memories by name.

    Parameters
    ----------
    source : IntFormat
        Of the input's sums, with their proven range.
    """
    sums = layer.state_sums
    activations = IntFormat(STATE.bits, STATE.signed)
    product = unit_memories(layer.product, fold, activations, Fabric.LUT6)
    half = int(arithmetic.half_of(layer.shift))
    lines = {
        "mantissa_x": layer.mantissa_x,
        "mantissa_h": layer.mantissa_h,
        "offset": layer.offset + half,
    }
    ends = [end + half for ends in gate_ranges(layer, source) for end in ends]
    least_bits = 1
    match layer:
        case Lstm():
            pass
        case Gru():
            part_half = int(arithmetic.half_of(layer.shift - CANDIDATE_SHIFT))
            lines["part_offset"] = layer.state_offset + part_half
            ends += [end + part_half for ends in candidate_ranges(layer) for end in ends]
            least_bits = 25 + layer.shift - RESET_SHIFT
        case _:
            assert_never(layer)
    widths = {name: signed_bits(values) for name, values in lines.items()}
    exact = IntFormat.covering(min(ends), max(ends)).bits
    parameters: dict[str, object] = {
        "Elements": layer.elements,
        "Sequence": bit(layer.sequence),
        "Pe": fold.pe,
        "Simd": fold.simd,
        "WeightBits": product.planes.bits,
        "TwosComplement": bit(not product.planes.signs),
        "SumBits": sums.bits,
        "TotalBits": max(exact, least_bits, *widths.values()),
        "Shift": layer.shift,
    }
    parameters |= {f"{camel_case(name)}Bits": bits for name, bits in widths.items()}
    memories = {
        "weights": (product.steps, fold.pe * fold.simd, product.step_bits),
        "bias": (product.starts, fold.pe, sums.bits),
        "tables": (gate_tables(), 1, TABLE_BITS),
    }
    memories |= {name: (values, 1, widths[name]) for name, values in lines.items()}
    return parameters, {name: Memory(name, *memory) for name, memory in memories.items()}


def gate_tables() -> IntArray:
    """Sigmoid, then tanh, of each gate code of 8 bits, by its bits without a sign.

    The shape is (512,).
    """
    halves = (arithmetic.SIGMOID_TABLE, arithmetic.TANH_TABLE)
    return np.concatenate([np.roll(table, table.size // 2) for table in halves])


def camel_case(name: str) -> str:
    """A memory's name as a parameter spells it."""
    return "".join(part.capitalize() for part in name.split("_"))
