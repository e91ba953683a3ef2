"""Operators that multiply by weights: of reals, of dequantized codes, and of codes themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecq_hw.formats import FloatArray, IntArray
from vecq_hw.interop.chain import Chain, Quantizer, rounded
from vecq_hw.interop.graph import Node
from vecq_hw.interop.onnx_pools import transposed_axes, windows
from vecq_hw.interop.onnx_shapes import arranged, rank_two
from vecq_hw.interop.onnx_values import (
    Fixed,
    Real,
    Refused,
    State,
    checked_scale,
    checked_scales,
    output_scales,
    quantized_constant,
    scalar,
    weights_of,
    whole_zero,
)
from vecq_hw.interop.transposed import add_transposed
from vecq_hw.layers import Conv2d, Dense

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk


def conv(walk: Walk, node: Node) -> State:
    """``Conv`` of dequantized codes and quantized weights."""
    x = walk.codes(node, 0)
    values, scales = quantized_constant(_weights(walk, node, 1), "its weight")
    return _conv(walk, node, x, values, output_scales(scales), _bias(walk, node, 2))


def _conv(
    walk: Walk, node: Node, x: Real, values: IntArray, scales: FloatArray, bias: Fixed | None
) -> Real:
    """The sums of a convolution; weights (O, C / groups, KH, KW) or (O, C / groups, K)."""
    one_axis = values.ndim == 3
    if values.ndim not in (3, 4):
        raise Refused(f"its weight has the shape {values.shape}; one or two axes of a kernel")
    x = arranged(walk, x, (2, 1) if one_axis else (2, 0, 1), node)
    kernel = values[:, :, np.newaxis] if one_axis else values
    kernel = np.ascontiguousarray(kernel.transpose(0, 2, 3, 1))
    _, stride, padding, dilation = windows(node, x, kernel.shape[1:3], one_axis)
    chain = _line(x, scales)
    whole, chain = _whole_bias(bias, chain, len(kernel))
    layer = Conv2d(
        name=walk.layer_name(node, "conv"), input=x.tensor,
        weights=weights_of(kernel, float(np.max(scales))), bias=whole, stride=stride,
        padding=padding, dilation=dilation, groups=int(node.attributes.get("group", 1)),
    )  # fmt: skip
    name = walk.assembly.add(layer, node.name)
    return Real(name, walk.assembly.tensor(name).shape, chain, x.axes)


def conv_transpose(walk: Walk, node: Node) -> State:
    """``ConvTranspose``: weights (C, O / groups, KH, KW) or (C, O / groups, K)."""
    x = walk.codes(node, 0)
    values, scales = quantized_constant(_weights(walk, node, 1), "its weight")
    groups = int(node.attributes.get("group", 1))
    one_axis = values.ndim == 3
    if values.ndim not in (3, 4) or groups < 1 or len(values) % groups:
        raise Refused(f"its weight has the shape {values.shape}, in {groups} groups")
    x = arranged(walk, x, (2, 1) if one_axis else (2, 0, 1), node)

    def turned(array: np.ndarray) -> np.ndarray:
        array = array[:, :, np.newaxis] if one_axis else array
        parts = array.reshape(groups, -1, *array.shape[1:]).transpose(0, 2, 3, 4, 1)
        return parts.reshape(-1, *parts.shape[2:])[:, ::-1, ::-1]

    kernel, own_scales = turned(values), output_scales(turned(scales))
    chain = _line(x, own_scales)
    whole, chain = _whole_bias(_bias(walk, node, 2), chain, len(kernel))
    axes = transposed_axes(node, x, kernel.shape[1:3], one_axis)
    name = add_transposed(
        walk.assembly, walk.layer_name(node, "conv"), x.tensor,
        weights_of(kernel, float(np.max(own_scales))), axes, whole, groups, node.name,
    )  # fmt: skip
    return Real(name, walk.assembly.tensor(name).shape, chain, x.axes)


def matmul(walk: Walk, node: Node) -> State:
    """``MatMul`` with constant weights of shape (C, O) behind it."""
    x = walk.codes(node, 0)
    values, scales = quantized_constant(_weights(walk, node, 1), "its weight")
    return _dense(walk, node, x, values.T, output_scales(scales.T), None)


def gemm(walk: Walk, node: Node) -> State:
    """``Gemm``: weights of shape (C, O), or (O, C) where it says transB."""
    if any(float(node.attributes.get(key, 1.0)) != 1.0 for key in ("alpha", "beta")):
        raise Refused("alpha and beta other than 1; fold them into the weights")
    if node.attributes.get("transA", 0):
        raise Refused("it transposes what it reads, which mixes samples")
    x = walk.codes(node, 0)
    values, scales = quantized_constant(_weights(walk, node, 1), "its weight")
    if not node.attributes.get("transB", 0):
        values, scales = values.T, scales.T
    return _dense(walk, node, x, values, output_scales(scales), _bias(walk, node, 2))


def _dense(
    walk: Walk, node: Node, x: Real, values: IntArray, scales: FloatArray, bias: Fixed | None
) -> Real:
    """The sums of weights (O, C) along the last axis of what is read."""
    if values.ndim != 2:
        raise Refused(f"its weight has {values.ndim} axes; (inputs, outputs) are wanted")
    if x.shape[-1] != values.shape[1]:
        raise Refused(f"its weight takes {values.shape[1]} inputs, not {x.shape[-1]}")
    chain = _line(x, scales)
    whole, chain = _whole_bias(bias, chain, len(values))
    step = float(np.max(scales))
    if x.flat or len(x.sizes) == 1 or len(x.axes) == 1:
        columns, tensor = rank_two(walk, x, node)
        layer: Dense | Conv2d = Dense(
            name=walk.layer_name(node, "dense"), input=tensor,
            weights=weights_of(values[:, columns], step), bias=whole,
        )  # fmt: skip
        name = walk.assembly.add(layer, node.name)
        return Real(name, walk.assembly.tensor(name).shape, chain, (0,))
    if x.axes[-1] != len(x.sizes) - 1:
        axes = tuple(range(3 - len(x.axes), 3))
        x = arranged(walk, x, axes, node)
    layer = Conv2d(
        name=walk.layer_name(node, "dense"), input=x.tensor,
        weights=weights_of(values[:, np.newaxis, np.newaxis], step), bias=whole,
    )  # fmt: skip
    name = walk.assembly.add(layer, node.name)
    return Real(name, walk.assembly.tensor(name).shape, chain, x.axes)


def _weights(walk: Walk, node: Node, index: int) -> Fixed:
    state = walk.state(node, index)
    if not isinstance(state, Fixed):
        raise Refused("its weight is no constant; weights that are known are wanted")
    return state


def _bias(walk: Walk, node: Node, index: int) -> Fixed | None:
    found = walk.optional(node, index)
    return None if found is None or not found.values.any() else found


def _line(x: Real, scales: FloatArray) -> Chain:
    """What the sums stand for: the product of the scales, in float64."""
    return Chain.plain(float(x.chain.scales) * scales)


def _whole_bias(bias: Fixed | None, chain: Chain, outputs: int) -> tuple[IntArray | None, Chain]:
    """A bias in units of the accumulator, or as a step of the chain where it is none."""
    if bias is None:
        return None, chain
    if bias.values.size not in (1, outputs):
        raise Refused(f"its bias has the shape {bias.values.shape}, not ({outputs},)")
    values = np.broadcast_to(bias.values.reshape(-1), (outputs,)).astype(np.float64)
    if bias.integers is not None and bias.scales is not None:
        integers = np.broadcast_to(bias.integers.reshape(-1), (outputs,))
        steps = np.broadcast_to(bias.scales.reshape(-1), (outputs,))
        if np.allclose(steps, np.broadcast_to(chain.scales, (outputs,)), rtol=1e-6, atol=0):
            return integers.astype(np.int64), chain
    whole = values / chain.scales
    if (whole == np.rint(whole)).all() and np.abs(whole).max() < 1 << 31:
        return whole.astype(np.int64), chain
    return None, replace(chain, bias=values)


def _quantized_output(
    walk: Walk, node: Node, sums: Real, factors: FloatArray, scale: Fixed, zero: Fixed | None
) -> State:
    """Codes of ``float32(sum) * factor``, rounded to nearest even: of onnxruntime."""
    kind = np.dtype(np.uint8) if zero is None else zero.values.dtype
    limits = np.iinfo(kind)
    point = 0 if zero is None else int(scalar(zero, "its output's zero point"))
    quantizer = Quantizer(checked_scale(scale), point, int(limits.min), int(limits.max))
    column = np.reshape(factors.astype(np.float32), (-1, 1))
    lo, hi = quantizer.lo - point, quantizer.hi - point

    def codes(x: IntArray) -> IntArray:
        return rounded(x.astype(np.float32) * column, lo, hi)

    held = walk.requantize(sums, codes, quantizer.format, quantizer.scale, point, node)
    walk.tap(held, node.outputs[0])
    return held


def _code_weights(walk: Walk, node: Node, index: int, first: bool) -> tuple[IntArray, FloatArray]:
    """Weights less their zero point, and their scales: those of inputs that follow."""
    weights = _weights(walk, node, index).values
    scales = checked_scales(walk.constant(node, index + 1, "its weight's scale").values)
    zero = walk.optional(node, index + 2)
    points = np.zeros((), np.int64) if zero is None else zero.values.astype(np.int64)
    if points.size > 1:
        shape = [1] * weights.ndim
        shape[0 if first else -1] = points.size
        points = points.reshape(shape)
    else:
        points = points.reshape(())
    return weights.astype(np.int64) - points, np.asarray(scales, np.float32).reshape(-1)


def qlinear_conv(walk: Walk, node: Node) -> State:
    """``QLinearConv``: integer sums, one float32 product for each."""
    point = int(scalar(walk.constant(node, 2, "its zero point"), "its zero point"))
    x = walk.held(walk.state(node, 0), point, node).reals(1.0)
    values, scales = _code_weights(walk, node, 3, first=True)
    bias = walk.optional(node, 8)
    sums = _conv(walk, node, x, values, np.ones(()), bias)
    out = walk.constant(node, 6, "its output's scale")
    s = np.float32(checked_scale(walk.constant(node, 1, "its scale")))
    factors = s * scales / np.float32(checked_scale(out))
    return _quantized_output(walk, node, sums, _one(factors), out, walk.optional(node, 7))


def qlinear_matmul(walk: Walk, node: Node) -> State:
    """``QLinearMatMul``."""
    point = int(scalar(walk.constant(node, 2, "its zero point"), "its zero point"))
    x = walk.held(walk.state(node, 0), point, node).reals(1.0)
    values, scales = _code_weights(walk, node, 3, first=False)
    sums = _dense(walk, node, x, values.T, np.ones(()), None)
    out = walk.constant(node, 6, "its output's scale")
    s = np.float32(checked_scale(walk.constant(node, 1, "its scale")))
    factors = s * scales / np.float32(checked_scale(out))
    return _quantized_output(walk, node, sums, _one(factors), out, walk.optional(node, 7))


def qgemm(walk: Walk, node: Node) -> State:
    """``QGemm`` of onnxruntime; without an output scale it gives reals."""
    if node.attributes.get("transA", 0) or float(node.attributes.get("alpha", 1.0)) != 1.0:
        raise Refused("transA, or an alpha other than 1")
    point = int(scalar(walk.constant(node, 2, "its zero point"), "its zero point"))
    x = walk.held(walk.state(node, 0), point, node).reals(1.0)
    transposed = bool(node.attributes.get("transB", 0))
    values, scales = _code_weights(walk, node, 3, first=transposed)
    values = values if transposed else values.T
    sums = _dense(walk, node, x, values, np.ones(()), walk.optional(node, 6))
    s = np.float32(checked_scale(walk.constant(node, 1, "its scale")))
    out = walk.optional(node, 7)
    if out is None:
        return replace(sums, chain=Chain.plain(_one(s * scales).astype(np.float64)))
    factors = s * scales / np.float32(checked_scale(out))
    return _quantized_output(walk, node, sums, _one(factors), out, walk.optional(node, 8))


def integer_product(walk: Walk, node: Node) -> State:
    """``ConvInteger`` and ``MatMulInteger``: the sums themselves."""
    zero, weight_zero = walk.optional(node, 2), walk.optional(node, 3)
    point = 0 if zero is None else whole_zero(scalar(zero, "its zero point"))
    x = walk.held(walk.state(node, 0), point, node).reals(1.0)
    weights = _weights(walk, node, 1).values.astype(np.int64)
    if weight_zero is not None:
        weights = weights - whole_zero(scalar(weight_zero, "its weight's zero point"))
    if node.operator == "ConvInteger":
        sums = _conv(walk, node, x, weights, np.ones(()), None)
    else:
        sums = _dense(walk, node, x, weights.T, np.ones(()), None)
    return replace(sums, chain=replace(sums.chain, whole=True))


def _one(factors: np.ndarray) -> np.ndarray:
    """One number where there is one for all."""
    return factors.reshape(()) if factors.size == 1 else factors


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MatMul": matmul,
    "Gemm": gemm,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "ConvInteger": integer_product,
    "MatMulInteger": integer_product,
}
MICROSOFT_HANDLERS: dict[str, Callable[[Any, Node], State]] = {"QGemm": qgemm}
