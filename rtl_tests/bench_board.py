"""A board's link and accelerator: frames as serial bits, outputs as serial bits."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from rtl_tests.bench_uart_link import Line, exchange
from vecq_hw.bench.ports import load_ports
from vecq_hw.bench.stream import start_clock
from vecq_hw.bench.vectors import read_frames

CLOCKS_PER_BIT = 8
PROJECT, COUNT = "VECQ_BOARD_PROJECT", "VECQ_BOARD_FRAMES"


async def _begin(dut: Any) -> tuple[Line, list[bytes], list[bytes]]:
    """The line, and the frames and answers as bytes."""
    folder = Path(os.environ[PROJECT])
    ends = load_ports(folder / "manifest.json")
    count = int(os.environ[COUNT])
    payloads = []
    for port, name in zip(ends, ("inputs", "outputs"), strict=True):
        size = port.word_bits // 8
        frames = read_frames(folder / "vectors" / f"{name}.txt")[:count]
        payloads.append(
            [b"".join(word.to_bytes(size, "little") for word in port.pack(f)) for f in frames]
        )
    start_clock(dut.clk_i)
    dut.rst_ni.value = 0
    line = Line(dut, CLOCKS_PER_BIT)
    await ClockCycles(dut.clk_i, 5)
    dut.rst_ni.value = 1
    await ClockCycles(dut.clk_i, 5)
    return line, payloads[0], payloads[1]


@cocotb.test()
async def every_frame_is_answered_as_the_simulator_says(dut: Any) -> None:
    line, sent, expected = await _begin(dut)
    whole = await exchange(line, sent, len(expected[0]))
    assert whole.failed == []
    wrong = [n for n, answer in enumerate(whole.answers) if answer != expected[n]]
    assert wrong == []
    dut._log.info(f"{len(sent)} frames, {len(wrong)} mismatches")


@cocotb.test()
async def of_damaged_frames_none_is_answered_wrongly(dut: Any) -> None:
    """One byte in a hundred is lost or doubled, on the way there and back."""
    line, sent, expected = await _begin(dut)
    draw = random.Random(1)

    def spoil(data: bytes) -> bytes:
        return b"".join(
            bytes([byte]) * (1 if draw.random() > 0.01 else draw.choice((0, 2))) for byte in data
        )

    whole = await exchange(line, sent, len(expected[0]), spoil)
    assert 0 < len(whole.failed) < len(sent)
    for number, answer in enumerate(whole.answers):
        assert answer == (None if number in whole.failed else expected[number]), number
    dut._log.info(f"{len(sent)} frames, {len(whole.failed)} failed, all others right")
    again = await exchange(line, sent[:5], len(expected[0]))
    assert again.failed == []
