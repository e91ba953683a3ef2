"""The parts of the cells that keep words for later: windows, pools, orders, lists."""

from __future__ import annotations

import math
from typing import assert_never

from vecq_hw.accelerator.cells import Gathering, Pool, Reordering, Upsampling, Windows
from vecq_hw.cost.structure import Structure, bits_of, log2, pipeline_end
from vecq_hw.formats import signed_bits
from vecq_hw.layers import MaxPool2d, SumPool2d, Tensor, WindowLayer, window_axes


def windows(cell: Windows, source: Tensor) -> Structure:
    """``vecq_sliding_window``: the window buffer, and the code of padding."""
    made = Structure("windows")
    word = cell.source.lanes * source.format.bits
    _window_buffer(made, cell.layer, source, cell.source.lanes)
    if any(cell.layer.padding):
        made.table(2, word)
        made.control += 1
    made.control += 2
    pipeline_end(made, word, cell.unit.room)
    return made


def pool(cell: Pool, source: Tensor, out: int) -> Structure:
    """``vecq_pool``: a window buffer, and a maximum or sum for each lane."""
    lanes, bits = cell.source.lanes, source.format.bits
    joining = lanes * (math.prod(cell.layer.kernel) > 1)  # a cell alone is its window's result
    match cell.layer:
        case MaxPool2d():
            made = Structure("max pool")
            made.compare(out, joining)
            made.table(5, joining * out)
        case SumPool2d():
            made = Structure("sum pool")
            made.add(out, joining, fronts=out)
        case _:
            assert_never(cell.layer)
    _window_buffer(made, cell.layer, source, lanes)
    folds = source.channels // lanes
    if any(cell.layer.padding):
        made.table(2, lanes * bits)
    made.register(lanes * out)
    if folds > 1 and joining:
        made.ram(folds, lanes * out)
        made.register(2 * bits_of(folds))
    made.control += 9 if joining else 5
    pipeline_end(made, lanes * out, cell.unit.room)
    return made


def _window_buffer(made: Structure, layer: WindowLayer, source: Tensor, lanes: int) -> None:
    """``vecq_window_buffer``: a ring of numbered words, and a generator of places ahead of it."""
    height, width, channels = source.shape
    folds = channels // lanes
    rows, columns = window_axes(source.shape, layer)
    top, left, bottom, right = layer.padding
    tall, wide = rows.reach, columns.reach
    row_words = width * folds
    row_span = int(rows.cells[-1, 0] - rows.cells[0, 0])
    span = int(columns.cells[-1, 0] - columns.cells[0, 0]) * folds
    pitch = max(span, row_words)
    first = -top * pitch - left * folds
    alone = not ((rows.cells[0] >= 0) & (rows.cells[0] < height)).any()
    alone = alone or not ((columns.cells[0] >= 0) & (columns.cells[0] < width)).any()
    least = max(max(tall * pitch, 2), (tall - 1) * pitch + wide * folds)
    address = log2(max(least, pitch - first if alone else 0))
    made.ram(1 << address, lanes * source.format.bits, stages=2)
    frame_rows = max(row_span + 1, height)
    lead = log2((1 << address) + 3 * tall * pitch + 2) + 1
    made.add(lead, 2, fronts=lead)
    made.add(address, 2, fronts=address)
    made.register(2 * lead + 2 * address)
    made.table(5, 2 * lead)  # by how much each grows
    for most in (folds, *layer.kernel, len(columns.cells), len(rows.cells)):
        if most > 1:
            made.count(most)
            made.control += 2
    if left or right or int(columns.cells[-1, -1]) >= width:
        made.control += bits_of(width + left + right + layer.stride[1] + 1) + 1
    if top or bottom or int(rows.cells[-1, -1]) >= height:
        made.control += bits_of(height + top + bottom + layer.stride[0] + 1) + 1
    made.control += 10 + bits_of(folds)
    if (frame_rows - height) * pitch + pitch - row_words:
        made.count(row_words)
        made.count(height)
        made.control += 4


def replay(made: Structure, words: int, replays: int, word: int) -> None:
    """``vecq_replay_buffer``: two frames, or two words where each is read once."""
    slots = 2 * (words if replays > 1 else 1)
    made.ram(slots, word)
    made.control += 2 * bits_of(slots) + 2 * bits_of(slots + 1) + 2


def frame_buffer(made: Structure, words: int, word: int) -> None:
    """``vecq_frame_buffer``: two frames, read in any order."""
    made.ram(2 * words, word)
    made.control += bits_of(2 * words) + bits_of(2 * words + 1) + 1
    made.add(bits_of(2 * words + 1), 2)
    made.add(bits_of(2 * words))


def group_buffer(
    made: Structure, taps: int, blocks: int, inner: int, replays: int, word: int
) -> None:
    """``vecq_group_buffer``: two windows, of which each group's words are read by themselves."""
    words = taps * blocks * inner
    made.ram(2 * words, word, checked=True)
    address, count = bits_of(2 * words), bits_of(3 * words + 1)
    made.control += 4 * address + 2 * count
    made.count(taps)
    made.count(inner)
    made.count(replays)
    made.add(address, 4)
    made.add(count, 2)


def upsampling(cell: Upsampling, word: int) -> Structure:
    """``vecq_upsample``: a row, read again for each row of outputs."""
    made = Structure("upsample")
    words = cell.unit.words
    slots = max(words, 2)
    made.ram(slots, word)
    made.control += 2 * bits_of(slots) + 2 * bits_of(slots + 1)
    down, across = cell.layer.factor
    for most in (down, across, words):
        made.count(most)
    made.control += 2
    return made


def gathering(cell: Gathering, source: Tensor, out: int) -> Structure:
    """``vecq_gather_sum``: a list of positions, a frame of words, a sum for each lane."""
    made = Structure("gather")
    lanes, layer = cell.source.lanes, cell.layer
    folds = source.channels // lanes
    found = layer.entries
    count = len(found.positions)
    shift = int(found.shifts.max()).bit_length()
    made.rom(count, bits_of(source.positions) + shift + 2)
    made.control += 2 * bits_of(count) + bits_of(folds) + 5
    frame_buffer(made, source.positions * folds, lanes * source.format.bits)
    if folds & (folds - 1):
        made.multiply(bits_of(source.positions * folds), bits_of(folds + 1))
    made.add(out, lanes, fronts=out)
    made.register(lanes * out)
    made.table(3, lanes * shift * out)
    made.register(lanes * shift)
    return made


def reordering(cell: Reordering, word: int) -> Structure:
    """``vecq_reorder``: nested counters, tables of moves, and the words that are kept."""
    made = Structure("reorder")
    order = cell.order
    made.ram(order.slots, word)
    count = bits_of(2 * order.words + order.slots + 1) + 1
    slot = bits_of(order.slots)
    made.control += count * (1 if order.never_goes_back else 2) + 2 * slot
    made.add(count, 1 if order.never_goes_back else 2, fronts=count)
    for axis, move in zip(order.axes, order.moves, strict=True):
        made.count(axis.size)
        made.table(3, count)
        if not move.is_even:
            width = 2 + signed_bits(-move.word) + signed_bits(-move.kept)
            made.rom(axis.size, width)
    if cell.code or not all(move.is_even for move in order.moves):
        made.table(2, word)
    made.control += 3
    return made
