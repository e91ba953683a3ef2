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
import numpy.typing as npt

from vecq_hw.accelerator.units import is_searched
from vecq_hw.accelerator.unrolled.adder_graph import OffsetGraph
from vecq_hw.formats import IntArray
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
        # All but the last stage of a path are longer than a cycle without the longest delay.
        longest = self._last(sum(self.delays))[1]
        least, most = max(self.delays), max(self.delays) - -longest // latency
        while least < most:
            middle = (least + most) // 2
            if self._last(middle)[0] < latency:
                most = middle
            else:
                least = middle + 1
        return least

    def _last(self, cycle: int) -> tuple[int, int]:
        """The last stage, where no path is longer than ``cycle``, and when it is ready in it."""
        when: list[tuple[int, int]] = []  # the same of each node
        for operands, delay in zip(self.operands, self.delays, strict=True):
            stage, ready = max([when[operand] for operand in operands], default=(0, 0))
            ready += delay
            when.append((stage + 1, delay) if ready > cycle else (stage, ready))
        return max(when)

    def constraints(self, cycle: int) -> list[tuple[int, int, int]]:
        """Each ``(u, v, d)`` says that the stage of v is at least d after that of u.

        Operands come no later than what reads them; and a stage lies between the two ends of every
        path that is longer than ``cycle``, but not of those that contain such a path, where that
        follows.
        """
        found: list[tuple[int, int, int]] = []
        behind: list[dict[int, int]] = []  # from where one comes within a cycle, and how long
        for node, (operands, delay) in enumerate(zip(self.operands, self.delays, strict=True)):
            found += [(operand, node, 0) for operand in operands]
            lengths: dict[int, int] = {}
            for source, length in chain.from_iterable(behind[one].items() for one in operands):
                lengths[source] = max(length + delay, lengths.get(source, 0))
            late = [source for source, length in lengths.items() if length > cycle]
            implied = {one for source in late for one in self.operands[source]}
            found += [(source, node, 1) for source in late if source not in implied]
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

    The unknowns are the stages, and for each node that several read the last stage in which one
    does.
    """
    size = len(paths.operands)
    readers: list[set[int]] = [set() for _ in range(paths.nodes)]
    for reader, operands in enumerate(paths.operands):
        for operand in operands:
            readers[operand].add(reader)
    several = [node for node, own in enumerate(readers) if len(own) > 1]
    last = [next(iter(own), node) for node, own in enumerate(readers)]
    for unknown, node in enumerate(several, size):
        last[node] = unknown
    differences = paths.constraints(cycle)
    differences += [(reader, last[node], 0) for node in several for reader in readers[node]]
    bits = np.array(paths.bits, float)
    # Of solutions with equally few bits the earliest, which is one alone.
    cost = np.concatenate([1 / (size * latency) - bits, np.zeros(len(several))])
    np.add.at(cost, last, bits[: paths.nodes])
    latest = np.full(len(cost), latency - 1.0)
    latest[: paths.inputs] = 0
    return _least(cost, latest, np.array(differences, np.int64).reshape(-1, 3))[:size]


def _least(
    cost: npt.NDArray[np.float64], latest: npt.NDArray[np.float64], differences: IntArray
) -> list[int]:
    """The integers from 0 to ``latest`` that make ``cost @ x`` least.

    Parameters
    ----------
    cost, latest : float arrays of shape (unknowns,)
    differences : int array of shape (constraints, 3)
        Each ``(u, v, d)`` says that ``x[v] - x[u]`` is at least d.
    """
    import highspy

    first, second, distance = differences.T
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(differences)
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros_like(cost), latest
    model.row_lower_, model.row_upper_ = distance, np.full(len(differences), np.inf)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.arange(len(differences) + 1) * 2
    model.a_matrix_.index_ = np.stack([first, second], axis=1).ravel()
    model.a_matrix_.value_ = np.tile([-1.0, 1.0], len(differences))
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    solver.passModel(model)
    solver.run()
    status = solver.getModelStatus()
    assert status == highspy.HighsModelStatus.kOptimal, status
    found = np.rint(solver.getSolution().col_value).astype(np.int64)
    assert (found[second] - found[first] >= distance).all()  # integers, not within a tolerance
    integers: list[int] = found.tolist()
    return integers
