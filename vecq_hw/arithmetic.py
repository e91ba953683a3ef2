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

from vecq_hw.formats import FloatArray, IntArray, IntFormat

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


def half_of(shift: int | IntArray) -> npt.NDArray[np.int64]:
    """``2^(s-1)``: what a Rescale adds so that its shift rounds to nearest."""
    return np.left_shift(np.int64(1), np.asarray(shift, np.int64) - 1)


def rescale(
    accumulator: IntArray,
    mantissa: IntArray,
    offset: IntArray,
    shift: int | IntArray,
    fmt: IntFormat,
) -> npt.NDArray[np.int64]:
    """``clamp((acc * m + b + 2^(s-1)) >> s, lo, hi)``: rule 4, rounding half up.

    Parameters
    ----------
    accumulator : int array of shape (..., C)
    mantissa, offset : int arrays of shape (C,)
    shift : int, or int array of shape (C,), 1..62

    Examples
    --------
    >>> one = np.array([1])
    >>> rescale(np.array([[-6], [2]]), one, 0 * one, 2, IntFormat(8, signed=True)).ravel()
    array([-1,  1])
    """
    total = accumulator.astype(np.int64) * mantissa
    total += offset + half_of(shift)
    total >>= shift
    return np.clip(total, fmt.lo, fmt.hi, out=total)


class FloatRescale:
    """A line in floating point, clamped and floored: ``floor(clamp(acc * factor + addend))``.

    It equals :func:`rescale` where a proof says so: :meth:`in_double`, or thresholds that the line
    crosses in float32 (``simulate.lines``).  Clamping first and flooring second is the same, as the
    clamp's ends are integers.

    Parameters
    ----------
    factor, addend : float32 or float64 arrays of shape (C,)
        Their type is the one that it computes in.
    fmt : IntFormat
    """

    BLOCK = 1 << 15
    """Elements at a time: a few blocks of floats lie in a core's second-level cache."""

    def __init__(self, factor: FloatArray, addend: FloatArray, fmt: IntFormat) -> None:
        rows = max(1, self.BLOCK // len(factor))
        self._factor, self._addend = np.tile(factor, rows), np.tile(addend, rows)
        self._fmt, kind = fmt, factor.dtype
        self._lo, self._hi = np.array(fmt.lo, kind), np.array(fmt.hi, kind)

    @classmethod
    def in_double(
        cls, mantissa: IntArray, offset: IntArray, shift: int | IntArray, fmt: IntFormat
    ) -> FloatRescale:
        """:func:`rescale` in float64, where :meth:`is_exact`.

        Every intermediate is then an integer of at most 53 bits times ``2^-s``.  A float64 holds
        each of them exactly (its exponent reaches far below -62), so nothing rounds before the
        floor, and the floor of ``total * 2^-s`` is the arithmetic shift.

        Parameters
        ----------
        mantissa, offset : int arrays of shape (C,)
        shift : int, or int array of shape (C,), 1..62
        """
        factor = np.ldexp(mantissa.astype(np.float64), -shift)
        addend = np.ldexp((offset + half_of(shift)).astype(np.float64), -shift)
        return cls(factor, addend, fmt)

    @staticmethod
    def is_exact(
        magnitude: int, mantissa: IntArray, offset: IntArray, shift: int | IntArray
    ) -> bool:
        """Whether accumulators up to ``magnitude`` keep every intermediate within 2^53."""
        halves = np.broadcast_to(half_of(shift), mantissa.shape)
        lines = zip(mantissa.tolist(), offset.tolist(), halves.tolist(), strict=True)
        return all(magnitude * abs(m) + abs(b) + half <= 1 << 53 for m, b, half in lines)

    def __call__(self, accumulator: npt.NDArray[Any]) -> IntArray:
        """The rescaled codes, in the format's own type.

        ``accumulator`` has the shape (..., C) and holds integers in any type.
        """
        flat = np.ascontiguousarray(accumulator).reshape(-1)
        result = np.empty(flat.size, self._fmt.dtype)
        block = self._factor.size
        work = np.empty(min(block, flat.size), self._factor.dtype)
        for start in range(0, flat.size, block):
            part = flat[start : start + block]
            total = work[: part.size]
            if part.dtype != total.dtype:  # in one pass with the product it would be slower
                np.copyto(total, part, casting="unsafe")
                part = total
            np.multiply(part, self._factor[: part.size], out=total)
            np.add(total, self._addend[: part.size], out=total)
            total.clip(self._lo, self._hi, out=total)
            if self._fmt.lo < 0:  # of what is not negative, the conversion takes the floor
                np.floor(total, out=total)
            np.copyto(result[start : start + block], total, casting="unsafe")
        return result.reshape(accumulator.shape)


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
    """The windows of a convolution, code 0 around the image.

    Parameters
    ----------
    x : array of shape (N, H, W, C)

    Returns
    -------
    array of shape (N, OH, OW, KH, KW, C), a view of the padded image
    """
    if any(padding):
        x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    extent = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)
