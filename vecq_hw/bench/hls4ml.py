"""The bench of an hls4ml top: streams of byte-aligned elements, or all ports side by side."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from .accelerator import Accelerator, run_frames, run_seed
from .ports import load_ports
from .scoreboard import difference
from .stream import StreamError, StreamSignals, place, random_stalls, start_clock, until, wait
from .vectors import Frames, frames_text, read_frames, write_whole

PATIENCE = 10_000
"""Cycles that an io_parallel top may take for a frame."""
RESULTS = "results/outputs.txt"


async def compare_stream(dut: Any, folder: Path) -> None:
    """Every stored vector through an io_stream top, both ends pausing at random.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    accelerator = Accelerator.load(folder / "manifest.json")
    inputs, expected = _stored(folder)
    start_clock(dut.ap_clk)
    streams = (_stream(dut, accelerator.source.stream), _stream(dut, accelerator.target.stream))
    streams[0].valid.value = streams[1].ready.value = dut.ap_start.value = 0
    dut.ap_rst_n.value = 0
    await wait(dut.ap_clk, 2)
    dut.ap_rst_n.value = dut.ap_start.value = 1
    outputs, _ = await run_frames(*streams, accelerator, inputs, run_seed())
    _judge(expected, outputs, folder)


async def compare_parallel(dut: Any, folder: Path) -> None:
    """Every stored vector through an io_parallel top, which starts at random times.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    source, target = load_ports(folder / "manifest.json")
    inputs, expected = _stored(folder)
    edge = RisingEdge(dut.ap_clk)
    start_clock(dut.ap_clk)
    valid = getattr(dut, f"{source.stream}_ap_vld")
    dut.ap_start.value = valid.value = 0
    dut.ap_rst.value = 1
    await wait(dut.ap_clk, 2)
    dut.ap_rst.value = 0
    frames: Frames = []
    handles = [getattr(dut, f"{target.stream}_{index}") for index in range(target.elements)]

    async def watch() -> None:
        while True:
            await edge
            if dut.ap_done.value:
                frames.append(target.unpack([handle.value.to_unsigned() for handle in handles]))

    watching = cocotb.start_soon(watch())
    stalls = random_stalls(run_seed())
    for number, frame in enumerate(inputs):
        while next(stalls):
            await edge
        (getattr(dut, source.stream).value,) = source.pack(frame)
        dut.ap_start.value = valid.value = 1
        if not await until(dut.ap_clk, dut.ap_ready, PATIENCE):
            here = place(source.stream, number, 1)
            raise StreamError(f"{here}: the word was not taken for {PATIENCE} cycles")
        dut.ap_start.value = valid.value = 0
    for _ in range(PATIENCE):
        if len(frames) == len(inputs):
            break
        await edge
    else:
        here = place(target.stream, len(frames), 1)
        raise StreamError(f"{here}: no word came for {PATIENCE} cycles")
    await wait(dut.ap_clk, random.Random(run_seed()).randrange(2, 9))
    watching.cancel()
    if len(frames) > len(inputs):
        raise StreamError(f"{place(target.stream, len(inputs), 1)}: a word too many")
    _judge(expected, frames, folder)


def _stream(dut: Any, name: str) -> StreamSignals:
    handles = {part: getattr(dut, f"{name}_T{part.upper()}") for part in ("valid", "ready", "data")}
    return StreamSignals(name=name, clock=dut.ap_clk, **handles)


def _stored(folder: Path) -> tuple[Frames, Frames]:
    inputs, outputs = (read_frames(folder / "vectors" / f"{end}puts.txt") for end in ("in", "out"))
    return inputs, outputs


def _judge(expected: Frames, outputs: Frames, folder: Path) -> None:
    write_whole(folder / RESULTS, frames_text(outputs).encode())
    found = difference(expected, outputs)
    assert found is None, f"{found}, seed {run_seed()}"
