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
import numpy.typing as npt

from vecq_hw.accelerator.cells import (
    Comparison,
    Elementwise,
    Fork,
    Gathering,
    Join,
    Link,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reframe,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Stream,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.orders import Order
from vecq_hw.layers import Add, Concat, Multiply, Subtract, WindowLayer, window_axes
from vecq_hw.network import Network
from vecq_hw.schedule import FoldKind

Counts = npt.NDArray[np.int64]
"""For each word that a loop writes in a frame: how many words it has read before."""
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


def word_by_word(words: int) -> Counts:
    """One word read for each that is written."""
    return np.arange(1, words + 1)


def kept_words(words: int, own: int) -> Counts:
    """``vecq::multiply_kept``: all words of the operand that is kept at the first position."""
    return np.minimum(np.arange(1, words + 1), own)


def repeated_words(source: Stream, target: Stream) -> Counts:
    """``vecq::embedding``: an index before the words of its row."""
    return np.arange(target.words) // (target.words // source.words) + 1


def gated(cell: Recurrence) -> Counts:
    """``vecq::lstm`` and ``vecq::gru``: an element's gates before its state goes out."""
    gates = cell.layer.gates
    words = (np.arange(cell.target.words) + 1) * gates
    # Of the steps whose states stay inside all gates have come before.
    return words + cell.source.words - cell.target.words * gates


def resized(source: Stream, target: Stream) -> Counts:
    """``vecq::resize_lanes``; through the least common multiple of the lanes in general."""
    common = int(np.lcm(source.lanes, target.lanes))
    wide = (np.arange(target.words) * target.lanes // common + 1) * common
    return wide // source.lanes


def reframed(source: Stream, target: Stream) -> Counts:
    """Words of one width to words of another; the last one of a frame may be partial."""
    counts: Counts = -(-np.arange(1, target.words + 1) * target.lanes // source.lanes)
    return np.minimum(counts, source.words)


def compared(period: int, target: Stream) -> Counts:
    """``vecq::argmax``: all words of a position before its index."""
    return np.arange(1, target.words + 1) * period


def ranked(period: int, count: int, target: Stream) -> Counts:
    """``vecq::topk``: all words of a position before the first of its indices."""
    return (np.arange(target.words) // count + 1) * period


def folded(cell: MatrixVector) -> Counts:
    """``vecq::matrix_vector``: all words of a block of groups before the first of its outputs.

    A block is one group, or the groups that the processing elements span (``vecq::Grouping``).
    """
    groups, outputs = cell.layer.groups, cell.layer.outputs
    if cell.fold.kind is FoldKind.BASE_SERIAL:  # all words of a vector or window
        counts = np.arange(1, cell.periods + 1) * cell.unit.words
        return np.repeat(counts, outputs // cell.fold.pe)
    group_outputs = outputs // groups
    block_outputs = max(group_outputs, cell.fold.pe)
    blocks = outputs // block_outputs
    block_words = cell.layer.inputs_of_one_output * groups // (blocks * cell.source.lanes)
    counts = np.arange(1, cell.periods * blocks + 1) * block_words
    return np.repeat(counts, block_outputs // cell.fold.pe)


def pooled(positions: int, cells: int, folds: int) -> Counts:
    """A reduction of windows: a position's words are written with the last of its cells."""
    words = np.arange(1, positions * cells * folds + 1).reshape(positions, cells, folds)
    return words[:, -1].ravel()


def windowed(layer: WindowLayer, image: tuple[int, ...], row_words: int) -> Counts:
    """``vecq::sliding_window``: rows ahead of each row of windows, then one word per step.

    Parameters
    ----------
    row_words : int
        Of a row of the image.
    """
    height, width, _ = image
    down, across = window_axes(image, layer)
    steps = np.arange(across.count * layer.kernel[0] * layer.kernel[1] * (row_words // width))
    rows = np.arange(down.count + 1) * down.stride + down.reach - down.before
    due = np.clip(rows, 0, height)[:, None] * row_words
    counts: Counts = np.minimum(due[:-1] + steps, due[1:]).ravel()
    return counts


def repeated(image: tuple[int, ...], factor: tuple[int, int], folds: int) -> Counts:
    """``vecq::upsample2d``: a row is read while it is written for the first time."""
    height, width, _ = image
    words = (np.arange(width)[:, None, None] * folds + np.arange(1, folds + 1)).repeat(
        factor[1], axis=1
    )
    # A further repetition of a pixel, or of a row, reads nothing.
    first = np.maximum.accumulate(words.ravel())
    rows = np.stack([first] + [np.full_like(first, width * folds)] * (factor[0] - 1))
    counts: Counts = (np.arange(height)[:, None, None] * (width * folds) + rows).ravel()
    return counts


def gathered(source: Stream, target: Stream) -> Counts:
    """``vecq::gather_sum``: the whole image before the first of its sums."""
    return np.full(target.words, source.words, np.int64)


def reordered(order: Order) -> Counts:
    """``vecq::reorder``: in each turn a word is written, if it is there, and one read, if it fits.

    If x words have been read before a step, ``max(needed, min(x + 1, room))`` have before the next.
    Such functions in turn are one such function, so that doubling finds all results without a loop
    over words.
    """
    gives = order.gives_word
    needed = np.zeros(order.steps, np.int64)
    needed[gives] = order.read + 1
    # What is kept while a step is waited for is what its read, or the one after it, keeps.
    after = np.append(order.kept, order.words)[np.cumsum(gives) - gives]
    room = np.minimum(after + order.slots, order.words)
    # What was read before step s, less s, is clipped to these ends from step to step.
    turns = np.arange(order.steps)
    least = needed - turns
    most = np.maximum(np.append(least[0], room[:-1] - turns[1:]), least)
    width = 1
    while width < order.steps:
        low, high = least[width:], most[width:]
        least[width:], most[width:] = (
            np.clip(least[:-width], low, high),
            np.clip(most[:-width], low, high),
        )
        width *= 2
    counts: Counts = least + turns
    return counts


def concatenated(positions: int, words: Sequence[int], operand: int) -> Counts:
    """``vecq::concat``: at each position ``words[operand]`` words of this operand in its turn."""
    turn = np.clip(np.arange(1, sum(words) + 1) - sum(words[:operand]), 0, words[operand])
    return (np.arange(positions)[:, None] * words[operand] + turn).ravel()
