"""What a node of a TFLite file may give: its fused activation, and codes that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from vecq_hw.formats import IntFormat
from vecq_hw.interop.fixed_point import Semantics, rounded_away
from vecq_hw.interop.graph import Node
from vecq_hw.interop.tflite_builder import CODES, Builder, Held, RefusedError, covering

_RELU, _RELU_N1, _RELU6 = 1, 2, 3
_BOUNDS: Mapping[int, tuple[float | None, float | None]] = {
    0: (None, None),
    _RELU: (0.0, None),
    _RELU_N1: (-1.0, 1.0),
    _RELU6: (0.0, 6.0),
}
"""Fused activations of the schema that are clamps."""


def activation_format(
    builder: Builder, node: Node, result: Held, activation: int | None = None
) -> IntFormat:
    """The codes, less their zero point, that a node with its fused activation can give."""
    if activation is None:
        activation = builder.attribute(node, "FusedActivationFunction")
    if activation not in _BOUNDS:
        raise RefusedError(
            f"its fused activation has the number {activation}; RELU, RELU6, RELU_N1_TO_1 or none"
            " is wanted"
        )
    least, most = (
        None if real is None else _code(builder.semantics, real, result)
        for real in _BOUNDS[activation]
    )
    lo, hi = (end - result.zero_point for end in CODES["int8"])
    lo, hi = lo if least is None else max(lo, least), hi if most is None else min(hi, most)
    if lo > hi:
        raise RefusedError(f"the scale {result.scale:.6g} leaves no code for its fused activation")
    return covering(lo, hi)


def _code(semantics: Semantics, real: float, result: Held) -> int:
    """The code, less the zero point, of the end of an activation."""
    quotient = np.float32(real) / np.float32(result.scale)
    if semantics is Semantics.XNNPACK:
        shifted = np.float32(quotient + np.float32(result.zero_point))
        return int(np.rint(shifted)) - result.zero_point
    return int(rounded_away(np.array([quotient], np.float64))[0])


def keep_codes(
    builder: Builder, node: Node, name: str, result: Held, fmt: IntFormat,
    shape: tuple[int, ...] | None = None,
) -> None:  # fmt: skip
    """Codes as they are, clamped where they may leave ``fmt``."""
    tensor = builder.assembly.tensor(name)
    shape = tensor.shape if shape is None else shape
    if fmt.contains(tensor.format.lo, tensor.format.hi):
        builder.assembly.tap(name, node.outputs[0], result.zero_point)
        builder.keep(node, replace(result, name=name, shape=shape))
        return
    builder.requantize(
        node, name, lambda x: np.clip(x.astype(np.int64), fmt.lo, fmt.hi), fmt, shape
    )


def same_quantization(source: Held, result: Held) -> None:
    """Refuse a node that moves codes between tensors whose codes mean other numbers."""
    if not source.like(result):
        raise RefusedError(
            f"it reads codes of the scale {source.scale:.6g} and zero point {source.zero_point},"
            f" but makes ones of {result.scale:.6g} and {result.zero_point}; the same are wanted"
        )
