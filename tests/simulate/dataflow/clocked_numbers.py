"""What the rules of the cells take from a network: orders, room, widths, what is read."""

from __future__ import annotations

import math
from dataclasses import replace

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
