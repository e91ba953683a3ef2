"""vecq_constant: the words of a memory, again and again, each until it is taken."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import PATIENCE, Case, Memory, all_streams, equal, restart
from vecq_hw.bench.stream import Sink, no_stalls, random_stalls, start_clock, wait
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat


@dataclass(frozen=True)
class Shape:
    words: int
    lanes: int
    format: IntFormat

    @property
    def values(self) -> IntArray:
        fmt = self.format
        size = self.words * self.lanes
        return np.random.default_rng(self.words).integers(fmt.lo, fmt.hi, size, endpoint=True)


SHAPES = [
    Shape(1, 1, IntFormat(1, signed=False)),
    Shape(1, 3, IntFormat(8, signed=True)),
    Shape(2, 1, IntFormat(62, signed=True)),
    Shape(5, 4, IntFormat(3, signed=False)),
    Shape(64, 1, IntFormat(7, signed=True)),
    Shape(65, 2, IntFormat(7, signed=True)),
    Shape(200, 1, IntFormat(16, signed=False)),
]


def case(shape: Shape) -> Case:
    bits = shape.lanes * shape.format.bits
    return Case(
        module="vecq_constant",
        parameters={"Words": shape.words, "WordBits": bits},
        input_bits=1,
        output_bits=bits,
        inputs=0,
        memories={
            "ValuesFile": Memory(values=shape.values, lanes=shape.lanes, bits=shape.format.bits)
        },
    )


CASES = [case(shape) for shape in SHAPES]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def words_come_again_and_again(dut: Any, index: int) -> None:
    shape = SHAPES[index]
    words = pack_rows(shape.values, shape.lanes, shape.format.bits) * 3
    _, (target,) = all_streams(dut, index)
    start_clock(dut.clk_i)
    for stalls in (no_stalls(), random_stalls(index), random_stalls(index + 1)):
        await restart(dut, index)
        sink = Sink(target, stalls, frame=1)
        await sink.receive(len(words), PATIENCE)
        equal(f"{CASES[index]}: words", sink.words, words)
    # A word that is offered waits; after a reset the first one comes in the second cycle.
    target.ready.value = 0
    await wait(dut.clk_i, 3)
    await restart(dut, index)
    sink = Sink(target, no_stalls(), frame=1)
    await sink.receive(len(words), PATIENCE)
    equal(f"{CASES[index]}: cycles", sink.cycles, range(2, len(words) + 2))
