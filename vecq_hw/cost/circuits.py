"""The form of a layer that is a circuit of additions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
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
from vecq_hw.cost.structure import Structure, halves, log2
from vecq_hw.formats import IntArray, IntFormat, TwosComplement, signed_bits
from vecq_hw.layers import BinaryBases, Dense, ProductWeights, Rescale, Weights

WIRES = 4
"""Bits of which any function is a table of four inputs."""
PAIRS, MOST_PAIRS = 50_000, 70_000
"""Pairs of inputs, times outputs, that are tried of all layers, and up to which a layer is once.

A core does about a million a second.
"""
CORNER = 32
"""Inputs and outputs of a larger layer that are searched for shared additions."""
MORE_SHARED = {"outputs": 0.91, "inputs": 0.97}
"""What becomes of the additions of an output's term where the layer has twice as many of these.

Measured of random matrices of 1 to 8 bits, up to 64 by 64: then within 5 %.
"""


def unrolled(cell: Unrolled, out: int, circuits: int = 1) -> Structure:
    """A circuit of shared additions, as a short search finds it; of a large layer for a corner.

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
    part, rescale = layer, cell.rescale
    if _work(layer) > MOST_PAIRS:
        part, rescale = _corner(layer, rescale)
    scale = _additions(layer) / max(_additions(part), 1)
    wider = log2(layer.inputs_of_one_output) - log2(part.inputs_of_one_output)
    attempts = max(1, min(PAIRS // (_work(part) * circuits), 100))
    # Two levels of additions are a stage; of an odd number of levels that are left out half of one.
    for depth in sorted({cell.depth - wider // 2, cell.depth - halves(wider)}):
        graph, placed = _searched(part, cell.activations, rescale, depth, attempts)
        held = sum(n.bits * r for n, r in zip(graph.nodes, placed.registers, strict=True))
        made.register(round(scale * held / (1 + wider % 2)))
    sums: Counter[tuple[int, int]] = Counter()
    complements = set[int]()  # nodes of which the complement is made
    for index, (row, shared) in enumerate(zip(graph.rows, graph.overlaps, strict=True)):
        if shared:
            total = graph.nodes[len(graph.inputs) + index]
            off = 0
            if row.complement and row.other not in complements:
                complements.add(row.other)
                off = graph.nodes[row.other].bits
            sums[total.bits - max(row.plain_shift, row.other_shift), off] += 1
    for (bits, off), count in sums.items():
        made.add(bits + wider // 2, round(scale * count), off=off)
    ends = list(zip(graph.outputs, placed.ends, strict=True))
    for index in range(layer.outputs):
        (node, meaning), stage = ends[index % len(ends)]
        constant = 0 if layer.bias is None else int(layer.bias[index])
        if node is not None and cell.rescale is None:
            _sum(made, meaning, constant, out, depth - stage)
        elif node is not None:
            _codes(made, meaning.bits + wider, cell.rescale, out, depth - stage)
    return made


def _work(layer: Dense) -> int:
    """Pairs of inputs that a search tries, times outputs."""
    return layer.outputs * sum(len(block) ** 2 for block in blocks(layer.inputs_of_one_output))


def _values(layer: Dense) -> IntArray:
    """The weights, of shape (outputs, inputs)."""
    match layer.weights:
        case Weights() | ProductWeights() | BinaryBases():
            return layer.weights.values.reshape(layer.outputs, -1)
        case _:
            assert_never(layer.weights)


def _additions(layer: Dense) -> float:
    """Additions of the signed digits of the weights, less what more outputs and inputs share."""
    terms = signed_digits(_values(layer)).sum(axis=1)
    found = float(np.maximum(terms - 1, 0).sum())
    for name, count in (("outputs", layer.outputs), ("inputs", layer.inputs_of_one_output)):
        found *= MORE_SHARED[name] ** max(np.log2(count / CORNER), 0)
    return found


@lru_cache(maxsize=64)
def _corner(layer: Dense, rescale: Rescale | None) -> tuple[Dense, Rescale | None]:
    """The first outputs and inputs as layers of their own; kept, as warnings ask for them again."""
    values = _values(layer)[:CORNER, :CORNER]
    if isinstance(layer.weights, Weights):
        codes = layer.weights.codes.reshape(layer.outputs, -1)[:CORNER, :CORNER]
        weights = Weights(codes=codes, grid=layer.weights.grid)
    else:
        weights = Weights(codes=values, grid=TwosComplement(signed_bits(values)))
    bias = None if layer.bias is None else layer.bias[:CORNER]
    part = replace(layer, weights=weights, bias=bias, accumulator_bits=None)
    if rescale is not None:
        shift = rescale.shift if isinstance(rescale.shift, int) else rescale.shift[:CORNER]
        mantissa, offset = rescale.mantissa[:CORNER], rescale.offset[:CORNER]
        rescale = replace(rescale, mantissa=mantissa, offset=offset, shift=shift)
    return part, rescale


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
