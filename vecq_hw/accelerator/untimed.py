"""FIFO depths that suffice whatever the timing of the cells, as a compiler of C++ makes it.

A network stops for good when a fork waits for room in one branch while the join waits for words
from the other.  Take the order of events in which nothing runs but what the join's next word needs.
If no stream overflows in it, none blocks for good in any other: which words a process reads before
which it writes does not depend on timing.  In that order only what a fork gives to a branch that
did not ask piles up, so that a stream behind a fork must hold, at worst over the join's words j,
what the most eager other branch has taken for word j less what its own reader had taken for word
j - 1.

Where branches meet at no join but leave by several outputs, the end is the join: it asks for the
words of the outputs in the order in which the inputs allow them, which is one of the orders that
can be.  A branch from which no join is reached takes whatever it is given, so that it asks nothing
and nothing piles up before it.  Several inputs each come as their words are asked for.

What each cell reads before which word it writes is that of the functions in ``hls/``.  Their
sliding window first reads whole rows, so that these depths are larger than those of the cycle
model, which clocks the cells of ``rtl/``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import assert_never

import numpy as np

from vecq_hw.accelerator.cells import (
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.loops import (
    Counts,
    compared,
    concatenated,
    folded,
    gated,
    gathered,
    kept_words,
    pooled,
    ranked,
    reframed,
    reordered,
    repeated,
    repeated_words,
    resized,
    windowed,
    word_by_word,
)
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.layers import Add, Concat, Multiply, Subtract, WindowLayer
from vecq_hw.network import Network

Loops = tuple[Callable[[], Counts], ...]
"""The loops through which a cell passes the words of one of its streams, in their order."""

LEAST_DEPTH = 2
"""Depth of every stream at least, so that a word can be written while another one is read."""

PIPELINE_DEPTH = 32
"""Words that a pipelined loop may have begun before the oldest one leaves it.

