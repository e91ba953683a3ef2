"""Where the registers of a pipelined adder graph stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecq_hw.accelerator.unrolled.adder_graph import OffsetGraph


@dataclass(frozen=True, slots=True)
class Stages:
    """When each node is computed, and until when it is read.

    Attributes
    ----------
    computed, read : sequence of int
        By node; there is a register for each cycle between the two.
    last : int
        The stage in which the last adders are.
    """

    computed: Sequence[int]
    read: Sequence[int]
    last: int

    @property
    def registers(self) -> Sequence[int]:
        """How many registers stand behind each node."""
        return [end - begin for begin, end in zip(self.computed, self.read, strict=True)]


def stages(graph: OffsetGraph, latency: int) -> Stages:
    """The adders spread evenly over all cycles of ``latency`` but the last."""
    last, deepest = latency - 2, max(1, *graph.depths)
    computed = [max(0, depth - 1) * (last + 1) // deepest for depth in graph.depths]
    read = list(computed)
    for index, row in enumerate(graph.rows):
        stage = computed[len(graph.inputs) + index]
        read[row.plain] = max(read[row.plain], stage)
        read[row.other] = max(read[row.other], stage)
    for node, _ in graph.outputs:
        if node is not None:
            read[node] = last + 1
    return Stages(computed, read, last)
