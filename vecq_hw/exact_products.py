"""Products of integers that BLAS computes exactly in floating point, and the windows they are of.

NumPy's own product of integers is a plain loop.  A float holds every integer up to two to the power
of its significand width, so that BLAS is exact where no partial sum goes beyond that.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray


class Engine(Enum):
    """How a product of integers is computed exactly."""

    FLOAT32 = "float32 BLAS"
    FLOAT64 = "float64 BLAS"
    LIMBS = "float64 BLAS on limbs"


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
    return _matmul_in_limbs(x.astype(np.int64), weights)


def _matmul_in_limbs(x: npt.NDArray[np.int64], weights: IntArray) -> npt.NDArray[np.int64]:
    # A signed limb of n bits is at most 2^(n-1); with n as below every partial sum of a limb's
    # product stays within 2^53.  Sums of limbs are exact modulo 2^64 and the bound fits 63 bits.
    width = 54 - product_bound(weights, 1).bit_length()
    total = np.zeros((len(x), len(weights)), np.int64)
    right = weights.T.astype(np.float64)
    half, mask = 1 << (width - 1), (1 << width) - 1
    position = 0
    while position < 64 and np.any(x):
        limb = ((x + half) & mask) - half
        total += (limb.astype(np.float64) @ right).astype(np.int64) << position
        x = (x - limb) >> width
        position += width
    return total


def columns(
    x: npt.NDArray[Any],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int] = (1, 1),
    pad_code: int = 0,
) -> npt.NDArray[Any]:
    """The windows of a convolution, ``pad_code`` around the image.

    Parameters
    ----------
    x : array of shape (N, H, W, C)

    Returns
    -------
    array of shape (N, OH, OW, KH, KW, C), a view of the padded image
    """
    if any(padding):
        top, left, bottom, right = padding
        around = ((0, 0), (top, bottom), (left, right), (0, 0))
        x = np.pad(x, around, constant_values=pad_code)
    extent = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)
