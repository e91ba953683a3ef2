"""The steps of each unit that keeps words of its frame: windows, upsampling, sums, orders."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

import numpy as np

from vecq_hw.accelerator.orders import Order
from vecq_hw.accelerator.units import (
    ROOM,
    ROOM_OF_SPACED,
    Indices,
    Unit,
    last_uses,
    stepped_unit,
    whole_frames,
)
from vecq_hw.layers import (
    Conv2d,
    GatherSum,
    MaxPool2d,
    SumPool2d,
    Upsample2d,
    WindowLayer,
    window_axes,
)


def sliding_window(layer: WindowLayer, shape: tuple[int, ...], lanes: int) -> Unit:
    """The windows of an image, a frame per period; pools reduce each of them on the way.

    One word of a window is read a cycle, padding too, so a frame takes as many cycles as all
    windows have words, if they come in time.  A convolution passes the words on, two stages behind
    the read; a pool accumulates them and gives its result three stages behind the last kernel
    cell's read.

    A first window of padding alone waits for the first word of its image all the same.

    Words are numbered on from frame to frame, and those that padding would have had have numbers
    like any other; a frame has more rows and columns than its image where windows begin over more.
    A ring is a power of two, at least the rows that the (dilated) kernel is high, or as much as
    lies before the first word and this word, where the first window waits for it.  A word comes in
    once the one that lies the ring before it is freed: :func:`_kept`.
    """
    height, width, channels = shape
    folds = channels // lanes
    down, across = window_axes(shape, layer)
    rows, columns = down.cells, across.cells
    # Axes: output row, output column, kernel row, kernel column, fold.
    row = rows[:, np.newaxis, :, np.newaxis, np.newaxis]
    column = columns[np.newaxis, :, np.newaxis, :, np.newaxis] * folds + np.arange(folds)
    row_words = width * folds
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < row_words)
    needs = np.where(inside, row * row_words + column, -1)
    match layer:
        case Conv2d():
            pool = False
        case MaxPool2d() | SumPool2d():
            pool = True
        case _:
            assert_never(layer)
    gives = np.ones(needs.shape, bool)
    if pool:
        gives[...] = False
        gives[:, :, -1, -1] = True

    # Numbers of a row and of the rows of a frame: none is of two windows' first cells.
    pitch = max(row_words, (across.last + across.before) * folds)
    frame_rows = max(height, down.last + down.before + 1)
    first = -down.before * pitch - across.before * folds
    span = (down.reach - 1) * pitch + across.reach * folds
    least = max(down.reach * pitch, span, 2)
    if not inside[0, 0].any():
        needs[0, 0, 0, 0, 0] = 0
        least = max(least, pitch - first)
    ring = 1 << (least - 1).bit_length()
    starts = (rows[:, :1] * pitch + columns[:, 0] * folds).ravel()
    starts = np.append(starts, first + frame_rows * pitch)
    cells = down if down.kernel > 1 else across
    line = down.dilation * pitch if down.kernel > 1 else across.dilation * folds
    kept = _kept(starts, cells.kernel, line)
    inner = folds if cells is across else across.kernel * folds
    allowed = np.append(np.repeat(kept.ravel(), inner), starts[-1]) + ring
    # So many words may have come in before each step, and before the first of the next frame.
    frame, number = np.divmod(allowed, frame_rows * pitch)
    place, word = np.divmod(number, pitch)
    words = height * row_words
    room = frame * words + np.minimum(place * row_words + np.minimum(word, row_words), words)
    unit = stepped_unit(
        needs.ravel(), gives.ravel(), np.diff(room), words, int(room[0]), 3 if pool else 2
    )
    spaced = pool and folds == 1 and down.kernel * across.kernel > 1
    return replace(unit, room=ROOM_OF_SPACED if spaced else ROOM)


def _kept(starts: Indices, lines: int, line: int) -> Indices:
    """The first number that is kept before each line of each window, shape (windows, lines).

    Behind each of its lines (kernel rows, or columns where there is one row) a window frees as many
    numbers as a line is long, or as the next window begins later, if that is less, as often as it
    goes; behind its last cell the rest.

    Parameters
    ----------
    starts : (windows + 1,) array
        Numbers of the first cells, up to that of the next frame's first window.
    line : int
        Numbers from one line to the next.
    """
    ways = np.diff(starts)
    freed = np.minimum(ways, line)
    times = np.minimum(np.maximum(ways // line, 1), lines - 1)
    done = np.minimum(np.arange(lines), times[:, np.newaxis])
    kept: Indices = starts[:-1, np.newaxis] + freed[:, np.newaxis] * done
    return kept


def upsampling(layer: Upsample2d, shape: tuple[int, ...], lanes: int) -> Unit:
    """Each pixel repeated, a row per period: one row is kept and read for each row of outputs.

    One word per cycle, one stage behind its read.
    """
    _, width, channels = shape
    down, across = layer.factor
    folds = channels // lanes
    words = width * folds
    pixels = np.arange(words).reshape(width, 1, folds)
    row = np.broadcast_to(pixels, (width, across, folds)).ravel()
    needs = np.tile(row, down)
    frees = last_uses(needs, words)
    return stepped_unit(needs, np.ones(needs.size, bool), frees, words, max(words, 2), 1)


def gather_sum(layer: GatherSum, shape: tuple[int, ...], lanes: int) -> Unit:
    """The sums of ``vecq_gather_sum.sv``, a frame per period.

    A cycle for each entry of a row and each of its words, an entry being an index or an empty row;
    two stages behind the last of them.  Of two frames that are kept one is read in any order, and
    freed as a whole by the last step, which waits for all of it.
    """
    height, width, channels = shape
    folds = channels // lanes
    words = height * width * folds
    entries = layer.entries
    counts = np.diff(np.flatnonzero(entries.last), prepend=-1)
    # Axes: row, fold, entry; rows differ in length.
    begins = np.repeat(np.cumsum(counts) - counts, folds)
    steps = np.repeat(counts, folds)
    first = np.cumsum(steps) - steps
    places = np.arange(int(steps.sum())) - np.repeat(first - begins, steps)
    fold = np.repeat(np.tile(np.arange(folds), counts.size), steps)
    needs = np.maximum(entries.positions, 0)[places] * folds + fold
    gives = entries.last[places]
    return whole_frames(needs, gives, words, depth=2)


def reordering(order: Order) -> Unit:
    """The words of a frame in a static order, a frame per period; one stage behind the read.

    One word per cycle, codes that fill too; the first one of a frame waits for the word that its
    first read waits for.
    """
    reads = np.flatnonzero(order.gives_word)
    needs = np.full(order.steps, -1, np.int64)
    needs[reads] = order.read
    needs[0] = order.read[0]
    first = int(order.kept[0])
    frees = np.zeros(order.steps, np.int64)
    frees[reads] = np.diff(order.kept, append=order.words + first)
    gives = np.ones(order.steps, bool)
    return stepped_unit(needs, gives, frees, order.words, order.slots + first, 1)


def is_identity(layer: Conv2d) -> bool:
    """Whether every window is one pixel, in order, so that no sliding window is needed."""
    return layer.kernel == layer.stride == (1, 1) and not any(layer.padding)


def reaches_image(layer: Conv2d, shape: tuple[int, ...]) -> bool:
    """Whether any window reads more than padding."""
    axes = window_axes(shape, layer)
    return all(bool(((axis.cells >= 0) & (axis.cells < axis.size)).any()) for axis in axes)
