"""Operators that move integers: padding, resizing, slices, blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.interop.graph import Node
from vecq_hw.interop.onnx_shapes import arranged, in_file_order
from vecq_hw.interop.onnx_values import (
    Held,
    Real,
    Refused,
    Several,
    State,
    Waiting,
    scalar,
)
from vecq_hw.layers import Permute, Take, Upsample2d

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

Seen = TypeVar("Seen", bound=Real | Held)
_LARGEST_BLOCK = 1 << 10


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


def _taken(walk: Walk, x: Seen, taken: dict[int, IntArray], node: Node) -> Seen:
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


def _moved(walk: Walk, node: Node) -> Real | Held:
    """What a node reads and only moves: codes, or integers of one step."""
    state = walk.state(node, 0)
    if isinstance(state, Waiting):
        state = walk.held(state, state.quantizer.zero, node)
    x: Real | Held = state if isinstance(state, Held) else walk.codes(node, 0)
    return in_file_order(walk, x)


def _cut(walk: Walk, node: Node, x: Seen, indices: dict[int, IntArray]) -> Seen:
    """Some indices of axes of the file's tensor, the first behind the batch being 0."""
    taken: dict[int, IntArray] = {}
    for axis, wanted in indices.items():
        size, our = x.shape[axis], x.axes[axis]
        if not wanted.size:
            raise Refused(f"it takes nothing of an axis of {size}")
        if np.array_equal(wanted, np.arange(size)):
            continue
        if our is None:
            raise Refused("it repeats an axis of size 1")
        taken[our] = wanted
    return _taken(walk, x, taken, node) if taken else x


def split(walk: Walk, node: Node) -> State:
    """``Split`` along an axis: equal parts, or parts of the sizes given."""
    x = _moved(walk, node)
    rank = len(x.shape) + 1
    axis = int(node.attributes.get("axis", 0))
    if not -rank <= axis < rank or axis % rank == 0:
        raise Refused(f"it splits axis {axis} of {rank}; one behind the batch is wanted")
    axis = axis % rank - 1
    size, parts = x.shape[axis], len(node.outputs)
    given = walk.optional(node, 1)
    sizes = node.attributes.get("split") if given is None else given.values.reshape(-1).tolist()
    if sizes is None:
        each = -(-size // parts)
        sizes = [each] * (parts - 1) + [size - each * (parts - 1)]
    if len(sizes) != parts or sum(sizes) != size or min(sizes) < 1:
        raise Refused(f"it splits {size} into {parts} parts of the sizes {tuple(sizes)}")
    ends = np.cumsum([0, *sizes])
    pieces = [
        _cut(walk, node, x, {axis: np.arange(first, last)})
        for first, last in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    ]
    return Several(tuple(pieces))


def cut(walk: Walk, node: Node) -> State:
    """``Slice``: starts, ends and steps of some axes."""
    x = _moved(walk, node)
    rank = len(x.shape) + 1

    def numbers(index: int, name: str) -> list[int] | None:
        given = walk.optional(node, index)
        if given is not None:
            return [int(value) for value in given.values.reshape(-1)]
        found = node.attributes.get(name)
        return None if found is None else [int(value) for value in found]

    starts, ends = numbers(1, "starts"), numbers(2, "ends")
    if starts is None or ends is None:
        raise Refused("its starts or ends are left out")
    axes = numbers(3, "axes") or list(range(len(starts)))
    steps = numbers(4, "steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Refused(f"its starts {starts}, ends {ends}, axes {axes}, steps {steps} do not fit")
    if any(not -rank <= axis < rank for axis in axes) or len({a % rank for a in axes}) < len(axes):
        raise Refused(f"it cuts the axes {axes} of {rank}; each once is wanted")
    indices: dict[int, IntArray] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if axis % rank:
            size = x.shape[axis % rank - 1]
            indices[axis % rank - 1] = np.arange(size)[start:end:step]
        elif step != 1 or start not in (0, -walk.batch) or end < walk.batch:
            raise Refused("it cuts samples out of the batch")
    return _cut(walk, node, x, indices)


def depth_to_space(walk: Walk, node: Node) -> State:
    """``DepthToSpace``: blocks of channels become pixels."""
    x, block = _image(walk, node)
    height, width, channels = x.sizes
    if channels % (block * block):
        raise Refused(f"blocks of {block} by {block} do not divide {channels} channels")
    rest = channels // block**2
    split, order = (height, width, block, block, rest), (0, 2, 1, 3, 4)
    mode = node.attributes.get("mode", "DCR")
    if mode == "CRD":
        split, order = (height, width, rest, block, block), (0, 3, 1, 4, 2)
    elif mode != "DCR":
        raise Refused(f"its mode is '{mode}'; DCR or CRD is wanted")
    return _permuted(walk, node, x, split, order, (height * block, width * block, rest))


def space_to_depth(walk: Walk, node: Node) -> State:
    """``SpaceToDepth``: blocks of pixels become channels."""
    x, block = _image(walk, node)
    height, width, channels = x.sizes
    if height % block or width % block:
        raise Refused(f"blocks of {block} by {block} do not divide {height} by {width} pixels")
    split = (height // block, block, width // block, block, channels)
    shape = (height // block, width // block, channels * block**2)
    return _permuted(walk, node, x, split, (0, 2, 1, 3, 4), shape)


def _image(walk: Walk, node: Node) -> tuple[Real | Held, int]:
    """What a node moves, as an image, and the size of its blocks."""
    block = int(node.attributes.get("blocksize", 0))
    if not 1 <= block <= _LARGEST_BLOCK:
        raise Refused(f"its blocks have the size {block}; 1 to {_LARGEST_BLOCK} is wanted")
    return arranged(walk, _moved(walk, node), (2, 0, 1), node), block


def _permuted(
    walk: Walk,
    node: Node,
    x: Seen,
    split: tuple[int, ...],
    order: tuple[int, ...],
    shape: tuple[int, ...],
) -> Seen:
    layer = Permute(
        name=walk.layer_name(node, "blocks"), input=x.tensor, split=split, order=order, shape=shape
    )
    return replace(x, tensor=walk.assembly.add(layer, node.name), sizes=shape)


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    "Pad": pad,
    **dict.fromkeys(("Resize", "Upsample"), resize),
    "Split": split,
    "Slice": cut,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
