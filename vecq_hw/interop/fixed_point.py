"""What the three executors of a TFLite file do between an accumulator and the next code.

The same file gives other codes in each of them.  Every rule here is compared, integer by integer,
with what the executor itself gives (``tests/interop/test_fixed_point.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray, IntFormat
from vecq_hw.interop.requantize import Requantizer

_Ints = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]

ACCUMULATOR = IntFormat(32, signed=True)
"""The accumulator of all three executors; what may leave it is refused, as theirs would wrap."""


class Semantics(Enum):
    """Whose arithmetic is meant."""

    REFERENCE = "reference"
    """The reference kernels, as on a microcontroller."""
    RUY = "ruy"
    """The optimized built-in kernels without a delegate."""
    XNNPACK = "xnnpack"
    """The XNNPACK delegate where it takes the operator, else the optimized kernels: what an
    interpreter in Python does when nothing is asked for."""


class Rounding(Enum):
    """How a product of an accumulator and a real multiplier becomes an integer."""

    DOUBLE_AWAY = "to 31 bits half up, then half away from zero"
    DOUBLE_UP = "to 31 bits half up, then half up"
    SINGLE_UP = "once, half up"
    FLOAT = "in float32, half to even"
    DOUBLE_PRECISION = "in float64, half away from zero"


def fixed_point(real: _Doubles) -> tuple[_Ints, _Ints]:
    """A positive multiplier as ``mantissa * 2^(exponent - 31)``, the mantissa of 31 bits.

    One below 2^-32 or so becomes 0, as in the executors.

    ``real`` has any shape, which mantissa and exponent have.

    Examples
    --------
    >>> mantissa, exponent = fixed_point(np.array([0.75, 1.0]))
    >>> mantissa.tolist(), exponent.tolist()
    ([1610612736, 1073741824], [0, 1])
    """
    fraction, exponent = np.frexp(real)
    mantissa = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    full = mantissa == 1 << 31
    mantissa, exponent = np.where(full, mantissa >> 1, mantissa), exponent + full
    small = exponent < -31
    return np.where(small, 0, mantissa), np.where(small, 0, exponent).astype(np.int64)


def high_product(x: IntArray, mantissa: IntArray, exponent: IntArray) -> _Ints:
    """``x * 2^exponent * mantissa / 2^31`` to nearest, half up, for exponents of at least 0.

    The executors write it as a division with another nudge below zero, which is the same.

    The three arrays have any shapes that broadcast.
    """
    moved: _Ints = (x.astype(np.int64) << exponent) * mantissa
    return (moved + (1 << 30)) >> 31


def divided_away(x: IntArray, bits: IntArray) -> _Ints:
    """``x / 2^bits`` to nearest, half away from zero; ``bits`` may be 0.

    The arrays have any shapes that broadcast.
    """
    x = x.astype(np.int64)
    remainder = x & ((np.int64(1) << bits) - 1)
    threshold = (((np.int64(1) << bits) - 1) >> 1) + (x < 0)
    result: _Ints = (x >> bits) + (remainder > threshold)
    return result


def divided_up(x: IntArray, bits: IntArray) -> _Ints:
    """``x / 2^bits`` to nearest, half up; ``bits`` may be 0.

    The arrays have any shapes that broadcast.
    """
    half = (np.int64(1) << bits) >> 1
    result: _Ints = (x.astype(np.int64) + half) >> bits
    return result


def rounded_away(x: FloatArray) -> _Ints:
    """Each number rounded to the nearest integer, half away from zero, as C's ``round``.

    ``x`` has any shape, which the result has.
    """
    whole = np.trunc(x)
    moved = whole + np.copysign(np.abs(x - whole) >= 0.5, x)
    return moved.astype(np.int64)


class Multiplier:
    """Integers times a real number, rounded.

    Parameters
    ----------
    real : float64 array of shape (C,) or (1,), positive
        Of ``Rounding.FLOAT`` numbers of float32.
    rounding : Rounding

    Raises
    ------
    VecqError
        A multiplier is not positive and finite, or beyond what the executors hold.
    """

    def __init__(self, real: FloatArray, rounding: Rounding) -> None:
        if not (np.isfinite(real) & (real > 0)).all():
            raise VecqError("its scales give a multiplier that is not positive and finite")
        self.rounding = rounding
        doubles = np.asarray(real, np.float64)
        self.real = doubles if len(doubles) == 1 else doubles[:, np.newaxis]
        self.mantissa, self.exponent = fixed_point(self.real)
        if (self.exponent > 30).any():
            raise VecqError(
                f"its scales give a multiplier of {float(real.max()):.6g}; less than 2^30 is wanted"
            )

    def largest(self, magnitude: int) -> int:
        """A bound of what an integer up to ``magnitude`` becomes on the way."""
        if self.rounding in (Rounding.FLOAT, Rounding.DOUBLE_PRECISION):
            return magnitude
        return magnitude << int(self.exponent.max(initial=0))

    def __call__(self, x: IntArray) -> _Ints:
        """``x`` of shape (C, n), or of any shape where there is one multiplier."""
        mantissa, exponent = self.mantissa, self.exponent
        left, right = np.maximum(exponent, 0), np.maximum(-exponent, 0)
        match self.rounding:
            case Rounding.DOUBLE_AWAY:
                return divided_away(high_product(x, mantissa, left), right)
            case Rounding.DOUBLE_UP:
                return divided_up(high_product(x, mantissa, left), right)
            case Rounding.SINGLE_UP:
                half = np.int64(1) << (30 - exponent)
                return (x.astype(np.int64) * mantissa + half) >> (31 - exponent)
            case Rounding.FLOAT:
                product = x.astype(np.float32) * self.real.astype(np.float32)
                return np.rint(product).astype(np.int64)
            case Rounding.DOUBLE_PRECISION:
                return rounded_away(x.astype(np.float64) * self.real)
            case _:
                assert_never(self.rounding)


def clamped(
    multiplier: Multiplier, result: IntFormat, accumulator: IntFormat | None = None
) -> Requantizer:
    """Accumulators through a multiplier, clamped to codes less their zero point.

    ``accumulator`` is the proven range, which must fit what the executors hold.

    Raises
    ------
    VecqError
        The largest accumulator leaves the 32 bits of the executors.
    """
    if accumulator is not None and multiplier.largest(accumulator.magnitude) > ACCUMULATOR.hi:
        raise VecqError(
            f"its accumulators reach {accumulator.lo}..{accumulator.hi}, which leaves the 32 bits"
            " of the executors"
        )

    def function(x: IntArray) -> IntArray:
        return np.clip(multiplier(x), result.lo, result.hi)

    return function


def product_scale(
    semantics: Semantics, dense: bool, source: float, weights: FloatArray, result: float
) -> Multiplier:
    """The multiplier of the accumulators of a convolution or of a fully connected layer.

    Parameters
    ----------
    dense : bool
        Of a fully connected layer; all kinds of convolutions are alike.
    source, result : float
        Scales of what it reads and makes.
    weights : float array of shape (1,) or (C,)
        Their scales.
    """
    single = (np.float32(source) * weights.astype(np.float32)).astype(np.float64)
    exact = np.float64(source) * weights.astype(np.float64) / np.float64(result)
    match semantics:
        case Semantics.REFERENCE:
            kind = Rounding.DOUBLE_PRECISION if dense else Rounding.DOUBLE_AWAY
            return Multiplier(exact, kind)
        case Semantics.RUY:
            # With one scale for all weights a dense layer multiplies the scales in float32.
            real = single / np.float64(result) if dense and len(weights) == 1 else exact
            return Multiplier(real, Rounding.DOUBLE_UP)
        case Semantics.XNNPACK:
            real = (single.astype(np.float32) / np.float32(result)).astype(np.float64)
            return Multiplier(real, Rounding.FLOAT)
        case _:
            assert_never(semantics)


PairFunction = Callable[[IntArray, IntArray], IntArray]
"""Two codes less their zero points, of one shape, to a third one, not clamped yet."""

_SUM_BITS = 20
"""By which the built-in kernels shift the codes that they add."""


def sums(
    semantics: Semantics, first: float, second: float, result: float, sign: int = 1
) -> PairFunction:
    """The sum of two codes, or with a sign of -1 their difference.

    Parameters
    ----------
    first, second, result : float
        Scales.

    Raises
    ------
    VecqError
        A scale is more than 2^19 times that of the result, or :class:`Multiplier` refuses a ratio
        of theirs.
    """
    if semantics is Semantics.XNNPACK and _delegated_sum(first, second, result):
        return _linear_sum(first, second, result, sign)
    twice = 2.0 * max(first, second)
    left = Multiplier(np.array([first / twice]), Rounding.DOUBLE_AWAY)
    right = Multiplier(np.array([second / twice]), Rounding.DOUBLE_AWAY)
    output = Multiplier(np.array([twice / ((1 << _SUM_BITS) * result)]), Rounding.DOUBLE_AWAY)
    if (output.exponent > 0).any():
        raise VecqError(
            f"its scales {first:.6g} and {second:.6g} are more than 2^19 times that of its result,"
            f" {result:.6g}, which the executors refuse"
        )

    def function(a: IntArray, b: IntArray) -> IntArray:
        a, b = a.astype(np.int64), b.astype(np.int64)
        return output(left(a << _SUM_BITS) + sign * right(b << _SUM_BITS))

    return function


def _delegated_sum(first: float, second: float, result: float) -> bool:
    """Whether XNNPACK takes a sum of these scales."""
    ratios = np.array([first, second], np.float32) / np.float32(result)
    return bool((ratios >= 2.0**-10).all() and (ratios < 2.0**8).all())


def _linear_sum(first: float, second: float, result: float, sign: int) -> PairFunction:
    """XNNPACK's: integer weights of at most 21 bits, one rounding half up."""
    left, right = (np.float32(scale) / np.float32(result) for scale in (first, second))
    shift = 20 - (int(np.frexp(max(left, right))[1]) - 1)
    m = int(np.rint(np.ldexp(np.float64(left), shift)))
    n = int(np.rint(np.ldexp(np.float64(right), shift))) * sign

    def function(a: IntArray, b: IntArray) -> IntArray:
        return (a.astype(np.int64) * m + b.astype(np.int64) * n + (1 << (shift - 1))) >> shift

    return function


def products(semantics: Semantics, first: float, second: float, result: float) -> Multiplier:
    """The multiplier of products of two codes less their zero points."""
    real = np.float32(first) * np.float32(second) / np.float32(result)
    kind = Rounding.FLOAT if semantics is Semantics.XNNPACK else Rounding.DOUBLE_AWAY
    return Multiplier(np.array([real], np.float64), kind)


def average(count: int, zero_point: int) -> Requantizer:
    """The mean of ``count`` codes from their sum less that of the zero points; less one again.

    The executors divide the sum of the codes themselves, half away from zero.
    """

    def function(x: IntArray) -> IntArray:
        total = x.astype(np.int64) + count * zero_point
        half = count // 2
        magnitude = np.abs(total)
        rounded = np.where(total > 0, (magnitude + half) // count, -((magnitude + half) // count))
        return rounded - zero_point

    return function
