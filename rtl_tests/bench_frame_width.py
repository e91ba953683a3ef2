"""vecq_frame_width: frames keep their elements, whatever fits into their last words."""

import math
from typing import Any

import cocotb

from rtl_tests.harness import Case, equal, frames, interrupt, restart, transfer
from vecq_hw.bench.stream import start_clock
from vecq_hw.bench.words import pack_frame
from vecq_hw.formats import IntArray

SHAPES = [  # elements, lanes in, lanes out
    *((1, 1, 1), (1, 4, 1), (1, 1, 4), (1, 4, 3), (5, 5, 5), (3, 8, 8)),
    *((10, 4, 5), (10, 5, 4), (10, 8, 5), (10, 5, 8), (10, 16, 2), (10, 2, 16)),
    *((7, 4, 7), (7, 7, 4), (12, 8, 3), (12, 3, 8), (64, 4, 8), (64, 8, 4)),
    *((9, 2, 3), (9, 3, 2), (9, 2, 4), (25, 16, 5), (25, 5, 16), (6, 4, 4)),
]
CASES = [
    Case(
        module="vecq_frame_width",
        parameters={
            "Elements": elements,
            "LanesIn": lanes_in,
            "LanesOut": lanes_out,
            "ElementBits": bits,
        },
        input_bits=lanes_in * bits,
        output_bits=lanes_out * bits,
    )
    for (elements, lanes_in, lanes_out), bits in zip(SHAPES, [1, 3, 8, 5] * 6, strict=True)
]


def padded(data: IntArray, lanes: int, bits: int, dirt: int) -> list[int]:
    """The words of each frame; what lies above the elements of a last one is ``dirt``."""
    result: list[int] = []
    for frame in data.tolist():
        missing = -len(frame) % lanes
        result += pack_frame([*frame, *[dirt] * missing], lanes, bits)
    return result


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def frames_keep_their_elements(dut: Any, index: int) -> None:
    elements, lanes_in, lanes_out = SHAPES[index]
    bits = int(str(CASES[index].parameters["ElementBits"]))
    data = frames(index, 40, 0, (1 << bits) - 1, elements)
    words = padded(data, lanes_in, bits, dirt=-1)
    expected = padded(data, lanes_out, bits, dirt=0)
    start_clock(dut.clk_i)
    await restart(dut, index)
    for seed in (index, index + 100, None):
        sink = await transfer(dut, index, words, len(expected), seed=seed)
        equal("words", sink.words, expected)
    # The side with more words moves one every cycle.
    first = min(math.ceil(lanes_out / lanes_in), math.ceil(elements / lanes_in)) + 1
    assert sink.cycles[0] == first
    if len(expected) >= len(words):
        assert sink.cycles[-1] <= first + len(expected) + len(data)
    for ready in (0, 1):
        await interrupt(dut, index, words, 5, ready)
        sink = await transfer(dut, index, words, len(expected), seed=index + 1)
        equal("words", sink.words, expected)
