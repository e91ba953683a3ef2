"""Layers that move integers, join tensors or choose among channels, by operators of ONNX.

An image is (N, C, H, W) in the graph; orders that are defined channels-last are so for the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecq_hw.emit.onnx.writer import (
    INT32,
    INT64,
    Writer,
)
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Constant,
    GatherSum,
    Multiply,
    Permute,
    Subtract,
    Take,
    Tensor,
    TopK,
    Upsample2d,
)


def channels_last(w: Writer, x: str, tensor: Tensor) -> str:
    """(N, C, H, W) to (N, H, W, C)."""
    return w("Transpose", x, perm=[0, 2, 3, 1]) if tensor.is_image else x


def channels_first(w: Writer, x: str, tensor: Tensor) -> str:
    """(N, H, W, C) to (N, C, H, W)."""
    return w("Transpose", x, perm=[0, 3, 1, 2]) if tensor.is_image else x


def flatten(w: Writer, x: str, source: Tensor) -> str:
    """Channels last, one row a sample."""
    return w("Flatten", channels_last(w, x, source), axis=1) if source.is_image else x


def permute(w: Writer, x: str, layer: Permute, source: Tensor) -> str:
    """Reshape, Transpose, Reshape."""
    target = layer.output(source)
    x = channels_last(w, x, source)
    x = w("Reshape", x, np.array([0, *layer.split]))
    x = w("Transpose", x, perm=[0, *(axis + 1 for axis in layer.order)])
    return channels_first(w, w("Reshape", x, np.array([0, *layer.shape])), target)


def take(w: Writer, x: str, layer: Take, source: Tensor) -> str:
    """A Gather along each axis that has indices; -1 is one place more, which holds the code."""
    target = layer.output(source)
    x = w.cast(x, w.carrier(target.format))
    given = layer.indices(source.shape)
    axes = (2, 3, 1) if source.is_image else (1,)
    for axis, taken, size in zip(axes, given, source.shape, strict=True):
        if np.array_equal(taken, np.arange(size)):
            continue
        if taken.min() < 0:
            pads = np.zeros(2 * (len(axes) + 1), np.int64)
            pads[len(pads) // 2 + axis] = 1
            x = w("Pad", x, pads, np.array(layer.code, w.types[x]), mode="constant")
        places = np.where(taken < 0, size, taken).astype(np.int64)
        x = w("Gather", x, places, axis=axis)
    return x


def upsample(w: Writer, x: str, layer: Upsample2d, source: Tensor) -> str:
    """Resize to the nearest; a Gather along both axes of int64, which Resize does not take."""
    if w.types[x] != INT64:
        scales = np.array([1, 1, *layer.factor], np.float32)
        nearest: dict[str, Any] = {
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        return w("Resize", x, "", scales, mode="nearest", **nearest)
    for axis, size, factor in zip((2, 3), source.shape, layer.factor, strict=False):
        x = w("Gather", x, np.repeat(np.arange(size), factor), axis=axis)
    return x


def join(
    w: Writer, names: Sequence[str], layer: Add | Subtract | Multiply, sources: Sequence[Tensor]
) -> str:
    """Sums, differences and products in integers that hold them."""
    fmt = layer.output(*sources).format
    reach = [source.format.magnitude for source in sources]
    bound = max(fmt.magnitude, *reach) if isinstance(layer, Multiply) else sum(reach)
    kind = w.integer(bound)
    parts = [w.cast(name, kind) for name in names]
    if isinstance(layer, Multiply) and sources[0].is_image and not sources[1].is_image:
        parts[1] = w("Unsqueeze", parts[1], np.array([2, 3]))
    operator = {Add: "Add", Subtract: "Sub", Multiply: "Mul"}[type(layer)]
    total = parts[0]
    for part in parts[1:]:
        total = w(operator, total, part)
    return w.cast(total, w.carrier(fmt))


def concat(
    w: Writer, names: Sequence[str], layer: Concat, sources: Sequence[Tensor], constants: set[str]
) -> str:
    """Along the channels; a constant among the parts is repeated for each sample first."""
    kind = w.carrier(layer.output(*sources).format)
    parts = [w.cast(name, kind) for name in names]
    alone = [name in constants for name in names]
    if any(alone):
        first = parts[alone.index(False)]
        count = w("Slice", w("Shape", first, kind=INT64), np.array([0]), np.array([1]))
        for place, (part, constant) in enumerate(zip(parts, alone, strict=True)):
            if constant:
                sizes = np.array([*sources[place].shape[-1:], *sources[place].shape[:-1]])
                parts[place] = w("Expand", part, w("Concat", count, sizes, axis=0))
    return w("Concat", *parts, axis=1)


def constant(w: Writer, layer: Constant) -> str:
    """An initializer of one sample, which the joins repeat."""
    values = layer.values.astype(w.carrier(layer.format))
    return w.constant(np.moveaxis(values, -1, 0)[np.newaxis], "values")


def choice(w: Writer, x: str, layer: ArgMax | TopK, source: Tensor) -> str:
    """ArgMax or TopK along the channels; of equal codes both take the lowest index."""
    kind = w.carrier(layer.output(source).format)
    if isinstance(layer, ArgMax) and w.types[x] != INT64:
        found = w("ArgMax", x, kind=INT64, axis=1, keepdims=1, select_last_index=0)
        return w.cast(found, kind)
    count = layer.count if isinstance(layer, TopK) else 1
    wide = x if w.types[x] in (INT32, INT64) else w.cast(x, INT32)
    return w.cast(w("TopK", wide, np.array([count]), kind=INT64, skipped=1, axis=1), kind)


def gather_sum(w: Writer, x: str, layer: GatherSum, source: Tensor) -> str:
    """Running sums along all lists, and their differences at the ends of each list.

    One position of zeros more stands before the first list, so that an empty one has a sum.
    """
    kind = w.integer(all_sums(layer, source))
    x = w("Reshape", w.cast(x, kind), np.array([0, source.channels, source.positions]))
    x = w("Pad", x, np.array([0, 0, 0, 0, 0, 1]), np.array(0, kind), mode="constant")
    x = w("Gather", x, np.concatenate([[source.positions], layer.indices]), axis=2)
    if layer.shifts is not None:
        powers = np.left_shift(np.int64(1), np.concatenate([[0], layer.edge_shifts]))
        x = w("Mul", x, powers.astype(kind))
    x = w("CumSum", x, np.array(2))
    ends, starts = (w("Gather", x, ends, axis=2) for ends in (layer.indptr[1:], layer.indptr[:-1]))
    found = w("Unsqueeze", w("Sub", ends, starts), np.array([2]))
    return w.cast(found, w.carrier(layer.output(source).format))


def all_sums(layer: GatherSum, source: Tensor) -> int:
    """No running sum is larger in magnitude; a Python integer."""
    powers = np.left_shift(np.ones(layer.indices.size, object), layer.edge_shifts)
    return int(powers.sum()) * source.format.magnitude


def gather_sum_reason(layer: GatherSum, source: Tensor) -> str | None:
    """Why its running sums cannot be computed exactly, or None."""
    if all_sums(layer, source) < 1 << 63:
        return None
    return "GatherSum, all of whose sums together do not fit 63 bits"
