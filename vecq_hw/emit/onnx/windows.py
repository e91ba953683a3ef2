"""Layers with weights and pools by operators of ONNX."""

from __future__ import annotations

import numpy as np

from vecq_hw.emit.onnx.products import Product, cells, product
from vecq_hw.emit.onnx.writer import (
    BYTES,
    EXACT_FLOAT64,
    FLOAT64,
    Writer,
    by_channel,
    carrier,
    integer,
    wrapped,
)
from vecq_hw.layers import Conv2d, Dense, MaxPool2d, SumPool2d, Tensor


def sums(w: Writer, x: str, layer: Dense | Conv2d, source: Tensor) -> str:
    """Products, bias, and the wrap of a narrow accumulator."""
    given = Product.of(layer, source)
    total = product(w, x, given)
    if layer.bias is not None:
        kind = integer(given.bound + max(int(np.abs(layer.bias.astype(object)).max()), 1))
        bias = by_channel(layer.bias.astype(kind), source.is_image)
        total = w("Add", w.cast(total, kind), bias)
    fmt = layer.accumulator_format(source.format)
    if layer.accumulator_bits == fmt.bits and not fmt.contains(
        *layer.accumulator_range(source.format)
    ):
        total = wrapped(w, total, fmt.bits)
    return w.cast(total, carrier(fmt))


def sum_pool(w: Writer, x: str, layer: SumPool2d, source: Tensor) -> str:
    """A depthwise convolution with ones."""
    total = product(w, x, Product.of_sums(layer, source))
    return w.cast(total, carrier(layer.output(source).format))


def max_pool(w: Writer, x: str, layer: MaxPool2d, source: Tensor) -> str:
    """MaxPool of bytes or float64; Max over the cells of what it does not take."""
    fmt, kind = source.format, w.carrier(source.format)
    sides = [(p, k) for p, k in zip(layer.padding, layer.kernel * 2, strict=True)]
    taken = fmt.magnitude <= EXACT_FLOAT64 and all(p < k for p, k in sides)
    if not taken:
        wide = w.cast(x, w.integer(fmt.magnitude))
        found = ""
        for _, cell in cells(w, wide, layer, source.shape, fmt.lo):
            found = w("Max", found, cell) if found else cell
        return w.cast(found, kind)
    x = x if kind in BYTES or w.floats else w.cast(x, FLOAT64)
    found = w(
        "MaxPool",
        x,
        kernel_shape=list(layer.kernel),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        pads=list(layer.padding),
    )
    return w.cast(found, kind)
