"""The integer rules, each stated once: rounding, saturation, wrapping.

These functions are the numeric contract.  Training calls :func:`quantize`, the simulator calls all
of them, and every generated target is tested against them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """Integers of any shape, clamped to the range of the format."""
    return np.clip(x, fmt.lo, fmt.hi)


def wrap(x: IntArray, bits: int) -> npt.NDArray[np.int64]:
    """The low ``bits`` bits of ``x``, read as two's complement.

    ``x`` has any shape; ``bits`` is 1..64.

    Examples
    --------
    >>> wrap(np.array([7, 8, -9]), 4)
    array([ 7, -8,  7])
    """
    spare = 64 - bits
    return (x.astype(np.int64) << spare) >> spare


def half_of(shift: int | IntArray) -> npt.NDArray[np.int64]:
    """``2^(s-1)``: what a Rescale adds so that its shift rounds to nearest.

    ``shift`` is at least 1: a number, or an array of any shape, which the result has.
    """
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
        """Whether accumulators up to ``magnitude`` keep all within 2^53; arrays of shape (C,)."""
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


def count_thresholds(
    x: IntArray, thresholds: IntArray, falling: IntArray, lo: int
) -> npt.NDArray[np.int64]:
    """``lo`` plus the thresholds that each element reaches: ``x >= t``, or ``x <= t`` if falling.

    Parameters
    ----------
    x : int array of shape (..., C)
    thresholds : int array of shape (1 or C, levels), rows ascending
    falling : int array of shape (1 or C,), 0 or 1
    """
    counts = np.empty(x.shape, np.int64)
    shared = len(thresholds) == 1
    for channel, (row, falls) in enumerate(zip(thresholds, falling, strict=True)):
        own = slice(None) if shared else channel
        values = x[..., own]
        if falls:
            counts[..., own] = len(row) - np.searchsorted(row, values, side="left")
        else:
            counts[..., own] = np.searchsorted(row, values, side="right")
    return counts + lo


GATE = IntFormat(8, signed=True)
"""Codes that a gate's table is asked for, at the step 2^-4."""
WIDE_STATE = IntFormat(16, signed=True)
"""An LSTM's cell, and a GRU's candidate's state part, at the step 2^-11; a GRU's state at 2^-15."""


def _table(function: Callable[[float], float], lo: int, hi: int, scale: int) -> IntArray:
    codes = [math.floor(scale * function(g / 16) + 0.5) for g in range(GATE.lo, GATE.hi + 1)]
    table = np.clip(np.array(codes, np.int16), lo, hi)
    table.setflags(write=False)
    return table


SIGMOID_TABLE = _table(lambda g: 1 / (1 + math.exp(-g)), 0, 255, 256)
"""``min(floor(256 / (1 + exp(-g/16)) + 1/2), 255)`` at ``g + 128``; the step is 2^-8."""
TANH_TABLE = _table(math.tanh, -127, 127, 128)
"""``clamp(floor(128 tanh(g/16) + 1/2), -127, 127)`` at ``g + 128``; the step is 2^-7."""


def _saturated(x: IntArray, fmt: IntFormat) -> npt.NDArray[np.int64]:
    return saturate(x, fmt).astype(np.int64, copy=False)


def sigmoid(gate: IntArray) -> npt.NDArray[np.int64]:
    """The sigmoid of gate codes -128..127, of their shape, at the step 2^-8: 0..255."""
    return SIGMOID_TABLE[gate - GATE.lo].astype(np.int64)


def tanh(gate: IntArray) -> npt.NDArray[np.int64]:
    """The tanh of gate codes -128..127, of their shape, at the step 2^-7: -127..127."""
    return TANH_TABLE[gate - GATE.lo].astype(np.int64)


