"""The bench of a generated accelerator: its AXI4-Stream top against stored vectors."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb

from .ports import End, Port, load_ends
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
    """The ends of a generated top.

    Attributes
    ----------
    sources, targets : tuple of End
    latency : int
        Cycles from the first input word taken to the first output word valid.
    interval : int or float
        Cycles from frame to frame, on average.
    frame_ends : tuple of int
        In which cycle each of the first frames ends; empty where nothing is stated.
    period : int or None
        After so many frames the cycles from frame to frame repeat, if they do.  All hold while no
        stream pauses.
    """

    sources: tuple[End, ...]
    targets: tuple[End, ...]
    latency: int
    interval: int | float
    frame_ends: tuple[int, ...] = ()
    period: int | None = None

    @classmethod
    def load(cls, manifest: Path) -> Accelerator:
        """A project's accelerator; without a pace in its manifest, it takes one word per cycle."""
        sources, targets = load_ends(manifest)
        pace = json.loads(manifest.read_text()).get("cycles", {})
        words_in, words_out = (sum(end.port.words for end in ends) for ends in (sources, targets))
        latency, interval = pace.get("latency", words_in), pace.get("interval", words_out)
        return cls(
            sources=sources,
            targets=targets,
            latency=latency,
            interval=interval,
            frame_ends=tuple(pace.get("frame_ends", ())),
            period=pace.get("period"),
        )

    @property
    def patience(self) -> int:
        """Cycles after which a stream that does not move has stopped, however the ends pause."""
        return 1000 + 20 * self.frame_time

    @property
    def frame_time(self) -> int:
        """Cycles in which a single frame has come out."""
        return self.latency + math.ceil(self.interval)


def packed(port: Port, frames: Frames) -> list[int]:
    """The words of all frames, by way of a host's memory."""
    return [word for frame in frames for word in port.from_bytes(port.to_bytes(port.pack(frame)))]


def unpacked(port: Port, words: list[int]) -> Frames:
    """The frames from their words, by way of a host's memory."""
    count = port.words
    frames = (words[start : start + count] for start in range(0, len(words), count))
    return [port.unpack(port.from_bytes(port.to_bytes(frame))) for frame in frames]


@dataclass(frozen=True, slots=True)
class Streams:
    """The handles of a top's streams, in the order of its ends."""

    sources: Sequence[StreamSignals]
    targets: Sequence[StreamSignals]

    def rest(self) -> None:
        """Offer no word and take none."""
        for source in self.sources:
            source.valid.value = 0
        for target in self.targets:
            target.ready.value = 0


async def run_frames(
    streams: Streams, accelerator: Accelerator, inputs: Sequence[Frames], seed: int | None
) -> tuple[list[Frames], list[list[int]]]:
    """Send frames back to back to all inputs at once, take all outputs at once.

    All streams pause at random, each in its own way, or never where ``seed`` is None.

    Returns
    -------
    the frames that came out of each output, and the cycle of each word of each output
    """

    def stalls(end: int, place: int) -> Iterator[bool]:
        """The pauses of a stream at one end, which the seed draws."""
        return no_stalls() if seed is None else random_stalls(2 * seed + end + (place << 32))

    count, patience = len(inputs[0]), accelerator.patience
    sinks = [
        Sink(stream, stalls(1, place), end.port.words)
        for place, (stream, end) in enumerate(
            zip(streams.targets, accelerator.targets, strict=True)
        )
    ]
    sending = [
        cocotb.start_soon(
            send(stream, packed(end.port, frames), stalls(0, place), end.port.words, patience)
        )
        for place, (stream, end, frames) in enumerate(
            zip(streams.sources, accelerator.sources, inputs, strict=True)
        )
    ]
    taking = [
        cocotb.start_soon(sink.receive(count * end.port.words, patience))
        for sink, end in zip(sinks, accelerator.targets, strict=True)
    ]
    try:
        for task in taking:
            await task
    except StreamError as error:
        raise StreamError(f"{error}; {count} frames were sent, seed {seed}") from None
    for task in sending:
        await task
    empty = [cocotb.start_soon(sink.stay_empty(accelerator.frame_time)) for sink in sinks]
    for task in empty:
        await task
    outputs = [
        unpacked(end.port, sink.words) for sink, end in zip(sinks, accelerator.targets, strict=True)
    ]
    return outputs, [sink.cycles for sink in sinks]


def first_difference(
    accelerator: Accelerator, expected: Sequence[Frames], actual: Sequence[Frames]
) -> str | None:
    """Where the outputs differ first; it names the stream where there are several."""
    for end, wanted, found in zip(accelerator.targets, expected, actual, strict=True):
        differing = difference(wanted, found)
        if differing is not None:
            where = f"stream {end.port.stream}, " if len(expected) > 1 else ""
            return f"{where}{differing}"
    return None


def stored_frames(vectors: Path, ends: Sequence[End]) -> list[Frames]:
    """The stored frames of each end."""
    return [read_frames(vectors / end.vectors) for end in ends]


