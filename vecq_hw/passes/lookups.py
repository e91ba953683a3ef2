"""Lookups joined with the Rescale or Lookup that they read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import assert_never

import numpy as np

from vecq_hw import arithmetic
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import MOST_LOOKUP_BITS, Lookup, Rescale
from vecq_hw.network import Network

MOST_TABLE_BITS = 1 << 15
"""Bits of the largest table that takes a Rescale's place: about those of a block RAM."""


def alone_before(network: Network) -> dict[str, Rescale | Lookup]:
    """The Rescale or Lookup before each Lookup, where nothing else reads that."""
    readers = Counter(name for layer in network.layers for name in layer.inputs)
    readers.update(network.outputs)
    made = {layer.name: layer for layer in network.layers}
    found: dict[str, Rescale | Lookup] = {}
    for layer in network.layers:
        if isinstance(layer, Lookup) and readers[layer.input] == 1:
            before = made.get(layer.input)
            if isinstance(before, Lookup) or (isinstance(before, Rescale) and before.rows is None):
                found[layer.name] = before
    return found


def join_lookups(network: Network) -> Network:
    """A Lookup of a Lookup, or of a Rescale of few bits, becomes one Lookup; no integer changes.

    A Rescale goes where it reads at most 12 bits and the tables take no more than
    :data:`MOST_TABLE_BITS`.
    """
    while True:
        for name, before in alone_before(network).items():
            layer = next(la for la in network.layers if la.name == name)
            assert isinstance(layer, Lookup)
            joined = _joined(before, layer, network.tensors[before.input].format)
            if joined is not None:
                changed = {name: joined}
                kept = [la for la in network.layers if la.name != before.name]
                layers = tuple(changed.get(la.name, la) for la in kept)
                network = replace(network, layers=layers)
                break
        else:
            return network


def _joined(before: Rescale | Lookup, layer: Lookup, source: IntFormat) -> Lookup | None:
    codes: IntArray  # of the layer between, shape (1 or C, integers of the source)
    match before:
        case Lookup():
            codes = before.table
        case Rescale():
            if source.bits > MOST_LOOKUP_BITS:
                return None
            numbers = np.arange(source.lo, source.hi + 1)[:, np.newaxis]
            line = before.mantissa, before.offset, before.shift, before.format
            codes = arithmetic.rescale(numbers, *line).T
            if (codes == codes[:1]).all():
                codes = codes[:1]
        case _:
            assert_never(before)
    rows = np.arange(len(layer.table))[:, np.newaxis]
    table = layer.table[rows, codes - before.format.lo]
    if isinstance(before, Rescale) and table.size * layer.format.bits > MOST_TABLE_BITS:
        return None
    return replace(layer, input=before.input, table=table)
