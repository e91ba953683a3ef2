"""Sliding windows over a tile of images (H, N, W, C): convolutions and pools."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw import exact_products
from vecq_hw.formats import IntArray
from vecq_hw.layers import Conv2d, MaxPool2d, SumPool2d
from vecq_hw.layers.windows import Sides, WindowAxis
from vecq_hw.simulate.engines import FEW_INPUTS, Array, FloatProduct, Product, product_for


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Where the windows of a convolution lie: (down, across) each."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]


def pad(
    x: Array,
    padding: Sides,
    kind: np.dtype[np.generic],
    fill: float = 0,
    samples_outermost: bool = False,
) -> Array:
    """The image in type ``kind`` with a frame of ``fill``; ``x`` itself where nothing changes.

    With ``samples_outermost`` a copy lies in memory sample by sample.

    ``x`` has the shape (H, N, W, C); the result is larger along H and W.
    """
    if not any(padding):
        return x.astype(kind, copy=False)
    top, left, bottom, right = padding
    height, count, width, channels = x.shape
    shape = (top + height + bottom, count, left + width + right, channels)
    padded = np.empty(shape, kind)
    if samples_outermost:
        padded = np.moveaxis(np.empty((count, shape[0], *shape[2:]), kind), 0, 1)
    padded[:top] = padded[top + height :] = fill
    middle = padded[top : top + height]
    middle[:, :, :left] = middle[:, :, left + width :] = fill
    middle[:, :, left : left + width] = x
    return padded


class Convolution:
    """Sums of products over the windows of a padded image, in one group of channels.

    Parameters
    ----------
    layer : Conv2d
        Its stride and dilation count.
    kernel : int array of shape (O, KH, KW, C)
    bound : int
        Of every partial sum.

    Notes
    -----
    The windows are laid out across only, KW * C inputs per position: KH times less than the usual
    matrix of columns.  The rows of the image that kernel row i reads are contiguous in it, so the
    result is the sum of KH products.  Where that does not pay, the kernel rows are laid side by
    side as usual; for kernels of few inputs in float, input by input, in runs of whole image rows.
    """

    def __init__(
        self,
        layer: Conv2d,
        kernel: IntArray,
        bound: int,
    ) -> None:
        self._outputs, height, width, _ = kernel.shape
        self._at = _Geometry((height, width), layer.stride, layer.dilation)
        rows = kernel.reshape(self._outputs, height, -1)
        whole = product_for(rows.reshape(self._outputs, -1), bound)
        self.operand, self._result = whole.operand, whole.result
        few = 1 < height * kernel.shape[2] and kernel[0].size <= FEW_INPUTS
        self._by_input = few and isinstance(whole, FloatProduct)
        split = height > 1 and rows.shape[-1] >= whole.least_part
        self._products = (
            [product_for(rows[:, i], bound) for i in range(height)] if split else [whole]
        )

    def __call__(self, padded: Array) -> Array:
        """Sums (OH, N, OW, O) from the padded image (H, N, W, C) in the operand's type."""
        at = self._at
        (down, across), (dilation, dilation_across) = at.stride, at.dilation
        height = _outputs(len(padded), at.kernel[0], down, dilation)
        width = _outputs(padded.shape[2], at.kernel[1], across, dilation_across)
        out = np.empty((height, padded.shape[1], width, self._outputs), self._result)
        flat = out.reshape(-1, self._outputs)
        if self._by_input:
            planes = np.ascontiguousarray(np.moveaxis(padded, -1, 0))
            windows = _windows(np.moveaxis(planes, 0, -1), at, height, width)
            columns = np.ascontiguousarray(windows.transpose(3, 4, 5, 0, 1, 2))
            self._products[0](columns.reshape(-1, len(flat)).T, flat)
            return out
        if len(self._products) == 1:
            columns = np.ascontiguousarray(_windows(padded, at, height, width))
            self._products[0](columns.reshape(len(flat), -1), flat)
            return out
        # Every row of the image once, as if the kernel were one row high.
        rows = np.ascontiguousarray(_windows(padded, at, len(padded), width, one_row=True))
        part = np.empty_like(out)
        for index, product in enumerate(self._products):
            begin = index * dilation
            read = rows[begin : begin + (height - 1) * down + 1 : down]
            _multiply(product, read.reshape(*read.shape[:3], -1), part if index else out)
            if index:
                np.add(out, part, out=out)
        return out


def _multiply(product: Product, rows: Array, out: Array) -> None:
    """One product of all positions, or one for each image row where those lie apart."""
    if rows.flags.c_contiguous:
        product(rows.reshape(-1, rows.shape[-1]), out.reshape(-1, out.shape[-1]))
        return
    for row, total in zip(rows, out, strict=True):
        product(row.reshape(-1, row.shape[-1]), total.reshape(-1, total.shape[-1]))


