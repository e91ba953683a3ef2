"""Adder graphs found by da4ml (LGPL-3, optional), the only module that imports it."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, NamedTuple

import numpy as np

from vecq_hw.accelerator.unrolled.adder_graph import Adder, AdderGraph, Output
from vecq_hw.formats import IntArray, IntFormat


def available() -> bool:
    """Whether da4ml is installed."""
    return importlib.util.find_spec("da4ml") is not None


def solve(matrix: IntArray, inputs: tuple[IntFormat, ...]) -> AdderGraph | None:
    """da4ml's graph of ``matrix``, of shape (outputs, inputs); None where it cannot be used.

    Its intervals and factors are floats; the graph is made of integers alone and is checked.
    """
    from da4ml.cmvm import QInterval
    from da4ml.cmvm import solve as search

    intervals = [QInterval(float(fmt.lo), float(fmt.hi), 1.0) for fmt in inputs]
    with warnings.catch_warnings():
        # Numba warns that it will not always take the lists that da4ml is called with.
        warnings.filterwarnings("ignore", r"(?s).*reflected list")
        pipeline = search(np.ascontiguousarray(matrix.T, np.float32), qintervals=intervals)
    adders: list[Adder] = []
    values: list[_Value | None] = [_Value(index, 0, False) for index in range(len(inputs))]
    for stage in pipeline.solutions:
        values = _stage(stage, values, adders, len(inputs))
    if any(value is not None and value.shift < 0 for value in values):
        return None
    outputs = tuple(
        Output(None) if value is None else Output(value.node, value.shift, value.negative)
        for value in values
    )
    graph = AdderGraph(inputs, tuple(adders), outputs)
    return graph if np.array_equal(graph.matrix, matrix) else None


class _Value(NamedTuple):
    """``± node * 2^shift``; the shift may be negative on the way."""

    node: int
    shift: int
    negative: bool


def _stage(
    stage: Any, values: list[_Value | None], adders: list[Adder], first: int
) -> list[_Value | None]:
    """Append the adders of one stage; the values of its outputs."""
    buffer: list[_Value | None] = []
    for operation in stage.ops:
        if operation.opcode == -1:
            value = values[operation.id0]
            shift = int(stage.inp_shifts[operation.id0])
            buffer.append(value and value._replace(shift=value.shift + shift))
            continue
        left, right = buffer[operation.id0], buffer[operation.id1]
        if right is not None:
            right = right._replace(
                shift=right.shift + int(operation.data),
                negative=right.negative ^ (operation.opcode == 1),
            )
        if left is None or right is None:
            buffer.append(left or right)
            continue
        base = min(left.shift, right.shift)
        adders.append(
            Adder(
                left.node,
                right.node,
                left.shift - base,
                right.shift - base,
                left.negative != right.negative,
            )
        )
        buffer.append(_Value(first + len(adders) - 1, base, left.negative))
    outputs: list[_Value | None] = []
    for place, shift, negative in zip(
        stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True
    ):
        value = buffer[place] if place >= 0 else None
        outputs.append(
            value and _Value(value.node, value.shift + int(shift), value.negative ^ bool(negative))
        )
    return outputs
