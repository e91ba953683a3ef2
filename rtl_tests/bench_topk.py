"""vecq_topk: the indices of the largest elements, for every frame."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, equal, frames, interrupt, restart, transfer
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat


@dataclass(frozen=True)
class Shape:
    channels: int
    count: int
    format: IntFormat


S16, U8 = IntFormat(16, signed=True), IntFormat(8, signed=False)
SHAPES = [
    *(Shape(10, count, S16) for count in (1, 3, 5, 9, 10)),
    *(Shape(7, count, U8) for count in (1, 2, 6, 7)),
    # Widths down to one bit, where all but a few elements are equal.
    *(Shape(9, 4, IntFormat(bits, signed)) for bits in (1, 2) for signed in (False, True)),
    Shape(1, 1, U8),
    Shape(2, 2, IntFormat(33, signed=True)),
    Shape(3, 2, IntFormat(62, signed=True)),
    Shape(40, 5, IntFormat(12, signed=True)),
]


def case(shape: Shape) -> Case:
    return Case(
        module="vecq_topk",
        parameters={
            "Channels": shape.channels,
            "Count": shape.count,
            "ElementBits": shape.format.bits,
            "Signed": int(shape.format.signed),
        },
        input_bits=shape.format.bits,
        output_bits=max((shape.channels - 1).bit_length(), 1),
    )


CASES = [case(shape) for shape in SHAPES]


def data(index: int) -> IntArray:
    """Corners, random frames, rising and falling ones, the largest in every place, ties."""
    shape = SHAPES[index]
    fmt, count = shape.format, shape.channels
    places = np.arange(count)
    slope = np.clip(places + fmt.lo, fmt.lo, fmt.hi)
    alone = np.where(places == places[:, np.newaxis], fmt.hi, fmt.hi - 1)
    tied = np.where(places >= places[:, np.newaxis], fmt.lo + 1, fmt.lo)
    drawn = frames(index, 20, fmt.lo, fmt.hi, count)
    narrow = np.random.default_rng(index).integers(-1, 0, (20, count), endpoint=True)
    return np.concatenate(
        [drawn, [slope, slope[::-1]], alone, tied, narrow + (0 if fmt.signed else 1)]
    )


def expected_indices(shape: Shape, frame: list[int]) -> list[int]:
    """By Python's sort, which keeps the order of equal elements."""
    return sorted(range(shape.channels), key=lambda place: -frame[place])[: shape.count]


def expected_cycles(shape: Shape, count: int) -> list[int]:
    """Cycle 1 takes the first word; a frame's last one waits for the indices before."""
    cycles: list[int] = []
    now = 0
    for _ in range(count):
        now = max(now + shape.channels, cycles[-1] + 1 if cycles else 0)
        cycles += range(now + 1, now + 1 + shape.count)
    return cycles


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def the_largest_in_their_order(dut: Any, index: int) -> None:
    shape, inputs = SHAPES[index], data(index)
    expected = [place for row in inputs.tolist() for place in expected_indices(shape, row)]
    words = pack_rows(inputs, 1, shape.format.bits)
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[int]:
        sink = await transfer(dut, index, words, len(expected), seed)
        equal(f"{CASES[index]}: indices, seed {seed}", sink.words, expected)
        return sink.cycles

    for seed in (index, index + 100):
        await compare(seed)
    equal(f"{CASES[index]}: cycles", await compare(None), expected_cycles(shape, len(inputs)))
    for ready, cycles in (
        (0, shape.channels + 4),
        (1, shape.channels + 1),
        (1, 2 * shape.channels + 2),
    ):
        await interrupt(dut, index, words, cycles, ready)
        await compare(seed=index + 1)
