"""One function a layer: what it computes on a tile of samples.

Images lie as (H, N, W, C), rows of the image outermost: the rows that one row of a kernel reads are
then one contiguous matrix for the whole tile.  Vectors lie as (N, C).  Between layers integers are
held in whatever type holds them exactly: accumulators as the product made them, codes in the type
of their format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

import numpy as np

from vecq_hw import arithmetic, exact_products
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
)
from vecq_hw.network import Network
from vecq_hw.simulate.bytes import byte_product, check_bytes
from vecq_hw.simulate.convolution import (
    Convolution,
    depthwise,
    max_pool,
    pad,
    sum_pool,
)
from vecq_hw.simulate.engines import Array, EngineName, product_for
from vecq_hw.simulate.lines import float32_rescale
from vecq_hw.simulate.sequences import embedding, recurrent

FEW_WEIGHTS = 1 << 12
"""Up to here a Dense is done in floats before the engine int8 has begun."""

Kernel = Callable[[Sequence[Array]], Array]
"""The tensors that the layer reads to the one that it makes."""


def kernel_for(
    layer: Layer, network: Network, engine: EngineName = "float", stored: bool = False
) -> Kernel:
    """The computation of ``layer``, weights prepared; accumulators before any wrapping.

    With ``stored``, tensors may hold whatever their bits hold, beyond their proven range.
    """
    result = network.tensors[layer.name].format
    source = network.tensors[layer.inputs[0]].format if layer.inputs else result
    if stored:
        source = IntFormat(source.bits, source.signed)
    match layer:
        case Dense() | Conv2d():
            on_bytes = engine == "int8" and _in_bytes(layer, source)
            return on_bytes or _in_floats(layer, source)
        case Rescale():
            return _rescale(layer, source, network.tensors[layer.name])
        case Threshold():
            return lambda tensors: arithmetic.count_thresholds(
                tensors[0].astype(np.int64), layer.thresholds, layer.falling, layer.format.lo
            ).astype(layer.format.dtype)
        case Lookup():
            return _lookup(layer, network.tensors[layer.input].format)
        case MaxPool2d():
            return lambda tensors: max_pool(layer, tensors[0])
        case SumPool2d():
            return lambda tensors: sum_pool(layer, tensors[0], _wide(result))
        case Flatten():
            return _flatten
        case Upsample2d():
            down, across = layer.factor
            return lambda tensors: tensors[0].repeat(down, axis=0).repeat(across, axis=2)
        case GatherSum():
            return lambda tensors: _gather_sum(layer, tensors[0], _wide(result))
        case Take():
            return _take(layer, network.tensors[layer.input])
        case Permute():
            return lambda tensors: _permute(layer, tensors[0])
        case Add():
            return lambda tensors: _add(tensors, _wide(result))
        case Subtract():
            kind = _wide(result)
            return lambda tensors: np.subtract(tensors[0], tensors[1], dtype=kind, casting="unsafe")
        case Multiply():
            return _multiply(network.tensors[layer.inputs[1]].is_image, _wide(result))
        case Constant():
            values = layer.values.astype(result.dtype)
            one = values[:, np.newaxis] if values.ndim == 3 else values[np.newaxis]
            return lambda tensors: one  # whoever runs it knows how many samples there are
        case Concat():
            return lambda tensors: np.concatenate(tensors, axis=-1)
        case ArgMax():  # NumPy's is the first of several, too
            return lambda tensors: tensors[0].argmax(axis=-1, keepdims=True).astype(result.dtype)
        case Embedding():
            rows = embedding(layer, source)
            return lambda tensors: rows(tensors[0])
        case Lstm() | Gru():
            states = recurrent(layer)
            return lambda tensors: states(tensors[0])
        case TopK():
            return lambda tensors: _largest(tensors[0], layer.count).astype(result.dtype)
        case _:
            assert_never(layer)


def fused_kernel(layer: MacLayer, rescale: Rescale, network: Network) -> Kernel | None:
    """Both in one go, from what ``layer`` reads; None where the engine int8 cannot."""
    return _in_bytes(layer, network.tensors[layer.input].format, rescale)


def bound_of(layer: MacLayer, source: IntFormat) -> int:
    """An upper bound of every partial sum of a Dense or Conv2d, bias included."""
    magnitude = layer.reads(source).magnitude
    flat = layer.weights.values.reshape(layer.outputs, -1)
    bias = 0 if layer.bias is None else max(map(abs, layer.bias.tolist()))
    return exact_products.product_bound(flat, magnitude) + bias


def _wide(fmt: IntFormat) -> np.dtype[np.integer]:
    """The type for sums, which may wrap at the format's bits later: signed and never narrower."""
    return np.dtype(np.int16 if fmt.bits < 15 else np.int32 if fmt.bits < 31 else np.int64)


