"""How an integer stands for a number: integer formats and weight grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vecq_hw.arguments import whole_number
from vecq_hw.errors import VecqError

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.floating]

MAX_BITS = 63
"""Widest integer format: everything fits NumPy's int64 with room for one addition."""

_DTYPES = {
    (signed, power): np.dtype(f"{'i' if signed else 'u'}{max(1 << power, 8) // 8}")
    for signed in (False, True)
    for power in range(7)
}
"""The smallest that holds 2^power bits."""


@dataclass(frozen=True, slots=True, init=False)
class IntFormat:
    """The integers ``lo..hi``, stored in ``bits`` bits, two's complement where signed.

    Parameters
    ----------
    bits : int
        1 to 63.  A signed format of one bit holds -1 and 0.
    signed : bool
    lo, hi : int, optional
        A tighter range than the bits allow (the 6 of a ReLU6, the proven range of an accumulator).

    Examples
    --------
    >>> IntFormat(8, signed=False)
    u8
    >>> IntFormat(2, signed=True).lo, IntFormat(2, signed=True).hi
    (-2, 1)
    >>> IntFormat.covering(-5, 12)
    s5[-5..12]
    """

    bits: int
    signed: bool
    lo: int
    hi: int

    def __init__(
        self, bits: int, signed: bool, lo: int | None = None, hi: int | None = None
    ) -> None:
        bits = whole_number(bits, f"an integer format has 1 to {MAX_BITS} bits", 1, MAX_BITS)
        least = -(1 << (bits - 1)) if signed else 0
        most = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
        ends = "the ends of an integer format are whole numbers"
        lo = least if lo is None else whole_number(lo, ends)
        hi = most if hi is None else whole_number(hi, ends)
        if not least <= lo <= hi <= most:
            raise VecqError(f"the range {lo}..{hi} does not lie in {least}..{most} ({bits} bits)")
        for name, value in (("bits", bits), ("signed", bool(signed)), ("lo", lo), ("hi", hi)):
            object.__setattr__(self, name, value)

    @classmethod
    def covering(cls, lo: int, hi: int, signed: bool = True) -> Self:
        """The narrowest format that holds ``lo..hi``, with that range proven."""
        bits = signed + max(hi, -lo - 1, 0).bit_length()
        return cls(max(bits, 1), signed, lo, hi)

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The smallest NumPy integer type that holds the format."""
        return _DTYPES[self.signed, (self.bits - 1).bit_length()]

    @property
    def magnitude(self) -> int:
        """The largest absolute value in ``lo..hi``."""
        return max(abs(self.lo), abs(self.hi))

    def contains(self, lo: int, hi: int) -> bool:
        """Whether ``lo..hi`` lies within the range."""
        return self.lo <= lo and hi <= self.hi

    def __repr__(self) -> str:
        full = type(self)(self.bits, self.signed)
        tight = "" if (self.lo, self.hi) == (full.lo, full.hi) else f"[{self.lo}..{self.hi}]"
        return f"{'s' if self.signed else 'u'}{self.bits}{tight}"


def checked_weight_bits(given: object) -> int:
    """The bits of a weight's code, 1..16, as an int; anything else is refused."""
    return whole_number(given, "weights have 1 to 16 bits", 1, 16)


@dataclass(frozen=True, slots=True)
class MidRise:
    """VecQ's grid: the k-bit code q stands for the odd integer ``2q + 1``; there is no zero.

    Twice the half-integer ``q + 1/2`` of Gong et al., *VecQ*, Eq. 11.

    Examples
    --------
    >>> MidRise(2).values(np.arange(-2, 2))
    array([-3, -1,  1,  3], dtype=int32)
    """

    bits: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_weight_bits(self.bits))

    @property
    def code_format(self) -> IntFormat:
        """The format of the stored codes."""
        return IntFormat(self.bits, signed=True)

    @property
    def value_format(self) -> IntFormat:
        """The format of the values: one bit more than the codes."""
        largest = (1 << self.bits) - 1
        return IntFormat(self.bits + 1, True, -largest, largest)

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """The integer value of each code; same shape."""
        return 2 * codes.astype(np.int32) + 1


