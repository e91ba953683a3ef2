"""Windows of convolutions and pools, and the pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vecq_hw.interop.graph import Node
from vecq_hw.interop.onnx_constants import axes_of
from vecq_hw.interop.onnx_shapes import arranged
from vecq_hw.interop.onnx_values import Axes, Held, MaxPooling, Real, Refused, State, Waiting
from vecq_hw.layers import SumPool2d
from vecq_hw.layers.windows import Sides, WindowAxis
from vecq_hw.passes.transposed import Along

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

_NARROW = 16
"""Bits of a tensor that a MaxPool reads as it is; a wider one waits for its codes."""


def windows(
    node: Node, x: Real | Held, kernel: Sequence[int], one_axis: bool
) -> tuple[tuple[int, int], tuple[int, int], Sides, tuple[int, int]]:
    """Kernel, stride, padding and dilation of ours, down and across."""
    count = 1 if one_axis else 2
    own = tuple(node.attributes.get("kernel_shape", kernel[-count:]))
    if own != tuple(kernel[-count:]):
        raise Refused(f"its kernel is {own} by the attribute, {tuple(kernel[-count:])} by weights")
    stride = tuple(node.attributes.get("strides", (1,) * count))
    dilation = tuple(node.attributes.get("dilations", (1,) * count))
    pads = tuple(node.attributes.get("pads", (0,) * 2 * count))
    if (len(stride), len(dilation), len(pads)) != (count, count, 2 * count) or min(
        *own, *stride, *dilation
    ) < 1:
        raise Refused(f"strides {stride}, dilations {dilation} and pads {pads} do not fit")
    if min(pads) < 0:
        raise Refused(f"its pads are {pads}; none below 0 are wanted")
    sizes = x.sizes[2 - count : 2]
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            for size, k, s, d in zip(sizes, own, stride, dilation, strict=True)
        ]
        less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = (*less, *more) if mode == "SAME_UPPER" else (*more, *less)
    elif mode == "VALID":
        pads = (0,) * 2 * count
    elif mode != "NOTSET":
        raise Refused(f"its auto_pad is '{mode}'")
    if node.attributes.get("ceil_mode", 0):
        pads = _ceiled(sizes, own, stride, dilation, pads)
    if one_axis:
        return (1, own[0]), (1, stride[0]), (0, pads[0], 0, pads[1]), (1, dilation[0])
    return own, stride, pads, dilation


def transposed_axes(
    node: Node, x: Real | Held, kernel: Sequence[int], one_axis: bool
) -> list[Along]:
    """A transposed convolution down and across."""
    count = 1 if one_axis else 2
    cells, sizes = tuple(kernel[-count:]), x.sizes[2 - count : 2]
    own = tuple(node.attributes.get("kernel_shape", cells))
    if own != cells:
        raise Refused(f"its kernel is {own} by the attribute, {cells} by weights")
    stride, dilation, more = (
        tuple(node.attributes.get(key, (default,) * count))
        for key, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    pads = tuple(node.attributes.get("pads", (0,) * 2 * count))
    wanted = tuple(node.attributes.get("output_shape", ()))[-count:]
    mode = node.attributes.get("auto_pad", "NOTSET")
    lengths = (len(stride), len(dilation), len(more), len(pads), len(wanted) or count)
    if lengths != (count, count, count, 2 * count, count):
        raise Refused(f"its strides {stride}, dilations {dilation} and pads {pads} do not fit")
    if min(*stride, *dilation) < 1 or min(*pads, *more) < 0:
        raise Refused(f"its strides {stride}, dilations {dilation} and pads {pads} do not fit")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Refused(f"its auto_pad is '{mode}'")
    if mode.startswith("SAME") and not wanted:
        wanted = tuple(size * s for size, s in zip(sizes, stride, strict=True))
    axes = []
    for i in range(count):
        before, behind = (0, 0) if mode == "VALID" else (pads[i], pads[i + count])
        along = Along(sizes[i], own[i], stride[i], before, behind, more[i], dilation[i])
        if wanted:
            total = replace(along, before=0, behind=0).outputs - wanted[i]
            if total < 0:
                raise Refused(f"its output shape is {wanted}, which is more than it makes")
            less = total // 2
            upper = mode == "SAME_UPPER"
            before, behind = (less, total - less) if upper else (total - less, less)
            along = replace(along, before=before, behind=behind)
        axes.append(along)
    return axes if count == 2 else [Along(x.sizes[0], 1, 1, 0, 0, 0, 1), *axes]


def _ceiled(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    pads: Sequence[int],
) -> tuple[int, ...]:
    """Padding behind that lets a last window begin inside, though it ends outside."""
    count = len(sizes)
    after = []
    for i in range(count):
        axis = WindowAxis(sizes[i], kernel[i], stride[i], pads[i], pads[i + count], dilation[i])
        padded = sizes[i] + pads[i] + pads[i + count]
        windows_ = -(-(padded - axis.reach) // stride[i]) + 1
        if (windows_ - 1) * stride[i] >= sizes[i] + pads[i]:
            windows_ -= 1
        extra = (windows_ - 1) * stride[i] + axis.reach - padded
        after.append(pads[i + count] + max(extra, 0))
    return (*pads[:count], *after)


def max_pool(walk: Walk, node: Node) -> State:
    """``MaxPool``: at once of codes; of what has arithmetic before its quantizer, behind that."""
    state = walk.state(node, 0)
    if isinstance(state, Waiting):
        state = walk.held(state, state.quantizer.zero, node)
    seen: Real | Held = state if isinstance(state, Held) else walk.real(node, 0)
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    one_axis = len(kernel) == 1
    wanted: Axes = (2, 1) if one_axis else (2, 0, 1)
    waits = isinstance(seen, Real) and not (
        seen.chain.is_plain and walk.assembly.tensor(seen.tensor).format.bits <= _NARROW
    )
    if not (waits and seen.axes == wanted and not seen.flat):
        seen = arranged(walk, seen, wanted, node)
    own, stride, padding, dilation = windows(node, seen, kernel, one_axis)
    after = len(seen.chain.steps) if isinstance(seen, Real) else 0
    pool = MaxPooling(own, stride, padding, dilation, after)
    axes = [
        WindowAxis(seen.sizes[i], own[i], stride[i], padding[i], padding[i + 2], dilation[i]).count
        for i in range(2)
    ]
    if min(axes) < 1:
        raise Refused(f"its kernel {own} does not fit the image {seen.sizes[:2]}")
    sizes = (*axes, seen.sizes[-1])
    if isinstance(seen, Real) and (waits or seen.pools):
        return replace(seen, pools=(*seen.pools, pool), sizes=sizes)
    return replace(seen, tensor=walk.pool(seen.tensor, pool, node), sizes=sizes)


def average_pool(walk: Walk, node: Node) -> State:
    """``AveragePool``, ``GlobalAveragePool``, ``ReduceMean`` over an image: a sum, and a scale."""
    x = walk.real(node, 0)
    if not x.chain.is_line or x.pools or (x.chain.scales <= 0).any():
        raise Refused("it averages what is not quantized; put a quantizer before it")
    one_axis, keeps = len(x.axes) == 2, True
    x = arranged(walk, x, (2, 1) if one_axis else (2, 0, 1), node)
    if node.operator == "AveragePool":
        kernel, stride, padding, dilation = windows(
            node, x, tuple(node.attributes.get("kernel_shape", ())), one_axis
        )
        if dilation != (1, 1):
            raise Refused("an average over cells apart; neighbours are wanted")
        if any(padding) and not node.attributes.get("count_include_pad", 0):
            raise Refused("it leaves the padding out of the average; count_include_pad is wanted")
        if any(padding) and node.attributes.get("ceil_mode", 0):
            raise Refused("its last windows reach outside (ceil_mode)")
    else:
        kernel = stride = (x.sizes[0], x.sizes[1])
        padding = (0, 0, 0, 0)
        if node.operator == "ReduceMean":
            rank = len(x.axes) + 1
            axes = axes_of(node, [None, walk.optional(node, 1)])
            if axes is None or sorted(a % rank for a in axes) != list(range(2, rank)):
                raise Refused("it averages over other axes than those of the image")
            keeps = bool(node.attributes.get("keepdims", 1))
    layer = SumPool2d(
        name=walk.layer_name(node, "sumpool"), input=x.tensor, kernel=kernel, stride=stride,
        padding=padding,
    )  # fmt: skip
    name = walk.assembly.add(layer, node.name)
    chain = replace(x.chain, scales=x.chain.scales / math.prod(kernel))
    axes_now = x.axes if keeps else x.axes[:1]
    return replace(
        x, tensor=name, sizes=walk.assembly.tensor(name).shape, chain=chain, axes=axes_now
    )


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    "MaxPool": max_pool,
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), average_pool),
}
