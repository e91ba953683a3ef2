"""Operators on two tensors and more: layers, or one tensor and a step of its chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.chain import Chain, Quantizer, fused, rounded
from vecq_hw.interop.graph import Node
from vecq_hw.interop.joins import add_weights
from vecq_hw.interop.onnx_shapes import arranged, in_file_order
from vecq_hw.interop.onnx_steps import elementwise, operand, then, with_constant
from vecq_hw.interop.onnx_values import (
    Fixed,
    Held,
    PairSum,
    Parts,
    Real,
    Refused,
    State,
    Waiting,
    checked_scale,
    scalar,
)
from vecq_hw.layers import Add, Concat, Multiply, Rescale, Subtract

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk


def binary(walk: Walk, node: Node) -> State:
    """``Add``, ``Sub``, ``Mul``, ``Div``, ``Max``, ``Min`` of two tensors or with a constant."""
    if len(node.inputs) != 2:
        raise Refused(f"it has {len(node.inputs)} inputs; two are wanted")
    left, right = walk.state(node, 0), walk.state(node, 1)
    operator = node.operator
    if isinstance(right, Fixed):
        x = elementwise(walk, node, 0)
        return with_constant(x, operator, operand(x, right))
    if isinstance(left, Fixed):
        x = elementwise(walk, node, 1)
        if operator == "Sub":
            return then(x, "SubFrom", operand(x, left))
        if operator == "Div":
            raise Refused("a constant divided by a tensor; a multiplication is wanted")
        return with_constant(x, operator, operand(x, left))
    one, other = walk.codes(node, 0), walk.codes(node, 1)
    if operator == "Mul":
        return _product(walk, node, one, other)
    if operator not in ("Add", "Sub"):
        raise Refused(f"{operator} of two tensors; a constant is wanted")
    one, other = _aligned(walk, one, other, node)
    if np.float32(one.chain.scales) == np.float32(other.chain.scales):
        return _sum(walk, node, one, other)
    return PairSum(one, other, 1 if operator == "Add" else -1, Chain.plain(1.0))


def _aligned(walk: Walk, one: Real, other: Real, node: Node) -> tuple[Real, Real]:
    """Two tensors of one shape with the same axes."""
    if one.shape != other.shape:
        raise Refused(f"it joins the shapes {one.shape} and {other.shape}; the same are wanted")
    if (one.flat or other.flat) and (one.axes, one.sizes) != (other.axes, other.sizes):
        return in_file_order(walk, one), in_file_order(walk, other)
    if one.axes != other.axes or one.sizes != other.sizes:
        other = arranged(walk, other, one.axes, node)
    return one, other


def _sum(walk: Walk, node: Node, one: Real, other: Real) -> Real:
    if one.tensor == other.tensor:
        if node.operator == "Add":
            return replace(one, chain=Chain.plain(2 * one.chain.scales))
        raise Refused("it subtracts a tensor from itself")
    name = walk.layer_name(node, "add")
    kind = Add if node.operator == "Add" else Subtract
    left, right = _one_step(walk, one, other)
    return replace(one, tensor=walk.assembly.add(kind(name=name, inputs=(left, right)), node.name))


def _one_step(walk: Walk, one: Real, other: Real) -> tuple[str, str]:
    """Names of tensors with exactly one step: that of the first, where they are nearly equal."""
    step = walk.assembly.tensor(one.tensor).step
    if walk.assembly.tensor(other.tensor).step == step:
        return one.tensor, other.tensor
    return one.tensor, _scaled(walk, other.tensor, 1, step)


def _scaled(walk: Walk, tensor: str, factor: int, step: float) -> str:
    """A tensor times an integer, exactly, with the step given."""
    source = walk.assembly.tensor(tensor)
    ends = sorted((factor * source.format.lo, factor * source.format.hi))
    ones = np.ones(source.channels, np.int64)
    layer = Rescale(
        name=walk.assembly.free_name(f"{tensor}_scaled"), input=tensor, mantissa=2 * factor * ones,
        offset=0 * ones, shift=1, step=step,
        format=IntFormat.covering(ends[0], ends[1], signed=source.format.signed or factor < 0),
    )  # fmt: skip
    return walk.assembly.add(layer)


def _product(walk: Walk, node: Node, one: Real, other: Real) -> Real:
    if one.shape != other.shape and math_size(one) < math_size(other):
        one, other = other, one
    by_pixel = one.shape != other.shape
    if by_pixel:
        gates = (
            other.sizes[-1] == one.sizes[-1] == math_size(other)
            and one.shape[0] == (other.shape[0])
        )
        if not gates or one.axes[0] != 2 or other.flat or one.flat:
            raise Refused(f"it multiplies the shapes {one.shape} and {other.shape}")
    else:
        one, other = _aligned(walk, one, other, node)
    layer = Multiply(name=walk.layer_name(node, "multiply"), inputs=(one.tensor, other.tensor))
    scale = float(one.chain.scales) * float(other.chain.scales)
    return replace(one, tensor=walk.assembly.add(layer, node.name), chain=Chain.plain(scale))


def math_size(real: Real) -> int:
    """How many numbers of a sample."""
    return int(np.prod(real.sizes))


def quantized_pair(walk: Walk, pair: PairSum, quantizer: Quantizer, node: Node) -> Held:
    """Codes of a sum of two tensors of different steps, decided by a sum of integer weights."""
    scales = tuple(np.float32(one.chain.scales) for one in (pair.left, pair.right))

    def rule(a: IntArray, b: IntArray) -> IntArray:
        first, second = a.astype(np.float32) * scales[0], b.astype(np.float32) * scales[1]
        x = (first + second if pair.sign > 0 else first - second)[np.newaxis]
        for step in pair.chain.steps:
            x = step.apply(x)
        codes: IntArray = quantizer.codes(x)[0]
        return codes

    return weighted(walk, pair.left, pair.right, pair.sign, rule, quantizer, node)


def weighted(
    walk: Walk,
    left: Real,
    right: Real,
    sign: int,
    rule: Callable[[IntArray, IntArray], IntArray],
    quantizer: Quantizer,
    node: Node,
) -> Held:
    """Codes of a rule of two codes, as a requantized sum.

    ``rule`` takes two arrays of one shape.
    """
    formats = [walk.assembly.tensor(one.tensor).format for one in (left, right)]
    steps = (float(left.chain.scales), float(right.chain.scales))
    found = add_weights(rule, formats[0], formats[1], steps, sign)
    step = steps[0] / found.weights[0]
    names = tuple(
        _scaled(walk, one.tensor, weight, step)
        for one, weight in zip((left, right), found.weights, strict=True)
    )
    total = walk.assembly.add(Add(name=walk.layer_name(node, "add"), inputs=names), node.name)
    name = walk.assembly.requantize(
        f"{total}_codes", total, found.function, quantizer.format, quantizer.scale, node.name
    )
    return Held(name, left.sizes, left.axes, quantizer.zero, left.flat)


def concat(walk: Walk, node: Node) -> State:
    """``Concat`` along the channels; members of different steps wait for a quantizer."""
    states = [walk.state(node, index) for index in range(len(node.inputs))]
    held = [
        walk.held(one, one.quantizer.zero, node) if isinstance(one, Waiting) else one
        for one in states
    ]
    if all(isinstance(one, Held) for one in held):
        members = [one.reals(1.0) for one in held if isinstance(one, Held)]
        zeros = {one.zero for one in held if isinstance(one, Held)}
        if len(zeros) > 1:
            raise Refused(f"it joins codes of the zero points {sorted(zeros)}; one is wanted")
        real = _concat(walk, node, members)
        return Held(real.tensor, real.sizes, real.axes, zeros.pop())
    members = [walk.codes(node, index) for index in range(len(node.inputs))]
    if len({np.float32(one.chain.scales) for one in members}) == 1:
        return _concat(walk, node, members)
    _check_axis(node, members)
    return Parts(tuple(members), Chain.plain(1.0))


def _check_axis(node: Node, members: list[Real]) -> None:
    axis = int(node.attributes.get("axis", 1)) % (len(members[0].axes) + 1) - 1
    last = len(members[0].sizes) - 1
    if any(one.flat or axis < 0 or one.axes[axis] != last for one in members):
        raise Refused("it joins along another axis than the channels")


def _concat(walk: Walk, node: Node, members: list[Real]) -> Real:
    first = members[0]
    if len(first.axes) == 1 or first.flat:
        members = [in_file_order(walk, one) for one in members]
    else:
        members = [first, *(arranged(walk, one, first.axes, node) for one in members[1:])]
    _check_axis(node, members)
    formats = [walk.assembly.tensor(one.tensor).format for one in members]
    lo, hi = min(f.lo for f in formats), max(f.hi for f in formats)
    common = IntFormat.covering(lo, hi, signed=any(f.signed for f in formats))
    step = walk.assembly.tensor(members[0].tensor).step
    names = tuple(_as_format(walk, one.tensor, common, step) for one in members)
    layer = Concat(name=walk.layer_name(node, "concat"), inputs=names)
    name = walk.assembly.add(layer, node.name)
    return replace(members[0], tensor=name, sizes=walk.assembly.tensor(name).shape)


def _as_format(walk: Walk, tensor: str, fmt: IntFormat, step: float) -> str:
    """The same integers in the bits and with the step of another format."""
    source = walk.assembly.tensor(tensor)
    alike = (source.format.bits, source.format.signed) == (fmt.bits, fmt.signed)
    if alike and source.step == step:
        return tensor
    ones = np.ones(source.channels, np.int64)
    own = IntFormat(fmt.bits, fmt.signed, source.format.lo, source.format.hi)
    layer = Rescale(
        name=walk.assembly.free_name(f"{tensor}_widened"), input=tensor, mantissa=2 * ones,
        offset=0 * ones, shift=1, format=own, step=step,
    )  # fmt: skip
    return walk.assembly.add(layer)


def quantized_parts(walk: Walk, parts: Parts, quantizer: Quantizer, node: Node) -> Held:
    """Each member's codes, side by side."""
    found = []
    for member in parts.members:
        chain = Chain(member.chain.scales, member.chain.bias, parts.steps.steps)
        found.append(walk.quantize(replace(member, chain=chain), quantizer, node).reals(1.0))
    real = _concat(walk, replace(node, attributes={"axis": 1}), found)
    return Held(real.tensor, real.sizes, real.axes, quantizer.zero)


