"""Exact products of integers by operators of ONNX: the form is chosen from proven bounds.

``ConvInteger`` and ``MatMulInteger`` of unsigned by signed bytes add pairs of products in 16 bits
on x86 processors without VNNI, and saturate; so both operands are always of one signedness here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, assert_never

import numpy as np

from vecq_hw.emit.onnx.writer import (
    EXACT_FLOAT32,
    EXACT_FLOAT64,
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
    Writer,
    padded,
)
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Conv2d, Dense, SumPool2d, Tensor, window_grid
from vecq_hw.layers.windows import Windowed

LARGEST_INT32 = (1 << 31) - 1


class Form(Enum):
    """How a product of integers is computed exactly."""

    BYTES = auto()
    """MatMulInteger or ConvInteger: bytes of one signedness, sums in 32 bits."""
    FLOAT = auto()
    """MatMul or Conv in float32: every partial sum is an integer of at most 2^24."""
    TWO_BYTES = auto()
    """Twice the first, of weights that are ``128 * high + low``."""
    DOUBLE = auto()
    """MatMul in float64, for each kernel cell: every partial sum is at most 2^53."""
    INT64 = auto()
    """MatMul in int64, for each kernel cell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product:
    """What Dense, Conv2d, SumPool2d and a recurrent layer's state have in common.

    Attributes
    ----------
    values : int array of shape (O, C) or (O, KH, KW, C of a group)
    reads : IntFormat
        Of what is multiplied, padding included.
    shape : tuple of int
        Of the tensor that is read: (C,) or (H, W, C).
    groups : int
    window : Conv2d or SumPool2d, or None for a vector
    pad_code : int
    """

    values: IntArray
    reads: IntFormat
    shape: tuple[int, ...]
    groups: int = 1
    window: Conv2d | SumPool2d | None = None
    pad_code: int = 0

    @classmethod
    def of(cls, layer: Dense | Conv2d, source: Tensor) -> Product:
        """The product of a layer with weights."""
        values, reads = layer.weights.values.astype(np.int64), layer.reads(source.format)
        if isinstance(layer, Dense):
            return cls(values=values, reads=reads, shape=source.shape)
        return cls(
            values=values,
            reads=reads,
            shape=source.shape,
            groups=layer.groups,
            window=layer,
            pad_code=layer.pad_code,
        )

    @classmethod
    def of_sums(cls, layer: SumPool2d, source: Tensor) -> Product:
        """Sums of windows: a depthwise convolution with ones."""
        fmt = source.format
        if any(layer.padding):
            fmt = IntFormat(fmt.bits, fmt.signed, min(fmt.lo, 0), max(fmt.hi, 0))
        ones = np.ones((source.channels, *layer.kernel, 1), np.int64)
        return cls(values=ones, reads=fmt, shape=source.shape, groups=source.channels, window=layer)

    @property
    def bound(self) -> int:
        """No partial sum is larger in magnitude."""
        return _largest_sum(self.values) * self.reads.magnitude

    @property
    def form(self) -> Form:
        """The first that is proven exact."""
        fits = _are_bytes(self.reads) and self.bound <= LARGEST_INT32
        if fits and _are_signed_bytes(self.values):
            return Form.BYTES
        if self.bound <= EXACT_FLOAT32:
            return Form.FLOAT
        high, _ = _halves(self.values)
        if fits and _are_signed_bytes(high):
            if 128 * _largest_sum(high) * self.reads.magnitude <= LARGEST_INT32:
                return Form.TWO_BYTES
        return Form.DOUBLE if self.bound <= EXACT_FLOAT64 else Form.INT64


def _largest_sum(values: IntArray) -> int:
    """The largest sum of the magnitudes of an output's weights; a Python integer."""
    return int(np.abs(values.reshape(len(values), -1)).sum(axis=1).max())


def _halves(values: IntArray) -> tuple[IntArray, IntArray]:
    """High and low part of ``128 * high + low``, low in -64..63."""
    high = (values + 64) >> 7
    return high, values - 128 * high


def _are_signed_bytes(values: IntArray) -> bool:
    return bool(values.min() >= -128 and values.max() <= 127)


def _are_bytes(fmt: IntFormat) -> bool:
    """Whether a byte holds every integer of a range, moved by what :func:`_offset` says."""
    return max(fmt.hi, 0) - min(fmt.lo, 0) <= 255


