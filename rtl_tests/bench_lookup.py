"""vecq_lookup: the simulator's Lookup, for every input that the format of a lane has."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, equal, frames, interrupt, restart, transfer
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.systemverilog.parameters import lookup_lines
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Input, Lookup
from vecq_hw.network import Network
from vecq_hw.simulate import simulate


@dataclass(frozen=True)
class Shape:
    input: IntFormat
    output: IntFormat
    channels: int = 4
    lanes: int = 2
    own: bool = False
    most_in_luts: int = 256


S8, U8 = IntFormat(8, signed=True), IntFormat(8, signed=False)
SHAPES = [
    Shape(S8, U8),
    *(Shape(S8, S8, 6, lanes, own) for own in (False, True) for lanes in (1, 2, 3, 6)),
    # Down to a bit on either side; ranges narrower than their bits; accumulators of 12 bits.
    Shape(IntFormat(1, signed=False), IntFormat(1, signed=False), 3, 3),
    Shape(IntFormat(1, signed=True), IntFormat(2, signed=True), 3, 1, own=True),
    Shape(IntFormat(6, signed=True, lo=-20, hi=9), IntFormat(5, signed=True, lo=-9, hi=3)),
    Shape(IntFormat(7, signed=False, lo=30, hi=30), U8, 2, 1, own=True),
    Shape(IntFormat(12, signed=True), IntFormat(16, signed=True), 2, 2),
    Shape(IntFormat(12, signed=True, lo=-1500, hi=1400), IntFormat(33, signed=True), 1, 1),
    # More lanes than share a memory.
    Shape(IntFormat(6, signed=True), S8, 22, 11),
    # What lies in block RAM, and what lies in logic, for tables of either size.
    Shape(U8, S8, 18, 9, most_in_luts=1),
    Shape(IntFormat(5, signed=False), S8, 8, 2, own=True, most_in_luts=64),
    Shape(U8, S8, 6, 2, own=True, most_in_luts=2048),
]


def layer(index: int) -> Lookup:
    shape, generator = SHAPES[index], np.random.default_rng(index)
    entries = shape.input.hi - shape.input.lo + 1
    limits, tables = (shape.output.lo, shape.output.hi), shape.channels if shape.own else 1
    table = generator.integers(*limits, (tables, entries), endpoint=True)
    return Lookup(name="map", input="x", table=table, format=shape.output)


def elements(index: int) -> IntArray:
    """Corners, random ones, and each input in each channel; shape (N, channels)."""
    shape = SHAPES[index]
    fmt = shape.input
    every = np.arange(fmt.lo, fmt.hi + 1)[:, np.newaxis].repeat(shape.channels, axis=1)
    return np.concatenate([frames(index, 30, fmt.lo, fmt.hi, shape.channels), every])


def case(index: int) -> Case:
    shape = SHAPES[index]
    lines = lookup_lines(layer(index), shape.input, shape.lanes)
    return Case(
        module="vecq_lookup",
        parameters={
            "Channels": shape.channels,
            "Lanes": shape.lanes,
            "InputBits": shape.input.bits,
            "OutputBits": shape.output.bits,
            "OwnTables": int(shape.own),
            "MostInLuts": shape.most_in_luts,
        },
        input_bits=shape.lanes * shape.input.bits,
        output_bits=shape.lanes * shape.output.bits,
        memories={"File": Memory(values=lines, lanes=lines.shape[1], bits=shape.output.bits)},
    )


CASES = [case(index) for index in range(len(SHAPES))]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def looks_up(dut: Any, index: int) -> None:
    shape, inputs = SHAPES[index], elements(index)
    source = Input(name="x", shape=(shape.channels,), format=shape.input)
    net = Network(name="net", inputs=(source,), layers=(layer(index),), outputs=("map",))
    expected = simulate(net, inputs)
    words = pack_rows(inputs, shape.lanes, shape.input.bits)
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
    equal(f"{CASES[index]}: cycles", await compare(None), range(2, 2 + len(words)))
    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        await compare(seed=index + 1)
