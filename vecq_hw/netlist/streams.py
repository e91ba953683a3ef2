"""Frames through the streams of a netlist, in many runs at once, each with pauses of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vecq_hw.bench.ports import Port
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.netlist.simulate import RUNS, Simulator, Words

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
PAUSES = (0.0, 0.0, 0.25, 0.5)
"""How probably a stream of a run pauses in a cycle, run by run."""


class StreamError(VecqError):
    """A netlist broke a rule of its streams, or stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came out.

    Attributes
    ----------
    outputs : mapping of str to int64 array (N, elements)
        By tensor.
    frame_ends : tuple of int
        In which cycle, from the first word taken on, each frame of a run without pauses ended.
    cycles : int
        That were simulated.
    """

    outputs: Mapping[str, IntArray] = field(repr=False)
    frame_ends: tuple[int, ...]
    cycles: int


def packed(port: Port, frames: IntArray) -> Bytes:
    """The words of all frames, each as its bytes: (N * words, bytes) of (N, elements)."""
    count = len(frames)
    whole = np.zeros((count, port.words * port.lanes), np.int64)
    whole[:, : port.elements] = frames
    bits = port.slot_bits if port.extends else port.bits
    slots = np.zeros((*whole.shape, port.slot_bits), np.uint8)
    slots[..., :bits] = whole[..., np.newaxis] >> np.arange(bits) & 1
    slots[:, port.elements :] = 0
    words = np.zeros((count * port.words, port.word_bits), np.uint8)
    words[:, : port.lanes * port.slot_bits] = slots.reshape(count * port.words, -1)
    return np.packbits(words, axis=1, bitorder="little")


def unpacked(port: Port, words: Bytes) -> IntArray:
    """The frames of words: the inverse of :func:`packed`.

    ``words`` has the shape (words, bytes), the result (frames, ...).
    """
    bits = np.unpackbits(words, axis=1, bitorder="little")[:, : port.lanes * port.slot_bits]
    slots = bits.reshape(-1, port.words * port.lanes, port.slot_bits)[:, : port.elements]
    taken = port.slot_bits if port.extends else port.bits
    codes = (slots[..., :taken].astype(np.int64) << np.arange(taken)).sum(axis=2)
    half = 1 << (taken - 1) if port.signed else 0
    result: IntArray = (codes ^ half) - half
    return result


def _as_flags(values: Words) -> Flags:
    """One bit for each run."""
    return np.unpackbits(values.view(np.uint8), axis=-1, bitorder="little").astype(bool)


def _as_words(flags: Flags | Bytes) -> Words:
    """The inverse, of (..., runs)."""
    words: Words = np.packbits(flags, axis=-1, bitorder="little").view(np.uint64)
    return words


class _Source:
    """The words of an input: each run has some of the frames, and offers them in their order."""

    def __init__(self, port: Port, frames: IntArray, first: IntArray, last: IntArray) -> None:
        self.port, self.words = port, packed(port, frames)
        self.next, self.end = first * port.words, last * port.words
        self.offered = np.zeros(len(first), bool)

    def offer(self, simulator: Simulator, pausing: Flags) -> None:
        self.offered |= ~pausing & (self.next < self.end)
        stream, place = self.port.stream, np.minimum(self.next, len(self.words) - 1)
        bits = np.unpackbits(self.words[place], axis=1, bitorder="little")
        simulator.set(f"{stream}_tvalid", _as_words(self.offered))
        simulator.set(f"{stream}_tdata", _as_words(np.ascontiguousarray(bits.T)))
        ends = self.next % self.port.words == self.port.words - 1
        simulator.set(f"{stream}_tlast", _as_words(ends))
        if self.port.keep:
            simulator.set(f"{stream}_tkeep", _keeps(self.port, ends))

    def take(self, simulator: Simulator) -> Flags:
        """Which runs had their word taken."""
        ready = _as_flags(simulator.get(f"{self.port.stream}_tready"))[0]
        taken: Flags = self.offered & ready
        self.next += taken
        self.offered &= ~taken
        return taken


def _keeps(port: Port, ends: Flags) -> Words:
    """TKEEP of a word that ends a frame, and of any other."""
    full, last = (
        np.array([keep >> place & 1 for place in range(port.word_bits // 8)], bool)
        for keep in port.keeps
    )
    return _as_words(np.where(ends, last[:, np.newaxis], full[:, np.newaxis]))


class _Sink:
    """What comes out of an output, run by run, and the rules of a stream."""

    def __init__(self, port: Port, count: int, first: IntArray, last: IntArray) -> None:
        self.port = port
        self.words = np.zeros((count * port.words, port.word_bits // 8), np.uint8)
        self.next, self.end = first * port.words, last * port.words
        self.held: tuple[Flags, Words] | None = None

    def take(self, simulator: Simulator, ready: Flags) -> Flags:
        """Take the words that are offered; which runs ended a frame."""
        stream, port = self.port.stream, self.port
        names = ["tdata", "tlast", *(["tkeep"] if port.keep else [])]
        word = np.concatenate([simulator.get(f"{stream}_{name}") for name in names])
        valid = _as_flags(simulator.get(f"{stream}_tvalid"))[0]
        if self.held is not None:
            waiting, before = self.held
            self._rule(waiting & ~valid, "valid fell before the word was taken")
            changed = _as_flags(np.bitwise_or.reduce(word ^ before, axis=0))
            self._rule(waiting & changed, "the word changed before it was taken")
        self.held = valid & ~ready, word
        self._rule(valid & (self.next >= self.end), "a word too many")
        ends = self.next % port.words == port.words - 1
        wrong = _as_flags(word[port.word_bits]) != ends
        self._rule(valid & wrong, "last is not at the end of a frame")
        if port.keep:
            wrong = _as_flags(np.bitwise_or.reduce(word[port.word_bits + 1 :] ^ _keeps(port, ends)))
            self._rule(valid & wrong, "keep is not that of its word")
        taken = valid & ready
        bits = _as_flags(word[: port.word_bits])
        self.words[self.next[taken]] = np.packbits(bits[:, taken], axis=0, bitorder="little").T
        self.next += taken
        ended: Flags = taken & ends
        return ended

    def _rule(self, broken: Flags, what: str) -> None:
        if broken.any():
            run = int(np.flatnonzero(broken)[0])
            frame, word = divmod(int(self.next[run]), self.port.words)
            raise StreamError(
                f"the netlist, stream {self.port.stream}, frame {frame}, word {word}: {what}"
            )


def words_for(frames: int) -> int:
    """So many words of runs that most runs have several frames, one behind the other."""
    return max(1, min(8, frames // (3 * RUNS)))


def run_frames(
    simulator: Simulator,
    inputs: Sequence[tuple[Port, IntArray]],
    outputs: Sequence[Port],
    *,
    runs: int,
    patience: int,
    seed: int = 0,
    progress: Callable[[int], object] = lambda frames: None,
) -> Result:
    """Send frames to all inputs, take what comes out; the runs share the frames.

    Parameters
    ----------
    inputs : sequence of (Port, int array of shape (N, elements))
    runs : int
        Of the simulator.
    patience : int
        Cycles in which something must come out of every run that still has something to give.
    progress : callable
        Told from time to time how many frames have come out.

    Raises
    ------
    StreamError
        The netlist broke a rule of a stream, gave too many words, or stopped.
    """
    generator, count = np.random.default_rng(seed), len(inputs[0][1])
    bounds = np.arange(runs + 1) * count // runs
    first, last = bounds[:-1], bounds[1:]
    sources = [_Source(port, frames, first, last) for port, frames in inputs]
    sinks = [_Sink(port, count, first, last) for port in outputs]
    pauses = np.resize(PAUSES, runs)
    quiet = int(np.argmax(np.where(pauses == 0, last - first, -1)))
    _reset(simulator, sources, sinks)
    begin: int | None = None
    ends: list[list[int]] = [[] for _ in sinks]
    cycle, idle = 0, np.zeros(runs, np.int64)
    while any((sink.next < sink.end).any() for sink in sinks):
        for source in sources:
            source.offer(simulator, generator.random(runs) < pauses)
        ready = [generator.random(runs) >= pauses for _ in sinks]
        for sink, flags in zip(sinks, ready, strict=True):
            simulator.set(f"{sink.port.stream}_tready", _as_words(flags))
        simulator.settle()
        taken = [source.take(simulator)[quiet] for source in sources]
        begin = cycle if begin is None and any(taken) else begin
        before = [sink.next.copy() for sink in sinks]
        for sink, flags, of in zip(sinks, ready, ends, strict=True):
            if sink.take(simulator, flags)[quiet]:
                of.append(cycle - (begin or 0))
        moved = np.any([sink.next != old for sink, old in zip(sinks, before, strict=True)], axis=0)
        done = np.all([sink.next >= sink.end for sink in sinks], axis=0)
        idle = np.where(moved | done, 0, idle + 1)
        if (idle > patience).any():
            run = int(np.argmax(idle))
            raise StreamError(f"the netlist gave no word for {patience} cycles, run {run}")
        simulator.clock()
        cycle += 1
        if cycle % 50 == 0:
            progress(min(int((sink.next - first * sink.port.words).sum()) for sink in sinks))
    if simulator.has_output("frame_error") and simulator.get("frame_error").any():
        raise StreamError("the netlist says that a frame had another length: frame_error is high")
    return Result(
        outputs={sink.port.tensor: unpacked(sink.port, sink.words) for sink in sinks},
        frame_ends=tuple(map(max, zip(*ends, strict=True))),
        cycles=cycle,
    )


def _reset(simulator: Simulator, sources: Sequence[_Source], sinks: Sequence[_Sink]) -> None:
    """Two cycles of reset while nothing is offered or taken."""
    for source in sources:
        stream = source.port.stream
        names = ["tvalid", "tdata", "tlast", *(["tkeep"] if source.port.keep else [])]
        for name in names:
            simulator.set(f"{stream}_{name}", 0)
    for sink in sinks:
        simulator.set(f"{sink.port.stream}_tready", 0)
    simulator.set("aresetn", 0)
    for _ in range(2):
        simulator.settle()
        simulator.clock()
    simulator.set("aresetn", 1)
