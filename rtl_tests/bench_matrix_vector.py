"""vecq_matrix_vector: exact products at every width and fold, one step a cycle."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, equal, frames, interrupt, restart, transfer
from vecq_hw import arithmetic, exact_products
from vecq_hw.accelerator.memories import pair_rows, popcount, quad_rows
from vecq_hw.accelerator.units import STRUCTURES, Structure
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray, IntFormat, MidRise, TwosComplement, bit_planes
from vecq_hw.schedule import Fabric, Fold


@dataclass(frozen=True)
class Shape:
    weight_bits: int
    activations: IntFormat
    outputs: int
    inputs: int
    pe: int
    simd: int
    accumulator_bits: int = 0  # 0: as wide as the exact sums need
    groups: int = 1  # inputs are those of one group
    taps: int = 1
    kind: type[MidRise] | type[TwosComplement] = MidRise
    bit_serial: bool = False
    quad_rows: bool = False
    popcount: bool = False
    fabric: Fabric = Fabric.LUT6

    @property
    def structure(self) -> Structure:
        return STRUCTURES[self.fabric]

    @property
    def passes(self) -> int:
        """Over the inputs, for a word of outputs."""
        return self.weight_bits if self.bit_serial else 1

    @property
    def grid(self) -> MidRise | TwosComplement:
        return self.kind(self.weight_bits)

    @property
    def lanes(self) -> int:
        return self.simd * max(self.pe * self.groups // self.outputs, 1)

    @property
    def steps(self) -> int:
        return self.outputs // self.pe * self.passes * (self.inputs // self.simd)


def unsigned(bits: int) -> IntFormat:
    return IntFormat(bits, signed=False)


def signed(bits: int) -> IntFormat:
    return IntFormat(bits, signed=True)


twos = partial(Shape, kind=TwosComplement)
serial = partial(Shape, bit_serial=True)
quads = partial(Shape, quad_rows=True, fabric=Fabric.ECP5)
counts = partial(Shape, 1, unsigned(1), popcount=True)


SHAPES = [
    # Every fold of a small layer: one lane, all lanes, one side folded, neither a power of two.
    *(Shape(2, unsigned(8), 6, 12, pe, simd) for pe in (1, 2, 3, 6) for simd in (1, 3, 4, 12)),
    # Every width of weights and activations, signed and not.
    *(Shape(k, unsigned(8), 4, 10, 2, 5) for k in (1, 3, 4, 5, 8, 16)),
    *(Shape(k, signed(8), 4, 10, 2, 5) for k in (1, 2, 3, 4, 8, 16)),
    *(Shape(k, unsigned(b), 4, 6, 2, 3) for k, b in ((1, 1), (2, 1), (3, 4), (4, 16), (16, 16))),
    *(Shape(k, signed(b), 4, 6, 2, 3) for k, b in ((1, 1), (2, 2), (3, 4), (4, 16), (16, 16))),
    # Accumulators that wrap, down to one bit.
    *(Shape(k, signed(8), 4, 12, 2, 4, wrap) for k, wrap in ((1, 1), (2, 5), (4, 9), (8, 12))),
    # One input, one output; a layer of some size.
    Shape(2, unsigned(8), 1, 1, 1, 1),
    Shape(3, signed(5), 1, 7, 1, 7),
    Shape(3, signed(5), 7, 1, 7, 1),
    Shape(2, unsigned(8), 32, 64, 8, 16),
    # Several stages of lanes, the last one odd.
    Shape(2, unsigned(8), 4, 34, 2, 17),
    Shape(1, signed(4), 2, 23, 2, 23),
    # Groups: outputs of one of them in a step, of all of them, of several; a depthwise kernel.
    *(Shape(2, unsigned(8), 8, 12, pe, 2, 0, 2, 3) for pe in (1, 2, 4)),
    Shape(2, unsigned(8), 8, 12, 8, 4, 0, 2, 3),
    Shape(1, unsigned(4), 8, 6, 4, 2, 0, 4, 3),
    *(Shape(4, signed(8), 6, 9, pe, 1, 0, 6, 9) for pe in (1, 2, 3, 6)),
    Shape(3, unsigned(8), 12, 8, 3, 2, 0, 2, 1),
    # Codes that are the values: folds, widths, an accumulator that wraps, stages, groups.
    *(twos(2, unsigned(8), 6, 12, pe, simd) for pe, simd in ((1, 1), (2, 3), (3, 4), (6, 12))),
    *(twos(k, unsigned(8), 4, 10, 2, 5) for k in (1, 2, 3, 4, 7, 16)),
    *(twos(k, signed(b), 4, 12, 2, 4) for k, b in ((1, 1), (2, 8), (3, 2), (5, 16))),
    twos(4, signed(8), 4, 12, 2, 4, 9),
    twos(2, unsigned(8), 4, 34, 2, 17),
    twos(2, unsigned(8), 4, 34, 2, 17, fabric=Fabric.ECP5),
    *(twos(2, unsigned(8), 8, 12, pe, 2, 0, 2, 3) for pe in (2, 4)),
    twos(3, signed(8), 8, 12, 8, 4, 0, 2, 3),
    twos(4, signed(8), 6, 9, 3, 1, 0, 6, 9),
    # Bit-serial: widths, folds down to one word, accumulators that wrap at fewer bits than there
    # are planes, stages, groups.
    *(serial(k, signed(8), 4, 10, 2, 5) for k in (1, 2, 3, 4, 8, 16)),
    *(serial(3, unsigned(8), 6, 12, pe, simd) for pe, simd in ((1, 1), (2, 12), (6, 3), (6, 12))),
    *(serial(k, signed(8), 4, 12, 2, 4, wrap) for k, wrap in ((3, 1), (8, 5), (4, 9))),
    serial(2, unsigned(8), 4, 34, 2, 17),
    *(serial(2, unsigned(8), 8, 12, pe, simd, 0, 2, 3) for pe, simd in ((2, 2), (8, 4))),
    serial(4, signed(8), 6, 9, 3, 1, 0, 6, 9),
    # Rows of four lanes: any number of them at the end, widths, stages, groups, bit-serial.
    *(quads(2, unsigned(8), 4, 2 * simd, 2, simd) for simd in range(1, 10)),
    *(quads(k, signed(8), 4, 10, 2, 5) for k in (1, 3, 4, 8, 16)),
    *(quads(k, unsigned(b), 4, 14, 2, 7) for k, b in ((1, 1), (3, 4), (4, 16))),
    quads(4, signed(8), 4, 12, 2, 6, 7),
    quads(1, unsigned(8), 4, 34, 2, 17),
    quads(2, signed(4), 2, 23, 2, 23),
    quads(2, unsigned(8), 8, 12, 8, 4, 0, 2, 3),
    quads(3, signed(8), 4, 12, 2, 6, bit_serial=True),
    quads(2, unsigned(8), 96, 12, 2, 6),  # block RAM
    # Lanes of one bit counted: leaves of every size, folds, groups, accumulators that wrap.
    *(counts(4, 2 * simd, 2, simd) for simd in (1, 2, 3, 7, 8, 9, 16, 17, 24, 25, 32, 41)),
    *(counts(6, 12, pe, simd) for pe, simd in ((1, 12), (2, 4), (6, 3))),
    *(counts(4, 40, 2, 20, wrap) for wrap in (4, 3, 1)),
    counts(8, 12, 8, 4, 0, 2, 3),
    # Sums beyond 32 bits, up to the widest accumulators.
    Shape(1, signed(28), 1, 64, 1, 64),
    Shape(2, signed(29), 2, 16, 2, 16),
    Shape(3, signed(40), 2, 8, 1, 4),
    Shape(1, unsigned(58), 2, 5, 2, 5),
    twos(2, signed(30), 2, 8, 2, 8),
    serial(2, signed(33), 2, 8, 1, 8),
    quads(2, signed(31), 2, 8, 2, 8),
]


def codes(index: int) -> IntArray:
    shape = SHAPES[index]
    grid = shape.grid.code_format
    drawn = np.random.default_rng(index).integers(
        grid.lo, grid.hi, (shape.outputs, shape.inputs), endpoint=True
    )
    drawn[0, :] = grid.hi  # the greatest sum that there is
    if shape.outputs > 1:
        drawn[1, :] = grid.lo
    return drawn


def biases(index: int) -> IntArray:
    return np.random.default_rng(index).integers(-1000, 1000, SHAPES[index].outputs)


def expected_exactly(index: int, inputs: IntArray) -> IntArray:
    shape = SHAPES[index]
    weights = shape.grid.values(codes(index))
    bound = exact_products.product_bound(weights, shape.activations.magnitude)
    # Channels-last: of each tap the channels of all groups.
    elements = inputs.reshape(len(inputs), shape.taps, shape.groups, -1)
    groups = [
        exact_products.exact_matmul(elements[:, :, group].reshape(len(inputs), -1), rows, bound)
        for group, rows in enumerate(np.split(weights, shape.groups))
    ]
    return np.concatenate(groups, axis=1) + biases(index)


def accumulator_bits(index: int) -> int:
    shape = SHAPES[index]
    if shape.accumulator_bits:
        return shape.accumulator_bits
    weights = shape.grid.values(codes(index))
    bound = exact_products.product_bound(weights, shape.activations.magnitude) + 1000
    return IntFormat.covering(-bound, bound).bits


def case(index: int) -> Case:
    shape, bits = SHAPES[index], accumulator_bits(index)
    planes = bit_planes(shape.grid)
    rows = quad_rows if shape.quad_rows else popcount if shape.popcount else pair_rows
    steps = rows.weight_memory(codes(index), planes, Fold(pe=shape.pe, simd=shape.simd))
    if shape.bit_serial:
        steps = pair_rows.by_planes(steps, shape.weight_bits, shape.inputs // shape.simd)
    starts = rows.bias_memory(codes(index), planes, shape.simd, shape.activations, biases(index))
    return Case(
        module="vecq_matrix_vector",
        parameters={
            "Inputs": shape.inputs,
            "Outputs": shape.outputs,
            "Pe": shape.pe,
            "Simd": shape.simd,
            "Groups": shape.groups,
            "Taps": shape.taps,
            "WeightBits": shape.weight_bits,
            "TwosComplement": int(not planes.signs),
            "InputBits": shape.activations.bits,
            "InputSigned": int(shape.activations.signed),
            "AccumulatorBits": bits,
            "BitSerial": int(shape.bit_serial),
            "QuadRows": int(shape.quad_rows),
            "Popcount": int(shape.popcount),
            "Rows": shape.structure.rows,
            "Registers": shape.structure.registers,
            "MostInLuts": shape.structure.most_in_luts,
        },
        input_bits=shape.lanes * shape.activations.bits,
        output_bits=shape.pe * bits,
        memories={
            "WeightsFile": Memory(
                values=steps,
                lanes=shape.pe * shape.simd,
                bits=1 if shape.bit_serial else shape.weight_bits,
            ),
            "BiasFile": Memory(values=starts, lanes=shape.pe, bits=bits),
        },
    )


CASES = [case(index) for index in range(len(SHAPES))]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def sums_are_exact(dut: Any, index: int) -> None:
    shape, bits = SHAPES[index], accumulator_bits(index)
    fmt = shape.activations
    inputs = frames(index, 15, fmt.lo, fmt.hi, shape.inputs * shape.groups)
    expected = arithmetic.wrap(expected_exactly(index, inputs), bits)
    words = pack_rows(inputs, shape.lanes, fmt.bits)
    folds = shape.outputs // shape.pe
    count = len(inputs) * folds
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[int]:
        sink = await transfer(dut, index, words, count, seed)
        outputs = unpack_rows(sink.words, shape.pe, bits, signed=True).reshape(expected.shape)
        found = difference(expected, outputs)
        assert found is None, f"{CASES[index]}: {found}, seed {seed}"
        return sink.cycles

    await compare(seed=index)
    cycles = await compare(seed=None)
    input_folds = shape.inputs // shape.simd
    interval = input_folds * shape.passes
    stages = shape.structure.registers + shape.structure.stages(shape.simd)
    stages += (shape.weight_bits // shape.passes - 1).bit_length()
    blocks = max(shape.inputs * shape.groups // shape.lanes // input_folds, 1)
    if blocks == 1:
        # Cycle 1 takes the first word, cycle input_folds the last word of the first frame.
        first = interval + 5 + stages
        pace = range(first, first + interval * count, interval)
        equal(f"{CASES[index]}: cycles", cycles, pace)
    else:
        # Once the first frame is there, a word an interval.
        pace = range(cycles[folds], cycles[folds] + interval * (count - folds), interval)
        equal(f"{CASES[index]}: cycles", cycles[folds:], pace)

    for ready in (0, 1):
        await interrupt(dut, index, words, shape.steps + 5, ready)
        await compare(seed=index + 1)
