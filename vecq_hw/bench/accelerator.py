"""The bench of a generated accelerator: its AXI4-Stream top against stored vectors."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb

from .ports import Port, load_ports
from .scoreboard import difference
from .stream import (
    Sink,
    StreamError,
    StreamSignals,
    axi_stream,
    no_stalls,
    random_stalls,
    reset,
    send,
    start_clock,
    wait,
)
from .vectors import Frames, frames_text, read_frames, write_whole

EXACT_BITS = 50
"""Wider codes are not told apart by the floating-point numbers that they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """The two ends of a generated top.

    Attributes
    ----------
    source, target : Port
    latency : int
        Cycles from the first input word taken to the first output word valid.
    interval : int
        Cycles from frame to frame.  Both hold while neither stream pauses.
    """

    source: Port
    target: Port
    latency: int
    interval: int

    @classmethod
    def load(cls, manifest: Path) -> Accelerator:
        """That of a project; where its manifest states no pace, a word each cycle is assumed."""
        source, target = load_ports(manifest)
        pace = json.loads(manifest.read_text()).get("cycles", {})
        latency, interval = pace.get("latency", source.words), pace.get("interval", target.words)
        return cls(source=source, target=target, latency=latency, interval=interval)

    @property
    def patience(self) -> int:
        """Cycles after which a stream that does not move has stopped, however the ends pause."""
        return 1000 + 20 * (self.latency + self.interval)

    def pack(self, frames: Frames) -> list[int]:
        """The input words of all frames, by way of a host's memory."""
        port = self.source
        return [
            word for frame in frames for word in port.from_bytes(port.to_bytes(port.pack(frame)))
        ]

    def unpack(self, words: list[int]) -> Frames:
        """The output frames from their words, by way of a host's memory."""
        port, count = self.target, self.target.words
        frames = (words[start : start + count] for start in range(0, len(words), count))
        return [port.unpack(port.from_bytes(port.to_bytes(frame))) for frame in frames]


async def run_frames(
    source: StreamSignals,
    target: StreamSignals,
    accelerator: Accelerator,
    inputs: Frames,
    seed: int | None,
) -> tuple[Frames, list[int]]:
    """Send frames back to back; the frames that came out, and the cycle of each word.

    Both streams pause at random, or never where ``seed`` is None.
    """
    stalls = [no_stalls() if seed is None else random_stalls(2 * seed + end) for end in (0, 1)]
    words, patience = accelerator.pack(inputs), accelerator.patience
    sink = Sink(target, stalls[1], accelerator.target.words)
    sending = cocotb.start_soon(send(source, words, stalls[0], accelerator.source.words, patience))
    try:
        await sink.receive(len(inputs) * accelerator.target.words, patience)
    except StreamError as error:
        raise StreamError(f"{error}; {len(inputs)} frames were sent, seed {seed}") from None
    await sending
    await sink.stay_empty(accelerator.latency + accelerator.interval)
    return accelerator.unpack(sink.words), sink.cycles


def run_seed() -> int:
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
    def clock(self) -> Any:
        """Handle of the clock."""
        return self.dut.aclk

    @property
    def reset_n(self) -> Any:
        """Handle of the reset, active low."""
        return self.dut.aresetn

    @property
    def streams(self) -> tuple[StreamSignals, StreamSignals]:
        """The input and the output stream."""
        source, target = self.accelerator.source, self.accelerator.target
        return (
            axi_stream(self.dut, f"{self.prefix}s_axis", source.keeps if source.keep else None),
            axi_stream(self.dut, f"{self.prefix}m_axis", target.keeps if target.keep else None),
        )

    def stored(self, frames: int | None = None) -> tuple[Frames, Frames]:
        """Stored inputs and outputs: all, or so many, repeated if need be."""
        inputs, outputs = (read_frames(self.vectors / f"{what}puts.txt") for what in ("in", "out"))
        chosen = [place % len(inputs) for place in range(frames or len(inputs))]
        return [inputs[place] for place in chosen], [outputs[place] for place in chosen]

    async def start(self) -> None:
        """Start the clock and reset."""
        start_clock(self.clock)
        await self.restart()

    async def restart(self) -> None:
        """Reset while both streams are idle."""
        source, target = self.streams
        source.valid.value = 0
        target.ready.value = 0
        self.reset_n.value = 0
        await wait(self.clock, 2)
        assert not source.ready.value, f"stream {source.name}: ready is high in reset"
        await reset(self.clock, self.reset_n)

    @property
    def frame_error(self) -> bool:
        """Whether the top has seen a frame of another length since the reset."""
        return bool(getattr(self.dut, f"{self.prefix}frame_error").value)

    async def compare_vectors(self, results: Path) -> None:
        """Every stored vector under random stalls; what comes out is stored, then compared."""
        seed = run_seed()
        inputs, expected = self.stored()
        source = self.accelerator.source
        if source.bits <= EXACT_BITS:  # from real values, as a host begins
            assert inputs == [source.codes(source.reals(frame)) for frame in inputs]
        await self.start()
        outputs, _ = await run_frames(*self.streams, self.accelerator, inputs, seed)
        write_whole(results, frames_text(outputs).encode())
        found = difference(expected, outputs)
        assert found is None, f"{found}, seed {seed}"
        assert not self.frame_error, f"frame_error is high, seed {seed}"

    async def recover_from_reset(self) -> None:
        """Reset in mid-frame; the frames after it are as if nothing had been before."""
        seed = run_seed()
        generator = random.Random(seed)
        inputs, expected = self.stored(4)
        accelerator = self.accelerator
        words, patience = accelerator.pack(inputs), accelerator.patience
        await self.start()
        source, target = self.streams
        for _ in range(3):
            cycle = generator.randrange(1, accelerator.latency + accelerator.interval)
            target.ready.value = generator.randrange(2)
            sending = cocotb.start_soon(
                send(source, words, no_stalls(), accelerator.source.words, patience)
            )
            await wait(self.clock, cycle)
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
        ends = cycles[accelerator.target.words - 1 :: accelerator.target.words]
        # The sink counts the cycle in which the first word is taken as the first.
        assert cycles[0] - 1 == accelerator.latency, f"latency {cycles[0] - 1}"
        assert ends[-1] - ends[-2] == accelerator.interval, f"frames end in the cycles {ends}"
