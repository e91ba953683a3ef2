"""Memories of ``rtl/vecq_matrix_vector.sv``: its codes re-encoded for pair rows, its start values.

The unit adds unsigned rows, each of which is the signed sum of two lanes in one bit plane of the
weights plus an offset that depends on the weights alone.  Here the offsets of a whole output are
summed up and taken off its bias, so that the accumulators come out exact.

There are two kinds of bit planes (:class:`vecq_hw.formats.BitPlanes`): of signs, for VecQ's grid,
and those of two's complement, for all other integers; :func:`weight_memory` and :func:`bias_memory`
take both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import BitPlanes, IntArray, IntFormat
from vecq_hw.schedule import Fold


def weight_memory(codes: IntArray, planes: BitPlanes, fold: Fold) -> npt.NDArray[np.int64]:
    """What the weight memory holds of codes of either kind: :func:`weight_steps`, or as they are.

    Parameters
    ----------
    codes : int array of shape (outputs, inputs)
        Inputs in the order of the unit's input words.

    Returns
    -------
    int64 array of shape (steps, simd * pe)
        A line of the memory a row: lane 0 of all PEs first.
    """
    return weight_steps(codes, planes.bits, fold) if planes.signs else in_steps(codes, fold)


def bias_memory(
    codes: IntArray, planes: BitPlanes, simd: int, activations: IntFormat, bias: IntArray
) -> npt.NDArray[np.int64]:
    """The accumulators' start values for codes of either kind.

    For codes in two's complement the highest plane inverts each row, two lanes or the last one:
    ``2^(A+1) - 1`` in ``2^(bits-1)`` for activations of A bits.

    Parameters
    ----------
    codes : int array of shape (outputs, inputs)
    bias : int array of shape (outputs,)

    Returns
    -------
    int64 array of shape (outputs,)
        To be taken modulo two to the power of the accumulator's bits.

    Examples
    --------
    >>> fmt = IntFormat(8, signed=False)
    >>> bias_memory(np.array([[1, -1]]), BitPlanes(2, signs=False), 2, fmt, np.array([7]))
    array([-1015])
    """
    if planes.signs:
        return start_values(codes, planes.bits, simd, activations, bias)
    rows = codes.shape[1] // simd * -(-simd // 2)
    offset = rows * ((2 << activations.bits) - 1) << (planes.bits - 1)
    # Modulo 2^64, which every accumulator's modulus divides.
    result = bias.astype(np.int64) - np.array([offset % (1 << 64)], np.uint64).astype(np.int64)
    if activations.signed:
        result -= codes.sum(axis=1, dtype=np.int64) << (activations.bits - 1)
    return result


def weight_steps(codes: IntArray, bits: int, fold: Fold) -> npt.NDArray[np.int64]:
    """The re-encoded codes in the order of the weight memory.

    Of each two neighbouring lanes of a step, in each bit plane, the first says whether its weight
    counts -1 there, the second whether the two differ; the last of an odd number of lanes stands
    alone.  (The plane of a weight counts +1 where the bit of its code, the highest one inverted, is
    set.)

    Parameters
    ----------
    codes : int array of shape (outputs, inputs)
        Signed codes on the mid-rise grid, inputs in the order of the unit's input words.
    bits : int
        Of a code.

    Returns
    -------
    int64 array of shape (steps, simd * pe)
        Unsigned numbers of ``bits`` bits, a line of the memory a row: lane 0 of all PEs first.

    Examples
    --------
    >>> weight_steps(np.array([[1, -2]]), 2, Fold(pe=1, simd=2))  # +3 and -3
    array([[0, 3]])
    """
    planes = in_steps(codes, fold).reshape(-1, fold.simd, fold.pe) & ((1 << bits) - 1)
    encoded = planes.copy()
    encoded[:, 0::2] ^= (1 << (bits - 1)) - 1
    encoded[:, 1::2] ^= planes[:, 0 : fold.simd - 1 : 2]
    return encoded.reshape(-1, fold.simd * fold.pe)


def in_steps(codes: IntArray, fold: Fold) -> npt.NDArray[np.int64]:
    """A step per row, lane 0 of all PEs first; shape (steps, simd * pe)."""
    outputs, inputs = codes.shape
    shape = (outputs // fold.pe, fold.pe, inputs // fold.simd, fold.simd)
    # (output folds, pe, input folds, simd) to (output folds, input folds, simd, pe)
    folded = codes.astype(np.int64).reshape(shape).transpose(0, 2, 3, 1)
    return folded.reshape(-1, fold.simd * fold.pe)


def start_values(
    codes: IntArray, bits: int, simd: int, activations: IntFormat, bias: IntArray
) -> npt.NDArray[np.int64]:
    """:func:`bias_memory` for planes of signs: the bias of each output minus its rows' offsets.

    A weight's planes that count -1 add up to ``n = 2^(bits-1) - 1 - q``.  Each of them brings the
    offset ``2^A - 1`` for activations of A bits, and 1 more in the first lane of a pair.  Signed
    activations enter as ``x + 2^(A-1)``.

    ``codes`` has the shape (O, inputs), ``bias`` and the result (O,).

    Examples
    --------
    >>> fmt = IntFormat(8, signed=False)
    >>> start_values(np.array([[1, -2]]), 2, 2, fmt, np.array([7]))
    array([-758])
    """
    minus = (1 << (bits - 1)) - 1 - codes.astype(np.int64)
    offset = ((1 << activations.bits) - 1) * minus.sum(axis=1)
    lanes = np.arange(codes.shape[1]) % simd
    offset += minus[:, (lanes % 2 == 0) & (lanes + 1 < simd)].sum(axis=1)
    if activations.signed:
        values = 2 * codes.astype(np.int64) + 1
        offset += (1 << (activations.bits - 1)) * values.sum(axis=1)
    result: npt.NDArray[np.int64] = bias.astype(np.int64) - offset
    return result


def by_planes(steps: npt.NDArray[np.int64], bits: int, input_folds: int) -> npt.NDArray[np.int64]:
    """The weight memory of a bit-serial unit: a pass over the inputs for each bit, highest first.

    Parameters
    ----------
    steps : int64 array of shape (steps, lanes)
        As :func:`weight_steps` gives them: ``input_folds`` steps for each word of outputs.

    Returns
    -------
    int64 array of shape (bits * steps, lanes)
        Of one bit each.

    Examples
    --------
    >>> by_planes(np.array([[2], [3], [0], [1]]), 2, 2).ravel()
    array([1, 1, 0, 1, 0, 0, 0, 1])
    """
    planes = np.arange(bits)[::-1, np.newaxis, np.newaxis]
    passes = steps.reshape(-1, 1, input_folds, steps.shape[1]) >> planes & 1
    return passes.reshape(-1, steps.shape[1])
