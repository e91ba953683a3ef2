"""What the executors of TFLite do to a code alone: rescaling, activations, means.

Functions of codes less their zero points to codes less theirs, not clamped yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import assert_never

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray
from vecq_hw.interop.fixed_point import (
    Multiplier,
    Rounding,
    Semantics,
    divided_away,
    fixed_point,
    high_product,
    rounded_away,
)
from vecq_hw.interop.requantize import Requantizer


def rescaled(semantics: Semantics, source: float, result: float) -> Requantizer:
    """QUANTIZE of codes: another scale."""
    ratio = np.float32(source) / np.float32(result)
    exact = np.array([source / result])
    match semantics:
        case Semantics.REFERENCE:
            return Multiplier(exact, Rounding.DOUBLE_AWAY)
        case Semantics.RUY:
            return Multiplier(exact, Rounding.DOUBLE_UP)
        case Semantics.XNNPACK:
            if 2.0**-8 <= ratio <= 2.0**7:
                return _of_8_bits(ratio)
            return Multiplier(exact, Rounding.DOUBLE_UP)
        case _:
            assert_never(semantics)


def _of_8_bits(ratio: np.float32) -> Requantizer:
    """XNNPACK's: a multiplier of 8 fraction bits, half up."""
    mantissa = int(np.rint(np.float32(256) * ratio))

    def function(x: IntArray) -> IntArray:
        return (x.astype(np.int64) * mantissa + 128) >> 8

    return function


def rectified(source: float, result: float) -> Requantizer:
    """RELU and its kin as a node: another scale; all three executors do the same."""
    return Multiplier(np.array([source / result]), Rounding.DOUBLE_AWAY)


def leaky(semantics: Semantics, source: float, result: float, slope: float) -> Requantizer:
    """LEAKY_RELU: one multiplier for each sign.

    Raises
    ------
    VecqError
        The slope is not positive, so that it is no monotone function.
    """
    if not slope > 0 or not math.isfinite(slope):
        raise VecqError(f"its slope is {slope:.6g}; a positive one is wanted")
    ratio = np.float32(source) / np.float32(result)
    sloped = np.float32(slope) * ratio
    if semantics is Semantics.XNNPACK and all(2.0**-8 <= r <= 2.0**7 for r in (ratio, sloped)):
        above, below = _of_8_bits(ratio), _of_8_bits(sloped)
    else:
        above = rectified(source, result)
        below = Multiplier(np.array([source * slope / result]), Rounding.DOUBLE_AWAY)

    def function(x: IntArray) -> IntArray:
        return np.where(x >= 0, above(x), below(x))

    return function


def tabulated(
    semantics: Semantics, real: Callable[[FloatArray], FloatArray], source: float, result: float
) -> Requantizer:
    """A function of reals, as the executors make a table of it.

    Both functions work on arrays of any shape.

    Parameters
    ----------
    real : function of float64 arrays
        Rounded to float32, which the executors compute in.
    """
    inverse = np.float32(1) / np.float32(result)

    def function(x: IntArray) -> IntArray:
        given = (np.float32(source) * x.astype(np.float32)).astype(np.float64)
        scaled = real(given).astype(np.float32) * inverse
        if semantics is Semantics.XNNPACK:
            codes: IntArray = np.rint(scaled).astype(np.int64)
            return codes
        return rounded_away(scaled)

    return function


def hard_swish(source: float, result: float) -> Requantizer:
    """HARD_SWISH, ``x * clamp(x + 3, 0, 6) / 6`` in 16 bits; all three executors do the same.

    Raises
    ------
    VecqError
        The scale of the source is too large beside that of the result for a shift to the right.
    """
    fine = np.float32(source) * np.float32(1 / 128)
    output, output_exponent = _in_16_bits(float(np.float32(fine / np.float32(result))))
    gate, gate_exponent = _in_16_bits(float(np.float32(fine / np.float32(3 / 32768))))
    if output_exponent > 0:
        raise VecqError(
            f"its scale {source:.6g} is too large beside that of its result, {result:.6g}, for the"
            " executors"
        )

    def function(x: IntArray) -> IntArray:
        hires: IntArray = x.astype(np.int64) * 128
        scaled = _high_product_16(hires, output)
        gated: IntArray = hires
        if gate_exponent > 0:
            gated = _saturated_16(gated << (gate_exponent - 1))
        gated = _high_product_16(gated, gate)
        if gate_exponent > 0:
            gated = _saturated_16(gated << 1)
        if gate_exponent < 0:
            gated = divided_away(gated, np.array(-gate_exponent))
        gated = (gated + (1 << 15)) >> 1
        product = gated * scaled
        high = np.sign(product) * (np.abs(product) >> 15)  # towards zero
        return divided_away(high, np.array(-output_exponent))

    return function


def _in_16_bits(real: float) -> tuple[int, int]:
    """A multiplier as ``mantissa * 2^(exponent - 15)``, from one of 31 bits."""
    mantissa, exponent = fixed_point(np.array([real]))
    return min((int(mantissa[0]) + (1 << 15)) >> 16, (1 << 15) - 1), int(exponent[0])


def _high_product_16(x: IntArray, mantissa: int) -> IntArray:
    """``x * mantissa / 2^15`` to nearest, half up."""
    product: IntArray = (x * mantissa + (1 << 14)) >> 15
    return product


def _saturated_16(x: IntArray) -> IntArray:
    return np.clip(x, -(1 << 15), (1 << 15) - 1)


def sigmoid(x: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))``, for an array of any shape."""
    return np.asarray(1 / (1 + np.exp(-x)))


def mean(
    semantics: Semantics, count: int, source: tuple[float, int], result: tuple[float, int]
) -> Requantizer:
    """MEAN over ``count`` codes, from their sum less that of the zero points.

    Parameters
    ----------
    source, result : (float, int)
        Scales and zero points.
    """
    if semantics is Semantics.XNNPACK:
        return _float_mean(count, source, result)
    mantissas, exponents = fixed_point(np.array([source[0] / result[0]]))
    mantissa, exponent = int(mantissas[0]), int(exponents[0])
    # The count divides the mantissa, which is moved up first as far as 64 bits and the shift allow.
    moved = min(count.bit_length() - 1, 32, 31 + exponent)
    mantissa, exponent = (mantissa << moved) // count, exponent - moved
    left, right = np.array(max(exponent, 0)), np.array(max(-exponent, 0))

    def function(x: IntArray) -> IntArray:
        return divided_away(high_product(x, np.array(mantissa), left), right)

    return function


def _float_mean(count: int, source: tuple[float, int], result: tuple[float, int]) -> Requantizer:
    """XNNPACK's: a line of float32 on the sum of the codes themselves, half to even."""
    number = np.float32(count)
    scale = np.float32(source[0]) / np.float32(result[0]) * (np.float32(1) / number)
    addend = np.float32(result[1]) - np.float32(source[1]) * number * scale

    def function(x: IntArray) -> IntArray:
        total = (x.astype(np.int64) + count * source[1]).astype(np.float32)
        codes: IntArray = np.rint(total * scale + addend).astype(np.int64) - result[1]
        return codes

    return function
