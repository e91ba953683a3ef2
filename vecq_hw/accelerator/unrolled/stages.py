"""Where the registers of a pipelined adder graph stand.

The longest path between two registers is about as short as the latency allows, and then registers
hold as few bits as they can.  That is retiming (Leiserson and Saxe 1991): a linear program whose
constraints are differences of two stages, so that its solutions are integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from vecq_hw.accelerator.units import is_searched
from vecq_hw.accelerator.unrolled.adder_graph import OffsetGraph
from vecq_hw.layers import Rescale

ADDER = 64
"""Delay of an adder and the wires to it, in bits of its carry chain.

On an ECP5 0.9 ns and 1.5 ns beside 0.036 ns a bit, on a 7 series part about as much.
"""

SLACK = 16
"""By one part of so many, paths may be longer than they must be: that saves up to a tenth of the
bits in registers, and wires differ by more.
"""


@dataclass(frozen=True, slots=True)
class Stages:
    """When each node is computed, and until when it is read.

    Attributes
    ----------
    computed, read : sequence of int
        By node; there is a register for each cycle between the two.
    ends : sequence of int
        The stage in which what follows each output is computed.
    """

    computed: Sequence[int]
    read: Sequence[int]
    ends: Sequence[int]

    @property
    def registers(self) -> Sequence[int]:
        """How many registers stand behind each node."""
        return [end - begin for begin, end in zip(self.computed, self.read, strict=True)]


def stages(graph: OffsetGraph, rescale: Rescale | None, latency: int) -> Stages:
    """The stages of a graph in so many cycles, and of what follows its outputs.

    Parameters
    ----------
    rescale : Rescale, optional
        Of the outputs; without it a constant is added.
    latency : int
        At least 1.  Results leave a register after that many cycles; nodes are computed in the
        stages from 0 on, inputs are there in stage 0.
    """
    paths = _Paths(graph, rescale)
    cycle = paths.shortest_cycle(latency)
    found = _least_registers(paths, cycle + cycle // SLACK, latency)
    nodes = len(graph.nodes)
    computed, ends = found[:nodes], found[nodes:]
    read = list(computed)
    for reader, operands in enumerate(paths.operands):
        for operand in operands:
            read[operand] = max(read[operand], found[reader])
    return Stages(computed, read, ends)


class _Paths:
    """Nodes, then ends of outputs: each with the nodes that it reads, its delay, and its bits."""

    def __init__(self, graph: OffsetGraph, rescale: Rescale | None) -> None:
        self.inputs = len(graph.inputs)
        self.nodes = len(graph.nodes)
        self.operands: list[tuple[int, ...]] = [()] * self.inputs
        self.operands += [(row.plain, row.other) for row in graph.rows]
        self.operands += [() if node is None else (node,) for node, _ in graph.outputs]
        sums = [ADDER + bits if bits else 0 for bits in graph.overlaps]
        ends = [_end_delay(meaning.bits, rescale) for _, meaning in graph.outputs]
        self.delays = [0] * self.inputs + sums + ends
        self.bits = [node.bits for node in graph.nodes]
        self.bits += [
            meaning.bits if rescale is None else rescale.format.bits for _, meaning in graph.outputs
        ]

    def shortest_cycle(self, latency: int) -> int:
        """The least longest path between registers that so many stages allow."""
        least, most = max(self.delays), sum(self.delays)
        while least < most:
            middle = (least + most) // 2
            if self._stages_of(middle) <= latency:
                most = middle
            else:
                least = middle + 1
        return least

    def _stages_of(self, cycle: int) -> int:
        """So many stages are needed where no path is longer than ``cycle``."""
        when: list[tuple[int, int]] = []  # the stage of each node, and when it is ready in it
        for operands, delay in zip(self.operands, self.delays, strict=True):
            stage, ready = max((when[operand] for operand in operands), default=(0, 0))
            late = ready + delay > cycle
            when.append((stage + 1, delay) if late else (stage, ready + delay))
        return 1 + max(stage for stage, _ in when)

    def constraints(self, cycle: int) -> list[tuple[int, int, int]]:
        """Each ``(u, v, d)`` says that the stage of v is at least d after that of u.

        Operands come no later than what reads them; and a stage lies between the two ends of every
        path that is longer than ``cycle``, but not of those that contain such a path.
        """
        found: list[tuple[int, int, int]] = []
        behind: list[dict[int, int]] = []  # from where one comes within a cycle, and how long
        for node, (operands, delay) in enumerate(zip(self.operands, self.delays, strict=True)):
            found += [(operand, node, 0) for operand in operands]
            lengths: dict[int, int] = {}
            for source, length in chain.from_iterable(behind[one].items() for one in operands):
                lengths[source] = max(length + delay, lengths.get(source, 0))
            found += [(source, node, 1) for source, length in lengths.items() if length > cycle]
            lengths = {source: long for source, long in lengths.items() if long <= cycle}
            behind.append({**lengths, node: delay})
        return found


def _end_delay(bits: int, rescale: Rescale | None) -> int:
    """The delay of a constant added, and of a clamp; or of comparisons one after the other."""
    if rescale is None:
        return ADDER + bits
    if is_searched(rescale):
        return (rescale.format.hi - rescale.format.lo).bit_length() * (ADDER + bits)
    return 2 * ADDER + bits


def _least_registers(paths: _Paths, cycle: int, latency: int) -> list[int]:
    """A stage for each node and end, below ``latency``, with the fewest bits in registers.

    The unknowns are the stages, and for each node the last stage in which it is read.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    size, nodes = len(paths.operands), paths.nodes
    differences = paths.constraints(cycle)
    differences += [
        (reader, size + operand, 0)
        for reader, operands in enumerate(paths.operands)
        for operand in operands
    ]
    differences += [(node, size + node, 0) for node in range(nodes)]
    first, second, distance = np.array(differences).T
    row = np.arange(len(differences))
    ones = np.ones(len(differences))
    matrix = coo_array(
        (np.concatenate([ones, -ones]), (np.tile(row, 2), np.concatenate([first, second]))),
        shape=(len(differences), size + nodes),
    )
    bits = np.array(paths.bits, float)
    # Of solutions with equally few bits the earliest, which is one alone.
    cost = np.concatenate([1 / (size * latency) - bits, bits[:nodes]])
    latest = np.full(size + nodes, latency - 1)
    latest[: paths.inputs] = 0
    bounds = np.stack([np.zeros_like(latest), latest], axis=1)
    found = linprog(cost, A_ub=matrix, b_ub=-distance, bounds=bounds, method="highs-ds")
    assert found.status == 0, found.message
    placed = np.rint(found.x).astype(np.int64)
    assert (placed[second] - placed[first] >= distance).all()  # integers, not within a tolerance
    stages: list[int] = placed[:size].tolist()
    return stages
