"""Streams between the stages of a top, and how deep they must be where branches meet again.

A dataflow region stops for good when a fork waits for room in one branch while the join waits for
words from the other.  Take the schedule in which nothing runs but what the join's next word needs.
If no stream overflows in it, none blocks for good in any other: which words a process reads and
writes does not depend on timing.  In that schedule only what a fork gives to a branch that did not
ask piles up, so that a stream behind a fork must hold, at worst over the join's words j, what the
most eager other branch has taken for word j less what its own reader had taken for word j - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntFormat
from vecq_hw.layers import WindowLayer
from vecq_hw.network import window_outputs

Counts = npt.NDArray[np.int64]
"""For each word that a stage writes in a frame: how many it has read before."""

LEAST_DEPTH = 2
"""Of every stream: a word is written while another is read."""

PIPELINE_DEPTH = 32
"""Words that a pipelined loop may have begun before the oldest one leaves it.

A loop that waits for its next word holds back those that it has begun (Vitis HLS, style=stp)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A variable of the top: ``words`` words a frame, ``lanes`` elements each."""

    variable: str
    format_name: str
    format: IntFormat
    lanes: int
    words: int

    @property
    def kind(self) -> str:
        """The C++ type."""
        return f"vecq::Stream<{self.format_name}, {self.lanes}>"


@dataclass(frozen=True, slots=True)
class Stage:
    """A process of the dataflow region.

    Attributes
    ----------
    comment, call : str
    reads : streams, each with what gives the :data:`Counts` of the loops that it runs through
    writes : streams; several only of a fork, which gives all of them every word
    """

    comment: str
    call: str
    reads: tuple[tuple[Stream, tuple[Callable[[], Counts], ...]], ...]
    writes: tuple[Stream, ...]


def stream_depths(stages: Sequence[Stage]) -> dict[str, int]:
    """The depth of each stream by variable, so that no branch can wait for another for good.

    Parameters
    ----------
    stages : in an order in which each reads what earlier ones write; the last writes nothing
    """
    depths = {stream.variable: LEAST_DEPTH for stage in stages for stream in stage.writes}
    reader = {
        stream.variable: index for index, stage in enumerate(stages) for stream, _ in stage.reads
    }
    meeting = _meeting_points(stages, reader)
    for index, stage in enumerate(stages):
        if len(stage.writes) > 1:
            least = _taken(stages, index, meeting[index], ahead=0)
            most = _taken(stages, index, meeting[index], ahead=PIPELINE_DEPTH)
            for stream in stage.writes:
                others = [most[s.variable] for s in stage.writes if s is not stream]
                # After the join's last word the rest of the frame is given and taken.
                given = np.append(np.max(others, axis=0), stream.words)
                before = np.insert(least[stream.variable], 0, 0)
                depths[stream.variable] = max(LEAST_DEPTH, int((given - before).max()))
    return depths


def _meeting_points(stages: Sequence[Stage], reader: dict[str, int]) -> list[int]:
    """For each stage the first one through which everything that it writes must pass."""
    last = len(stages) - 1
    meeting = [last] * len(stages)

    def common(one: int, other: int) -> int:
        while one != other:
            one, other = (meeting[one], other) if one < other else (one, meeting[other])
        return one

    for index in reversed(range(last)):
        meeting[index] = reduce(common, (reader[s.variable] for s in stages[index].writes))
    return meeting


def _taken(stages: Sequence[Stage], fork: int, join: int, ahead: int) -> dict[str, Counts]:
    """How many words each stream between two stages has given when the join wants each of its own.

    Every loop on the way runs ``ahead`` words ahead of those that it writes.
    """
    taken = {stream.variable: _through(loops, None, 0) for stream, loops in stages[join].reads}
    for stage in reversed(stages[fork + 1 : join]):
        wanted = [taken[s.variable] for s in stage.writes if s.variable in taken]
        if wanted:
            written = np.max(wanted, axis=0)
            for stream, loops in stage.reads:
                taken[stream.variable] = _through(loops, written, ahead)
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


def resized(source: Stream, target: Stream) -> Counts:
    """``vecq::resize_lanes``; through the least common multiple of the lanes in general."""
    common = int(np.lcm(source.lanes, target.lanes))
    wide = (np.arange(target.words) * target.lanes // common + 1) * common
    return wide // source.lanes


def folded(positions: int, block_words: int, output_folds: int) -> Counts:
    """``vecq::matrix_vector``: all of a block's words before the first of its outputs."""
    return np.repeat(np.arange(1, positions + 1) * block_words, output_folds)


def pooled(positions: int, cells: int, folds: int) -> Counts:
    """A reduction of windows: a position's words are written with the last of its cells."""
    words = np.arange(1, positions * cells * folds + 1).reshape(positions, cells, folds)
    return words[:, -1].ravel()


def windowed(
    layer: WindowLayer, dilation: tuple[int, int], image: tuple[int, ...], row_words: int
) -> Counts:
    """``vecq::sliding_window``: rows ahead of each row of windows, then one word a step.

    Parameters
    ----------
    row_words : int
        Of a row of the image.
    """
    height, width, _ = image
    down, across = (
        window_outputs(*sizes)
        for sizes in zip(
            (height, width), layer.kernel, layer.stride, layer.padding, dilation, strict=True
        )
    )
    folds = row_words // width
    steps = np.arange(across * layer.kernel[0] * layer.kernel[1] * folds)
    reach = dilation[0] * (layer.kernel[0] - 1) + 1 - layer.padding[0]
    rows = np.arange(down + 1) * layer.stride[0] + reach
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


def joined(positions: int, words: Sequence[int], operand: int) -> Counts:
    """``vecq::concat``: at each position ``words[operand]`` words of this operand in its turn."""
    turn = np.clip(np.arange(1, sum(words) + 1) - sum(words[:operand]), 0, words[operand])
    return (np.arange(positions)[:, None] * words[operand] + turn).ravel()