def gate_codes(total: IntArray, shift: int) -> npt.NDArray[np.int64]:
    """``clamp((total + 2^(s-1)) >> s, -128, 127)``: what a gate's table is asked for.

    ``total`` is ``a * mantissa_x + r * mantissa_h + offset``, of the exact sums ``a`` of the input
    and ``r`` of the state: two operands, one rounding.

    The result has the shape of ``total``.
    """
    return _saturated((total.astype(np.int64) + half_of(shift)) >> shift, GATE)


def lstm_cell(f: IntArray, c: IntArray, i: IntArray, u: IntArray) -> npt.NDArray[np.int64]:
    """``clamp((f c + (i u << 4) + 128) >> 8)`` to 16 bits: the cell after a step.

    ``f c`` has the step 2^-19, ``i u`` the step 2^-15.

    All four have one shape, which the result has.
    """
    return _saturated((f * c + (i * u << 4) + 128) >> 8, WIDE_STATE)


def lstm_output(o: IntArray, c: IntArray) -> npt.NDArray[np.int64]:
    """``(o T[q] + 128) >> 8``, where q is ``clamp((c + 64) >> 7, -128, 127)``: -127..127.

    ``o`` and ``c`` have one shape, which the result has.
    """
    return (o * tanh(_saturated((c + 64) >> 7, GATE)) + 128) >> 8


def lstm_step(
    totals: IntArray, cell: IntArray, shift: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The cell and the state after a step.

    Parameters
    ----------
    totals : int array of shape (..., H, 4)
        Of the gates i, f, g, o; :func:`gate_codes`.
    cell : int array of shape (..., H)
    shift : int
    """
    gates = gate_codes(totals, shift)
    i, f, o = sigmoid(gates[..., 0]), sigmoid(gates[..., 1]), sigmoid(gates[..., 3])
    cell = lstm_cell(f, cell, i, tanh(gates[..., 2]))
    return cell, lstm_output(o, cell)


def gru_candidate(
    total: IntArray, part: IntArray, r: IntArray, shift: int
) -> npt.NDArray[np.int64]:
    """The gate codes of the candidates: ``clamp((total + (r t << (s-15)) + 2^(s-1)) >> s)``.

    The three arrays have one shape, which the result has.

    Parameters
    ----------
    total : int array
        ``a * mantissa_x + offset``.
    part : int array
        ``r * mantissa_h + state_offset``; t is ``clamp((part + 2^(s-8)) >> (s-7))`` to 16 bits, at
        the step 2^-11.
    r : int array
        The reset gates, at the step 2^-8.
    shift : int
        15..62.
    """
    t = _saturated((part + half_of(shift - 7)) >> (shift - 7), WIDE_STATE)
    return gate_codes(total + (r * t << (shift - 15)), shift)


def gru_state(z: IntArray, n: IntArray, state: IntArray) -> npt.NDArray[np.int64]:
    """``(((256 - z) n << 8) + z d + 128) >> 8``: the state d, at the step 2^-15, after a step.

    A weighted mean of n, at the step 2^-7, and d, so that it stays within ``127 * 2^8``.

    The three arrays have one shape, which the result has.
    """
    return (((256 - z) * n << 8) + z * state + 128) >> 8


def gru_output(state: IntArray) -> npt.NDArray[np.int64]:
    """``(d + 128) >> 8``: -127..127.

    The result has the shape of ``state``.
    """
    return (state + 128) >> 8


def gru_step(
    totals: IntArray, parts: IntArray, state: IntArray, shift: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The state, at the step 2^-15, and the output after a step.

    Parameters
    ----------
    totals : int array of shape (..., H, 3)
        Of the gates r, z, n, the candidates' without their state parts; :func:`gate_codes`.
    parts : int array of shape (..., H)
        The candidates' state parts; :func:`gru_candidate`.
    state : int array of shape (..., H)
    shift : int
    """
    gates = gate_codes(totals[..., :2], shift)
    r, z = sigmoid(gates[..., 0]), sigmoid(gates[..., 1])
    state = gru_state(z, tanh(gru_candidate(totals[..., 2], parts, r, shift)), state)
    return state, gru_output(state)
