"""How many words a loop in ``hls/`` has read before each word that it writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.cells import MatrixVector, Recurrence
from vecq_hw.accelerator.orders import Order
from vecq_hw.accelerator.streams import Stream
from vecq_hw.layers import WindowLayer, window_axes
from vecq_hw.schedule import FoldKind

Counts = npt.NDArray[np.int64]
"""For each word that a loop writes in a frame: how many words it has read before."""


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
    if cell.fold.kind is FoldKind.PARTIAL_SUMS:
        return summed(cell)
    if cell.fold.kind is FoldKind.BASE_SERIAL:  # all words of a vector or window
        counts = np.arange(1, cell.periods + 1) * cell.unit.words
        return np.repeat(counts, outputs // cell.fold.pe)
    group_outputs = outputs // groups
    block_outputs = max(group_outputs, cell.fold.pe)
    blocks = outputs // block_outputs
    block_words = cell.layer.inputs_of_one_output * groups // (blocks * cell.source.lanes)
    counts = np.arange(1, cell.periods * blocks + 1) * block_words
    return np.repeat(counts, block_outputs // cell.fold.pe)


def summed(cell: MatrixVector) -> Counts:
    """``vecq::partial_sums``: the words of a group, and the one whose tables are filled meanwhile.

    The last words of a window's groups are those of its last tap, one group after the other.
    """
    groups, words = cell.layer.groups, cell.unit.words
    inner = cell.layer.group_channels // cell.source.lanes
    first = words - groups * inner
    counts = np.minimum(first + np.arange(1, groups + 1) * inner + 1, words)
    frames = np.arange(cell.periods)[:, np.newaxis] * words + counts
    return np.repeat(frames.ravel(), cell.target.words // (groups * cell.periods))


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
