"""Memories of ``rtl/vecq_matrix_vector.sv`` with ``Popcount`` (``vecq_popcount_array.sv``).

As :mod:`vecq_hw.accelerator.memories.pair_rows`, for weights of -1 and 1 and codes of one bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.memories import pair_rows
from vecq_hw.formats import BitPlanes, IntArray, IntFormat
from vecq_hw.schedule import Fold

ACTIVATIONS = IntFormat(1, signed=False)


def fits(planes: BitPlanes, activations: IntFormat) -> bool:
    """Whether weights and activations have one bit each."""
    return planes == BitPlanes(1, signs=True) and activations == ACTIVATIONS


def weight_memory(codes: IntArray, planes: BitPlanes, fold: Fold) -> npt.NDArray[np.int64]:
    """1 for a weight of -1, in the order of the weight memory.

    ``codes`` has the shape (O, inputs), the result (steps, PE * SIMD).

    Examples
    --------
    >>> weight_memory(np.array([[0, -1, -1]]), BitPlanes(1, signs=True), Fold(pe=1, simd=3))
    array([[0, 1, 1]])
    """
    return pair_rows.in_steps(codes, fold) & 1


def bias_memory(
    codes: IntArray, planes: BitPlanes, simd: int, activations: IntFormat, bias: IntArray
) -> npt.NDArray[np.int64]:
    """The accumulators' start values: a lane of a weight of -1 counts 1 too much.

    ``codes`` has the shape (O, inputs), ``bias`` and the result (O,).

    Examples
    --------
    >>> codes = np.array([[0, -1, -1]])
    >>> bias_memory(codes, BitPlanes(1, signs=True), 3, ACTIVATIONS, np.array([7]))
    array([5])
    """
    result: npt.NDArray[np.int64] = bias.astype(np.int64) + codes.sum(axis=1, dtype=np.int64)
    return result
