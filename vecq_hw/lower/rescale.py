"""Real factors and offsets to the integers of a Rescale: numeric contract, rule 4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.network import PRODUCT_LIMIT, Network, Rescale

LONGEST_SHIFT = 62


@dataclass(frozen=True, slots=True)
class RescaleConstants:
    """``(accumulator * mantissa + offset) / 2^shift`` approximates the real line."""

    mantissa: list[int]
    offset: list[int]
    shift: int


def rescale_constants(
    factors: Sequence[float], offsets: Sequence[float], source: IntFormat, mantissa_bits: int
) -> RescaleConstants:
    """The most precise constants for ``accumulator * factor + offset`` in output units.

    The largest shift for which every mantissa fits ``mantissa_bits`` signed and no product over the
    range of ``source`` leaves ±2^62.

    Parameters
    ----------
    factors, offsets : one float a channel, finite
    source : IntFormat
        With the proven range of the accumulator.

    Raises
    ------
    VecqError
        Not even a shift of 1 is possible.

    Examples
    --------
    >>> rescale_constants([0.75], [-1.0], IntFormat(8, signed=True), 4)
    RescaleConstants(mantissa=[6], offset=[-8], shift=3)
    """
    most = (1 << (mantissa_bits - 1)) - 1
    largest = max(map(abs, factors))
    # With this shift largest * 2^shift < 2^(mantissa_bits - 1), and only rounding can reach it.
    longest = mantissa_bits - 1 - math.frexp(largest)[1] if largest else LONGEST_SHIFT
    for shift in range(min(LONGEST_SHIFT, longest), 0, -1):
        mantissa = [round(math.ldexp(factor, shift)) for factor in factors]
        added = [round(math.ldexp(offset, shift)) for offset in offsets]
        if max(map(abs, mantissa)) <= most and _fits(mantissa, added, source):
            return RescaleConstants(mantissa, added, shift)
    raise VecqError(
        f"a factor of {largest:.3g} and an offset of {max(map(abs, offsets)):.3g} output steps"
        f" do not fit a mantissa of {mantissa_bits} bits and products of ±2^62;"
        " use fewer activation bits"
    )


def _fits(mantissa: list[int], offset: list[int], source: IntFormat) -> bool:
    ends = [
        end * m + b for m, b in zip(mantissa, offset, strict=True) for end in (source.lo, source.hi)
    ]
    return -PRODUCT_LIMIT <= min(ends) and max(ends) < PRODUCT_LIMIT


def shortened_mantissas(network: Network, mantissa_bits: int = 18) -> dict[str, int]:
    """The Rescale layers whose mantissas lowering had to shorten, and the bits that they have.

    Rule 4's bound or the longest shift leaves them less than ``mantissa_bits``.
    """
    result = {}
    for layer in network.layers:
        if isinstance(layer, Rescale):
            bits = 1 + max(abs(int(m)).bit_length() for m in layer.mantissa)
            if bits < mantissa_bits:
                result[layer.name] = bits
    return result
