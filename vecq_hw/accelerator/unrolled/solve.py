"""The cheapest adder graph that the searches find, by overlap bits of its unsigned-offset form."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from vecq_hw.accelerator.unrolled import da4ml_solver
from vecq_hw.accelerator.unrolled.adder_graph import Adder, AdderGraph, Output, offset_form
from vecq_hw.accelerator.unrolled.adder_search import Recipe, blocks, draw_recipe, follow
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat

ELITE = 4
"""So many good recipes lend their forests to later attempts."""
LARGEST = 1 << 30
"""The search tells shifts apart that lie up to 31 places from each other."""
EFFORT = 30_000_000
"""Pairs of inputs, times outputs, of all attempts together; a core does about a million a second.
"""


def attempts_for(outputs: int, inputs: int) -> int:
    """How often a matrix of this shape is tried: 100 times, large ones less often, at least 4.

    Examples
    --------
    >>> attempts_for(64, 64), attempts_for(2, 520), attempts_for(64, 512), attempts_for(512, 784)
    (100, 100, 4, 4)
    """
    pairs = sum(len(block) ** 2 for block in blocks(inputs))
    return min(max(EFFORT // (outputs * pairs), 4), 100)


def solve(
    matrix: IntArray,
    inputs: tuple[IntFormat, ...],
    *,
    attempts: int | None = None,
    permutations: int = 0,
    depth: int | None = None,
    seed: int = 0,
    seconds: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> AdderGraph:
    """The cheapest graph of ``matrix @ x``; equal arguments, equal graph, unless time runs out.

    Parameters
    ----------
    matrix : int array of shape (outputs, inputs)
    inputs : tuple of IntFormat
        Of each input.
    attempts : int, optional
        Of our own search, at least 1; :func:`attempts_for` if not given.
    permutations : int
        How often da4ml is tried, if it is installed: on the matrix, then on copies with outputs and
        inputs in another order and some of their signs turned.
    depth : int, optional
        So many adders in a row are aimed at: of two graphs the one that is less beyond it is
        taken, whatever it costs.
    seconds : float, optional
        No attempt begins after so long, but one always ends.
    progress : callable, optional
        Is told after each attempt and permutation how many are done.

    Raises
    ------
    VecqError
        The shapes disagree, or values or sums do not fit.
    """
    _check(matrix, inputs)
    matrix = matrix.astype(np.int64)
    if attempts is None:
        attempts = attempts_for(*matrix.shape)
    generator = np.random.default_rng(seed)
    end = time.monotonic() + seconds if seconds is not None else None
    elite: list[tuple[tuple[int, int], int, Recipe]] = []
    best: AdderGraph | None = None
    least = (0, 0)
    for count in range(attempts + permutations * da4ml_solver.available()):
        if best is not None and end is not None and time.monotonic() >= end:
            break
        graph: AdderGraph | None
        if count < attempts:
            model = None
            if count >= attempts // 5 and elite and generator.uniform() < 0.8:
                model = elite[int(generator.integers(len(elite)))][2]
            recipe = draw_recipe(matrix, generator, model, flat=depth is not None)
            graph = follow(recipe, matrix, inputs, generator)
        else:
            graph = _permuted(matrix, inputs, generator if count > attempts else None)
        if graph is not None:
            form = offset_form(graph)
            cost = (0 if depth is None else max(0, max(form.depths) - depth), form.cost)
            if best is None or cost < least:
                best, least = graph, cost
            if count < attempts:
                elite = sorted([*elite, (cost, count, recipe)], key=lambda e: e[:2])[:ELITE]
        if progress is not None:
            progress(count + 1)
    assert best is not None
    return best


def _check(matrix: IntArray, inputs: tuple[IntFormat, ...]) -> None:
    if matrix.ndim != 2 or not matrix.size or matrix.shape[1] != len(inputs):
        raise VecqError(
            f"a matrix of shape {matrix.shape} and {len(inputs)} input formats were given;"
            " a column for each format, and at least one row, are wanted"
        )
    largest = max(int(matrix.max()), -int(matrix.min()))
    bits = largest.bit_length() + max(fmt.bits for fmt in inputs) + len(inputs).bit_length()
    if largest > LARGEST or bits > 58:
        raise VecqError(
            f"a matrix of values up to {largest} on inputs of {max(f.bits for f in inputs)} bits"
            " needs sums of more than 58 bits; smaller ones are wanted"
        )


def _permuted(
    matrix: IntArray, inputs: tuple[IntFormat, ...], generator: np.random.Generator | None
) -> AdderGraph | None:
    """da4ml's graph of the matrix in a random order and with random signs, put back in order."""
    outputs, width = matrix.shape
    if generator is None:
        return da4ml_solver.solve(matrix, inputs)
    rows, columns = generator.permutation(outputs), generator.permutation(width)
    turned = generator.integers(2, size=width).astype(bool)
    shuffled = matrix[rows][:, columns] * np.where(turned, -1, 1)
    formats = tuple(
        IntFormat.covering(-inputs[old].hi, -inputs[old].lo) if flip else inputs[old]
        for old, flip in zip(columns.tolist(), turned, strict=True)
    )
    graph = da4ml_solver.solve(shuffled, formats)
    return None if graph is None else _restored(graph, inputs, rows, columns, turned)


def _restored(
    graph: AdderGraph,
    inputs: tuple[IntFormat, ...],
    rows: IntArray,
    columns: IntArray,
    turned: IntArray,
) -> AdderGraph:
    """The graph whose input j is ``inputs[columns[j]]``, negated where ``turned[j]``.

    A negated input is read as it is; the sign moves into the adders behind it, down to the outputs.
    """
    place = [*columns.tolist(), *range(len(inputs), len(inputs) + len(graph.adders))]
    negative = [bool(flip) for flip in turned]
    adders = []
    for adder in graph.adders:
        left, right = negative[adder.left], negative[adder.right]
        adders.append(
            Adder(
                place[adder.left],
                place[adder.right],
                adder.left_shift,
                adder.right_shift,
                adder.subtract ^ left ^ right,
            )
        )
        negative.append(left)
    outputs: list[Output] = [Output(None)] * len(graph.outputs)
    for row, output in zip(rows.tolist(), graph.outputs, strict=True):
        if output.node is not None:
            sign = output.negative ^ negative[output.node]
            outputs[row] = Output(place[output.node], output.shift, sign)
    return AdderGraph(inputs, tuple(adders), tuple(outputs))
