"""vecq_rescale_serial: the numbers of vecq_rescale, a word every so many cycles."""

from dataclasses import dataclass
from typing import Any

import cocotb

from rtl_tests import bench_rescale
from rtl_tests.bench_rescale import U8, Shape, accumulators, literal, numbers, shift_memory
from rtl_tests.harness import Case, Memory, equal, interrupt, restart, transfer
from vecq_hw import arithmetic
from vecq_hw.accelerator.memories.serial_rescale import serial_memories
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntFormat


@dataclass(frozen=True)
class Serial:
    shape: Shape
    turns: int = 1

    @property
    def cycles(self) -> int:
        """From word to word."""
        return self.turns * (self.shape.mantissa_bits + 1) + 1


def wide(lanes: int, further: int = 0) -> Shape:
    return Shape(IntFormat(20, signed=True), 18, 30, 22, U8, 12, lanes, further)


def too_wide(shape: Shape) -> bool:
    """Whether a sum would have more than 64 bits."""
    align = max(shape.mantissa_bits - shape.shift, 0)
    return max(shape.accumulator.bits, shape.offset_bits, shape.shift + shape.further) + align > 61


SERIALS = [
    # Every shape of the other cell but those whose sums get too wide, with zeros behind them where
    # the shift is less than the mantissa's bits; this one has no classes of positions.
    *(Serial(shape) for shape in bench_rescale.SHAPES if not shape.rows and not too_wide(shape)),
    # Lanes in turns; the last unit may have fewer.
    *(Serial(wide(6), turns) for turns in (2, 3, 4, 5, 6)),
    Serial(wide(4), 3),
    *(Serial(wide(6, further=13), turns) for turns in (1, 4)),
    Serial(
        Shape(IntFormat(9, signed=False), 6, 12, 6, IntFormat(8, signed=True, lo=-100, hi=-3)), 2
    ),
]


def case(serial: Serial, number: int) -> Case:
    shape = serial.shape
    memories = serial_memories(
        *numbers(shape), shape.shifts, shape.mantissa_bits, shape.lanes, serial.turns
    )
    return Case(
        module="vecq_rescale_serial",
        parameters={
            "Channels": shape.channels,
            "Lanes": shape.lanes,
            "Turns": serial.turns,
            "AccumulatorBits": shape.accumulator.bits,
            "InputSigned": int(shape.accumulator.signed),
            "MantissaBits": shape.mantissa_bits,
            "RestBits": memories.rest_bits,
            "Shift": shape.shift,
            "OutputBits": shape.output.bits,
            "Lo": literal(shape.output.lo),
            "Hi": literal(shape.output.hi),
            "ShiftBits": shape.further.bit_length(),
            "CarryChoice": int(number % 3 == 1),
            "Ready": int(number % 3 == 2),
        },
        input_bits=shape.lanes * shape.accumulator.bits,
        output_bits=shape.lanes * shape.output.bits,
        memories={
            "BitsFile": Memory(values=memories.bits, lanes=memories.bits.shape[1], bits=1),
            "RestsFile": Memory(
                values=memories.rests, lanes=memories.rests.shape[1], bits=memories.rest_bits
            ),
        }
        | shift_memory(memories.further, memories.further.shape[1]),
    )


CASES = [case(serial, number) for number, serial in enumerate(SERIALS)]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def rounds_and_clamps(dut: Any, index: int) -> None:
    shape, cycles = SERIALS[index].shape, SERIALS[index].cycles
    inputs = accumulators(shape)
    expected = arithmetic.rescale(inputs, *numbers(shape), shape.shifts, shape.output)
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
    # Cycle 1 takes the first word, the next cycle begins with it.
    pace = range(cycles + 5, cycles + 5 + cycles * len(words), cycles)
    equal(f"{CASES[index]}: cycles", await compare(seed=None), pace)
    for ready in (0, 1):
        await interrupt(dut, index, words, 5 + 2 * cycles, ready)
        await compare(seed=index + 1)
