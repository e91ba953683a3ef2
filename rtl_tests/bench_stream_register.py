"""vecq_stream_register: words pass unchanged, one a cycle."""

import random
from typing import Any

import cocotb

from rtl_tests.harness import Case, equal, interrupt, restart, transfer
from vecq_hw.bench.stream import start_clock

CASES = [
    Case(
        module="vecq_stream_register",
        parameters={"DataBits": bits},
        input_bits=bits,
        output_bits=bits,
    )
    for bits in (1, 8, 64, 65)
]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def words_pass_unchanged(dut: Any, index: int) -> None:
    generator = random.Random(index)
    words = [generator.getrandbits(CASES[index].input_bits) for _ in range(500)]
    start_clock(dut.clk_i)
    await restart(dut, index)
    sink = await transfer(dut, index, words, len(words), seed=index)
    equal("words", sink.words, words)

    sink = await transfer(dut, index, words, len(words), seed=None)
    equal("words", sink.words, words)
    equal("cycles", sink.cycles, range(2, len(words) + 2))

    for ready in (0, 1):
        await interrupt(dut, index, words, 7, ready)
        sink = await transfer(dut, index, words[:50], 50, seed=index)
        equal("words", sink.words, words[:50])
