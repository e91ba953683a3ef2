"""vecq_rescale: rounding and clamping of the numeric contract, rule 4."""

from dataclasses import dataclass, replace
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, equal, frames, interrupt, restart, transfer
from vecq_hw import arithmetic
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.systemverilog.parameters import word_literal
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray, IntFormat


@dataclass(frozen=True)
class Shape:
    accumulator: IntFormat
    mantissa_bits: int
    offset_bits: int
    shift: int
    output: IntFormat
    channels: int = 6
    lanes: int = 2
    further: int = 0
    """At most so much longer than ``shift`` are the shifts of some channels."""
    rows: tuple[int, ...] = ()
    """The class of each position; without any there is one class for all."""
    room: int = 2
    """Words in the register at the end: with 1 a word goes out every second cycle."""
    constant: bool = False
    """Whether every second lane has one mantissa for all of its channels."""

    @property
    def classes(self) -> int:
        return max(self.rows, default=0) + 1

    @property
    def constant_lanes(self) -> slice:
        return slice(0, self.lanes if self.constant else 0, 2)

    @property
    def shifts(self) -> IntArray:
        further = np.arange(self.channels) * 5 % (self.further + 1)
        further[-1] = self.further
        return self.shift + further


U8, S16 = IntFormat(8, signed=False), IntFormat(16, signed=True)
SHAPES = [
    *(Shape(IntFormat(20, signed=True), 18, 30, 22, U8, 6, lanes) for lanes in (1, 2, 3, 6)),
    *(Shape(IntFormat(12, signed=True), 8, 16, shift, S16) for shift in (1, 2, 5, 20, 40, 62)),
    Shape(IntFormat(8, signed=False), 8, 10, 8, U8),
    Shape(IntFormat(1, signed=True), 2, 2, 1, IntFormat(1, signed=False)),
    Shape(IntFormat(9, signed=True), 6, 12, 6, IntFormat(8, signed=False, lo=0, hi=96)),
    Shape(IntFormat(9, signed=True), 6, 12, 4, IntFormat(8, signed=True, lo=-100, hi=-3)),
    Shape(IntFormat(9, signed=True), 6, 12, 1, IntFormat(1, signed=True)),
    Shape(IntFormat(40, signed=True), 18, 58, 50, S16),
    Shape(IntFormat(62, signed=True), 1, 61, 30, IntFormat(40, signed=True)),
    Shape(IntFormat(20, signed=True), 18, 30, 1, IntFormat(62, signed=True)),
    Shape(IntFormat(3, signed=True), 57, 60, 60, IntFormat(63, signed=False)),
    Shape(IntFormat(16, signed=True), 10, 20, 12, U8, 1, 1),
    Shape(IntFormat(16, signed=True), 10, 20, 12, U8, 16, 8),
    # Shifts of their own.
    *(Shape(IntFormat(20, signed=True), 18, 36, 18, U8, 6, lanes, 9) for lanes in (1, 2, 6)),
    Shape(IntFormat(9, signed=False), 6, 12, 1, IntFormat(8, True, -100, -3), further=6),
    Shape(IntFormat(40, signed=True), 18, 58, 1, S16, further=61),
    Shape(IntFormat(3, signed=True), 57, 60, 60, IntFormat(63, signed=False), further=2),
    # Classes of positions.
    *(
        Shape(IntFormat(20, signed=True), 18, 36, 22, U8, 6, lanes, further, (0, 2, 2, 1, 0))
        for lanes in (1, 2, 6)
        for further in (0, 5)
    ),
    Shape(IntFormat(9, signed=False), 6, 12, 4, S16, 1, 1, rows=(1,)),
    Shape(IntFormat(9, signed=False), 6, 12, 4, S16, 1, 1, rows=tuple(range(70))),
    Shape(IntFormat(16, signed=True), 10, 20, 13, U8, 6, 2, room=1),
]
SHAPES = [replace(shape, constant=index % 2 == 1) for index, shape in enumerate(SHAPES)]


def numbers(shape: Shape) -> tuple[IntArray, IntArray]:
    """Mantissa and offset: the extremes of their bits, zero where that fits, the rest random."""
    generator = np.random.default_rng(shape.shift)
    drawn = []
    for bits in (shape.mantissa_bits, shape.offset_bits):
        fmt = IntFormat(bits, signed=True)
        values = generator.integers(fmt.lo, fmt.hi, shape.channels, endpoint=True)
        values[: min(3, shape.channels)] = [fmt.hi, fmt.lo, 0][: shape.channels]
        lines = [np.roll(values, turn) for turn in range(shape.classes)]
        if shape.channels == 1:  # nothing to turn
            lines = list(generator.integers(fmt.lo, fmt.hi, (shape.classes, 1), endpoint=True))
        drawn.append(np.stack(lines) if shape.rows else values)
    mantissas = drawn[0].reshape(-1, shape.lanes)
    mantissas[:, shape.constant_lanes] = mantissas[0, shape.constant_lanes]
    return mantissas.reshape(drawn[0].shape), drawn[1]