def _offset(fmt: IntFormat) -> int:
    """What makes unsigned bytes of signed integers that a signed byte does not hold."""
    return 0 if fmt.lo >= 0 or (fmt.lo >= -128 and fmt.hi <= 127) else -fmt.lo


def product(w: Writer, x: str, given: Product) -> str:
    """The sums of ``x``, channels in front: int32, or int64 where they need it."""
    match given.form:
        case Form.BYTES:
            return _in_bytes(w, x, given, given.values)
        case Form.TWO_BYTES:
            high, low = (_in_bytes(w, x, given, part) for part in _halves(given.values))
            return w("Add", w("Mul", high, np.array(128, np.int32)), low)
        case Form.FLOAT:
            return w.cast(_in_floats(w, x, given), INT32)
        case Form.DOUBLE:
            return w.cast(_by_cells(w, w.cast(x, FLOAT64), given), INT64)
        case Form.INT64:
            return _by_cells(w, w.cast(x, INT64), given)
        case form:
            assert_never(form)


def _in_bytes(w: Writer, x: str, given: Product, values: IntArray) -> str:
    offset = _offset(given.reads)
    if offset:
        x = w("Add", w.cast(x, INT32), np.array(offset, np.int32))
    signed = given.reads.lo < 0 and not offset
    x = w.cast(x, np.dtype(np.int8 if signed else np.uint8))
    # (x - x_zero) * (v - v_zero), both bytes of one kind.
    zero = 0 if signed else 128
    bytes_of = (values + zero).astype(np.int8 if signed else np.uint8)
    zeros = np.array(offset, w.types[x]), np.array(zero, w.types[x])
    window = given.window
    if window is None:
        weights = w.constant(np.ascontiguousarray(bytes_of.T), "weights")
        return w("MatMulInteger", x, weights, *zeros, kind=INT32)
    x, pads = _around(w, x, given, offset)
    weights = w.constant(np.moveaxis(bytes_of, 3, 1), "weights")
    return w("ConvInteger", x, weights, *zeros, kind=INT32, **conv_attributes(given, pads))


def _in_floats(w: Writer, x: str, given: Product) -> str:
    x, values = w.cast(x, FLOAT32), given.values.astype(np.float32)
    if given.window is None:
        return w("MatMul", x, w.constant(np.ascontiguousarray(values.T), "weights"))
    x, pads = _around(w, x, given, 0)
    weights = w.constant(np.moveaxis(values, 3, 1), "weights")
    return w("Conv", x, weights, **conv_attributes(given, pads))


def _around(w: Writer, x: str, given: Product, offset: int) -> tuple[str, Sequence[int]]:
    """The image, and the padding with 0 that is left to the convolution."""
    sides = given.window.padding if given.window is not None else (0, 0, 0, 0)
    code = given.pad_code + offset
    return (padded(w, x, sides, code), (0, 0, 0, 0)) if code else (x, sides)


def conv_attributes(given: Product, pads: Sequence[int]) -> dict[str, Any]:
    """The attributes of Conv and ConvInteger."""
    window = given.window
    assert window is not None
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "dilations": list(window.dilation),
        "pads": list(pads),
        "group": given.groups,
    }


def _by_cells(w: Writer, x: str, given: Product) -> str:
    """A matrix product for each cell of the window, in the type of ``x``, which Conv has not."""
    kind, window = w.types[x], given.window
    values = given.values.astype(kind)
    if window is None:
        return w("MatMul", x, w.constant(np.ascontiguousarray(values.T), "weights"))
    groups, taken, total = given.groups, values.shape[-1], ""
    for (row, column), cell in cells(w, x, window, given.shape, given.pad_code):
        matrix = w.constant(values[:, row, column].reshape(groups, -1, taken), "weights")
        split = w("Reshape", cell, np.array([0, groups, taken, -1]))
        part = w("MatMul", matrix, split)
        total = w("Add", total, part) if total else part
    return w("Reshape", total, np.array([0, len(values), *window_grid(given.shape, window)]))


def cells(
    w: Writer, x: str, window: Windowed, shape: tuple[int, ...], code: int
) -> Iterator[tuple[tuple[int, int], str]]:
    """For each cell of a window its place, and the image (N, C, OH, OW) of what it covers."""
    x = padded(w, x, window.padding, code)
    counts = np.array(window_grid(shape, window))
    for place in np.ndindex(*window.kernel):
        first = np.array(place) * window.dilation
        last = first + (counts - 1) * window.stride
        axes = np.array([2, 3])
        yield place, w("Slice", x, first, last + 1, axes, np.array(window.stride))
