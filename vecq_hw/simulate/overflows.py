"""How often accumulators narrower than proven overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.network import Network
from vecq_hw.simulate.ends import Given
from vecq_hw.simulate.engines import EngineName
from vecq_hw.simulate.prepared import Hook
from vecq_hw.simulate.reference import checked_inputs, simulate


def simulate_counting(
    network: Network, inputs: Given, engine: EngineName = "float"
) -> tuple[IntArray | dict[str, IntArray], dict[str, int]]:
    """The outputs, and for each Dense and Conv2d the sums that did not fit its accumulator.

    ``passes.widths.wrap_accumulators`` narrows the accumulators of a network.  A sum is counted
    once, by its final value: wrapping is free of order, so what it passed on the way is no matter.

    Inputs and outputs have the shape (N, ...).

    Returns
    -------
    (what :func:`simulate` gives, dict from layer name to count)
    """
    found: dict[str, list[int]] = {}
    hooks = {}
    for layer in network.mac_layers:
        found[layer.name] = []
        if layer.accumulator_bits is not None:
            hooks[layer.name] = _counter(network.tensors[layer.name].format, found[layer.name])
    outputs = simulate(network, checked_inputs(network, inputs), engine=engine, hooks=hooks)
    return outputs, {name: sum(counts) for name, counts in found.items()}


def _counter(fmt: IntFormat, found: list[int]) -> Hook:
    def hook(result: IntArray, _sources: Sequence[IntArray], _first: int) -> IntArray:
        # An append is atomic: tiles come from two threads.
        found.append(int(np.count_nonzero((result < fmt.lo) | (result > fmt.hi))))
        return result

    return hook
