"""Forms of the cells that multiply a state: those of recurrent layers."""

from __future__ import annotations

from typing import assert_never

from vecq_hw.accelerator.cells import Recurrence
from vecq_hw.accelerator.memories.folded import unit_memories
from vecq_hw.cost import multipliers
from vecq_hw.cost.arrays import STAGE_LANES, pair_rows, planes_of
from vecq_hw.cost.contents import contents
from vecq_hw.cost.positions import replay
from vecq_hw.cost.structure import Structure
from vecq_hw.formats import IntFormat, signed_bits
from vecq_hw.layers import Gru, Lstm
from vecq_hw.layers.sequences import STATE
from vecq_hw.schedule import Fabric


def recurrent(cell: Recurrence, source: IntFormat) -> Structure:
    """``vecq_lstm`` and ``vecq_gru``: the product of the state, the gates and the state."""
    layer, fold = cell.layer, cell.fold
    bits, signs = layer.weights.planes.bits, layer.weights.planes.signs
    gates, elements = layer.gates, layer.elements
    outputs = gates * elements
    sums = layer.state_sums.bits
    folds, words = elements // fold.simd, outputs // fold.pe
    steps = words * folds
    match layer:
        case Lstm():
            made = Structure("lstm")
        case Gru():
            made = Structure("gru")
        case _:
            assert_never(layer)
    replay(made, 1, 1, source.bits)
    for _ in range(fold.simd):
        made.ram(2 * folds, 8)
    made.table(3, fold.simd * 8)
    memories = unit_memories(layer.product, fold, STATE, Fabric.LUT6)
    codes = contents(memories.steps, bits)
    for first in range(0, fold.simd, STAGE_LANES):
        lanes = min(STAGE_LANES, fold.simd - first)
        made.rom(steps, lanes * fold.pe * bits, first=first * fold.pe * bits, found=codes)
    rows = planes_of(codes, fold.simd, fold.pe, bits)
    pair_rows(made, rows, fold.pe, STATE.bits, sums, signs=signs)
    made.rom(words, fold.pe * sums)
    made.add(sums, fold.pe, fronts=sums)
    made.register(2 * fold.pe * sums)
    made.table(3, fold.pe * sums)
    widths = [signed_bits(values) for values in (layer.mantissa_x, layer.mantissa_h, layer.offset)]
    for width in widths:
        made.rom(outputs, width)
    given = source.bits + (not source.signed)
    total = max(given + widths[0], sums + widths[1], widths[2]) + 2
    multipliers.of_any(made, given, widths[0])
    multipliers.of_any(made, sums, widths[1])
    made.register(sums + given + widths[0] + sums + widths[1] + widths[2])
    made.add(total, 2)
    made.register(total)
    made.add(max(total - layer.shift - 6, 1), 2)
    made.table(4, 8)
    made.rom(512, 9)
    made.rom(512, 9)
    made.ram(elements, 16)
    multipliers.of_any(made, 9, 16)
    if isinstance(layer, Lstm):
        multipliers.of_any(made, 9, 9, count=2)
    made.add(26, 2)
    made.register(25 + 18 + 16 + 4 * 9 + 8)
    for most in (outputs, elements, elements, steps, words, words, folds, fold.simd, gates):
        made.count(most)
    made.control += 30
    if isinstance(layer, Gru):
        made.rom(elements, signed_bits(layer.state_offset))
        multipliers.of_any(made, 9, 16)
        multipliers.of_any(made, 10, 9)
        made.register(4 * total + 16 + 25 + 18)
        made.add(total, 3)
        made.table(4, 16 + 8)
        made.count(elements)
    return made
