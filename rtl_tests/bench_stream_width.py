"""vecq_stream_width: elements keep their order between any two numbers of lanes."""

import math
from typing import Any

import cocotb

from rtl_tests.harness import Case, equal, frames, interrupt, restart, transfer
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.words import pack_rows

LANES = [
    *((1, n) for n in (1, 2, 3, 8)),
    *((n, 1) for n in (2, 3, 8)),
    *((2, 3), (3, 2), (3, 4), (4, 3), (2, 8), (8, 2), (4, 6), (6, 4), (5, 8), (8, 5), (6, 9)),
]
CASES = [
    Case(
        module="vecq_stream_width",
        parameters={"LanesIn": lanes_in, "LanesOut": lanes_out, "ElementBits": bits},
        input_bits=lanes_in * bits,
        output_bits=lanes_out * bits,
    )
    for (lanes_in, lanes_out), bits in zip(LANES, [1, 3, 8, 16] * 5, strict=False)
]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def elements_keep_their_order(dut: Any, index: int) -> None:
    (lanes_in, lanes_out), bits = LANES[index], int(str(CASES[index].parameters["ElementBits"]))
    elements = math.lcm(lanes_in, lanes_out)
    data = frames(index, 100, 0, (1 << bits) - 1, elements)
    words, expected = pack_rows(data, lanes_in, bits), pack_rows(data, lanes_out, bits)
    start_clock(dut.clk_i)
    await restart(dut, index)
    sink = await transfer(dut, index, words, len(expected), seed=index)
    equal("words", sink.words, expected)

    # The side with more words moves one every cycle.
    sink = await transfer(dut, index, words, len(expected), seed=None)
    equal("words", sink.words, expected)
    first = math.ceil(lanes_out / lanes_in) + 1
    assert sink.cycles[0] == first
    if lanes_out <= lanes_in:
        equal("cycles", sink.cycles, range(first, first + len(expected)))
    else:
        assert sink.cycles[-1] == len(words) + 1

    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        sink = await transfer(dut, index, words, len(expected), seed=index + 1)
        equal("words", sink.words, expected)
