"""Real factors and offsets to the integers of a Rescale: numeric contract, rule 4.

A channel is a line, ``accumulator * factor + offset`` in output units, which rounding and the clamp
turn into codes.  Three kinds of lines are given exactly, by numbers that leave the others their
precision: one that gives the same code everywhere, one of two neighbouring codes, and one that goes
from one end of the clamp to the other within an accumulator unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import LONGEST_SHIFT, PRODUCT_LIMIT

TOLERANCE = 2.0**-6
"""By so many output units the most precise shift of other channels may move a line."""

_HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class RescaleConstants:
    """``(accumulator * mantissa + offset) / 2^shift`` approximates the real line."""

    mantissa: list[int]
    offset: list[int]
    shift: list[int]


@dataclass(frozen=True, slots=True)
class _Line:
    """``accumulator * factor + offset``; no accumulator beyond ``centre ± reach`` is unclamped."""

    factor: Fraction
    offset: Fraction
    centre: int = 0
    reach: int = 0

    def at(self, shift: int) -> tuple[int, int]:
        """Mantissa and offset at a shift.

        The line of that mantissa is right at accumulator 0; where that is too far from unclamped
        ones to be right there, too, at their centre.
        """
        unit = 1 << shift
        mantissa = round(self.factor * unit)
        if mantissa == self.factor * unit:
            # All but the offset is whole before the shift rounds down, so its fraction is lost.
            return mantissa, math.floor(self.offset * unit)
        if _error(abs(self.centre) + self.reach, shift) <= TOLERANCE:
            return mantissa, round(self.offset * unit)
        lost = self.factor * unit - mantissa
        return mantissa, round(self.offset * unit + lost * self.centre)

    def exact(self, shift: int) -> tuple[bool, bool]:
        """Whether the factor is whole at a shift, and whether the offset is."""
        unit = 1 << shift
        return not unit % self.factor.denominator, not unit % self.offset.denominator

    def error(self, shift: int) -> float:
        """By how many output units rounding moves an unclamped code at most."""
        return _error(self.reach, shift)


def _error(reach: int, shift: int) -> float:
    """What half a unit of the mantissa, so many times, and of the offset make in output units."""
    return (reach + 1) / (2 << shift)


def rescale_constants(
    factors: Sequence[float],
    offsets: Sequence[float],
    source: IntFormat,
    mantissa_bits: int,
    result: IntFormat,
) -> RescaleConstants:
    """The most precise constants for ``accumulator * factor + offset`` in output units.

    A channel's own shift is the largest for which its mantissa fits ``mantissa_bits`` signed and no
    product over the range of ``source`` leaves ±2^62.  The least of them serves every channel that
    loses no exactness by it, and either one bit of precision alone or at most :data:`TOLERANCE` of
    an output unit; of the others the least serves again, and so on.  Mostly that is one shift.

    Parameters
    ----------
    factors, offsets : one float a channel, finite
    source : IntFormat
        With the proven range of the accumulator.
    result : IntFormat
        Of the codes.

    Raises
    ------
    VecqError
        A factor or an offset is not finite, or for a channel not even a shift of 1 is possible.

    Examples
    --------
    >>> s8, u4 = IntFormat(8, signed=True), IntFormat(4, signed=False)
    >>> rescale_constants([0.75], [-1.0], s8, 4, u4)
    RescaleConstants(mantissa=[6], offset=[-8], shift=[3])
    >>> rescale_constants([0.75, 1e9, 0.0], [-1.0, -3e9, 2.4], s8, 6, u4)
    RescaleConstants(mantissa=[24, 30, 0], offset=[-32, -90, 4], shift=[5, 1, 1])
    """
    lines, longest = [], []
    for factor, offset in zip(factors, offsets, strict=True):
        if not (math.isfinite(factor) and math.isfinite(offset)):
            raise VecqError(
                f"a factor of {factor:.3g} and an offset of {offset:.3g} output steps are no"
                " numbers to compute with; train it again"
            )
        line = _exact(Fraction(factor), Fraction(offset), source, result)
        lines.append(line)
        longest.append(_longest_shift(line, source, mantissa_bits))
    shifts = [0] * len(lines)
    wanting = [channel for channel, line in enumerate(lines) if line.factor]
    while wanting:
        shift = min(longest[channel] for channel in wanting)
        for channel in wanting:
            if _serves(lines[channel], shift, longest[channel]):
                shifts[channel] = shift
        wanting = [channel for channel in wanting if not shifts[channel]]
    # A constant takes any shift; one that is taken already keeps a single one single.
    common = min((shift for shift in shifts if shift), default=1)
    shifts = [
        shift or (common if common <= most else 1)
        for shift, most in zip(shifts, longest, strict=True)
    ]
    pairs = [line.at(shift) for line, shift in zip(lines, shifts, strict=True)]
    return RescaleConstants([m for m, _ in pairs], [b for _, b in pairs], shifts)


def with_one_shift(constants: RescaleConstants, classes: int) -> RescaleConstants:
    """The constants of ``classes`` lines of each channel, with the least of its shifts for all.

    The lines are those of the first class, channel by channel, then those of the second.
    """
    if classes == 1:
        return constants
    channels = len(constants.shift) // classes
    least = [min(constants.shift[channel::channels]) for channel in range(channels)] * classes

    def shortened(numbers: list[int]) -> list[int]:
        return [
            math.floor(Fraction(number, 1 << (shift - kept)) + _HALF)
            for number, shift, kept in zip(numbers, constants.shift, least, strict=True)
        ]

    return RescaleConstants(shortened(constants.mantissa), shortened(constants.offset), least)


def _exact(factor: Fraction, offset: Fraction, source: IntFormat, result: IntFormat) -> _Line:
    """The line, or another that gives the same codes in numbers that are easier to hold."""

    def code(accumulator: int) -> int:
        nearest = math.floor(accumulator * factor + offset + _HALF)
        return min(max(nearest, result.lo), result.hi)

    sign = -1 if factor < 0 else 1
    first, last = (source.lo, source.hi)[::sign]
    least, most = code(first), code(last)
    if least == most:
        return _Line(Fraction(0), Fraction(least))
    # The first accumulator, in the direction in which codes rise, above the least code.
    edge = (least + _HALF - offset) / factor
    turn = math.ceil(edge) if sign > 0 else math.floor(edge)
    if most == least + 1:
        # Less than one code over the whole range, and half an accumulator unit from the turn.
        step = Fraction(sign, 1 << (source.hi - source.lo).bit_length())
        return _Line(step, least + _HALF - step * (2 * turn - sign) / 2)
    if least == result.lo and (turn == last or code(turn + sign) == result.hi):
        reached = code(turn)
        slope = sign * max(reached - least, most - reached)
        if abs(factor) > abs(slope):
            return _Line(Fraction(slope), Fraction(reached - slope * turn))
    ends = sorted((limit - offset) / factor for limit in (result.lo - 1, result.hi + 1))
    least_open, most_open = max(math.floor(ends[0]), source.lo), min(math.ceil(ends[1]), source.hi)
    reach = -(-(most_open - least_open) // 2)
    return _Line(factor, offset, (least_open + most_open) // 2, reach)


def _longest_shift(line: _Line, source: IntFormat, mantissa_bits: int) -> int:
    most = (1 << (mantissa_bits - 1)) - 1
    # With this shift |factor| * 2^shift < 2^(mantissa_bits - 1), and only rounding can reach it.
    first = mantissa_bits - 1 - math.frexp(float(line.factor))[1] if line.factor else LONGEST_SHIFT
    for shift in range(min(LONGEST_SHIFT, first), 0, -1):
        m, b = line.at(shift)
        ends = (source.lo * m + b, source.hi * m + b)
        if abs(m) <= most and -PRODUCT_LIMIT <= min(ends) and max(ends) < PRODUCT_LIMIT:
            return shift
    raise VecqError(
        f"a factor of {float(line.factor):.3g} and an offset of {float(line.offset):.3g} output"
        f" steps do not fit a mantissa of {mantissa_bits} bits and products of ±2^62;"
        " use more mantissa bits or fewer activation bits"
    )


def _serves(line: _Line, shift: int, longest: int) -> bool:
    """Whether a shift does for the line what its own, the ``longest``, would do."""
    if line.exact(shift) != line.exact(longest):
        return False
    return shift >= longest - 1 or line.error(shift) <= TOLERANCE
