"""vecq_threshold: the count of the simulator's Threshold, from all inputs or those at its edges."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, equal, frames, interrupt, restart, transfer
from vecq_hw.accelerator.memories.thresholds import threshold_lines
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.systemverilog.parameters import signed_literal
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Input, Threshold
from vecq_hw.network import Network
from vecq_hw.simulate import simulate


@dataclass(frozen=True)
class Shape:
    input: IntFormat
    output: IntFormat
    channels: int = 4
    lanes: int = 2
    margin: int = 3  # how far thresholds lie outside the range of the input
    shared: int = 0  # one row for all channels: 1 that rises, -1 that falls


S9, U7 = IntFormat(9, signed=True), IntFormat(7, signed=False)
SHAPES = [
    *(Shape(S9, IntFormat(bits, signed=False)) for bits in (1, 2, 3, 4, 6)),
    *(Shape(S9, IntFormat(bits, signed=True)) for bits in (1, 2, 4)),
    *(Shape(U7, IntFormat(4, signed=False), 6, lanes) for lanes in (1, 2, 3, 6)),
    # Counts that are no power of two less one; a clamp on both sides; no threshold at all.
    Shape(S9, IntFormat(4, signed=False, lo=0, hi=9)),
    Shape(U7, IntFormat(6, signed=True, lo=-20, hi=-7), 3, 1),
    Shape(S9, IntFormat(4, signed=False, lo=5, hi=5)),
    Shape(IntFormat(40, signed=True), IntFormat(3, signed=False), 2, 1),
    Shape(IntFormat(1, signed=False), IntFormat(2, signed=False), 5, 5),
    Shape(IntFormat(8, signed=False, lo=3, hi=77), IntFormat(8, signed=False), 2, 2),
    # Thresholds far outside what the input can be.
    Shape(S9, IntFormat(3, signed=False), 4, 2, 10_000),
    # One row for all channels.
    Shape(S9, IntFormat(4, signed=False, lo=0, hi=9), 6, 2, shared=1),
    Shape(U7, IntFormat(4, signed=True), 6, 1, shared=-1),
    Shape(S9, IntFormat(3, signed=False), 3, 3, shared=-1),
    Shape(S9, IntFormat(4, signed=False, lo=5, hi=5), 4, 2, shared=1),
]


def layer(index: int) -> Threshold:
    shape, generator = SHAPES[index], np.random.default_rng(index)
    fmt, levels = shape.input, shape.output.hi - shape.output.lo
    rows = 1 if shape.shared else shape.channels
    drawn = generator.integers(
        fmt.lo - shape.margin, fmt.hi + shape.margin, (rows, levels), endpoint=True
    )
    falling = generator.integers(0, 2, rows)
    falling[0] = shape.shared <= 0
    return Threshold(
        name="count",
        input="x",
        thresholds=np.sort(drawn, axis=1),
        falling=falling,
        format=shape.output,
    )


def elements(index: int) -> IntArray:
    """Corners, random ones, and those at and beside the thresholds; shape (N, channels)."""
    shape = SHAPES[index]
    fmt, thresholds = shape.input, layer(index).thresholds
    beside = [thresholds.T + nudge for nudge in (-1, 0, 1)]
    edges = np.clip(np.concatenate(beside), fmt.lo, fmt.hi).repeat(
        shape.channels // len(thresholds), axis=1
    )
    return np.concatenate([frames(index, 30, fmt.lo, fmt.hi, shape.channels), edges])


def case(index: int) -> Case:
    shape = SHAPES[index]
    lines, bits, count_bits = threshold_lines(layer(index), shape.input, shape.lanes)
    return Case(
        module="vecq_threshold",
        parameters={
            "Channels": shape.channels,
            "Lanes": shape.lanes,
            "InputBits": shape.input.bits,
            "InputSigned": int(shape.input.signed),
            "ThresholdBits": bits,
            "CountBits": count_bits,
            "OutputBits": shape.output.bits,
            "SharedRow": int(shape.shared != 0),
            "Lo": signed_literal(shape.output.lo),
            "Hi": signed_literal(shape.output.hi),
        },
        input_bits=shape.lanes * shape.input.bits,
        output_bits=shape.lanes * shape.output.bits,
        memories={"File": Memory(values=lines, lanes=lines.shape[1], bits=bits)},
    )


CASES = [case(index) for index in range(len(SHAPES))]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def counts_thresholds(dut: Any, index: int) -> None:
    shape, inputs = SHAPES[index], elements(index)
    source = Input(name="x", shape=(shape.channels,), format=shape.input)
    net = Network(name="net", inputs=(source,), layers=(layer(index),), outputs=("count",))
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
    first = 3 + (shape.output.hi - shape.output.lo).bit_length()
    equal(f"{CASES[index]}: cycles", await compare(None), range(first, first + len(words)))
    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        await compare(seed=index + 1)
