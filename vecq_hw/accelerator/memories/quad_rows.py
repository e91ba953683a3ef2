"""Memories of ``rtl/vecq_matrix_vector.sv`` with rows of four lanes (``vecq_quad_row_array.sv``).

As :mod:`vecq_hw.accelerator.memories.pair_rows`, for the other array: codes re-encoded, start
values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.memories import pair_rows
from vecq_hw.formats import BitPlanes, IntArray, IntFormat
from vecq_hw.schedule import Fold


def weight_memory(codes: IntArray, planes: BitPlanes, fold: Fold) -> npt.NDArray[np.int64]:
    """The re-encoded codes in the order of the weight memory; see :func:`pair_rows.weight_steps`.

    The planes must be of signs.

    As there, but the first lane of a row says, in each plane, whether its weight's sign differs
    from that of the third, where there is one.  The first row is as two pairs of lanes there.

    ``codes`` has the shape (O, inputs), the result (steps, PE * SIMD).

    Examples
    --------
    >>> codes = np.array([[0, 0, 0, 0, 1, -2, -1]])
    >>> weight_memory(codes, BitPlanes(2, signs=True), Fold(pe=1, simd=7))[:, 4:]
    array([[2, 3, 2]])
    """
    steps = pair_rows.weight_steps(codes, planes.bits, fold)
    lanes = steps.reshape(len(steps), fold.simd, fold.pe)
    thirds = lanes[:, 6::4]
    lanes[:, 4::4][:, : thirds.shape[1]] ^= thirds
    return steps


def bias_memory(
    codes: IntArray, planes: BitPlanes, simd: int, activations: IntFormat, bias: IntArray
) -> npt.NDArray[np.int64]:
    """The accumulators' start values; see :func:`pair_rows.start_values`.

    A plane of the third lane of a row that counts -1 brings 1 more than there, since there it
    already brings 1 if a fourth follows, else ``2^A + 1`` more.  The first row is as there.

    ``codes`` has the shape (O, inputs), ``bias`` and the result (O,).

    Examples
    --------
    >>> fmt = IntFormat(8, signed=False)
    >>> bias_memory(np.array([[1, -2, -1]]), BitPlanes(2, signs=True), 3, fmt, np.array([7]))
    array([-1268])
    """
    starts = pair_rows.start_values(codes, planes.bits, simd, activations, bias)
    minus = (1 << (planes.bits - 1)) - 1 - codes.astype(np.int64)
    lanes = np.arange(codes.shape[1]) % simd
    alone = lanes + 1 == simd
    third = (lanes % 4 == 2) & (lanes > 2)
    more = np.where(third, np.where(alone, (1 << activations.bits) + 1, 1), 0)
    starts -= (minus * more).sum(axis=1)
    return starts