@dataclass(frozen=True, slots=True)
class TwosComplement:
    """The code is the value: ``-2^(k-1)..2^(k-1) - 1``, zero among them.

    A ternary weight is one of 2 bits that never holds -2; accumulators are proven from the codes at
    hand, so the unused value costs nothing there.

    Examples
    --------
    >>> TwosComplement(2).values(np.arange(-2, 2))
    array([-2, -1,  0,  1], dtype=int32)
    """

    bits: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_weight_bits(self.bits))

    @property
    def code_format(self) -> IntFormat:
        """The format of the stored codes."""
        return IntFormat(self.bits, signed=True)

    @property
    def value_format(self) -> IntFormat:
        """The format of the values, which is that of the codes."""
        return self.code_format

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """The codes as they are; same shape."""
        return codes.astype(np.int32)


@dataclass(frozen=True, slots=True)
class CodeBook:
    """A code is an index, ``0..2^k - 1``, into a tuple of 2^k integers.

    Every pattern of k bits has a value, so that a memory with a flipped bit still means something;
    a book with fewer values repeats one.

    Parameters
    ----------
    levels : tuple of int
        2, 4, 8, ... 2^15 of them, in any order, each within ``±(2^31 - 1)``.

    Examples
    --------
    >>> book = CodeBook((-3, 0, 5, 5))
    >>> book.bits, book.value_format, book.values(np.array([[0, 3], [1, 2]])).tolist()
    (2, s4[-3..5], [[-3, 5], [0, 5]])
    """

    levels: tuple[int, ...]

    def __post_init__(self) -> None:
        count = len(self.levels)
        if not 2 <= count <= 1 << 15 or count & (count - 1):
            raise VecqError(
                f"a code book holds 2, 4, 8, ... {1 << 15} values, one for each code, not {count};"
                " repeat one to fill it"
            )
        for level in self.levels:
            whole_number(level, "a code book holds integers")
            if abs(int(level)) >= 1 << 31:
                raise VecqError(f"the values of a code book lie within ±(2^31 - 1), not {level}")
        object.__setattr__(self, "levels", tuple(map(int, self.levels)))

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return len(self.levels).bit_length() - 1

    @property
    def code_format(self) -> IntFormat:
        """The format of the stored codes: unsigned."""
        return IntFormat(self.bits, signed=False)

    @property
    def value_format(self) -> IntFormat:
        """The narrowest signed format of the book's values."""
        return IntFormat.covering(min(self.levels), max(self.levels))

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """The value that each code stands for; same shape."""
        return np.array(self.levels, np.int32)[codes]