def store_frames(results: Path, accelerator: Accelerator, outputs: Sequence[Frames]) -> None:
    """Write what came out of each output beside ``results``, the file of a single one."""
    for end, frames in zip(accelerator.targets, outputs, strict=True):
        write_whole(results.with_name(end.vectors), frames_text(frames).encode())


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
        Folder of the stored frames.
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
    def streams(self) -> Streams:
        """The input and the output streams."""
        return Streams(
            *(
                [self.stream(end.port) for end in ends]
                for ends in (self.accelerator.sources, self.accelerator.targets)
            )
        )

    def stream(self, port: Port) -> StreamSignals:
        """The stream of an end."""
        return axi_stream(
            self.dut, f"{self.prefix}{port.stream}", port.keeps if port.keep else None
        )

    def stored(self, frames: int | None = None) -> tuple[list[Frames], list[Frames]]:
        """Stored frames of each input and output: all, or so many, repeated if need be."""
        ends = self.accelerator.sources, self.accelerator.targets
        inputs, outputs = (stored_frames(self.vectors, some) for some in ends)
        count = len(inputs[0])
        chosen = [place % count for place in range(frames or count)]

        def some(whole: list[Frames]) -> list[Frames]:
            return [[stored[place] for place in chosen] for stored in whole]

        return some(inputs), some(outputs)

    async def start(self) -> None:
        """Start the clock and reset."""
        start_clock(self.clock)
        await self.restart()

    async def restart(self) -> None:
        """Reset while all streams are idle."""
        streams = self.streams
        streams.rest()
        self.reset_n.value = 0
        await wait(self.clock, 2)
        for source in streams.sources:
            assert not source.ready.value, f"stream {source.name}: ready is high in reset"
        await reset(self.clock, self.reset_n)

    @property
    def frame_error(self) -> bool:
        """Whether the top has seen a frame of another length since the reset.

        The top around C++ has no such port: it counts words and reads no TLAST.
        """
        port = getattr(self.dut, f"{self.prefix}frame_error", None)
        return port is not None and bool(port.value)

    async def compare_vectors(self, results: Path) -> None:
        """Every stored vector under random stalls; what comes out is stored, then compared.

        It is stored in ``results``; of several outputs, each beside it by the name of its vectors.
        """
        seed = run_seed()
        inputs, expected = self.stored()
        for end, frames in zip(self.accelerator.sources, inputs, strict=True):
            if end.port.bits <= EXACT_BITS:  # from real values, as a host begins
                assert frames == [end.port.codes(end.port.reals(frame)) for frame in frames]
        await self.start()
        outputs, _ = await run_frames(self.streams, self.accelerator, inputs, seed)
        store_frames(results, self.accelerator, outputs)
        found = first_difference(self.accelerator, expected, outputs)
        assert found is None, f"{found}, seed {seed}"
        assert not self.frame_error, f"frame_error is high, seed {seed}"

    async def recover_from_reset(self) -> None:
        """Reset in mid-frame; the frames after it are as if nothing had been before."""
        seed = run_seed()
        generator = random.Random(seed)
        inputs, expected = self.stored(4)
        accelerator = self.accelerator
        await self.start()
        for _ in range(3):
            cycle = generator.randrange(1, accelerator.frame_time)
            streams = self.streams
            for target in streams.targets:
                target.ready.value = generator.randrange(2)
            sending = [
                cocotb.start_soon(
                    send(
                        source,
                        packed(end.port, frames),
                        no_stalls(),
                        end.port.words,
                        accelerator.patience,
                    )
                )
                for source, end, frames in zip(
                    streams.sources, accelerator.sources, inputs, strict=True
                )
            ]
            await wait(self.clock, cycle)
            for task in sending:
                task.cancel()
            await self.restart()
            outputs, _ = await run_frames(self.streams, accelerator, inputs, seed)
            found = first_difference(accelerator, expected, outputs)
            assert found is None, f"after a reset in cycle {cycle}: {found}, seed {seed}"

    async def keep_pace(self) -> None:
        """Latency, ends of frames and interval are those stated, while no stream pauses."""
        accelerator, stated = self.accelerator, list(self.accelerator.frame_ends)
        frames = max(12, len(stated))
        await self.start()
        inputs, _ = self.stored(frames)
        _, cycles = await run_frames(self.streams, accelerator, inputs, None)
        # The sink counts the cycle in which the first word is taken as the first.
        ends = [
            max(of_end) - 1
            for of_end in zip(
                *(
                    taken[end.port.words - 1 :: end.port.words]
                    for taken, end in zip(cycles, accelerator.targets, strict=True)
                ),
                strict=True,
            )
        ]
        latency = min(taken[0] for taken in cycles) - 1
        assert latency == accelerator.latency, f"latency {latency}"
        assert ends[: len(stated)] == stated, f"frames end in the cycles {ends}, not {stated}"
        if (period := accelerator.period) is not None:
            each = (ends[-1] - ends[-1 - period]) / period
            assert each == accelerator.interval, f"frames end in the cycles {ends}"
