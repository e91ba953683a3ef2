"""Sums and products of two tensors of TFLite, or of one and a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop import fixed_point
from vecq_hw.interop.graph import Node, printable
from vecq_hw.interop.joins import add_weights
from vecq_hw.interop.tflite_builder import Builder, Held, RefusedError, covering, single_name
from vecq_hw.interop.tflite_results import activation_format
from vecq_hw.layers import Add, Multiply, Rescale


def add(builder: Builder, node: Node) -> None:
    """ADD."""
    _sum(builder, node, 1)


def subtract(builder: Builder, node: Node) -> None:
    """SUB."""
    _sum(builder, node, -1)


def _sum(builder: Builder, node: Node, sign: int) -> None:
    result = builder.result(node)
    fmt = activation_format(builder, node, result)
    places = [index for index in (0, 1) if builder.is_constant(node, index)]
    if places:
        _sum_with_constant(builder, node, sign, places[0], result, fmt)
        return
    first, second = builder.read(node, 0), builder.read(node, 1)
    rule = _clamped_pairs(
        fixed_point.sums(builder.semantics, first.scale, second.scale, result.scale, sign), fmt
    )
    if first.shape != second.shape:
        raise RefusedError(
            f"its operands have the shapes {first.shape} and {second.shape}; one shape is wanted"
        )
    names = [builder.shaped(first), builder.shaped(second)]
    formats = [builder.assembly.tensor(name).format for name in names]
    if names[0] == names[1]:
        builder.requantize(node, names[0], lambda x: rule(x, x), fmt, first.shape)
        return
    found = add_weights(rule, formats[0], formats[1], (first.scale, second.scale), sign)
    base = first.scale / found.weights[0]
    weighed = tuple(
        _weighed(builder, name, weight, base)
        for name, weight in zip(names, found.weights, strict=True)
    )
    name = builder.assembly.free_name(f"{single_name(node)}_sums")
    builder.assembly.add(Add(name=name, inputs=weighed), node.name)
    builder.requantize(node, name, found.function, fmt, first.shape)


def _weighed(builder: Builder, name: str, weight: int, step: float) -> str:
    """Codes times an integer, at a step that both operands of a sum have."""
    tensor = builder.assembly.tensor(name)
    if weight == 1 and tensor.step == step:
        return name
    ends = (tensor.format.lo * weight, tensor.format.hi * weight)
    channels = np.ones(tensor.channels, np.int64)
    layer = Rescale(
        name=builder.assembly.free_name(f"{name}_weighed"),
        input=name,
        mantissa=2 * weight * channels,
        offset=0 * channels,
        shift=1,
        format=covering(min(ends), max(ends)),
        step=step,
    )
    return builder.assembly.add(layer)


def _clamped_pairs(rule: fixed_point.PairFunction, fmt: IntFormat) -> fixed_point.PairFunction:
    def function(a: IntArray, b: IntArray) -> IntArray:
        return np.clip(rule(a, b), fmt.lo, fmt.hi)

    return function


def _per_channel(
    builder: Builder, node: Node, index: int, shape: tuple[int, ...]
) -> tuple[IntArray, float]:
    """A constant operand less its zero point, one for each channel of ``shape``, and its scale."""
    name = builder.operand(node, index)
    if builder.graph.values[name].type != "int8":
        raise RefusedError(f"the constant '{printable(name)}' is no int8")
    quantization = builder.per_tensor(name)
    codes = builder.constant(node, index).astype(np.int64) - int(quantization.zero_points[0])
    if codes.size not in (1, shape[-1]) or (codes.ndim and codes.shape[-1] != codes.size):
        raise RefusedError(
            f"the constant '{printable(name)}' has the shape {codes.shape}; one value, or one for"
            f" each of {shape[-1]} channels, is wanted"
        )
    values = np.broadcast_to(codes.reshape(-1), (shape[-1],))
    return values[:, np.newaxis], float(quantization.scales[0])


def _sum_with_constant(
    builder: Builder, node: Node, sign: int, place: int, result: Held, fmt: IntFormat
) -> None:
    held = builder.read(node, 1 - place)
    values, scale = _per_channel(builder, node, place, held.shape)
    scales = (scale, held.scale) if place == 0 else (held.scale, scale)
    rule = _clamped_pairs(
        fixed_point.sums(builder.semantics, scales[0], scales[1], result.scale, sign), fmt
    )

    def function(x: IntArray) -> IntArray:
        others = np.broadcast_to(values, x.shape)
        return rule(others, x) if place == 0 else rule(x, others)

    builder.requantize(node, builder.shaped(held), function, fmt, held.shape)


def multiply(builder: Builder, node: Node) -> None:
    """MUL."""
    result = builder.result(node)
    fmt = activation_format(builder, node, result)
    places = [index for index in (0, 1) if builder.is_constant(node, index)]
    if places:
        held = builder.read(node, 1 - places[0])
        values, scale = _per_channel(builder, node, places[0], held.shape)
        scales = (scale, held.scale) if places[0] == 0 else (held.scale, scale)
        multiplier = fixed_point.products(builder.semantics, *scales, result.scale)

        def function(x: IntArray) -> IntArray:
            return np.clip(multiplier(x.astype(np.int64) * values), fmt.lo, fmt.hi)

        builder.requantize(node, builder.shaped(held), function, fmt, held.shape)
        return
    first, second = builder.read(node, 0), builder.read(node, 1)
    multiplier = fixed_point.products(builder.semantics, first.scale, second.scale, result.scale)
    if np.prod(second.shape) > np.prod(first.shape):
        first, second = second, first
    name = builder.assembly.free_name(f"{single_name(node)}_products")
    layer = Multiply(name=name, inputs=(builder.shaped(first), builder.shaped(second)))
    builder.assembly.add(layer, node.name)
    fmt_of = builder.assembly.tensor(name).format
    rule = fixed_point.clamped(multiplier, fmt, fmt_of)
    builder.requantize(node, name, rule, fmt, first.shape)


OPERATORS: Mapping[str, Callable[[Builder, Node], None]] = {
    "ADD": add,
    "SUB": subtract,
    "MUL": multiply,
}
