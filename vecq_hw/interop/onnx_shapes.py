"""Operators that move integers or slide windows over them: views, pools, padding, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.interop.graph import Node
from vecq_hw.interop.onnx_constants import axes_of
from vecq_hw.interop.onnx_values import (
    Axes,
    Fixed,
    Held,
    Hosted,
    MaxPooling,
    Outside,
    Real,
    Refused,
    State,
    Waiting,
    first_axes,
    scalar,
)
from vecq_hw.layers import Flatten, Permute, SumPool2d, Take, Upsample2d
from vecq_hw.layers.windows import Sides, WindowAxis

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

Seen = TypeVar("Seen", bound=Real | Held)
_NARROW = 16
"""Bits of a tensor that a MaxPool reads as it is; a wider one waits for its codes."""

HOSTED = frozenset(
    "Softmax LogSoftmax Hardmax ArgMax ArgMin TopK Sigmoid Identity Cast Reshape Flatten Squeeze"
    " Unsqueeze Transpose Dropout Mul Add Sub Div DequantizeLinear QuantizeLinear".split()
)
"""What may follow what is left to the host."""


def view(walk: Walk, node: Node) -> State:
    """``Reshape``, ``Flatten``, ``Squeeze``, ``Unsqueeze``, ``Transpose``."""
    state = walk.state(node, 0)
    if isinstance(state, Waiting):
        if isinstance(state.source, Outside):
            source = replace(state.source, views=_views(walk, node, state.source))
            return replace(state, source=source)
        state = walk.held(state, state.quantizer.zero, node)
    if isinstance(state, Outside):
        return replace(state, views=_views(walk, node, state))
    if not isinstance(state, Real | Held):
        raise Refused("it moves what is no tensor of the network")
    operator, target = _target(walk, node, state.shape)
    return viewed(walk, state, operator, target)


def _views(walk: Walk, node: Node, outside: Outside) -> tuple[tuple[str, tuple[int, ...]], ...]:
    shape = outside.shape
    for operator, target in outside.views:
        shape = target if operator == "shape" else tuple(shape[axis] for axis in target)
    return (*outside.views, _target(walk, node, shape))


def _target(walk: Walk, node: Node, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The new shape, or the new order of axes, without the batch."""
    match node.operator:
        case "Transpose":
            order = tuple(node.attributes.get("perm", range(len(shape), -1, -1)))
            if sorted(order) != list(range(len(shape) + 1)) or order[0] != 0:
                raise Refused(f"it orders the axes {order}; the batch must stay the first")
            return "order", tuple(axis - 1 for axis in order[1:])
        case "Flatten":
            if int(node.attributes.get("axis", 1)) % (len(shape) + 1) != 1:
                raise Refused("it flattens from another axis than the first behind the batch")
            return "shape", (math.prod(shape),)
        case "Reshape":
            return "shape", _reshape(walk, node, shape)
    axes = axes_of(node, [None, walk.optional(node, 1)])
    if node.operator == "Unsqueeze":
        rank = len(shape) + 1 + len(axes or ())
        where = sorted(axis % rank for axis in axes or ())
        if not where or where[0] == 0:
            raise Refused("it puts an axis before the batch")
        sizes = [1, *shape]
        for axis in where:
            sizes.insert(axis, 1)
        return "shape", tuple(sizes[1:])
    rank = len(shape) + 1
    where = [axis % rank for axis in axes] if axes is not None else [
        axis + 1 for axis, size in enumerate(shape) if size == 1
    ]  # fmt: skip
    if any(axis == 0 or shape[axis - 1] != 1 for axis in where):
        raise Refused("it takes away an axis that is not of size 1")
    return "shape", tuple(size for axis, size in enumerate(shape) if axis + 1 not in where)


