"""The bench of an hls4ml top: streams of byte-aligned elements, or all ports side by side."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from .accelerator import (
    Accelerator,
    Streams,
    first_difference,
    run_frames,
    run_seed,
    store_frames,
    stored_frames,
)
from .stream import StreamError, StreamSignals, place, random_stalls, start_clock, until, wait
from .vectors import Frames

PATIENCE = 10_000
"""Cycles that an io_parallel top may take for a frame."""
RESULTS = "results/outputs.txt"


async def compare_stream(dut: Any, folder: Path) -> None:
    """Every stored vector through an io_stream top, both ends pausing at random.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    accelerator = Accelerator.load(folder / "manifest.json")
    vectors = folder / "vectors"
    inputs, expected = (
        stored_frames(vectors, ends) for ends in (accelerator.sources, accelerator.targets)
    )
    start_clock(dut.ap_clk)
    streams = Streams(
        [_stream(dut, end.port.stream) for end in accelerator.sources],
        [_stream(dut, end.port.stream) for end in accelerator.targets],
    )
    streams.rest()
    dut.ap_start.value = 0
    dut.ap_rst_n.value = 0
    await wait(dut.ap_clk, 2)
    dut.ap_rst_n.value = dut.ap_start.value = 1
    outputs, _ = await run_frames(streams, accelerator, inputs, run_seed())
    _judge(accelerator, expected, outputs, folder)


async def compare_parallel(dut: Any, folder: Path) -> None:
    """Every stored vector through an io_parallel top, which starts at random times.

    What comes out is stored in ``results/outputs.txt`` of ``folder``, then compared.
    """
    accelerator = Accelerator.load(folder / "manifest.json")
    vectors = folder / "vectors"
    inputs, expected = (
        stored_frames(vectors, ends) for ends in (accelerator.sources, accelerator.targets)
    )
    sources = [end.port for end in accelerator.sources]
    targets = [end.port for end in accelerator.targets]
    edge = RisingEdge(dut.ap_clk)
    start_clock(dut.ap_clk)
    valids = [getattr(dut, f"{source.stream}_ap_vld") for source in sources]

    def offer(whether: int) -> None:
        """Say at all inputs whether a frame is there."""
        for valid in (dut.ap_start, *valids):
            valid.value = whether

    offer(0)
    dut.ap_rst.value = 1
    await wait(dut.ap_clk, 2)
    dut.ap_rst.value = 0
    frames: list[Frames] = [[] for _ in targets]
    handles = [
        [getattr(dut, f"{target.stream}_{index}") for index in range(target.elements)]
        for target in targets
    ]

    async def watch() -> None:
        """Take down the outputs of each frame that is done."""
        while True:
            await edge
            if dut.ap_done.value:
                for target, found, elements in zip(targets, frames, handles, strict=True):
                    found.append(
                        target.unpack([element.value.to_unsigned() for element in elements])
                    )

    watching = cocotb.start_soon(watch())
    stalls = random_stalls(run_seed())
    count = len(inputs[0])
    for number in range(count):
        while next(stalls):
            await edge
        for source, stored in zip(sources, inputs, strict=True):
            (getattr(dut, source.stream).value,) = source.pack(stored[number])
        offer(1)
        if not await until(dut.ap_clk, dut.ap_ready, PATIENCE):
            here = place(sources[0].stream, number, 1)
            raise StreamError(f"{here}: the word was not taken for {PATIENCE} cycles")
        offer(0)
    for _ in range(PATIENCE):
        if len(frames[0]) == count:
            break
        await edge
    else:
        here = place(targets[0].stream, len(frames[0]), 1)
        raise StreamError(f"{here}: no word came for {PATIENCE} cycles")
    await wait(dut.ap_clk, random.Random(run_seed()).randrange(2, 9))
    watching.cancel()
    if len(frames[0]) > count:
        raise StreamError(f"{place(targets[0].stream, count, 1)}: a word too many")
    _judge(accelerator, expected, frames, folder)


def _stream(dut: Any, name: str) -> StreamSignals:
    handles = {part: getattr(dut, f"{name}_T{part.upper()}") for part in ("valid", "ready", "data")}
    return StreamSignals(name=name, clock=dut.ap_clk, **handles)


def _judge(
    accelerator: Accelerator, expected: list[Frames], outputs: list[Frames], folder: Path
) -> None:
    store_frames(folder / RESULTS, accelerator, outputs)
    found = first_difference(accelerator, expected, outputs)
    assert found is None, f"{found}, seed {run_seed()}"
