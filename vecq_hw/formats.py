"""How an integer stands for a number: integer formats and weight grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.floating]

MAX_BITS = 63
"""Widest integer format: everything fits NumPy's int64 with room for one addition."""


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
        if not 1 <= bits <= MAX_BITS:
            raise VecqError(f"an integer format has 1 to {MAX_BITS} bits, not {bits}")
        least = -(1 << (bits - 1)) if signed else 0
        most = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
        lo, hi = least if lo is None else int(lo), most if hi is None else int(hi)
        if not least <= lo <= hi <= most:
            raise VecqError(f"the range {lo}..{hi} does not lie in {least}..{most} ({bits} bits)")
        for name, value in (("bits", int(bits)), ("signed", bool(signed)), ("lo", lo), ("hi", hi)):
            object.__setattr__(self, name, value)

    @classmethod
    def covering(cls, lo: int, hi: int, signed: bool = True) -> Self:
        """The narrowest format that holds ``lo..hi``, with that range proven."""
        bits = signed + max(hi, -lo - 1, 0).bit_length()
        return cls(max(bits, 1), signed, lo, hi)

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The smallest NumPy integer type that holds the format."""
        letter = "i" if self.signed else "u"
        size = next(size for size in (1, 2, 4, 8) if self.bits <= 8 * size)
        return np.dtype(f"{letter}{size}")

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
        if not 1 <= self.bits <= 16:
            raise VecqError(f"weights have 1 to 16 bits, not {self.bits}")

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


Grid = MidRise
"""The grids that turn a code into an integer value; further ones join by union."""
