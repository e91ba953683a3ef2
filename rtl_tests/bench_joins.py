"""Cells where streams meet and part: words of several streams, each with pauses of its own."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import (
    PATIENCE,
    Case,
    all_streams,
    equal,
    exchange,
    frames,
    interrupt,
    restart,
)
from vecq_hw.bench.stream import Sink, no_stalls, send, start_clock
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
class Mixed:
    """A sum, or the difference of two, of operands of any formats."""

    formats: tuple[IntFormat, ...]
    lanes: int
    sum_bits: int
    subtract: bool = False


@dataclass(frozen=True)
class Product:
    """With several positions the second operand is kept for a frame of ``words`` words each."""

    left: IntFormat
    right: IntFormat
    lanes: int
    product_bits: int
    words: int = 1
    positions: int = 1


@dataclass(frozen=True)
class Concatenation:
    """The first word of all turns waits for operand ``lead``."""

    turns: tuple[int, ...]
    bits: int
    lead: int = 0


@dataclass(frozen=True)
class Forking:
    outputs: int
    bits: int


def u(bits: int) -> IntFormat:
    return IntFormat(bits, signed=False)


def s(bits: int) -> IntFormat:
    return IntFormat(bits, signed=True)


Shape = Addition | Mixed | Product | Concatenation | Forking
SHAPES: list[Shape] = [
    *(Addition(n, 2, IntFormat(5, signed=False), 5 + (n - 1).bit_length()) for n in range(1, 7)),
    *(Addition(n, 3, IntFormat(4, signed=True), 4 + (n - 1).bit_length()) for n in (1, 2, 3, 5)),
    Addition(2, 1, IntFormat(1, signed=False), 2),
    Addition(2, 1, IntFormat(1, signed=True), 2),
    Addition(2, 4, IntFormat(8, signed=False, lo=0, hi=5), 4),
    Addition(3, 4, IntFormat(8, signed=True, lo=-9, hi=5), 6),
    Addition(2, 2, IntFormat(6, signed=True), 12),
    Addition(3, 1, IntFormat(60, signed=True), 62),
    *(Concatenation(turns, 7) for turns in ((1, 1), (1, 3), (2, 5, 1), (4,), (16, 1), (1,) * 5)),
    *(Concatenation((1, 2, 1), 7, lead) for lead in (1, 2)),
    Concatenation((3, 1), 5, 1),
    *(Forking(outputs, 6) for outputs in (1, 2, 3, 5)),
    Mixed((u(5), s(3)), 2, 7),
    Mixed((s(1), u(7), s(4), u(2)), 3, 9),
    Mixed((u(3), u(6)), 1, 9),
    *(Mixed((left, right), 2, 9, subtract=True) for left in (u(7), s(8)) for right in (u(7), s(8))),
    Mixed((u(1), u(1)), 1, 2, subtract=True),
    Mixed((IntFormat(8, True, 0, 9), IntFormat(6, False, 0, 5)), 4, 5, subtract=True),
    Mixed((u(3), s(61)), 1, 62, subtract=True),
    *(Product(left, right, 2, 13) for left in (u(8), s(8)) for right in (u(5), s(5))),
    Product(u(1), u(1), 3, 1),
    Product(IntFormat(8, True, -3, 3), u(6), 1, 9),
    Product(s(40), s(22), 1, 62),
    *(
        Product(u(8), s(8), 2, 16, words, positions)
        for words, positions in ((1, 2), (1, 7), (5, 4), (3, 2))
    ),
    Product(s(3), u(9), 1, 12, 70, 2),
]


def case(shape: Shape) -> Case:
    match shape:
        case Mixed():
            signed = any(fmt.signed for fmt in shape.formats)
            literal = ", ".join(f"32'd{fmt.bits}" for fmt in reversed(shape.formats))
            signs = "".join(str(int(fmt.signed)) for fmt in reversed(shape.formats))
            return Case(
                module="vecq_add",
                parameters={
                    "Operands": len(shape.formats),
                    "Lanes": shape.lanes,
                    "ElementBits": max(
                        fmt.bits + (signed and not fmt.signed) for fmt in shape.formats
                    ),
                    "Signed": int(signed),
                    "SumBits": shape.sum_bits,
                    "Subtract": int(shape.subtract),
                    "OperandBits": f"{{{literal}}}",
                    "OperandSigned": f"{len(shape.formats)}'b{signs}",
                    "AllBits": sum(fmt.bits for fmt in shape.formats),
                },
                input_bits=tuple(shape.lanes * fmt.bits for fmt in shape.formats),
                output_bits=shape.lanes * shape.sum_bits,
                inputs=len(shape.formats),
            )
        case Product():
            return Case(
                module="vecq_multiply",
                parameters={
                    "Lanes": shape.lanes,
                    "LeftBits": shape.left.bits,
                    "LeftSigned": int(shape.left.signed),
                    "RightBits": shape.right.bits,
                    "RightSigned": int(shape.right.signed),
                    "ProductBits": shape.product_bits,
                    "Words": shape.words,
                    "Positions": shape.positions,
                },
                input_bits=(shape.lanes * shape.left.bits, shape.lanes * shape.right.bits),
                output_bits=shape.lanes * shape.product_bits,
                inputs=2,
            )
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
                    "Lead": shape.lead,
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
        case Mixed():
            drawn = [_rows(n, fmt, FRAMES + 5, shape.lanes) for n, fmt in enumerate(shape.formats)]
            total = drawn[0] - drawn[1] if shape.subtract else np.sum(drawn, axis=0)
            words = [
                pack_rows(rows, shape.lanes, fmt.bits)
                for rows, fmt in zip(drawn, shape.formats, strict=True)
            ]
            latency = max((len(shape.formats) - 1).bit_length(), 1)
            return words, [pack_rows(total, shape.lanes, shape.sum_bits)], latency
        case Product():
            kept = shape.positions > 1
            count = 4 if kept else FRAMES
            left = _rows(1, shape.left, count * shape.positions * shape.words, shape.lanes)
            right = _rows(2, shape.right, count * shape.words, shape.lanes)
            grid = (count, -1, shape.words, shape.lanes)
            products = left.reshape(grid) * right.reshape(grid)
            words = [
                pack_rows(left, shape.lanes, shape.left.bits),
                pack_rows(right, shape.lanes, shape.right.bits),
            ]
            # A word that is kept can be read from the cycle after it came in.
            return words, [pack_rows(products, shape.lanes, shape.product_bits)], 2 + kept
        case Concatenation():
            parts = [_drawn(n, FRAMES * count, shape.bits) for n, count in enumerate(shape.turns)]
            rows = [part.reshape(FRAMES, -1) for part in parts]
            return [part.tolist() for part in parts], [np.hstack(rows).ravel().tolist()], 1
        case Forking():
            words = _drawn(index, FRAMES, shape.bits).tolist()
            return [words], [words] * shape.outputs, 0


def _rows(seed: int, fmt: IntFormat, count: int, lanes: int) -> IntArray:
    """Rows of corners and random numbers, those of every seed in an order of its own."""
    rows = frames(seed, count, fmt.lo, fmt.hi, lanes)
    return np.random.default_rng(seed).permutation(rows)[:count]


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


LED = [n for n, shape in enumerate(SHAPES) if isinstance(shape, Concatenation) and shape.lead]
# In every share of the cases.
ALSO = LED[-1:]


@cocotb.test()
@cocotb.parametrize(index=LED)
async def the_first_word_of_all_turns_waits_for_the_leader(dut: Any, index: int) -> None:
    shape = SHAPES[index]
    words, (expected,), _ = words_of(index)
    (sources, (target,)), per_turn = all_streams(dut, index), sum(shape.turns)
    start_clock(dut.clk_i)
    await restart(dut, index)
    sink = Sink(target, no_stalls(), frame=1)
    for place, source in enumerate(sources):
        if place != shape.lead:
            cocotb.start_soon(send(source, words[place], no_stalls(), frame=1, patience=PATIENCE))
    # The others offer all that they have; each time the leader comes, one round of turns goes.
    for turn in range(4):
        await sink.stay_empty(10)
        first = turn * shape.turns[shape.lead]
        own = words[shape.lead][first : first + shape.turns[shape.lead]]
        cocotb.start_soon(send(sources[shape.lead], own, no_stalls(), frame=1, patience=PATIENCE))
        await sink.receive(per_turn, PATIENCE)
        equal(f"{CASES[index]}: words", sink.words, expected[: (turn + 1) * per_turn])