A loop that waits for its next word holds back those that it has begun (Vitis HLS, style=stp)."""


@dataclass(frozen=True, slots=True)
class Process:
    """What reads and writes streams on its own: a cell, or an end of the plan.

    Attributes
    ----------
    reads : streams, each with the loops that its words run through
    writes : streams; several only of a fork, which gives all of them every word
    """

    reads: tuple[tuple[Stream, Loops], ...]
    writes: tuple[Stream, ...]


def stream_depths(plan: Plan) -> dict[Stream, int]:
    """The depth in words of each stream, so that no branch can wait for another one for good.

    A link that changes no lanes is no process here: the streams on both sides of it are one, and
    both have its depth.

    Parameters
    ----------
    plan : Plan
    """
    plain = [cell for cell in plan.cells if isinstance(cell, Link) and cell.is_plain]
    joined = {link.source: link.target for link in plain}
    stages = _processes(plan, joined)
    depths = {stream: LEAST_DEPTH for stage in stages for stream in stage.writes}
    free = _free_streams(stages)
    stages = _with_one_end(stages, free)
    reader = {stream: index for index, stage in enumerate(stages) for stream, _ in stage.reads}
    meeting = _meeting_points(stages, reader)
    for index, stage in enumerate(stages):
        if len(stage.writes) > 1:
            least = _taken(stages, index, meeting[index], ahead=0)
            most = _taken(stages, index, meeting[index], ahead=PIPELINE_DEPTH)
            for stream in stage.writes:
                others = [most[other] for other in stage.writes if other is not stream]
                # After the join's last word the rest of the frame is given and taken.
                given = np.append(np.max(others, axis=0), stream.words)
                before = np.insert(least[stream], 0, 0)
                depths[stream] = max(LEAST_DEPTH, int((given - before).max()))
    return depths | {link.source: depths[link.target] for link in plain}


def _processes(plan: Plan, joined: dict[Stream, Stream]) -> list[Process]:
    """Inputs, cells and outputs, in an order in which each reads what earlier ones write."""

    def process(reads: tuple[tuple[Stream, Loops], ...], *writes: Stream) -> Process:
        return Process(reads, tuple(joined.get(stream, stream) for stream in writes))

    processes = [process((), entry) for entry in plan.inputs.values()]
    windows: dict[Stream, Windows] = {}
    for cell in plan.cells:
        match cell:
            case Windows():  # its loop is the first of the matrix-vector unit's
                windows[cell.target] = cell
            case Link() if cell.is_plain:
                pass
            case Fork():
                reads = ((cell.source, _word_by_word(cell.source)),)
                processes.append(process(reads, *cell.targets))
            case (
                Link()
                | Reframe()
                | Elementwise()
                | Comparison()
                | Ranking()
                | SerialRescale()
                | Join()
                | MatrixVector()
                | Unrolled()
                | Pool()
                | Upsampling()
                | Rows()
                | Recurrence()
                | Gathering()
                | Reordering()
            ):
                processes.append(process(_reads(plan.network, cell, windows), cell.target))
            case Source():
                processes.append(process((), cell.target))
            case _:
                assert_never(cell)
    processes += [process(((end, _word_by_word(end)),)) for end in plan.outputs.values()]
    return processes


def _free_streams(stages: Sequence[Process]) -> set[Stream]:
    """Those whose words run to outputs and meet no others on the way."""
    free: set[Stream] = set()
    for stage in reversed(stages):
        if len(stage.reads) == 1 and free.issuperset(stage.writes):
            free.update(stream for stream, _ in stage.reads)
    return free


def _with_one_end(stages: Sequence[Process], free: set[Stream]) -> list[Process]:
    """The processes up to the last joins, without free streams, and an end that reads those joins.

    The end asks for the word that needs the least share of its inputs, then for the next.
    """

    def writes(stage: Process) -> tuple[Stream, ...]:
        if len(stage.reads) > 1:
            return stage.writes
        return tuple(stream for stream in stage.writes if stream not in free)

    kept = [Process(stage.reads, writes(stage)) for stage in stages if writes(stage)]
    joined = [stream for stage in kept for stream in stage.writes if stream in free]
    entries = [stream for stage in kept if not stage.reads for stream in stage.writes]
    shares = []
    for stream in joined:
        alone = [*kept, Process(((stream, _word_by_word(stream)),), ())]
        taken = _taken(alone, -1, len(kept), ahead=0)
        given = [taken[entry] / entry.words for entry in entries if entry in taken]
        shares.append(np.max(given, axis=0))
    owners = np.repeat(np.arange(len(joined)), [stream.words for stream in joined])
    progress = [np.arange(1, stream.words + 1) / stream.words for stream in joined]
    order = np.lexsort((np.concatenate([*progress, []]), np.concatenate([*shares, []])))
    asked = [np.cumsum(owners[order] == index) for index in range(len(joined))]
    reads = tuple(
        (stream, (partial(np.asarray, counts),))
        for stream, counts in zip(joined, asked, strict=True)
    )
    return [*kept, Process(reads, ())]


def _reads(
    network: Network,
    cell: Link
    | Reframe
    | Elementwise
    | Comparison
    | Ranking
    | SerialRescale
    | Join
    | MatrixVector
    | Unrolled
    | Pool
    | Upsampling
    | Rows
    | Recurrence
    | Gathering
    | Reordering,
    windows: dict[Stream, Windows],
) -> tuple[tuple[Stream, Loops], ...]:
    """The streams that a cell reads, with the loops through which their words run."""
    match cell:
        case Link():
            return ((cell.source, (partial(resized, cell.source, cell.target),)),)
        case Reframe():
            return ((cell.source, (partial(reframed, cell.source, cell.target),)),)
        case Elementwise() | SerialRescale():
            return ((cell.source, _word_by_word(cell.source)),)
        case Comparison():
            return ((cell.source, (partial(compared, cell.period, cell.target),)),)
        case Ranking():
            return ((cell.source, (partial(ranked, cell.period, cell.layer.count, cell.target),)),)
        case Join():
            match cell.layer:
                case Add() | Subtract() | Multiply():
                    return tuple(
                        (stream, (partial(kept_words, cell.target.words, stream.words),))
                        if stream is cell.kept
                        else (stream, _word_by_word(stream))
                        for stream in cell.sources
                    )
                case Concat():
                    turns = [sum(turn[0] is read for turn in cell.turns) for read in cell.sources]
                    positions = cell.target.words // sum(turns)
                    return tuple(
                        (stream, (partial(concatenated, positions, turns, operand),))
                        for operand, stream in enumerate(cell.sources)
                    )
                case _:
                    assert_never(cell.layer)
        case MatrixVector():
            source, loops = cell.source, (partial(folded, cell),)
            if (before := windows.get(source)) is None:
                return ((source, loops),)
            source = before.source
            return ((source, (_windows(network, before.layer, source), *loops)),)
        case Unrolled():
            # On as many lanes as it has inputs and outputs: one word in, one word out.
            return ((cell.source, _word_by_word(cell.source)),)
        case Pool():
            positions = math.prod(network.tensors[cell.layer.name].shape[:-1])
            folds = cell.target.words // positions
            reduced = partial(pooled, positions, math.prod(cell.layer.kernel), folds)
            return ((cell.source, (_windows(network, cell.layer, cell.source), reduced)),)
        case Upsampling():
            image = network.tensors[cell.layer.input].shape
            folds = image[2] // cell.source.lanes
            return ((cell.source, (partial(repeated, image, cell.layer.factor, folds),)),)
        case Rows():
            return ((cell.source, (partial(repeated_words, cell.source, cell.target),)),)
        case Recurrence():
            return ((cell.source, (partial(gated, cell),)),)
        case Gathering():
            return ((cell.source, (partial(gathered, cell.source, cell.target),)),)
        case Reordering():
            return ((cell.source, (partial(reordered, cell.order),)),)
        case _:
            assert_never(cell)


def _windows(network: Network, layer: WindowLayer, source: Stream) -> Callable[[], Counts]:
    image = network.tensors[layer.input].shape
    return partial(windowed, layer, image, source.words // image[0])


def _word_by_word(stream: Stream) -> Loops:
    return (partial(word_by_word, stream.words),)


def _meeting_points(stages: Sequence[Process], reader: dict[Stream, int]) -> list[int]:
    """For each stage the first one through which everything that it writes must pass."""
    last = len(stages) - 1
    meeting = [last] * len(stages)

    def common(one: int, other: int) -> int:
        while one != other:
            one, other = (meeting[one], other) if one < other else (one, meeting[other])
        return one

    for index in reversed(range(last)):
        meeting[index] = reduce(common, (reader[stream] for stream in stages[index].writes))
    return meeting


def _taken(stages: Sequence[Process], fork: int, join: int, ahead: int) -> dict[Stream, Counts]:
    """How many words each stream between two stages has given when the join wants each of its own.

    Every loop on the way runs ``ahead`` words ahead of those that it writes.
    """
    taken = {stream: _through(loops, None, 0) for stream, loops in stages[join].reads}
    for stage in reversed(stages[fork + 1 : join]):
        wanted = [taken[stream] for stream in stage.writes if stream in taken]
        if wanted:
            written = np.max(wanted, axis=0)
            for stream, loops in stage.reads:
                taken[stream] = _through(loops, written, ahead)
    return taken


def _through(loops: Sequence[Callable[[], Counts]], written: Counts | None, ahead: int) -> Counts:
    """What the first of ``loops`` reads where the last one writes so many words; None: each."""
    for loop in reversed(loops):
        counts = loop()
        if written is None:
            written = np.arange(1, len(counts) + 1)
        # Where nothing is written nothing need be read.
        position = np.where(written > 0, np.minimum(written + ahead, len(counts)), 0)
        written = np.insert(counts, 0, 0)[position]
    assert written is not None
    return written
