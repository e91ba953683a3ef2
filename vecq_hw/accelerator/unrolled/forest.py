"""Which outputs of a matrix are made of which others: a random spanning forest of few digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Forest = tuple[tuple[int, int | None, int], ...]
"""Each output with its parent, or None, and the parent's sign; parents first."""

FAVOUR = 1.0
"""Signed digits by which an edge of a good forest is preferred."""
FLATNESS = (0.5, 3.0)
"""Bounds of the signed digits that an output costs in a flat forest for each one above it."""


def _weights(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many signed digits the rows of values have; the last axis is summed."""
    size = np.abs(values)
    counts: npt.NDArray[np.int64] = np.bitwise_count(size ^ (3 * size)).sum(-1, np.int64)
    return counts


def spanning_forest(
    matrix: npt.NDArray[np.int64], generator: np.random.Generator, known: Forest, *, flat: bool
) -> Forest:
    """Every output of ``matrix``, of shape (outputs, inputs), by Prim's algorithm on noisy edges.

    Edges of the forest ``known`` cost less.  In a flat one an edge costs more for each output that
    the parent is made of.
    """
    above = float(generator.uniform(*FLATNESS)) if flat else 0.0
    outputs, forest = len(matrix), list[tuple[int, int | None, int]]()
    noise = generator.uniform(0, 2 * generator.uniform(), (outputs, outputs))
    same = np.stack([_weights(matrix - row) for row in matrix])
    opposite = np.stack([_weights(matrix + row) for row in matrix])
    edges = np.minimum(same, opposite) + noise
    best = _weights(matrix) - 1 + generator.uniform(0, 2, outputs)
    for output, source, _ in known:
        if source is None:
            best[output] -= FAVOUR
        else:
            edges[source, output] -= FAVOUR
            edges[output, source] -= FAVOUR
    parent, level = np.full(outputs, -1), np.zeros(outputs, np.int64)
    for _ in range(outputs):
        output = int(np.argmin(best))
        source = int(parent[output])
        if source < 0:
            forest.append((output, None, 1))
        else:
            level[output] = level[source] + 1
            sign = 1 if same[source, output] <= opposite[source, output] else -1
            forest.append((output, source, sign))
        best[output] = np.inf
        offered = edges[output] + above * level[output]
        closer = offered < best
        closer &= np.isfinite(best)
        best[closer] = offered[closer]
        parent[closer] = output
    return tuple(forest)
