"""A whole network whose sender cuts, doubles and merges frames, with Resynchronise and without."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from rtl_tests import networks
from rtl_tests.harness import equal
from vecq_hw.bench.accelerator import Accelerator, Bench
from vecq_hw.bench.stream import Sink, StreamSignals, random_stalls, start_clock, until
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray
from vecq_hw.simulate import simulate

NETWORK = 0
# Of the streams of the top without and with Resynchronise.
PREFIXES = ("counted_", "resynchronised_")
# What becomes of each frame: how many words its packet has more (or less), or that it has no end.
WHOLE, MERGED = 0, None
FAULTS: dict[str, list[int | None]] = {
    "whole": [WHOLE] * 6,
    "cut": [WHOLE, -1, WHOLE, -2, -3, WHOLE, WHOLE],
    "doubled": [WHOLE, 1, WHOLE, 4, 7, WHOLE, WHOLE],
    "merged": [WHOLE, MERGED, WHOLE, MERGED, MERGED, WHOLE, WHOLE],
    "all": [-1, 1, MERGED, WHOLE, -3, 4, MERGED, 2, WHOLE, WHOLE],
}


def packets(fault: str, words: int, lanes: int) -> list[IntArray]:
    """Frames of shape (words, lanes), with their first words cut off, repeated, or joined."""
    fmt = networks.network(NETWORK).inputs[0].format
    generator = np.random.default_rng(len(fault))
    result: list[IntArray] = []
    open_packet = False
    for change in FAULTS[fault]:
        frame = generator.integers(fmt.lo, fmt.hi, (words, lanes), endpoint=True)
        frame = np.resize(frame, (words + (change or 0), lanes))
        if open_packet:
            result[-1] = np.concatenate([result[-1], frame])
        else:
            result.append(frame)
        open_packet = change is MERGED
    return result


def expected(sent: Sequence[IntArray], words: int, resynchronise: bool) -> IntArray:
    """The outputs of the frames that the network sees."""
    if resynchronise:
        whole = [np.concatenate([p, np.zeros((words, p.shape[1]), np.int64)])[:words] for p in sent]
        seen = np.array(whole)
    else:
        stream = np.concatenate(sent)
        seen = stream[: len(stream) // words * words].reshape(-1, words, stream.shape[1])
    outputs = simulate(networks.network(NETWORK), seen.reshape(len(seen), -1))
    return np.asarray(outputs, np.int64)


async def send_packets(
    stream: StreamSignals, sent: Sequence[Sequence[int]], stalls: Iterator[bool], patience: int
) -> None:
    edge = RisingEdge(stream.clock)
    for packet in sent:
        for place, word in enumerate(packet):
            while next(stalls):
                stream.valid.value = 0
                await edge
            stream.valid.value = 1
            stream.data.value = word
            stream.last.value = int(place == len(packet) - 1)
            taken = await until(stream.clock, stream.ready, patience)
            assert taken, f"word {place} of a packet was not taken for {patience} cycles"
    stream.valid.value = 0


@cocotb.test()
@cocotb.parametrize(resynchronise=[False, True], fault=list(FAULTS))
async def packets_of_any_length(dut: Any, resynchronise: bool, fault: str) -> None:
    accelerator = Accelerator.load(Path.cwd() / "manifest.json")
    under_test = Bench(dut, accelerator, Path.cwd() / "vectors", PREFIXES[resynchronise])
    (entry,), (end,) = accelerator.sources, accelerator.targets
    ends, words, outwards = entry.port, entry.port.words, end.port
    streams = under_test.streams
    (source,), (target,) = streams.sources, streams.targets
    sent = packets(fault, words, ends.lanes)
    wanted = expected(sent, words, resynchronise)
    start_clock(under_test.clock)
    seeds = random.Random(fault)
    for _ in range(3):
        await under_test.restart()
        assert not under_test.frame_error
        seed = seeds.randrange(1 << 30)
        sink = Sink(target, random_stalls(seed), outwards.words)
        packed = [pack_rows(packet, ends.lanes, ends.bits) for packet in sent]
        patience = accelerator.patience
        task = cocotb.start_soon(send_packets(source, packed, random_stalls(seed + 1), patience))
        await sink.receive(wanted[:, 0].size * outwards.words, patience)
        await task
        await sink.stay_empty(accelerator.frame_time)
        layout = (outwards.lanes, outwards.bits, outwards.signed)
        outputs = unpack_rows(sink.words, *layout)
        equal(f"outputs, seed {seed}", outputs.tolist(), wanted.ravel().tolist())
        assert under_test.frame_error == any(len(packet) != words for packet in sent)
