"""vecq_add, vecq_concat and vecq_fork: words of several streams, each with pauses of its own."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, equal, exchange, frames, interrupt, restart
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat

FRAMES = 40


@dataclass(frozen=True)
class Addition:
    operands: int
    lanes: int
    format: IntFormat
    # By proof a sum may need fewer bits than operands and their number say.
    sum_bits: int


@dataclass(frozen=True)
class Concatenation:
    turns: tuple[int, ...]
    bits: int


@dataclass(frozen=True)
class Forking:
    outputs: int
    bits: int


SHAPES: list[Addition | Concatenation | Forking] = [
    *(Addition(n, 2, IntFormat(5, signed=False), 5 + (n - 1).bit_length()) for n in range(1, 7)),
    *(Addition(n, 3, IntFormat(4, signed=True), 4 + (n - 1).bit_length()) for n in (1, 2, 3, 5)),
    Addition(2, 1, IntFormat(1, signed=False), 2),
    Addition(2, 1, IntFormat(1, signed=True), 2),
    Addition(2, 4, IntFormat(8, signed=False, lo=0, hi=5), 4),
    Addition(3, 4, IntFormat(8, signed=True, lo=-9, hi=5), 6),
    Addition(2, 2, IntFormat(6, signed=True), 12),
    Addition(3, 1, IntFormat(60, signed=True), 62),
    *(Concatenation(turns, 7) for turns in ((1, 1), (1, 3), (2, 5, 1), (4,), (16, 1), (1,) * 5)),
    *(Forking(outputs, 6) for outputs in (1, 2, 3, 5)),
]


def case(shape: Addition | Concatenation | Forking) -> Case:
    match shape:
        case Addition():
            return Case(
                module="vecq_add",
                parameters={
                    "Operands": shape.operands,
                    "Lanes": shape.lanes,
                    "ElementBits": shape.format.bits,
                    "Signed": int(shape.format.signed),
                    "SumBits": shape.sum_bits,
                },
                input_bits=shape.lanes * shape.format.bits,
                output_bits=shape.lanes * shape.sum_bits,
                inputs=shape.operands,
            )
        case Concatenation():
            turns = ", ".join(f"32'd{count}" for count in reversed(shape.turns))
            return Case(
                module="vecq_concat",
                parameters={
                    "Operands": len(shape.turns),
                    "WordBits": shape.bits,
                    "Turns": f"{{{turns}}}",
                },
                input_bits=shape.bits,
                output_bits=shape.bits,
                inputs=len(shape.turns),
            )
        case Forking():
            return Case(
                module="vecq_fork",
                parameters={"Outputs": shape.outputs, "WordBits": shape.bits},
                input_bits=shape.bits,
                output_bits=shape.bits,
                outputs=shape.outputs,
            )


CASES = [case(shape) for shape in SHAPES]


def words_of(index: int) -> tuple[list[list[int]], list[list[int]], int]:
    """Words of every input and of every output, and the latency."""
    shape = SHAPES[index]
    match shape:
        case Addition():
            fmt, operands = shape.format, range(shape.operands)
            drawn = [frames(n, FRAMES, fmt.lo, fmt.hi, shape.lanes) for n in operands]
            # Beside all corners of one and the same kind, all of the others.
            drawn = [
                np.concatenate([rows, np.roll(rows, n, axis=0)]) for n, rows in enumerate(drawn)
            ]
            sums = np.sum(drawn, axis=0)
            words = [pack_rows(rows, shape.lanes, fmt.bits) for rows in drawn]
            latency = max((shape.operands - 1).bit_length(), 1)
            return words, [pack_rows(sums, shape.lanes, shape.sum_bits)], latency
        case Concatenation():
            parts = [_drawn(n, FRAMES * count, shape.bits) for n, count in enumerate(shape.turns)]
            rows = [part.reshape(FRAMES, -1) for part in parts]
            return [part.tolist() for part in parts], [np.hstack(rows).ravel().tolist()], 1
        case Forking():
            words = _drawn(index, FRAMES, shape.bits).tolist()
            return [words], [words] * shape.outputs, 0


def _drawn(seed: int, count: int, bits: int) -> IntArray:
    return np.random.default_rng(seed).integers(0, 1 << bits, count)


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def words_meet_and_part_in_order(dut: Any, index: int) -> None:
    words, expected, latency = words_of(index)
    counts = [len(some) for some in expected]
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[list[int]]:
        sinks = await exchange(dut, index, words, counts, seed)
        for sink, wanted in zip(sinks, expected, strict=True):
            equal(f"{CASES[index]}: words", sink.words, wanted)
        return [sink.cycles for sink in sinks]

    for seed in (index, index + 100, index + 200):
        await compare(seed)
    for cycles in await compare(seed=None):
        equal(f"{CASES[index]}: cycles", cycles, range(latency + 1, latency + 1 + len(cycles)))
    for ready in (0, 1, -1):  # 1: only the first receiver of a fork has its word
        await interrupt(dut, index, words, 7, ready)
        await compare(seed=index + 1)