def _rescale(layer: Rescale, source: IntFormat, tensor: Tensor) -> Kernel:
    mantissa, offset, shift = layer.mantissa, layer.offset, layer.shift
    if layer.rows is not None:  # lines of floats are the same at all positions
        grid = (tensor.shape[0], 1, *tensor.shape[1:]) if tensor.is_image else (1, *tensor.shape)
        mantissa, offset = (line[layer.rows].reshape(grid) for line in (mantissa, offset))
        return _exact_rescale(layer, mantissa, offset)
    # For a vector the rescale is a small part of the work, and to search for a line costs more.
    fast = float32_rescale(layer, source) if tensor.is_image else None
    if fast is None and arithmetic.FloatRescale.is_exact(source.magnitude, mantissa, offset, shift):
        fast = arithmetic.FloatRescale.in_double(mantissa, offset, shift, layer.format)
    if fast is not None:
        line = fast
        return lambda tensors: line(tensors[0])
    return _exact_rescale(layer, mantissa, offset)


def _exact_rescale(layer: Rescale, mantissa: IntArray, offset: IntArray) -> Kernel:
    return lambda tensors: arithmetic.rescale(
        tensors[0].astype(np.int64), mantissa, offset, layer.shift, layer.format
    ).astype(layer.format.dtype)


def _lookup(layer: Lookup, source: IntFormat) -> Kernel:
    tables = layer.by_pattern(source).astype(layer.format.dtype)
    count, patterns = tables.shape
    starts = np.arange(count) * patterns
    flat = tables.ravel()

    def run(tensors: Sequence[Array]) -> Array:
        index = tensors[0].astype(np.int64)
        index &= patterns - 1
        if count > 1:
            index += starts
        return flat.take(index)

    return run


def _largest(x: Array, count: int) -> Array:
    # Of the channels turned round, a stable sort puts equal codes in the order that is wanted.
    channels = x.shape[-1]
    order = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    result: Array = (channels - 1) - order[..., :count]
    return result


def _gather_sum(layer: GatherSum, x: Array, kind: np.dtype[np.integer]) -> Array:
    height, samples, width, channels = x.shape
    positions = np.moveaxis(x, 0, 1).reshape(samples, height * width, channels)
    shifts = layer.edge_shifts.astype(kind)[:, np.newaxis] if layer.shifts is not None else None
    result = np.empty((1, samples, layer.rows, channels), kind)
    for sample, nodes in enumerate(positions):  # the terms of many samples would fill the memory
        terms = nodes[layer.indices].astype(kind)
        result[0, sample] = layer.summed(terms if shifts is None else terms << shifts)
    return result


def _flatten(tensors: Sequence[Array]) -> Array:
    x = tensors[0]
    return np.moveaxis(x, 0, 1).reshape(x.shape[1], -1) if x.ndim == 4 else x


