"""The additions of an unrolled layer: its weights, and the mantissas of its Rescale where cheap."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vecq_hw.accelerator.units import adders_in_a_row, is_searched
from vecq_hw.accelerator.unrolled.adder_graph import Adder, AdderGraph, Output
from vecq_hw.accelerator.unrolled.solve import solve
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Dense, Rescale


def circuit(
    layer: Dense,
    source: IntFormat,
    rescale: Rescale | None = None,
    *,
    attempts: int | None = None,
    seed: int = 0,
) -> AdderGraph:
    """The graph of the layer's sums, times the mantissas of ``rescale`` unless that is a search.

    Parameters
    ----------
    source : IntFormat
        Of the inputs.
    attempts : int, optional
    seed : int
        Of the search (:func:`vecq_hw.accelerator.unrolled.solve`).
    """
    matrix = layer.weights.values
    inputs, depth = (source,) * matrix.shape[1], adders_in_a_row(layer)
    graph = solve(matrix, inputs, attempts=attempts, depth=depth, seed=seed)
    return graph if rescale is None else with_mantissas(graph, rescale)


def with_mantissas(graph: AdderGraph, rescale: Rescale) -> AdderGraph:
    """The graph with each output times its mantissa, unless the rescale is a search."""
    if is_searched(rescale):
        return graph
    factors = rescale.mantissa.tolist()
    adders, ends = list(graph.adders), []
    for output, factor in zip(graph.outputs, factors, strict=True):
        if output.node is None or factor == 0:
            ends.append(Output(None))
            continue
        product = _times(factor)
        places = [output.node]
        for adder in product.adders:
            left, right = places[adder.left], places[adder.right]
            adders.append(Adder(left, right, adder.left_shift, adder.right_shift, adder.subtract))
            places.append(len(graph.inputs) + len(adders) - 1)
        (end,) = product.outputs
        assert end.node is not None
        negative = end.negative != output.negative
        ends.append(Output(places[end.node], end.shift + output.shift, negative))
    return AdderGraph(graph.inputs, tuple(adders), tuple(ends))


@lru_cache(maxsize=4096)
def _times(factor: int) -> AdderGraph:
    """The graph of a product with a number; mantissas are often the same, 1 above all."""
    return solve(np.array([[factor]]), (IntFormat(1, signed=False),), attempts=4)
