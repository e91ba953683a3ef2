"""vecq_fifo: order and pace of vecq_stream_width, and exactly the room that it states."""

import math
from dataclasses import dataclass
from typing import Any

import cocotb

from rtl_tests.harness import Case, equal, frames, interrupt, restart, streams, transfer
from vecq_hw.bench.stream import no_stalls, send, start_clock, wait
from vecq_hw.emit.words import pack_rows


@dataclass(frozen=True)
class Shape:
    lanes_in: int
    lanes_out: int
    capacity: int
    bits: int


SHAPES = [
    # Equal lanes: the smallest, powers of two and not, some size.
    *(Shape(1, 1, capacity, 5) for capacity in (2, 3, 4, 7, 8, 133)),
    Shape(3, 3, 3 * 6, 4),
    # Wider on one side, then on the other; the room a whole number of words of each or of neither.
    *(Shape(1, 4, capacity, 3) for capacity in (5, 8, 11, 40)),
    *(Shape(4, 1, capacity, 3) for capacity in (5, 8, 11, 40)),
    # Neither divides the other.
    *(Shape(2, 3, capacity, 2) for capacity in (6, 7, 12, 31)),
    *(Shape(3, 2, capacity, 2) for capacity in (6, 7, 12, 31)),
    *(Shape(4, 6, capacity, 2) for capacity in (12, 50)),
    Shape(8, 5, 101, 1),
]
CASES = [
    Case(
        module="vecq_fifo",
        parameters={
            "LanesIn": shape.lanes_in,
            "LanesOut": shape.lanes_out,
            "ElementBits": shape.bits,
            "Capacity": shape.capacity,
        },
        input_bits=shape.lanes_in * shape.bits,
        output_bits=shape.lanes_out * shape.bits,
    )
    for shape in SHAPES
]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def elements_keep_their_order_and_the_room_is_exact(dut: Any, index: int) -> None:
    shape = SHAPES[index]
    elements = math.lcm(shape.lanes_in, shape.lanes_out)
    count = 5 + shape.capacity * 4 // elements
    data = frames(index, count, 0, (1 << shape.bits) - 1, elements)
    words = pack_rows(data, shape.lanes_in, shape.bits)
    expected = pack_rows(data, shape.lanes_out, shape.bits)
    start_clock(dut.clk_i)
    await restart(dut, index)
    sink = await transfer(dut, index, words, len(expected), seed=index)
    equal("words", sink.words, expected)

    # The side with more words moves one every cycle.
    sink = await transfer(dut, index, words, len(expected), seed=None)
    equal("words", sink.words, expected)
    first = math.ceil(shape.lanes_out / shape.lanes_in) + 1
    assert sink.cycles[0] == first
    if shape.lanes_out == shape.lanes_in:
        equal("cycles", sink.cycles, range(first, first + len(expected)))

    # With nobody to take them, so many words come in and no more; then all come out.
    source, _ = streams(dut, index)
    patience = shape.capacity + 30
    sending = cocotb.start_soon(send(source, words, no_stalls(), 1, patience))
    taken = 0
    for _ in range(shape.capacity + 20):
        await wait(dut.clk_i, 1)
        taken += bool(source.valid.value) and bool(source.ready.value)
    sending.cancel()
    assert taken == shape.capacity // shape.lanes_in, f"{CASES[index]}: {taken} words came in"
    await restart(dut, index)

    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        sink = await transfer(dut, index, words, len(expected), seed=index + 1)
        equal("words", sink.words, expected)