@dataclass(frozen=True, slots=True)
class MiniFloat:
    """The grid of ESB: a code is a sign, an exponent and a fraction, as in a small float.

    With k fraction bits, a code of exponent 0 is worth its fraction, ``0..2^k - 1``; one of
    exponent n is worth ``(2^k + fraction) * 2^(n - 1)``.  The sign is the highest bit; -0 is worth
    0.  One exponent bit makes the levels linear.  (Liu et al., *Elastic Significant Bit
    Quantization and Acceleration for Deep Neural Networks*, TPDS 2022; values scaled by ``2^k``.)

    Parameters
    ----------
    bits : int
        Of a code, 2 to 16.
    fraction : int
        Fraction bits, 0 to ``bits - 2``; the levels stay within ``±(2^31 - 1)``.

    Examples
    --------
    >>> MiniFloat(4, 1).values(np.arange(16)).tolist()
    [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]
    >>> MiniFloat(2, 0).values(np.arange(4)).tolist()
    [0, 1, 0, -1]
    """

    bits: int
    fraction: int

    def __post_init__(self) -> None:
        bits = whole_number(self.bits, "a small float has 2 to 16 bits", 2, 16)
        what = f"a small float of {bits} bits has 0 to {bits - 2} fraction bits"
        fraction = whole_number(self.fraction, what, 0, bits - 2)
        if _largest_magnitude(bits, fraction) >= 1 << 31:
            raise VecqError(
                f"a small float of {bits} bits, {fraction} of them fraction, reaches beyond"
                " ±(2^31 - 1); use more fraction bits"
            )
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "fraction", fraction)

    @property
    def code_format(self) -> IntFormat:
        """The format of the stored codes: unsigned."""
        return IntFormat(self.bits, signed=False)

    @property
    def value_format(self) -> IntFormat:
        """The narrowest signed format of the levels."""
        largest = _largest_magnitude(self.bits, self.fraction)
        return IntFormat.covering(-largest, largest)

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """The integer value of each code; same shape."""
        given = codes.astype(np.int64)
        one = 1 << self.fraction
        fraction = given & (one - 1)
        exponent = given >> self.fraction & ((1 << (self.bits - 1 - self.fraction)) - 1)
        magnitude = np.where(
            exponent == 0, fraction, (one + fraction) << np.maximum(exponent, 1) - 1
        )
        return np.where(given >> (self.bits - 1) == 0, magnitude, -magnitude).astype(np.int32)


def _largest_magnitude(bits: int, fraction: int) -> int:
    """The largest magnitude of a small float: all bits set but the sign."""
    highest = (1 << (bits - 1 - fraction)) - 1
    return ((2 << fraction) - 1) << (highest - 1)


Grid = MidRise | TwosComplement | CodeBook | MiniFloat
"""The grids that turn a code into an integer value; further ones join by union."""


@dataclass(frozen=True, slots=True)
class BitPlanes:
    """Integer weights as circuits store them: of k bits each, bit j counts ``2^j``.

    Attributes
    ----------
    bits : int
    signs : bool
        Whether every bit counts +1 or -1, so that the two's complement q is worth ``2q + 1``.  Else
        a bit counts 1 or 0, the highest one -1 or 0, and q is worth q.
    """

    bits: int
    signs: bool

    def codes(self, values: IntArray) -> npt.NDArray[np.int64]:
        """The codes q, signed, of values that the planes hold; same shape."""
        codes: npt.NDArray[np.int64] = values.astype(np.int64) >> int(self.signs)
        return codes


def bit_planes(grid: Grid) -> BitPlanes:
    """The fewest bit planes that hold every value of a grid.

    Examples
    --------
    >>> bit_planes(MidRise(2)), bit_planes(CodeBook((-3, 1)))
    (BitPlanes(bits=2, signs=True), BitPlanes(bits=2, signs=True))
    >>> bit_planes(TwosComplement(2)), bit_planes(CodeBook((0, 5, -3, 0)))
    (BitPlanes(bits=2, signs=False), BitPlanes(bits=4, signs=False))
    """
    fmt = grid.code_format
    return planes_of(grid.values(np.arange(fmt.lo, fmt.hi + 1)))


def planes_of(values: IntArray) -> BitPlanes:
    """The fewest bit planes that hold some integers.

    ``values`` has any shape and is not empty.

    Examples
    --------
    >>> planes_of(np.array([-3, 1])), planes_of(np.array([0, 5, -3]))
    (BitPlanes(bits=2, signs=True), BitPlanes(bits=4, signs=False))
    """
    signs = bool((values & 1).all())
    codes = BitPlanes(0, signs).codes(values)
    return BitPlanes(IntFormat.covering(int(codes.min()), int(codes.max())).bits, signs)


def signed_bits(values: IntArray) -> int:
    """Bits of the narrowest two's complement that holds all values.

    ``values`` has any shape and is not empty.

    Examples
    --------
    >>> signed_bits(np.array([-4, 3])), signed_bits(np.array([4])), signed_bits(np.array([0]))
    (3, 4, 1)
    """
    return 1 + max(int(values.max()), -int(values.min()) - 1, 0).bit_length()
