"""The integer rules, each stated once: rounding, saturation, wrapping, exact products.

These functions are the numeric contract.  Training calls :func:`quantize`, the simulator calls all
of them, and every generated target is tested against them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray, IntFormat

ArrayT = TypeVar("ArrayT", bound=Any)


def quantize(
    x: ArrayT, step: Any, fmt: IntFormat, floor: Callable[[ArrayT], ArrayT] = np.floor
) -> ArrayT:
    """``clamp(floor(x / step + 1/2), lo, hi)``: rule 1, rounding half up.

    Works on NumPy arrays and, with ``floor=torch.floor``, on torch tensors; the result keeps the
    floating type of ``x``.

    Examples
    --------
    >>> quantize(np.array([-0.5, 0.5, 1.5, 9.0]), 1.0, IntFormat(3, signed=True))
    array([0., 1., 2., 3.])
    """
    codes: ArrayT = floor(x / step + 0.5).clip(fmt.lo, fmt.hi)
    return codes


def saturate(x: IntArray, fmt: IntFormat) -> IntArray:
    """Clamp to the range of the format."""
    return np.clip(x, fmt.lo, fmt.hi)


def wrap(x: IntArray, bits: int) -> npt.NDArray[np.int64]:
    """The low ``bits`` bits of ``x``, read as two's complement.

    Examples
    --------
    >>> wrap(np.array([7, 8, -9]), 4)
    array([ 7, -8,  7])
    """
    spare = 64 - bits
    return (x.astype(np.int64) << spare) >> spare


def rescale(
    accumulator: IntArray, mantissa: IntArray, offset: IntArray, shift: int, fmt: IntFormat
) -> npt.NDArray[np.int64]:
    """``clamp((acc * m + b + 2^(s-1)) >> s, lo, hi)``: rule 4, rounding half up.

    Parameters
    ----------
    accumulator : int array of shape (..., C)
    mantissa, offset : int arrays of shape (C,)
    shift : int, 1..62

    Examples
    --------
    >>> one = np.array([1])
    >>> rescale(np.array([[-6], [2]]), one, 0 * one, 2, IntFormat(8, signed=True)).ravel()
    array([-1,  1])
    """
    total = accumulator.astype(np.int64) * mantissa
    total += offset + (1 << (shift - 1))
    total >>= shift
    return np.clip(total, fmt.lo, fmt.hi, out=total)


class Engine(Enum):
    """How a product of integers is computed exactly."""

    FLOAT32 = "float32 BLAS"
    FLOAT64 = "float64 BLAS"
    LIMBS = "float64 BLAS on 16-bit limbs"


def engine_for(bound: int) -> Engine:
    """The fastest exact engine when no partial sum exceeds ``bound`` in magnitude.

    A float holds every integer up to two to the power of its significand width, so a product whose
    partial sums stay there is exact in whatever order BLAS adds.
    """
    if bound <= 1 << 24:
        return Engine.FLOAT32
    return Engine.FLOAT64 if bound <= 1 << 53 else Engine.LIMBS


def product_bound(weights: IntArray, magnitude: int) -> int:
    """An upper bound of every partial sum of ``x @ weights.T`` where ``|x| <= magnitude``.

    ``weights`` has the shape (O, inputs).
    """
    return int(np.abs(weights.astype(np.int64)).sum(axis=1).max()) * magnitude


def exact_matmul(x: npt.NDArray[Any], weights: IntArray, bound: int) -> npt.NDArray[np.int64]:
    """``x @ weights.T`` without rounding.

    NumPy's own integer product is a plain loop, some thirty times slower than BLAS
    (benchmarks/exact_matmul.py).

    Parameters
    ----------
    x : integer array of shape (rows, inputs), or integers already held as floats
    weights : int array of shape (O, inputs)
    bound : int
        From :func:`product_bound`.
    """
    engine = engine_for(bound)
    if engine is not Engine.LIMBS:
        kind = np.float32 if engine is Engine.FLOAT32 else np.float64
        product = x.astype(kind, copy=False) @ weights.T.astype(kind)
        return np.asarray(product, dtype=np.int64)
    # Limbs of 16 bits keep a 17-bit weight times a limb under 2^53 for up to 2^20 inputs.
    total = np.zeros((len(x), len(weights)), np.int64)
    rest = x.astype(np.int64)
    right = weights.T.astype(np.float64)
    position = 0
    while np.any(rest):
        limb = ((rest + 0x8000) & 0xFFFF) - 0x8000
        total += (limb.astype(np.float64) @ right).astype(np.int64) << position
        rest = (rest - limb) >> 16
        position += 16
    return total


def grouped_matmul(
    x: npt.NDArray[Any], weights: IntArray, bound: int, groups: int
) -> npt.NDArray[np.int64]:
    """:func:`exact_matmul` where each group of outputs reads its own group of inputs.

    Parameters
    ----------
    x : array of shape (rows, taps, groups * channels)
    weights : int array of shape (O, taps, channels), O a multiple of ``groups``
    bound : int
        From :func:`product_bound`.

    Returns
    -------
    int64 array of shape (rows, O)
    """
    rows, taps, _ = x.shape
    if groups == 1:
        return exact_matmul(x.reshape(rows, -1), weights.reshape(len(weights), -1), bound)
    split = x.reshape(rows, taps, groups, -1)
    kernels = weights.reshape(groups, -1, *weights.shape[1:])
    parts = [
        exact_matmul(split[:, :, group].reshape(rows, -1), kernel.reshape(len(kernel), -1), bound)
        for group, kernel in enumerate(kernels)
    ]
    return np.concatenate(parts, axis=1)


def count_thresholds(
    x: IntArray, thresholds: IntArray, falling: IntArray, lo: int
) -> npt.NDArray[np.int64]:
    """``lo`` plus the thresholds that each element reaches: ``x >= t``, or ``x <= t`` if falling.

    Parameters
    ----------
    x : int array of shape (..., C)
    thresholds : int array of shape (C, levels), rows ascending
    falling : int array of shape (C,), 0 or 1
    """
    counts = np.empty(x.shape, np.int64)
    for channel, row in enumerate(thresholds):
        values = x[..., channel]
        if falling[channel]:
            counts[..., channel] = len(row) - np.searchsorted(row, values, side="left")
        else:
            counts[..., channel] = np.searchsorted(row, values, side="right")
    return counts + lo


def columns(
    x: npt.NDArray[Any],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> npt.NDArray[Any]:
    """The windows of a convolution or of a sum, code 0 around the image.

    Parameters
    ----------
    x : array of shape (N, H, W, C)

    Returns
    -------
    array of shape (N, OH, OW, KH, KW, C), a view of the padded image
    """
    if any(padding):
        x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    return _windows(x, kernel, stride, dilation)


def max_pool(
    x: IntArray, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> IntArray:
    """The largest code of each window of (N, H, W, C); padding never wins."""
    if any(padding):
        least = np.iinfo(x.dtype).min
        x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)), constant_values=least)
    windows: IntArray = _windows(x, kernel, stride).max(axis=(3, 4))
    return windows


def sum_pool(
    x: IntArray, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """The sum of each window of (N, H, W, C); padding counts as zeros."""
    sums: npt.NDArray[np.int64] = columns(x, kernel, stride, padding).sum(
        axis=(3, 4), dtype=np.int64
    )
    return sums


def _windows(
    x: npt.NDArray[Any],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> npt.NDArray[Any]:
    extent = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)