def _take(layer: Take, source: Tensor) -> Kernel:
    axes = [0, 2, 3] if source.is_image else [1]
    whole = layer.rows, layer.columns, layer.channels
    taken = [
        (axis, indices)
        for axis, indices in zip(axes, whole[-len(axes) :], strict=True)
        if indices is not None
    ]

    def run(tensors: Sequence[Array]) -> Array:
        x = tensors[0]
        for axis, indices in taken:
            x = x.take(indices, axis=axis)  # a copy; -1 takes the last, which the code replaces
        for axis, indices in taken:
            x[(slice(None),) * axis + (indices < 0,)] = layer.code
        return x

    return run


def _permute(layer: Permute, x: Array) -> Array:
    samples = np.moveaxis(x, 0, 1) if x.ndim == 4 else x
    order = (0, *(axis + 1 for axis in layer.order))
    parts = samples.reshape(len(samples), *layer.split).transpose(order)
    result = parts.reshape(len(samples), *layer.shape)
    return np.ascontiguousarray(np.moveaxis(result, 1, 0) if result.ndim == 4 else result)


def _add(tensors: Sequence[Array], kind: np.dtype[np.integer]) -> Array:
    total = np.add(tensors[0], tensors[-1], dtype=kind, casting="unsafe")
    if len(tensors) == 1:
        return tensors[0].astype(kind)
    for tensor in tensors[1:-1]:
        np.add(total, tensor, out=total, casting="unsafe")
    return total


def _multiply(by_pixel: bool, kind: np.dtype[np.integer]) -> Kernel:
    """Images by images or by vectors with one value for each channel; or vectors by vectors."""

    def run(tensors: Sequence[Array]) -> Array:
        left, right = tensors
        if left.ndim == 4 and not by_pixel:
            right = right[np.newaxis, :, np.newaxis]
        product: Array = np.multiply(left, right, dtype=kind, casting="unsafe")
        return product

    return run


def _in_bytes(layer: MacLayer, source: IntFormat, rescale: Rescale | None = None) -> Kernel | None:
    check_bytes(f"layer '{layer.name}'", layer.weights.values, source)
    match layer:
        case Dense():
            if layer.weight_count <= FEW_WEIGHTS:
                return None
        case Conv2d():
            pass
        case _:
            assert_never(layer)
    product = byte_product(layer, source, rescale)
    return None if product is None else lambda tensors: product(tensors[0])


def _in_floats(layer: MacLayer, source: IntFormat) -> Kernel:
    bound = bound_of(layer, source)
    match layer:
        case Dense():
            return _with_bias(layer, _dense(layer, bound))
        case Conv2d():
            return _with_bias(layer, _convolution(layer, bound))
        case _:
            assert_never(layer)


def _dense(layer: Dense, bound: int) -> Kernel:
    product = product_for(layer.weights.values, bound)

    def run(tensors: Sequence[Array]) -> Array:
        rows = np.ascontiguousarray(tensors[0], product.operand)
        out = np.empty((len(rows), layer.outputs), product.result)
        product(rows, out)
        return out

    return run


def _convolution(layer: Conv2d, bound: int) -> Kernel:
    values = layer.weights.values
    if layer.groups > 1 and values.shape[-1] == 1:
        return lambda tensors: depthwise(layer, tensors[0], bound)
    kernels = values.reshape(layer.groups, -1, *values.shape[1:])
    channels = values.shape[-1]
    parts = [Convolution(layer, kernel, bound) for kernel in kernels]

    def run(tensors: Sequence[Array]) -> Array:
        padded = pad(tensors[0], layer.padding, parts[0].operand, layer.pad_code)
        if len(parts) == 1:
            return parts[0](padded)
        slices = [padded[..., i * channels : (i + 1) * channels] for i in range(len(parts))]
        sums = [part(piece) for part, piece in zip(parts, slices, strict=True)]
        return np.concatenate(sums, axis=-1)

    return run


def _with_bias(layer: MacLayer, kernel: Kernel) -> Kernel:
    bias = layer.bias
    if bias is None:
        return kernel

    def run(tensors: Sequence[Array]) -> Array:
        total = kernel(tensors)
        # Exact in any of the types: the bound that chose it includes the bias.
        total += bias.astype(total.dtype)
        return total

    return run
