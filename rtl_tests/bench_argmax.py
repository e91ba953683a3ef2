"""vecq_argmax: the index of the largest element, the lowest of several, for every frame."""

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
    elements: int
    lanes: int
    format: IntFormat

    @property
    def words(self) -> int:
        return self.elements // self.lanes


def unsigned(bits: int) -> IntFormat:
    return IntFormat(bits, signed=False)


def signed(bits: int) -> IntFormat:
    return IntFormat(bits, signed=True)


SHAPES = [
    # Every fold of ten and of twelve classes.
    *(Shape(10, lanes, signed(16)) for lanes in (1, 2, 5, 10)),
    *(Shape(12, lanes, unsigned(8)) for lanes in (1, 2, 3, 4, 6, 12)),
    # Widths down to one bit, where all but a few elements are equal.
    *(
        Shape(9, lanes, fmt(bits))
        for lanes in (1, 3, 9)
        for bits in (1, 2)
        for fmt in (unsigned, signed)
    ),
    Shape(1, 1, signed(8)),
    Shape(2, 1, unsigned(1)),
    Shape(2, 2, signed(33)),
    Shape(3, 1, signed(62)),
    Shape(16, 16, signed(4)),
    Shape(100, 4, signed(12)),
    Shape(21, 7, unsigned(5)),
]


def case(shape: Shape) -> Case:
    return Case(
        module="vecq_argmax",
        parameters={
            "Elements": shape.elements,
            "Lanes": shape.lanes,
            "ElementBits": shape.format.bits,
            "Signed": int(shape.format.signed),
        },
        input_bits=shape.lanes * shape.format.bits,
        output_bits=max((shape.elements - 1).bit_length(), 1),
    )


CASES = [case(shape) for shape in SHAPES]


def data(index: int) -> IntArray:
    """Corners, random frames, the largest in every place, and ties of every two neighbours."""
    shape = SHAPES[index]
    fmt, count = shape.format, shape.elements
    places = np.arange(count)
    alone = np.where(places == places[:, np.newaxis], fmt.hi, fmt.hi - 1)
    tied = np.where(places >= places[:, np.newaxis], fmt.lo + 1, fmt.lo)
    drawn = frames(index, 20, fmt.lo, fmt.hi, count)
    narrow = np.random.default_rng(index).integers(-1, 0, (20, count), endpoint=True)
    return np.concatenate([drawn, alone, tied, narrow + (0 if fmt.signed else 1)])


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def the_lowest_index_of_the_largest(dut: Any, index: int) -> None:
    shape, inputs = SHAPES[index], data(index)
    expected = inputs.argmax(axis=1).tolist()
    words = pack_rows(inputs, shape.lanes, shape.format.bits)
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[int]:
        sink = await transfer(dut, index, words, len(expected), seed)
        equal(f"{CASES[index]}: indices, seed {seed}", sink.words, expected)
        return sink.cycles

    for seed in (index, index + 100):
        await compare(seed)
    # Cycle 1 takes the first word, and a frame takes as many cycles as it has words.
    first = shape.words + 1 + (shape.lanes - 1).bit_length()
    pace = range(first, first + shape.words * len(expected), shape.words)
    equal(f"{CASES[index]}: cycles", await compare(None), pace)
    for ready, cycles in ((0, shape.words + 4), (1, shape.words + 1), (1, 2 * shape.words + 2)):
        await interrupt(dut, index, words, cycles, ready)
        await compare(seed=index + 1)
