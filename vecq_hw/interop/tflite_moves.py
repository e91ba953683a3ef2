"""Operators of TFLite that move codes and change none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.graph import Node
from vecq_hw.interop.tflite_builder import (
    LONGEST_AXIS,
    Builder,
    Held,
    RefusedError,
    axis_indices,
    image_or_vector,
    padded_axis,
    sample,
    single_name,
)
from vecq_hw.interop.tflite_results import activation_format, keep_codes, same_quantization
from vecq_hw.layers import Concat, Permute, Rescale, Take, Upsample2d


def reshape(builder: Builder, node: Node) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the integers lie as they are."""
    held = builder.laid(builder.read(node), single_name(node))
    shape = sample(builder.graph.values[node.outputs[0]].shape)
    if prod(shape) != prod(held.shape):
        raise RefusedError(f"the shape {held.shape} does not become {shape}")
    builder.keep(node, replace(held, shape=shape))


def _moved(
    builder: Builder, node: Node, held: Held, shape: tuple[int, ...], index: int = 0
) -> None:
    """What a node makes is ``held``, a tensor of codes that only lie elsewhere."""
    result = builder.result(node, index)
    same_quantization(held, result)
    builder.assembly.tap(held.name, node.outputs[index], result.zero_point)
    builder.keep(node, replace(result, name=held.name, shape=shape), index)


def pad(builder: Builder, node: Node) -> None:
    """PAD and PADV2: zeros around an image wait for the convolution that reads them."""
    held, result = builder.read(node), builder.result(node)
    same_quantization(held, result)
    amounts = builder.constant(node, 1)
    if amounts.shape != (len(held.shape) + 1, 2) or amounts.min() < 0 or amounts[0].any():
        raise RefusedError(
            f"its padding has the shape {amounts.shape}; two numbers of at least 0 for each axis,"
            " none around the batch, are wanted"
        )
    code = 0
    if node.operator == "PADV2":
        values = builder.constant(node, 2)
        if values.size != 1:
            raise RefusedError(f"it pads with {values.size} values; one is wanted")
        code = int(values.reshape(-1)[0]) - held.zero_point
    around = [tuple(map(int, pair)) for pair in amounts[1:]]
    shape = tuple(size + a + b for size, (a, b) in zip(held.shape, around, strict=True))
    if prod(shape) >= 1 << 31 or max(shape) > LONGEST_AXIS:
        raise RefusedError(f"it makes the shape {shape} of {held.shape}, which is too large")
    image = len(held.shape) == 3 and not any(around[2])
    readers = builder.readers(node)
    waits = readers and all(
        reader.operator in ("CONV_2D", "DEPTHWISE_CONV_2D") and reader.inputs[0] == node.outputs[0]
        for reader in readers
    )
    if image and waits and code == 0 and node.outputs[0] not in builder.graph.outputs:
        (top, bottom), (left, right), _ = around
        before = held.padding
        padding = (
            before[0] + top, before[1] + left, before[2] + bottom, before[3] + right
        )  # fmt: skip
        builder.keep(node, replace(held, shape=shape, padding=padding))
        return
    name = builder.shaped(held)
    ours = builder.assembly.tensor(name).shape
    if len(held.shape) not in (1, 3):
        raise RefusedError(f"it pads the shape {held.shape}; a vector or (H, W, C) is wanted")
    axes = [
        padded_axis(size, *pair) if any(pair) else None
        for size, pair in zip(ours, around, strict=True)
    ]
    rows, columns, channels = (None, None, *axes) if len(axes) == 1 else axes
    layer = Take(
        name=builder.assembly.free_name(single_name(node)),
        input=name,
        rows=rows,
        columns=columns,
        channels=channels,
        code=code,
    )
    _moved(builder, node, replace(held, name=builder.assembly.add(layer, node.name)), shape)


def concatenate(builder: Builder, node: Node) -> None:
    """CONCATENATION along the channels."""
    result = builder.result(node)
    operands = [builder.read(node, index) for index in range(len(node.inputs))]
    for held in operands:
        same_quantization(held, result)
    rank = len(operands[0].shape) + 1
    axis = int(builder.attribute(node, "Axis"))
    if axis not in (-1, rank - 1):
        raise RefusedError(f"it joins along axis {axis} of {rank}; the last, channels, is wanted")
    if any(held.shape[:-1] != operands[0].shape[:-1] for held in operands):
        raise RefusedError(f"it joins the shapes {', '.join(str(h.shape) for h in operands)}")
    names = [builder.shaped(held) for held in operands]
    formats = [builder.assembly.tensor(name).format for name in names]
    wide = IntFormat.covering(
        min(fmt.lo for fmt in formats),
        max(fmt.hi for fmt in formats),
        any(fmt.signed for fmt in formats),
    )
    names = [_widened(builder, name, wide, result.scale) for name in names]
    layer = Concat(name=builder.assembly.free_name(single_name(node)), inputs=tuple(names))
    name = builder.assembly.add(layer, node.name)
    shape = (*operands[0].shape[:-1], sum(held.shape[-1] for held in operands))
    fmt = activation_format(builder, node, result)
    keep_codes(builder, node, name, result, fmt, shape)


