"""The form of a layer that is a circuit of additions."""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

import numpy as np

from vecq_hw.accelerator import units
from vecq_hw.accelerator.cells import Unrolled
from vecq_hw.accelerator.unrolled.adder_graph import Affine, OffsetGraph, offset_form
from vecq_hw.accelerator.unrolled.adder_search import blocks
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.accelerator.unrolled.stages import Stages, stages
from vecq_hw.cost.elements import signed_digits
from vecq_hw.cost.structure import Structure, log2
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, Dense, ProductWeights, Rescale, Weights

SHARED_FRONTS = 0.25
"""Tables in front of an addition of a layer that is not searched for each of its bits."""
WIRES = 4
"""Bits of which any function is a table of four inputs."""
PAIRS, MOST_PAIRS = 50_000, 300_000
"""Pairs of inputs, times outputs, that are tried of all layers, and up to which a layer is once.

A core does about a million a second.
"""


def unrolled(cell: Unrolled, out: int, circuits: int = 1) -> Structure:
    """A circuit of shared additions, as a short search finds it; of large layers its digits.

    Parameters
    ----------
    out : int
        Bits of a sum or code.
    circuits : int
        How many unrolled layers the network has, each of which is searched for.
    """
    made = Structure("unrolled")
    layer = cell.layer
    made.control += cell.depth
    pairs = sum(len(block) ** 2 for block in blocks(layer.inputs_of_one_output))
    work = layer.outputs * pairs
    if work > MOST_PAIRS:
        made.kind = "unrolled, by digits"
        made.register(layer.outputs * out)
        _by_digits(made, cell, out)
        return made
    attempts = max(1, min(PAIRS // (work * circuits), 100))
    graph, placed = _searched(layer, cell.activations, cell.rescale, cell.depth, attempts)
    made.register(sum(n.bits * r for n, r in zip(graph.nodes, placed.registers, strict=True)))
    for index, (row, shared) in enumerate(zip(graph.rows, graph.overlaps, strict=True)):
        if shared:
            total = len(graph.inputs) + index
            made.add(graph.nodes[total].bits - max(row.plain_shift, row.other_shift))
    bias = [0] * layer.outputs if layer.bias is None else layer.bias.tolist()
    ends = zip(graph.outputs, bias, placed.ends, strict=True)
    for (node, meaning), constant, stage in ends:
        if node is not None and cell.rescale is None:
            _sum(made, meaning, constant, out, cell.depth - stage)
        elif node is not None:
            _codes(made, meaning.bits, cell.rescale, out, cell.depth - stage)
    return made


def _sum(made: Structure, meaning: Affine, constant: int, out: int, registers: int) -> None:
    """A constant added to a sum, on the bits that are not the same for all sums."""
    least = meaning.constant + constant
    most = least + meaning.sign * (meaning.most << meaning.shift)
    differing = min((least ^ most).bit_length(), out)
    changing = max(differing - meaning.shift, 0)
    made.register(registers * changing)
    if least == 0 and meaning.sign > 0:
        return
    if meaning.bits <= WIRES:
        made.table(meaning.bits, changing)
    else:
        made.add(changing)


def _codes(made: Structure, bits: int, rescale: Rescale | None, out: int, registers: int) -> None:
    """A Rescale by constants."""
    assert rescale is not None
    made.register(registers * out)
    if bits <= WIRES:
        made.table(bits, out)
        return
    if units.is_searched(rescale):
        for level in range(out):
            made.compare(bits + 1)
            made.table(level, bits if level > 1 else 0)
        return
    made.add(max(bits, int(rescale.shifts.min()) + 1, out + 1))
    made.table(max(bits - out, 1), 2)
    made.table(3, out)


@lru_cache(maxsize=64)
def _searched(
    layer: Dense, source: IntFormat, rescale: Rescale | None, latency: int, attempts: int
) -> tuple[OffsetGraph, Stages]:
    """The circuit and where its registers stand; kept, as warnings ask for it again."""
    graph = offset_form(circuit(layer, source, rescale, attempts=attempts))
    return graph, stages(graph, rescale, latency)


def _by_digits(made: Structure, cell: Unrolled, out: int) -> None:
    """Each output adds as many terms as its weights have digits, in signed-digit form.

    How many of these additions are shared is a matter of the fit.
    """
    layer = cell.layer
    match layer.weights:
        case Weights() | ProductWeights() | BinaryBases():
            values = layer.weights.values.reshape(layer.outputs, -1)
        case _:
            assert_never(layer.weights)
    terms = signed_digits(values).sum(axis=1)
    bits = cell.activations.bits
    additions = int(np.maximum(terms - 1, 0).sum())
    made.add(bits + 2, additions, fronts=SHARED_FRONTS * (bits + 2))
    made.register(cell.depth * layer.outputs * (bits + 4))
    if cell.rescale is not None:
        total = bits + log2(layer.inputs_of_one_output) + layer.weights.planes.bits
        if units.is_searched(cell.rescale):
            made.add(total, layer.outputs * out, fronts=total / 2)
        else:
            digits = signed_digits(cell.rescale.mantissa.reshape(-1))
            made.add(total, int(np.maximum(digits, 1).sum()), fronts=SHARED_FRONTS * total)
            made.compare(out, 2 * layer.outputs)
            made.table(4, layer.outputs * out)