def _windows(x: Array, at: _Geometry, height: int, width: int, one_row: bool = False) -> Array:
    """(OH, N, OW, KH, KW, C): at each position the pixels that the kernel reads, as a view.

    With ``one_row`` the kernel is taken to be one row high, and to move down row by row.
    """
    (down, across), (dilation_down, dilation_across) = at.stride, at.dilation
    (high, wide) = at.kernel
    if one_row:
        high, down = 1, 1
    row, sample, pixel, channel = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (height, x.shape[1], width, high, wide, x.shape[-1]),
        (row * down, sample, pixel * across, row * dilation_down, pixel * dilation_across, channel),
        writeable=False,
    )


def depthwise(layer: Conv2d, x: Array, bound: int) -> Array:
    """A convolution whose groups read one channel each: a multiply-add for each kernel tap.

    ``x`` has the shape (H, N, W, C), as the result, whose H, W and C are those of the output.
    """
    outputs = layer.outputs
    kinds: dict[exact_products.Engine, npt.DTypeLike] = {
        exact_products.Engine.FLOAT32: np.float32,
        exact_products.Engine.FLOAT64: np.float64,
        exact_products.Engine.LIMBS: np.int64,
    }
    kind: np.dtype[Any] = np.dtype(kinds[exact_products.engine_for(bound)])
    taps = layer.weights.values.reshape(outputs, -1).T.astype(kind)
    padded = pad(x, layer.padding, kind, layer.pad_code)
    if outputs > layer.groups:
        padded = padded.repeat(outputs // layer.groups, axis=-1)
    views = list(_tap_views(padded, layer))
    total: Array = views[0] * taps[0]
    part = np.empty_like(total)
    for view, weights in zip(views[1:], taps[1:], strict=True):
        np.multiply(view, weights, out=part)
        np.add(total, part, out=total)
    return total


def max_pool(layer: MaxPool2d, x: Array) -> Array:
    """The largest of each window; padding never wins.

    ``x`` has the shape (H, N, W, C), as the result, whose H and W are those of the output.
    """
    if any(layer.padding):
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        x = pad(x, layer.padding, x.dtype, least)
    return _pool(layer, x, np.maximum)


def sum_pool(layer: SumPool2d, x: Array, kind: np.dtype[np.integer]) -> Array:
    """The sum of each window in type ``kind``; padding counts as zeros.

    ``x`` has the shape (H, N, W, C), as the result, whose H and W are those of the output.
    """
    return _pool(layer, pad(x, layer.padding, kind), np.add)


def _pool(layer: MaxPool2d | SumPool2d, x: Array, join: np.ufunc) -> Array:
    """Down first, where whole rows meet, then across."""
    (down, across), (high, wide) = layer.stride, layer.kernel
    dilated_down, dilated_across = layer.dilation
    height = _outputs(x.shape[0], high, down, dilated_down)
    width = _outputs(x.shape[2], wide, across, dilated_across)
    at = range(0, high * dilated_down, dilated_down)
    rows = _joined([x[i : i + (height - 1) * down + 1 : down] for i in at], join)
    at = range(0, wide * dilated_across, dilated_across)
    columns = [rows[:, :, j : j + (width - 1) * across + 1 : across] for j in at]
    return np.ascontiguousarray(_joined(columns, join))


def _outputs(size: int, kernel: int, stride: int, dilation: int) -> int:
    """How many windows fit along an axis that is padded already."""
    return WindowAxis(size, kernel, stride, 0, 0, dilation).count


def _joined(parts: list[Array], join: np.ufunc) -> Array:
    if len(parts) == 1:
        return parts[0]
    total: Array = join(parts[0], parts[1])
    for part in parts[2:]:
        join(total, part, out=total)
    return total


def _tap_views(x: Array, layer: Conv2d) -> Iterator[Array]:
    """For each kernel tap, row by row, the pixels (OH, N, OW, C) that it reads."""
    (down, across), (dilated_down, dilated_across) = layer.stride, layer.dilation
    (high, wide) = layer.kernel
    height = _outputs(x.shape[0], high, down, dilated_down)
    width = _outputs(x.shape[2], wide, across, dilated_across)
    for i in range(0, high * dilated_down, dilated_down):
        for j in range(0, wide * dilated_across, dilated_across):
            rows = x[i : i + (height - 1) * down + 1 : down]
            yield rows[:, :, j : j + (width - 1) * across + 1 : across]
