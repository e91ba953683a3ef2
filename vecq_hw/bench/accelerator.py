"""The bench of a generated accelerator: its AXI4-Stream top against stored vectors."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb

from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import (
    Sink,
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
    frame_cycles : int
        No correct accelerator works longer on a frame while the streams do not pause.
    """

    inputs: int
    input_lanes: int
    input_bits: int
    outputs: int
    output_lanes: int
    output_bits: int
    output_signed: bool
    frame_cycles: int

    @property
    def input_words(self) -> int:
        """Words of an input frame."""
        return self.inputs // self.input_lanes

    @property
    def output_words(self) -> int:
        """Words of an output frame."""
        return self.outputs // self.output_lanes


async def run_frames(
    dut: Any, accelerator: Accelerator, inputs: IntArray, seed: int | None
) -> tuple[IntArray, Sink]:
    """Send frames back to back and return what came out, shape (N, outputs), and the sink.

    Both streams pause at random, or never where ``seed`` is None.
    """
    source, target = axi_stream(dut, "s_axis"), axi_stream(dut, "m_axis")
    stalls = [no_stalls() if seed is None else random_stalls(2 * seed + end) for end in (0, 1)]
    words = pack_rows(inputs, accelerator.input_lanes, accelerator.input_bits)
    sink = Sink(target, stalls[1], accelerator.output_words)
    sending = cocotb.start_soon(send(source, words, stalls[0], accelerator.input_words))
    patience = 1000 + 20 * accelerator.frame_cycles
    try:
        await sink.receive(len(inputs) * accelerator.output_words, patience)
    except StreamError as error:
        raise StreamError(f"{error}; {len(inputs)} frames were sent, seed {seed}") from None
    await sending
    await sink.stay_empty(accelerator.frame_cycles)
    layout = (accelerator.output_lanes, accelerator.output_bits, accelerator.output_signed)
    return unpack_rows(sink.words, *layout).reshape(len(inputs), -1), sink


async def _start(dut: Any) -> None:
    start_clock(dut.aclk)
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 0
    await reset(dut.aclk, dut.aresetn)


async def compare_vectors(dut: Any, accelerator: Accelerator, folder: Path) -> None:
    """Run ``vectors/inputs.txt``, store what comes out, compare with ``vectors/outputs.txt``.

    The outputs go to ``results/outputs.txt`` before they are compared.
    """
    seed = cocotb.RANDOM_SEED
    await _start(dut)
    outputs, _ = await run_frames(dut, accelerator, read_vectors(folder / "vectors/inputs.txt"), seed)
    write_atomically(folder / "results/outputs.txt", vector_text(outputs).encode())
    found = difference(read_vectors(folder / "vectors/outputs.txt"), outputs)
    assert found is None, f"{found}, seed {seed}"


async def recover_from_reset(dut: Any, accelerator: Accelerator, folder: Path) -> None:
    """Reset in the middle of frames; the frames after it are as if nothing had been before."""
    seed = cocotb.RANDOM_SEED
    inputs = read_vectors(folder / "vectors/inputs.txt")[:4]
    expected = read_vectors(folder / "vectors/outputs.txt")[:4]
    words = pack_rows(inputs, accelerator.input_lanes, accelerator.input_bits)
    generator = random.Random(seed)
    await _start(dut)
    for _ in range(3):
        cut = generator.randrange(1, 2 * accelerator.frame_cycles + 20)
        dut.m_axis_tready.value = generator.randrange(2)
        source = axi_stream(dut, "s_axis")
        sending = cocotb.start_soon(send(source, words, no_stalls(), accelerator.input_words))
        await wait(dut.aclk, cut)
        sending.cancel()
        dut.s_axis_tvalid.value = 0
        dut.m_axis_tready.value = 0
        await reset(dut.aclk, dut.aresetn)
        outputs, _ = await run_frames(dut, accelerator, inputs, seed)
        found = difference(expected, outputs)
        assert found is None, f"after a reset at cycle {cut}: {found}, seed {seed}"
