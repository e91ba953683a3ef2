"""The bench of an hls4ml top: streams of byte-aligned elements, or all ports side by side."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from vecq_hw.arithmetic import wrap
from vecq_hw.bench.accelerator import Accelerator, run_frames
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import Stream, random_stalls, start_clock, wait
from vecq_hw.emit.project import read_vectors, vector_text
from vecq_hw.emit.words import pack_rows, padded_bits
from vecq_hw.formats import IntArray
from vecq_hw.storage import write_atomically

RESULTS = "results/outputs.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One end of a top: so many elements a frame, ``lanes`` of them a word."""

    name: str
    elements: int
    lanes: int
    bits: int
    signed: bool


async def compare_stream(dut: Any, source: Port, target: Port, folder: Path) -> None:
    """Every stored vector through an io_stream top, both ends pausing at random.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    inputs, expected = _stored(folder)
    accelerator = Accelerator(
        inputs=source.elements,
        input_lanes=source.lanes,
        input_bits=padded_bits(1, source.bits),
        outputs=target.elements,
        output_lanes=target.lanes,
        output_bits=padded_bits(1, target.bits),
        output_signed=False,
        latency=source.elements + target.elements,
        interval=source.elements + target.elements,
    )
    start_clock(dut.ap_clk)
    streams = (_stream(dut, source), _stream(dut, target))
    streams[0].valid.value = streams[1].ready.value = dut.ap_start.value = 0
    dut.ap_rst_n.value = 0
    await wait(dut.ap_clk, 2)
    dut.ap_rst_n.value = dut.ap_start.value = 1
    slots, _ = await run_frames(*streams, accelerator, inputs, _seed())
    _judge(expected, _elements(slots, target), folder)


async def compare_parallel(dut: Any, source: Port, target: Port, folder: Path) -> None:
    """Every stored vector through an io_parallel top, which starts at random times.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    inputs, expected = _stored(folder)
    edge = RisingEdge(dut.ap_clk)
    start_clock(dut.ap_clk)
    valid = getattr(dut, f"{source.name}_ap_vld")
    dut.ap_start.value = valid.value = 0
    dut.ap_rst.value = 1
    await wait(dut.ap_clk, 2)
    dut.ap_rst.value = 0
    frames: list[list[int]] = []
    handles = [getattr(dut, f"{target.name}_{index}") for index in range(target.elements)]

    async def watch() -> None:
        while True:
            await edge
            if dut.ap_done.value:
                frames.append([handle.value.to_unsigned() for handle in handles])

    watching = cocotb.start_soon(watch())
    stalls = random_stalls(_seed())
    for word in pack_rows(inputs, source.lanes, source.bits):
        while next(stalls):
            await edge
        getattr(dut, source.name).value = word
        dut.ap_start.value = valid.value = 1
        await edge
        while not dut.ap_ready.value:
            await edge
        dut.ap_start.value = valid.value = 0
    idle = 0
    while len(frames) < len(inputs) and idle < 10_000:
        await edge
        idle += 1
    await wait(dut.ap_clk, random.Random(_seed()).randrange(2, 9))
    watching.cancel()
    assert len(frames) == len(inputs), f"{len(inputs)} frames went in, {len(frames)} came out"
    _judge(expected, _elements(np.array(frames, dtype=np.int64), target), folder)


def _stream(dut: Any, port: Port) -> Stream:
    handles = {
        part: getattr(dut, f"{port.name}_T{part.upper()}") for part in ("valid", "ready", "data")
    }
    return Stream(name=port.name, clock=dut.ap_clk, **handles)


def _stored(folder: Path) -> tuple[IntArray, IntArray]:
    inputs, outputs = (read_vectors(folder / "vectors" / f"{end}puts.txt") for end in ("in", "out"))
    return inputs, outputs


def _elements(slots: IntArray, port: Port) -> IntArray:
    """The elements of their slots, whose bits above the element mean nothing."""
    return wrap(slots, port.bits) if port.signed else slots & ((1 << port.bits) - 1)


def _seed() -> int:
    return int(os.environ["COCOTB_RANDOM_SEED"])


def _judge(expected: IntArray, outputs: IntArray, folder: Path) -> None:
    write_atomically(folder / RESULTS, vector_text(outputs).encode())
    found = difference(expected, outputs)
    assert found is None, f"{found}, seed {_seed()}"
