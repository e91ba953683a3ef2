"""Operators that see the same integers in another shape or order of axes, and axes as ours."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    Outside,
    Real,
    Refused,
    State,
    Waiting,
    first_axes,
)
from vecq_hw.layers import Flatten, Permute

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

Seen = TypeVar("Seen", bound=Real | Held)

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
    """A vector of ours, and for each of its elements which one of the file's vector it is.

    The places have the shape (elements,).
    """
    if len(real.sizes) == 1:
        return np.arange(real.sizes[0]), real.tensor
    order = our_order(real)
    numbers = np.arange(math.prod(real.sizes)).reshape([real.sizes[axis] for axis in order])
    columns = numbers.transpose(np.argsort(order)).reshape(-1)
    name = walk.assembly.free_name(f"{real.tensor}_flat")
    return columns, walk.assembly.add(Flatten(name=name, input=real.tensor), node.name)


def in_file_order(walk: Walk, seen: Seen) -> Seen:
    """For a flat view, a vector of the network in the file's order."""
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
    **dict.fromkeys(("Identity", "Dropout"), same),
    "Shape": shape,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "TopK"), to_host),
}
