"""The ends of vecq_hw.bench against a module that breaks a chosen rule, or stops."""

import itertools
from pathlib import Path
from typing import Any

import cocotb
import pytest

from vecq_hw.bench.hls4ml import compare_parallel
from vecq_hw.bench.stream import (
    Sink,
    StreamError,
    axi_stream,
    no_stalls,
    reset,
    send,
    start_clock,
)

FRAME = 4
FAULTS = {
    1: r"frame 1, word 2 \(6 words before\), cycle \d+: valid fell before the word was taken",
    2: r"frame 1, word 2 \(6 words before\), cycle \d+: the word changed before it was taken",
    3: r"frame 1, word 3 \(7 words before\), cycle \d+: last is 0, but must be 1",
    4: r"frame 1, word 2 \(6 words before\), cycle \d+: no word came for 200 cycles",
    5: r"frame 1, word 2 \(6 words before\), cycle \d+: last is 1, but must be 0",
}


async def sink(dut: Any, fault: int) -> Sink:
    start_clock(dut.aclk)
    dut.fault_i.value = fault
    dut.m_axis_tready.value = 0
    await reset(dut.aclk, dut.aresetn)
    return Sink(axi_stream(dut, "m_axis"), itertools.cycle((True, True, True, False)), FRAME)


@cocotb.test()
async def a_correct_stream_passes(dut: Any) -> None:
    target = await sink(dut, 0)
    await target.receive(400, 200)
    assert target.words == [word % 256 for word in range(400)]


@cocotb.test()
@cocotb.parametrize(fault=list(FAULTS))
async def a_broken_rule_is_named(dut: Any, fault: int) -> None:
    target = await sink(dut, fault)
    with pytest.raises(StreamError, match=FAULTS[fault]):
        await target.receive(400, 200)


@cocotb.test()
async def a_word_too_many_is_named(dut: Any) -> None:
    target = await sink(dut, 0)
    await target.receive(8, 200)
    with pytest.raises(StreamError, match=r"frame 2, word 0 .*: a word too many"):
        await target.stay_empty(10)


@cocotb.test()
async def a_stream_that_takes_no_more_is_named(dut: Any) -> None:
    await sink(dut, 6)
    source = axi_stream(dut, "s_axis")
    says = r"s_axis, frame 1, word 2 \(6 words before\), cycle \d+: the word was not taken"
    with pytest.raises(StreamError, match=says):
        await send(source, range(8), no_stalls(), FRAME, 50)


@cocotb.test()
@cocotb.parametrize(fault=[0, 6, 7])
async def an_io_parallel_top_that_stops_is_named(dut: Any, fault: int) -> None:
    dut.fault_i.value = fault
    if fault == 0:
        await compare_parallel(dut, Path.cwd())
        return
    says = {6: "stream x, frame 0, word 0 .*not taken", 7: "stream y, frame 0, word 0 .*no word"}
    with pytest.raises(StreamError, match=says[fault]):
        await compare_parallel(dut, Path.cwd())