def qlinear_add(walk: Walk, node: Node) -> State:
    """``QLinearAdd`` of onnxruntime: a sum in units of the result, rounded once.

    Its products are fused with its sums, which is what processors have that it runs on.
    """
    numbers, zeros = [], []
    for index in (0, 3):
        point = walk.optional(node, index + 2)
        zero = 0 if point is None else int(scalar(point, "its zero point"))
        state = walk.state(node, index)
        if isinstance(state, Fixed):
            raise Refused("it adds a constant; two tensors of the network are wanted")
        scale = checked_scale(walk.constant(node, index + 1, "its scale"))
        numbers.append(walk.held(state, zero, node).reals(scale))
        zeros.append(zero)
    quantizer = _output_quantizer(walk, node, 6)
    one, other = _aligned(walk, numbers[0], numbers[1], node)
    out = np.float32(quantizer.scale)
    f, g = (np.float32(np.float32(real.chain.scales) / out) for real in (one, other))
    fixed = np.float32(quantizer.zero) - fused(f, zeros[0], g * np.float32(zeros[1]))

    def rule(a: IntArray, b: IntArray) -> IntArray:
        x = fused(f, a + zeros[0], fused(g, b + zeros[1], fixed))
        return rounded(x, quantizer.lo, quantizer.hi) - quantizer.zero

    held = weighted(walk, one, other, 1, rule, quantizer, node)
    walk.tap(held, node.outputs[0])
    return held


