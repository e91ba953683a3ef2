"""Registers of pipelined graphs: about as short paths as there can be, then as few bits."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecq_hw.accelerator import units
from vecq_hw.accelerator.unrolled import OffsetGraph, offset_form, solve
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.accelerator.unrolled.stages import ADDER, SLACK, Stages, stages
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Dense, Rescale, Weights

U4 = IntFormat(4, signed=False)


def codes(bits: int, outputs: int) -> Rescale:
    return Rescale(
        name="codes",
        input="fc",
        mantissa=np.ones(outputs, np.int64),
        offset=np.zeros(outputs, np.int64),
        shift=2,
        format=IntFormat(bits, signed=False),
    )


def longest(graph: OffsetGraph, rescale: Rescale | None, when: list[int]) -> int:
    """The longest path between two registers; of a stage each for the nodes, then the ends."""
    sums = [ADDER + bits if bits else 0 for bits in graph.overlaps]
    arrival = [0] * len(graph.inputs)
    for index, row in enumerate(graph.rows):
        node = len(graph.inputs) + index
        before = [arrival[one] for one in (row.plain, row.other) if when[one] == when[node]]
        arrival.append(max(before, default=0) + sums[index])
    for index, (node, meaning) in enumerate(graph.outputs):
        end = ADDER + meaning.bits
        if rescale is not None and rescale.format.bits > 5:
            end += ADDER  # the clamp
        elif rescale is not None:
            end *= rescale.format.bits  # a comparison for each bit
        place = len(graph.nodes) + index
        same = node is not None and when[node] == when[place]
        arrival.append(end + (arrival[node] if same else 0))
    return max(arrival)


def bits_in_registers(
    graph: OffsetGraph, rescale: Rescale | None, when: list[int], latency: int
) -> int:
    nodes = len(graph.nodes)
    last = list(when[:nodes])
    readers = [(len(graph.inputs) + n, (r.plain, r.other)) for n, r in enumerate(graph.rows)]
    readers += [(nodes + n, (node,)) for n, (node, _) in enumerate(graph.outputs)]
    for reader, operands in readers:
        for one in operands:
            if one is None:
                continue
            last[one] = max(last[one], when[reader])
    total = sum(n.bits * (b - a) for n, a, b in zip(graph.nodes, when, last, strict=False))
    for end, (_, meaning) in zip(when[nodes:], graph.outputs, strict=True):
        total += (meaning.bits if rescale is None else rescale.format.bits) * (latency - end)
    return total


def assignments(graph: OffsetGraph, latency: int) -> list[list[int]]:
    """Every way to give stages to the adders and ends."""
    inputs, nodes = len(graph.inputs), len(graph.nodes)
    found = []
    for chosen in product(range(latency), repeat=len(graph.rows) + len(graph.outputs)):
        when = [*[0] * inputs, *chosen]
        rows = enumerate(graph.rows, inputs)
        if all(max(when[r.plain], when[r.other]) <= when[n] for n, r in rows) and all(
            node is None or when[node] <= when[nodes + n]
            for n, (node, _) in enumerate(graph.outputs)
        ):
            found.append(when)
    return found


def flat(placed: Stages) -> list[int]:
    return [*placed.computed, *placed.ends]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-7, 7), min_size=4, max_size=4),
    st.sampled_from([None, 2, 8]),
    st.integers(1, 3),
)
def test_no_other_stages_have_shorter_paths_or_then_fewer_bits(weights, bits, latency) -> None:
    graph = offset_form(solve(np.array(weights).reshape(2, 2), (U4, U4), attempts=1))
    rescale = None if bits is None else codes(bits, 2)
    found = flat(stages(graph, rescale, latency))
    every = assignments(graph, latency)
    assert found in every

    paths = [longest(graph, rescale, when) for when in every]
    most = min(paths) + min(paths) // SLACK
    spent = [bits_in_registers(graph, rescale, when, latency) for when in every]
    assert longest(graph, rescale, found) <= most
    least = min(bits for bits, path in zip(spent, paths, strict=True) if path <= most)
    assert bits_in_registers(graph, rescale, found, latency) == least


@pytest.mark.parametrize("latency", [1, 4, 9])
def test_registers_of_a_layer_stand_between_what_computes_and_what_reads(latency: int) -> None:
    matrix = 2 * np.random.default_rng(0).integers(-8, 8, (12, 12)) + 1
    graph = offset_form(solve(matrix, (U4,) * 12, attempts=2))
    placed = stages(graph, codes(6, 12), latency)
    assert min(placed.registers) >= 0
    assert all(0 <= stage < latency for stage in flat(placed))
    first = len(graph.inputs)
    for index, row in enumerate(graph.rows):
        stage = placed.computed[first + index]
        assert all(
            placed.computed[one] <= stage <= placed.read[one] for one in (row.plain, row.other)
        )
    assert placed == stages(graph, codes(6, 12), latency)


@pytest.mark.parametrize(("bits", "inputs"), [(2, 8), (3, 12), (4, 16)])
def test_the_circuit_of_a_layer_has_few_adders_in_a_row(bits: int, inputs: int) -> None:
    drawn = np.random.default_rng(bits).integers(-(1 << bits) // 2, (1 << bits) // 2, (16, inputs))
    layer = Dense(name="fc", input="x", weights=Weights(codes=drawn, grid=MidRise(bits)))
    formats = (U4,) * inputs
    graph = offset_form(circuit(layer, U4, attempts=20))
    plain = offset_form(solve(layer.weights.values, formats, attempts=20))
    assert max(graph.depths) <= units.adders_in_a_row(layer) < max(plain.depths)
    assert graph.cost < 1.12 * plain.cost
