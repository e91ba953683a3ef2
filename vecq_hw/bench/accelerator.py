"""The bench of a generated accelerator: its AXI4-Stream top against stored vectors."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import (
    Sink,
    Stream,
    StreamError,
    axi_stream,
    no_stalls,
    random_stalls,
    reset,
    send,
    start_clock,
    wait,
)
from vecq_hw.emit.project import read_vectors, vector_text
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray
from vecq_hw.storage import write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """The two ends of a generated top.

    Attributes
    ----------
    inputs, outputs : int
        Elements of a frame.
    input_lanes, output_lanes : int
        Elements of a word.
    input_bits, output_bits : int
    output_signed : bool
    latency : int
        Cycles from the first input word taken to the first output word valid.
    interval : int
        Cycles from frame to frame.  Both hold while neither stream pauses.
    """

    inputs: int
    input_lanes: int
    input_bits: int
    outputs: int
    output_lanes: int
    output_bits: int
    output_signed: bool
    latency: int
    interval: int

    @property
    def input_words(self) -> int:
        """Words of an input frame."""
        return self.inputs // self.input_lanes

    @property
    def output_words(self) -> int:
        """Words of an output frame."""
        return self.outputs // self.output_lanes


async def run_frames(
    source: Stream, target: Stream, accelerator: Accelerator, inputs: IntArray, seed: int | None
) -> tuple[IntArray, list[int]]:
    """Send frames back to back; what came out, shape (N, outputs), and the cycle of each word.

    Both streams pause at random, or never where ``seed`` is None.
    """
    stalls = [no_stalls() if seed is None else random_stalls(2 * seed + end) for end in (0, 1)]
    words = pack_rows(inputs, accelerator.input_lanes, accelerator.input_bits)
    sink = Sink(target, stalls[1], accelerator.output_words)
    sending = cocotb.start_soon(send(source, words, stalls[0], accelerator.input_words))
    patience = 1000 + 20 * (accelerator.latency + accelerator.interval)
    try:
        await sink.receive(len(inputs) * accelerator.output_words, patience)
    except StreamError as error:
        raise StreamError(f"{error}; {len(inputs)} frames were sent, seed {seed}") from None
    await sending
    await sink.stay_empty(accelerator.latency + accelerator.interval)
    layout = (accelerator.output_lanes, accelerator.output_bits, accelerator.output_signed)
    return unpack_rows(sink.words, *layout).reshape(len(inputs), -1), sink.cycles


def _seed() -> int:
    """The seed of the whole run; cocotb's own differs from test to test."""
    return int(os.environ["COCOTB_RANDOM_SEED"])


@dataclass(frozen=True, slots=True)
class Bench:
    """A top under test.

    Attributes
    ----------
    dut : cocotb handle
    accelerator : Accelerator
    vectors : Path
        Folder of ``inputs.txt`` and ``outputs.txt``.
    prefix : str
        Before the names of the streams, where a top holds several accelerators.
    """

    dut: Any
    accelerator: Accelerator
    vectors: Path
    prefix: str = ""

    @property
    def streams(self) -> tuple[Stream, Stream]:
        """The input and the output stream."""
        return (
            axi_stream(self.dut, f"{self.prefix}s_axis"),
            axi_stream(self.dut, f"{self.prefix}m_axis"),
        )

    def stored(self, frames: int | None = None) -> tuple[IntArray, IntArray]:
        """Stored inputs and outputs: all, or so many, repeated if need be."""
        inputs, outputs = (read_vectors(self.vectors / f"{what}puts.txt") for what in ("in", "out"))
        chosen = np.arange(len(inputs) if frames is None else frames) % len(inputs)
        return inputs[chosen], outputs[chosen]

    async def start(self) -> None:
        """Start the clock and reset."""
        start_clock(self.dut.aclk)
        await self.restart()

    async def restart(self) -> None:
        """Reset while both streams are idle."""
        source, target = self.streams
        source.valid.value = 0
        target.ready.value = 0
        await reset(self.dut.aclk, self.dut.aresetn)

    async def compare_vectors(self, results: Path) -> None:
        """Every stored vector under random stalls; what comes out is stored, then compared."""
        seed = _seed()
        inputs, expected = self.stored()
        await self.start()
        outputs, _ = await run_frames(*self.streams, self.accelerator, inputs, seed)
        write_atomically(results, vector_text(outputs).encode())
        found = difference(expected, outputs)
        assert found is None, f"{found}, seed {seed}"

    async def recover_from_reset(self) -> None:
        """Reset in mid-frame; the frames after it are as if nothing had been before."""
        seed = _seed()
        generator = random.Random(seed)
        inputs, expected = self.stored(4)
        accelerator = self.accelerator
        words = pack_rows(inputs, accelerator.input_lanes, accelerator.input_bits)
        await self.start()
        source, target = self.streams
        for _ in range(3):
            cycle = generator.randrange(1, accelerator.latency + accelerator.interval)
            target.ready.value = generator.randrange(2)
            sending = cocotb.start_soon(send(source, words, no_stalls(), accelerator.input_words))
            await wait(self.dut.aclk, cycle)
            sending.cancel()
            await self.restart()
            outputs, _ = await run_frames(*self.streams, accelerator, inputs, seed)
            found = difference(expected, outputs)
            assert found is None, f"after a reset in cycle {cycle}: {found}, seed {seed}"

    async def keep_pace(self) -> None:
        """Latency and interval are those that are stated, while neither stream pauses."""
        accelerator, frames = self.accelerator, 12
        await self.start()
        inputs, _ = self.stored(frames)
        _, cycles = await run_frames(*self.streams, accelerator, inputs, None)
        ends = cycles[accelerator.output_words - 1 :: accelerator.output_words]
        # The sink counts the cycle in which the first word is taken as the first.
        assert cycles[0] - 1 == accelerator.latency, f"latency {cycles[0] - 1}"
        assert ends[-1] - ends[-2] == accelerator.interval, f"frames end in the cycles {ends}"