def qlinear_average(walk: Walk, node: Node) -> State:
    """``QLinearGlobalAveragePool`` of onnxruntime."""
    from vecq_hw.interop.onnx_pools import average_pool

    point = int(scalar(walk.constant(node, 2, "its zero point"), "its zero point"))
    scale = checked_scale(walk.constant(node, 1, "its scale"))
    x = walk.held(walk.state(node, 0), point, node).reals(1.0)
    walk.states[f"\0{node.name}"] = x
    mean = average_pool(
        walk, replace(node, operator="GlobalAveragePool", inputs=(f"\0{node.name}",))
    )
    quantizer = _output_quantizer(walk, node, 3)
    assert isinstance(mean, Real)
    count = x.sizes[0] * x.sizes[1]
    factor = np.float32(np.float32(scale) / np.float32(quantizer.scale) / np.float32(count))
    lo, hi = quantizer.format.lo, quantizer.format.hi

    def codes(total: IntArray) -> IntArray:
        return rounded(total.astype(np.float32) * factor, lo, hi)

    held = walk.requantize(mean, codes, quantizer.format, quantizer.scale, quantizer.zero, node)
    walk.tap(held, node.outputs[0])
    return held


def _output_quantizer(walk: Walk, node: Node, index: int) -> Quantizer:
    """The quantizer that the scale and the zero point among an operator's inputs describe."""
    zero = walk.constant(node, index + 1, "its output's zero point")
    limits = np.iinfo(zero.values.dtype)
    scale = checked_scale(walk.constant(node, index, "its output's scale"))
    point = int(scalar(zero, "its output's zero point"))
    return Quantizer(scale, point, int(limits.min), int(limits.max))


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min"), binary),
    "Concat": concat,
}
MICROSOFT_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    "QLinearAdd": qlinear_add,
    "QLinearGlobalAveragePool": qlinear_average,
}