def _reshape(walk: Walk, node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    given = walk.constant(node, 1, "its shape").values.reshape(-1)
    target = [int(size) for size in given]
    for index, size in enumerate(target):
        if size == 0 and not node.attributes.get("allowzero", 0) and index <= len(shape):
            target[index] = walk.batch if index == 0 else shape[index - 1]
    count = math.prod(shape)
    if not target:
        raise Refused("it gives a tensor without a batch")
    rest = target[1:]
    if target[0] not in (walk.batch, -1, 1):
        raise Refused(f"it gives the shape {tuple(target)}; the batch must stay the first axis")
    if -1 in rest:
        known = math.prod(size for size in rest if size != -1)
        if rest.count(-1) > 1 or known < 1 or count % known or target[0] == -1:
            raise Refused(f"it gives the shape {tuple(target)} to {count} numbers")
        rest[rest.index(-1)] = count // known
    if any(size < 1 for size in rest) or math.prod(rest) != count:
        raise Refused(f"it gives the shape {tuple(target)} to {count} numbers of a sample")
    return tuple(rest)


def viewed(walk: Walk, seen: Seen, operator: str, target: tuple[int, ...]) -> Seen:
    """The same integers with another shape ('shape') or order of axes ('order') in the file."""
    if operator == "order":
        if seen.flat or len(seen.axes) == 1:
            return seen
        return replace(seen, axes=tuple(seen.axes[axis] for axis in target))
    if target == seen.shape:
        return seen
    split = seen.split
    if len(target) == 1:
        return replace(seen, flat=True)
    if [size for size in split if size != 1] == [size for size in target if size != 1]:
        left = [axis for axis, size in zip(seen.axes, split, strict=True) if size != 1]
        axes = tuple(None if size == 1 else left.pop(0) for size in target)
        return replace(seen, axes=axes, flat=False)
    if isinstance(seen, Real) and (seen.pools or _varies(seen)):
        raise Refused("it reshapes what has a number for each channel; put a quantizer before it")
    vector = _in_source_order(walk, seen)
    sizes, axes = first_axes(target)
    order = {1: (0,), 2: (1, 0), 3: (1, 2, 0)}[len(target)]
    layer = Permute(
        name=walk.assembly.free_name("reshape"), input=vector, split=target, order=order,
        shape=sizes,
    )  # fmt: skip
    return replace(seen, tensor=walk.assembly.add(layer), sizes=sizes, axes=axes, flat=False)


def _varies(real: Real) -> bool:
    operands = [one for step in real.chain.steps for one in step.operands]
    return any(one.ndim for one in (real.chain.scales, real.chain.bias, *operands))


def our_order(seen: Real | Held) -> tuple[int, ...]:
    """Our axes in the order of the file, those of size 1 that it does not have first."""
    named = [axis for axis in seen.axes if axis is not None]
    return (*(axis for axis in range(len(seen.sizes)) if axis not in named), *named)


def _in_source_order(walk: Walk, seen: Real | Held) -> str:
    """A vector in the order in which the file flattens; its name."""
    if len(seen.sizes) == 1:
        return seen.tensor
    count, order = math.prod(seen.sizes), our_order(seen)
    name = walk.assembly.free_name(f"{seen.tensor}_flat")
    large = [axis for axis in order if seen.sizes[axis] > 1]
    if large == sorted(large):
        return walk.assembly.add(Flatten(name=name, input=seen.tensor))
    layer = Permute(name=name, input=seen.tensor, split=seen.sizes, order=order, shape=(count,))
    return walk.assembly.add(layer)


def rank_two(walk: Walk, real: Real, node: Node) -> tuple[IntArray, str]:
    """A vector of ours, and for each of its elements which one of the file's vector it is."""
    if len(real.sizes) == 1:
        return np.arange(real.sizes[0]), real.tensor
    order = our_order(real)
    numbers = np.arange(math.prod(real.sizes)).reshape([real.sizes[axis] for axis in order])
    columns = numbers.transpose(np.argsort(order)).reshape(-1)
    name = walk.assembly.free_name(f"{real.tensor}_flat")
    return columns, walk.assembly.add(Flatten(name=name, input=real.tensor), node.name)


def in_file_order(walk: Walk, seen: Seen) -> Seen:
    """Of a flat view a vector of ours in the file's order."""
    if not seen.flat or len(seen.sizes) == 1:
        return seen
    vector = _in_source_order(walk, seen)
    return replace(seen, tensor=vector, sizes=(math.prod(seen.sizes),), axes=(0,), flat=False)


def arranged(walk: Walk, seen: Seen, wanted: Axes, node: Node) -> Seen:
    """The tensor with the axes of the file where a layer wants them in ours."""
    if seen.flat or len(seen.axes) != len(wanted):
        raise Refused(
            f"it reads the shape {seen.shape} behind the batch; {len(wanted)} axes are wanted"
        )
    if seen.axes == wanted and len(seen.sizes) == 3:
        return seen
    if isinstance(seen, Real) and _varies(seen):
        raise Refused("it reads axes in an order that is not its own; put a quantizer before it")
    split, named = seen.split, [axis for axis in seen.axes if axis is not None]
    # Ours, with an axis of size 1 for each that ours does not have.
    spare = len(seen.sizes)
    whole = (*seen.sizes, *(1 for axis in seen.axes if axis is None))
    places = []
    for axis in seen.axes:
        places.append(spare if axis is None else axis)
        spare += axis is None
    rest = [axis for axis in range(len(seen.sizes)) if axis not in named]
    order = [*rest, *(places[index] for index in np.argsort(np.array(wanted, int)))]
    sizes = [1] * (3 - len(wanted)) + [split[index] for index in np.argsort(np.array(wanted, int))]
    large = [axis for axis in order if whole[axis] > 1]
    tensor = seen.tensor
    if large != sorted(large) or tuple(sizes) != seen.sizes:
        layer = Permute(
            name=walk.assembly.free_name(f"{seen.tensor}_turned"), input=tensor, split=whole,
            order=tuple(order), shape=tuple(sizes),
        )  # fmt: skip
        tensor = walk.assembly.add(layer, node.name)
    return replace(seen, tensor=tensor, sizes=tuple(sizes), axes=wanted)


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


def pad(walk: Walk, node: Node) -> State:
    """``Pad`` of an image, by real zero, its edge or its mirror image."""
    x = walk.codes(node, 0)
    given = walk.optional(node, 1)
    pads = tuple(node.attributes.get("pads", ())) if given is None else tuple(
        int(size) for size in given.values.reshape(-1)
    )  # fmt: skip
    value = walk.optional(node, 2)
    if value is not None and scalar(value, "its value") != 0:
        raise Refused("it pads with another number than 0")
    mode = node.attributes.get("mode", "constant")
    rank = len(x.axes) + 1
    if len(pads) != 2 * rank or pads[0] or pads[rank] or x.flat:
        raise Refused(f"its pads {pads} do not fit; a pair for each axis, none for the batch")
    taken: dict[int, IntArray] = {}
    for axis, our in enumerate(x.axes):
        before, after = pads[axis + 1], pads[rank + axis + 1]
        if not before and not after:
            continue
        if our is None or min(before, after) < 0 or max(before, after) > 1 << 16:
            raise Refused(f"its pads {pads} do not fit the shape {x.shape}")
        numbers = np.arange(x.sizes[our])
        if mode == "constant":
            taken[our] = np.pad(numbers, (before, after), constant_values=-1)
        elif mode in ("edge", "reflect") and max(before, after) < x.sizes[our]:
            taken[our] = np.pad(numbers, (before, after), mode=mode)
        else:
            raise Refused(f"its mode is '{mode}', or it pads more than the image has")
    return _taken(walk, x, taken, node) if taken else x


def _taken(walk: Walk, x: Real, taken: dict[int, IntArray], node: Node) -> Real:
    first = 3 - len(x.sizes)
    rows, columns, channels = (taken.get(axis - first) for axis in range(3))
    layer = Take(
        name=walk.layer_name(node, "take"), input=x.tensor,
        rows=rows,
        columns=columns,
        channels=channels,
    )  # fmt: skip
    name = walk.assembly.add(layer, node.name)
    return replace(x, tensor=name, sizes=walk.assembly.tensor(name).shape)


def resize(walk: Walk, node: Node) -> State:
    """``Resize`` and ``Upsample`` to the nearest pixel."""
    x = arranged(walk, walk.codes(node, 0), (2, 0, 1), node)
    if node.attributes.get("mode", "nearest") != "nearest":
        raise Refused(f"its mode is '{node.attributes['mode']}'; nearest is wanted")
    last = len(node.inputs) - 1
    sizes = walk.optional(node, 3) if last >= 3 else None
    scales = walk.optional(node, 1 if node.operator == "Upsample" or last == 1 else 2)
    if sizes is not None:
        factors = [int(n) / size for n, size in zip(sizes.values[2:], x.shape[1:], strict=True)]
    elif scales is not None and scales.values.size == 4 and (scales.values[:2] == 1).all():
        factors = [float(f) for f in scales.values[2:]]
    else:
        raise Refused("its scales are no constants, or not those of an image")
    if any(factor != math.floor(factor) or not 1 <= factor <= 1 << 10 for factor in factors):
        raise Refused(f"it resizes by {factors}; whole factors are wanted")
    transform = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    takes_floor = transform == "asymmetric" and rounding == "floor"
    centred = transform in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round")
    if node.operator == "Resize" and not (takes_floor or centred):
        raise Refused(f"its pixels are chosen by {transform}, {rounding}; asymmetric and floor")
    down, across = (int(factor) for factor in factors)
    layer = Upsample2d(
        name=walk.layer_name(node, "upsample"), input=x.tensor, factor=(down, across)
    )
    name = walk.assembly.add(layer, node.name)
    return replace(x, tensor=name, sizes=walk.assembly.tensor(name).shape)


def same(walk: Walk, node: Node) -> State:
    """``Identity`` and ``Dropout``, which change nothing when a network runs."""
    return walk.state(node, 0)


def shape(walk: Walk, node: Node) -> State:
    """``Shape``: what is known, the batch as the file has it."""
    state = walk.state(node, 0)
    if isinstance(state, Waiting):
        state = state.source
    if isinstance(state, Outside):
        sizes: tuple[int, ...] = state.shape
        for operator, target in state.views:
            sizes = target if operator == "shape" else tuple(sizes[axis] for axis in target)
    elif isinstance(state, Real | Held):
        sizes = state.shape
    else:
        raise Refused("it asks for the shape of what is no tensor of the network")
    return Fixed(np.array([walk.batch, *sizes], np.int64))


def to_host(walk: Walk, node: Node) -> State:
    """What chooses a class or makes chances of scores: left to the host."""
    walk.assembly.drop(f"{node.operator} '{node.name}'")
    return Hosted(walk.state(node, 0))


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"), view),
    "MaxPool": max_pool,
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), average_pool),
    "Pad": pad,
    **dict.fromkeys(("Resize", "Upsample"), resize),
    **dict.fromkeys(("Identity", "Dropout"), same),
    "Shape": shape,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "TopK"), to_host),
}