def lines_of_frame(shape: Shape) -> tuple[IntArray, ...]:
    """Mantissa, offset and shift of each element of a frame, which has all positions."""
    mantissa, offset = numbers(shape)
    rows = list(shape.rows) if shape.rows else ...
    shifts = np.tile(shape.shifts, max(len(shape.rows), 1))
    return mantissa[rows].ravel(), offset[rows].ravel(), shifts


def literal(value: int) -> str:
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"


def shift_memory(further: IntArray, lanes: int) -> dict[str, Memory]:
    """What the shifts are longer than the least; none where they are all alike."""
    bits = int(further.max()).bit_length()
    return {"ShiftFile": Memory(values=further, lanes=lanes, bits=bits)} if bits else {}


def row_memory(shape: Shape) -> dict[str, Memory]:
    """The first line of each position's class; none of a single class."""
    if shape.classes == 1:
        return {}
    words = shape.channels // shape.lanes
    bits = (shape.classes * words - 1).bit_length()
    return {"RowsFile": Memory(values=np.array(shape.rows) * words, lanes=1, bits=bits)}


def constant_factors(shape: Shape, mantissa: IntArray) -> dict[str, str]:
    """Which lanes multiply by a constant, and by which."""
    if not shape.constant:
        return {}
    ones, factors = np.zeros(shape.lanes, np.int64), np.zeros(shape.lanes, np.int64)
    ones[shape.constant_lanes] = 1
    factors[shape.constant_lanes] = mantissa.reshape(-1, shape.lanes)[0, shape.constant_lanes]
    return {
        "Constant": word_literal(ones, 1),
        "Factors": word_literal(factors, shape.mantissa_bits),
    }


def case(index: int) -> Case:
    shape = SHAPES[index]
    mantissa, offset = numbers(shape)
    rounding = offset + arithmetic.half_of(shape.shifts)
    offset_bits = IntFormat.covering(int(rounding.min()), max(int(rounding.max()), -1)).bits

    return Case(
        module="vecq_rescale",
        parameters={
            "Channels": shape.channels,
            "Lanes": shape.lanes,
            "AccumulatorBits": shape.accumulator.bits,
            "InputSigned": int(shape.accumulator.signed),
            "MantissaBits": shape.mantissa_bits,
            "OffsetBits": offset_bits,
            "Shift": shape.shift,
            "OutputBits": shape.output.bits,
            "Lo": literal(shape.output.lo),
            "Hi": literal(shape.output.hi),
            "ShiftBits": shape.further.bit_length(),
            "Room": shape.room,
        }
        | constant_factors(shape, mantissa)
        | ({"Classes": shape.classes, "Positions": len(shape.rows)} if shape.classes > 1 else {}),
        input_bits=shape.lanes * shape.accumulator.bits,
        output_bits=shape.lanes * shape.output.bits,
        memories={
            "MantissaFile": Memory(values=mantissa, lanes=shape.lanes, bits=shape.mantissa_bits),
            "OffsetFile": Memory(values=rounding, lanes=shape.lanes, bits=offset_bits),
        }
        | shift_memory(np.tile(shape.shifts - shape.shift, shape.classes), shape.lanes)
        | row_memory(shape),
    )


CASES = [case(index) for index in range(len(SHAPES))]


def accumulators(shape: Shape) -> IntArray:
    """Corners, random ones, and those whose product lies next to a tie or a clamp."""
    fmt = shape.accumulator
    mantissa, offset, shifts = lines_of_frame(shape)
    near = []
    for target in (shape.output.lo, shape.output.hi, 0):
        for nudge in (-1, 0, 1):
            exact = [
                (((2 * target + 1) << s - 1) - b) // m + nudge if m else 0
                for m, b, s in zip(mantissa.tolist(), offset.tolist(), shifts.tolist(), strict=True)
            ]
            near.append([min(max(value, fmt.lo), fmt.hi) for value in exact])
    drawn = frames(shape.shift, 40, fmt.lo, fmt.hi, len(mantissa))
    return np.concatenate([drawn, np.array(near, dtype=np.int64)])


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def rounds_and_clamps(dut: Any, index: int) -> None:
    shape = SHAPES[index]
    inputs = accumulators(shape)
    expected = arithmetic.rescale(inputs, *lines_of_frame(shape), shape.output)
    latency, interval = 7 + (shape.classes > 1), 3 - shape.room
    words = pack_rows(inputs, shape.lanes, shape.accumulator.bits)
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[int]:
        sink = await transfer(dut, index, words, len(words), seed)
        layout = (shape.lanes, shape.output.bits, shape.output.signed)
        outputs = unpack_rows(sink.words, *layout).reshape(expected.shape)
        found = difference(expected, outputs)
        assert found is None, f"{CASES[index]}: {found}, seed {seed}"
        return sink.cycles

    await compare(seed=index)
    equal(
        f"{CASES[index]}: cycles",
        await compare(seed=None),
        range(latency + 1, interval * len(words) + latency + 1, interval),
    )
    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        await compare(seed=index + 1)
