"""Operators of TFLite that work on each code alone, and means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.interop import fixed_point_codes
from vecq_hw.interop.graph import Node
from vecq_hw.interop.requantize import Requantizer
from vecq_hw.interop.tflite_builder import Builder, RefusedError, single_name
from vecq_hw.interop.tflite_results import activation_format, keep_codes
from vecq_hw.layers import SumPool2d

_NONE, _RELU, _RELU_N1, _RELU6 = range(4)


def _alone(builder: Builder, node: Node, function: Requantizer, activation: int = _NONE) -> None:
    """A node that is a function of each code."""
    held, result = builder.read(node), builder.result(node)
    fmt = activation_format(builder, node, result, activation)

    def clamped(x: IntArray) -> IntArray:
        return np.clip(function(x), fmt.lo, fmt.hi)

    builder.requantize(node, builder.shaped(held), clamped, fmt, held.shape)


def quantize(builder: Builder, node: Node) -> None:
    """QUANTIZE between codes."""
    held, result = builder.read(node), builder.result(node)
    if held.scale == result.scale:  # the zero point alone, as from uint8 to int8
        name = builder.shaped(held)
        fmt = activation_format(builder, node, result, _NONE)
        keep_codes(builder, node, name, result, fmt, held.shape)
        return
    _alone(builder, node, fixed_point_codes.rescaled(builder.semantics, held.scale, result.scale))


def _rectifier(activation: int) -> Callable[[Builder, Node], None]:
    def take(builder: Builder, node: Node) -> None:
        held, result = builder.read(node), builder.result(node)
        function = fixed_point_codes.rectified(held.scale, result.scale)
        _alone(builder, node, function, activation)

    return take


def leaky_relu(builder: Builder, node: Node) -> None:
    """LEAKY_RELU."""
    held, result = builder.read(node), builder.result(node)
    slope = float(builder.attribute(node, "Alpha"))
    _alone(
        builder, node, fixed_point_codes.leaky(builder.semantics, held.scale, result.scale, slope)
    )


def hard_swish(builder: Builder, node: Node) -> None:
    """HARD_SWISH."""
    held, result = builder.read(node), builder.result(node)
    _alone(builder, node, fixed_point_codes.hard_swish(held.scale, result.scale))


def logistic(builder: Builder, node: Node) -> None:
    """LOGISTIC inside a network."""
    held, result = builder.read(node), builder.result(node)
    table = fixed_point_codes.tabulated(
        builder.semantics, fixed_point_codes.sigmoid, held.scale, result.scale
    )
    _alone(builder, node, table)


def tanh(builder: Builder, node: Node) -> None:
    """TANH."""
    held, result = builder.read(node), builder.result(node)
    _alone(
        builder,
        node,
        fixed_point_codes.tabulated(builder.semantics, np.tanh, held.scale, result.scale),
    )


def mean(builder: Builder, node: Node) -> None:
    """MEAN over height and width."""
    held, result = builder.read(node), builder.result(node)
    rank = len(held.shape) + 1
    axes = sorted(int(axis) % rank for axis in builder.constant(node, 1).reshape(-1))
    if len(held.shape) != 3 or axes != [1, 2]:
        raise RefusedError(
            f"it takes the mean along the axes {axes} of {rank}; height and width, 1 and 2 of 4,"
            " are wanted"
        )
    kernel = held.shape[:2]
    name = builder.assembly.free_name(f"{single_name(node)}_sums")
    layer = SumPool2d(
        name=name, input=builder.image(held), kernel=(kernel[0], kernel[1]), stride=(1, 1)
    )
    builder.assembly.add(layer, node.name)
    fmt = activation_format(builder, node, result, _NONE)
    rule = fixed_point_codes.mean(
        builder.semantics,
        prod(kernel),
        (held.scale, held.zero_point),
        (result.scale, result.zero_point),
    )

    def function(x: IntArray) -> IntArray:
        return np.clip(rule(x), fmt.lo, fmt.hi)

    # The axes that are left may be gone in the file, which moves nothing.
    kept = bool(node.attributes.get("KeepDims", False))
    shape = (1, 1, held.shape[2]) if kept else (held.shape[2],)
    builder.requantize(node, name, function, fmt, shape)


OPERATORS: Mapping[str, Callable[[Builder, Node], None]] = {
    "QUANTIZE": quantize,
    "RELU": _rectifier(_RELU),
    "RELU_N1_TO_1": _rectifier(_RELU_N1),
    "RELU6": _rectifier(_RELU6),
    "LEAKY_RELU": leaky_relu,
    "HARD_SWISH": hard_swish,
    "LOGISTIC": logistic,
    "TANH": tanh,
    "MEAN": mean,
}
