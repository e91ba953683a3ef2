"""A sum of two tensors whose steps differ: integer weights that decide as the source does.

Two narrow codes have few pairs, so that the source's rule can be tabulated.  Where the table is a
monotone function of ``m * a + n * b``, with m and n about as the steps, it is that sum's
requantization.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.requantize import Requantizer

MOST_PAIRS = 1 << 22
"""The most pairs of two codes that are tabulated."""
MOST_WEIGHT_BITS = 24


@dataclass(frozen=True, slots=True, eq=False)
class WeightedSum:
    """``function(m * a + n * b)`` is the source's rule for every pair of codes.

    Attributes
    ----------
    weights : (int, int)
        m, positive, and n, which is negative of a difference.
    function : Requantizer
        Monotone; of sums that no pair makes that of the next smaller one.
    """

    weights: tuple[int, int]
    function: Requantizer


def add_weights(
    rule: Callable[[IntArray, IntArray], IntArray],
    first: IntFormat,
    second: IntFormat,
    steps: tuple[float, float],
    sign: int = 1,
) -> WeightedSum:
    """The smallest weights for which a rule of two codes is a function of their weighted sum.

    Parameters
    ----------
    rule : function of two int64 arrays of one shape
        Rises with the first code, and with the second one, which falls where ``sign`` is -1.
    first, second : IntFormat
        Of the codes; all pairs of their ranges are tried.
    steps : (float, float)
        Real values of a unit.

    Raises
    ------
    VecqError
        There are too many pairs, or no weights of at most 24 bits.
    """
    a, b = (np.arange(fmt.lo, fmt.hi + 1) for fmt in (first, second))
    if len(a) * len(b) > MOST_PAIRS:
        raise VecqError(
            f"it adds codes of {first!r} and {second!r}; at most {MOST_PAIRS} pairs are tabulated"
        )
    left, right = (grid.reshape(-1) for grid in np.meshgrid(a, b, indexing="ij"))
    table = np.asarray(rule(left, right), np.int64)
    largest = max(steps)
    tried: set[tuple[int, int]] = set()
    for bits in range(MOST_WEIGHT_BITS + 1):
        m, n = (max(round(math.ldexp(step / largest, bits)), 1) for step in steps)
        common = math.gcd(m, n)
        m, n = m // common, n // common
        if (m, n) in tried:
            continue
        tried.add((m, n))
        function = _staircase(m * left + sign * n * right, table)
        if function is not None:
            return WeightedSum((m, sign * n), function)
    raise VecqError(
        f"no weights of {MOST_WEIGHT_BITS} bits or less decide as its rule does for every pair of"
        " codes"
    )


def _staircase(total: npt.NDArray[np.int64], table: npt.NDArray[np.int64]) -> Requantizer | None:
    """The table as a rising function of the sums, or None where it is none."""
    order = np.lexsort((table, total))
    sums, codes = total[order], table[order]
    if (np.diff(codes) < 0).any():
        return None
    new = np.concatenate([[True], np.diff(sums) > 0])
    if (np.diff(codes)[~new[1:]] != 0).any():  # equal sums, different codes
        return None
    risen = np.concatenate([[True], np.diff(codes) > 0])
    at, values = sums[risen], codes[risen]

    def function(x: IntArray) -> IntArray:
        places = np.searchsorted(at, x, side="right") - 1
        found: IntArray = values[np.maximum(places, 0)]
        return found

    return function