def _widened(builder: Builder, name: str, wide: IntFormat, step: float) -> str:
    """The same codes in a format that others have as well."""
    tensor = builder.assembly.tensor(name)
    fmt = tensor.format
    if (fmt.bits, fmt.signed) == (wide.bits, wide.signed) and tensor.step == step:
        return name
    ones = np.ones(tensor.channels, np.int64)
    layer = Rescale(
        name=builder.assembly.free_name(f"{name}_wide"),
        input=name,
        mantissa=2 * ones,
        offset=0 * ones,
        shift=1,
        format=IntFormat(wide.bits, wide.signed, fmt.lo, fmt.hi),
        step=step,
    )
    return builder.assembly.add(layer)


def resize_nearest(builder: Builder, node: Node) -> None:
    """RESIZE_NEAREST_NEIGHBOR: the executors' own indices, in float32."""
    held = builder.read(node)
    sizes = builder.constant(node, 1).reshape(-1).tolist()
    if len(held.shape) != 3 or len(sizes) != 2 or not all(0 < size < 1 << 15 for size in sizes):
        raise RefusedError(f"it makes {sizes} of the shape {held.shape}; an image is wanted")
    align = bool(node.attributes.get("AlignCorners", False))
    half = bool(node.attributes.get("HalfPixelCenters", False))
    rows, columns = (
        _nearest(size, wanted, align, half)
        for size, wanted in zip(held.shape[:2], sizes, strict=True)
    )
    name = builder.image(held)
    height, width, channels = held.shape
    factor = (sizes[0] // height, sizes[1] // width)
    whole = all(
        np.array_equal(indices, np.repeat(axis_indices(size), times))
        for indices, size, times in zip((rows, columns), held.shape[:2], factor, strict=True)
    )
    own = builder.assembly.free_name(single_name(node))
    layer = (
        Upsample2d(name=own, input=name, factor=factor)
        if whole
        else Take(name=own, input=name, rows=rows, columns=columns)
    )
    name = builder.assembly.add(layer, node.name)
    _moved(builder, node, replace(held, name=name), (sizes[0], sizes[1], channels))


def _nearest(size: int, wanted: int, align: bool, half: bool) -> IntArray:
    """Which pixel of an axis each of the larger or smaller one is."""
    scale = np.float32(size) / np.float32(wanted)
    if align and wanted > 1:
        scale = np.float32(size - 1) / np.float32(wanted - 1)
    at = np.arange(wanted).astype(np.float32)
    at = (at + np.float32(0.5 if half else 0)) * scale
    index = np.floor(at + np.float32(0.5)) if align else np.floor(at)
    return np.clip(index.astype(np.int64), 0, size - 1)


def split(builder: Builder, node: Node) -> None:
    """SPLIT along the channels, or along height or width."""
    held = builder.read(node, 1)
    axis = _axis(builder, node, 0, held)
    parts = len(node.outputs)
    if held.shape[axis] % parts:
        raise RefusedError(f"{held.shape[axis]} do not split into {parts}")
    each = held.shape[axis] // parts
    name = builder.shaped(held)
    for index in range(parts):
        taken = axis_indices((index + 1) * each, index * each)
        shape = tuple(each if at == axis else size for at, size in enumerate(held.shape))
        _taken(builder, node, held, name, {axis: taken}, shape, index)


def _axis(builder: Builder, node: Node, index: int, held: Held) -> int:
    """A constant axis of the file, as one of a sample."""
    rank = len(held.shape) + 1
    axis = int(builder.constant(node, index).reshape(-1)[0])
    if not -rank <= axis < rank or axis % rank == 0:
        raise RefusedError(f"it works along axis {axis} of {rank}; one behind the batch is wanted")
    return axis % rank - 1


def _taken(
    builder: Builder, node: Node, held: Held, name: str, axes: Mapping[int, IntArray],
    shape: tuple[int, ...], index: int = 0,
) -> None:  # fmt: skip
    """Some indices of axes of a sample."""
    before = 3 - len(held.shape) if len(held.shape) > 1 else 2
    if len(held.shape) > 3:
        raise RefusedError(f"it cuts the shape {held.shape}; at most three axes are wanted")
    places = [axes.get(at - before) for at in range(3)]
    layer = Take(
        name=builder.assembly.free_name(node.outputs[index].split(";")[0]),
        input=name,
        rows=places[0],
        columns=places[1],
        channels=places[2],
    )
    _moved(builder, node, replace(held, name=builder.assembly.add(layer, node.name)), shape, index)


def strided_slice(builder: Builder, node: Node) -> None:
    """STRIDED_SLICE without new or dropped axes."""
    held = builder.read(node)
    rank = len(held.shape) + 1
    masks = {
        field: int(builder.attribute(node, field))
        for field in ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
    }
    if masks["EllipsisMask"] or masks["NewAxisMask"] or masks["ShrinkAxisMask"]:
        raise RefusedError("it adds or drops axes; a slice that keeps them is wanted")
    begins, ends, steps = (
        builder.constant(node, index).reshape(-1).tolist() for index in (1, 2, 3)
    )
    if not len(begins) == len(ends) == len(steps) == rank or 0 in steps:
        raise RefusedError(f"it gives {len(begins)} axes of {rank}; all, with steps, are wanted")
    axes: dict[int, IntArray] = {}
    shape = []
    for at, size in enumerate((1, *held.shape)):
        begin = None if masks["BeginMask"] >> at & 1 else begins[at]
        end = None if masks["EndMask"] >> at & 1 else ends[at]
        taken = axis_indices(size)[slice(begin, end, steps[at])]
        if at == 0 and len(taken) != 1:
            raise RefusedError("it cuts the batch away")
        if (at and len(taken) != size) or steps[at] != 1:
            axes[at - 1] = taken
        if at:
            shape.append(len(taken))
    _taken(builder, node, held, builder.shaped(held), axes, tuple(shape))


def cut(builder: Builder, node: Node) -> None:
    """SLICE: begin and size of each axis."""
    held = builder.read(node)
    begins, sizes = (builder.constant(node, index).reshape(-1).tolist() for index in (1, 2))
    rank = len(held.shape) + 1
    if len(begins) != rank or len(sizes) != rank or begins[0]:
        raise RefusedError(f"it gives {len(begins)} axes of {rank}; all are wanted")
    axes: dict[int, IntArray] = {}
    shape = []
    for at, (size, begin, count) in enumerate(zip(held.shape, begins[1:], sizes[1:], strict=True)):
        count = size - begin if count == -1 else count
        if not 0 <= begin < begin + count <= size:
            raise RefusedError(f"it takes {count} from {begin} on of an axis of {size}")
        if count != size:
            axes[at] = axis_indices(begin + count, begin)
        shape.append(count)
    _taken(builder, node, held, builder.shaped(held), axes, tuple(shape))


def transpose(builder: Builder, node: Node) -> None:
    """TRANSPOSE of the axes behind the batch."""
    held = builder.read(node)
    order = builder.constant(node, 1).reshape(-1).tolist()
    if sorted(order) != list(range(len(held.shape) + 1)) or order[0] != 0:
        raise RefusedError(f"its order is {order}; the axes, the batch first, are wanted")
    moved = [axis - 1 for axis in order[1:]]
    _permuted(builder, node, held, held.shape, moved, tuple(held.shape[axis] for axis in moved))


def _permuted(
    builder: Builder, node: Node, held: Held, split: tuple[int, ...], order: list[int],
    shape: tuple[int, ...],
) -> None:  # fmt: skip
    held = builder.laid(held, single_name(node))
    layer = Permute(
        name=builder.assembly.free_name(single_name(node)),
        input=held.name,
        split=split,
        order=tuple(order),
        shape=image_or_vector(shape),
    )
    _moved(builder, node, replace(held, name=builder.assembly.add(layer, node.name)), shape)


def depth_to_space(builder: Builder, node: Node) -> None:
    """DEPTH_TO_SPACE: blocks of channels become pixels."""
    held, block = builder.read(node), int(builder.attribute(node, "BlockSize"))
    height, width, channels = _blocks(held, block, block * block, 1)
    rest = channels // block // block
    split = (height, width, block, block, rest)
    shape = (height * block, width * block, rest)
    _permuted(builder, node, held, split, [0, 2, 1, 3, 4], shape)


def space_to_depth(builder: Builder, node: Node) -> None:
    """SPACE_TO_DEPTH: blocks of pixels become channels."""
    held, block = builder.read(node), int(builder.attribute(node, "BlockSize"))
    height, width, channels = _blocks(held, block, 1, block)
    split = (height // block, block, width // block, block, channels)
    shape = (height // block, width // block, channels * block * block)
    _permuted(builder, node, held, split, [0, 2, 1, 3, 4], shape)


def _blocks(held: Held, block: int, of_channels: int, of_pixels: int) -> tuple[int, int, int]:
    """Height, width and channels, which blocks must divide."""
    if len(held.shape) != 3 or block < 1 or held.shape[2] % of_channels or any(
        size % of_pixels for size in held.shape[:2]
    ):  # fmt: skip
        raise RefusedError(f"blocks of {block} do not divide the shape {held.shape}")
    height, width, channels = held.shape
    return height, width, channels


OPERATORS: Mapping[str, Callable[[Builder, Node], None]] = {
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "PAD": pad,
    "PADV2": pad,
    "CONCATENATION": concatenate,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "SPLIT": split,
    "STRIDED_SLICE": strided_slice,
    "SLICE": cut,
    "TRANSPOSE": transpose,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_DEPTH": space_to_depth,
}
