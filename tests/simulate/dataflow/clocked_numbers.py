"""What the rules of the cells take from a network: orders, room, widths, what is read."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np

from tests import plain
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, Take
from vecq_hw.network import Network


def kept(reads, words, capacity):
    """Room where a place is free once no later step of the frame reads its word."""
    room, oldest = [], words
    for read in reversed(reads):
        oldest = min(oldest, read)
        room.append(oldest + capacity)
    return room[::-1]


def bits(number):
    """ceil(log2(number))."""
    count = 0
    while 2**count < number:
        count += 1
    return count


def mantissa_bits(layer):
    return max((m if m >= 0 else ~m).bit_length() for m in layer.mantissa.ravel().tolist()) + 1


def without_unread(network):
    """The part of a network that its outputs depend on."""
    layers = list(network.layers)
    while True:
        read = {*network.outputs, *(name for layer in layers for name in layer.inputs)}
        kept = [layer for layer in layers if layer.name in read]
        if kept == layers:
            inputs = tuple(entry for entry in network.inputs if entry.name in read)
            return replace(network, inputs=inputs, layers=tuple(layers))
        layers = kept


def order_of(layer, shape):
    """The number of the integer at each place; -1 where the code is."""
    numbered = Input(name=layer.input, shape=shape, format=IntFormat(40, signed=True))
    coded = replace(layer, code=-1) if isinstance(layer, Take) else layer
    one = Network(name="one", inputs=(numbered,), layers=(coded,), outputs=(layer.name,))
    image = np.arange(math.prod(shape)).reshape(shape).tolist()
    return np.ravel(plain.evaluate(one, image)[layer.name]).tolist()


def window_steps(layer, shape, folds, pool):
    """Which word each step of a frame of windows reads, whether it gives one, and the room."""
    height, width, _ = shape
    down, across = layer.dilation
    above, before, under, behind = layer.padding
    kernel_rows, kernel_columns = layer.kernel
    tall, wide = down * (kernel_rows - 1) + 1, across * (kernel_columns - 1) + 1
    tops = range(-above, height + under - tall + 1, layer.stride[0])
    lefts = range(-before, width + behind - wide + 1, layer.stride[1])
    reads, gives, room = [], [], []
    # Words are numbered on from image to image, those that padding would have, too; no two windows
    # begin with the same number.
    pitch = max(width, lefts[-1] - lefts[0]) * folds
    period = max(height, tops[-1] - tops[0] + 1)
    starts = [top * pitch + left * folds for top, left in product(tops, lefts)]
    starts.append(starts[0] + period * pitch)
    # A first window of padding alone waits for the first word, for which there must be room.
    alone = not any(
        0 <= tops[0] + i * down < height and 0 <= lefts[0] + j * across < width
        for i, j in product(range(kernel_rows), range(kernel_columns))
    )
    least = max(2, tall * pitch, (tall - 1) * pitch + wide * folds)
    ring = 1
    while ring < least or (alone and ring < pitch - starts[0]):
        ring *= 2
    lines, length = (
        (kernel_rows, down * pitch) if kernel_rows > 1 else (kernel_columns, across * folds)
    )
    for place, (top, left) in enumerate(product(tops, lefts)):
        # Each line that is done frees as much as itself while the next window begins later.
        kept = [starts[place]]
        while len(kept) < lines:
            further = min(kept[-1] + length, starts[place + 1])
            kept.append(further if len(kept) == 1 or further == kept[-1] + length else kept[-1])
        for i, j, fold in product(range(kernel_rows), range(kernel_columns), range(folds)):
            row, column = top + i * down, left + j * across
            inside = 0 <= row < height and 0 <= column < width
            reads.append((row * width + column) * folds + fold if inside else None)
            gives.append(not pool or (i, j) == (kernel_rows - 1, kernel_columns - 1))
            # The first word that may not come in takes the place of one that is kept.
            below, at = divmod(kept[i if kernel_rows > 1 else j] + ring, pitch)
            image, line = divmod(below, period)
            whole = min(line, height) * width * folds
            part = min(at, width * folds) if line < height else 0
            room.append(image * height * width * folds + whole + part)
    if alone:
        reads[0] = 0
    return reads, gives, room
