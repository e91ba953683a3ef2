from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.lower.rescale import rescale_constants


def legal(mantissa, offset, source):
    ends = [
        end * m + b for m, b in zip(mantissa, offset, strict=True) for end in (source.lo, source.hi)
    ]
    return -(2**62) <= min(ends) and max(ends) < 2**62


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e6, 1e6)), min_size=1, max_size=4),
    scale=st.integers(-60, 4),
    bits=st.integers(1, 62),
    mantissa_bits=st.integers(8, 32),
)
def test_constants_are_the_most_precise_that_are_legal(lines, scale, bits, mantissa_bits):
    source = IntFormat(bits, signed=True)
    factors = [factor * 2.0**scale for factor, _ in lines]
    offsets = [offset for _, offset in lines]
    exact = [(Fraction(f), Fraction(o)) for f, o in zip(factors, offsets, strict=True)]

    def constants(shift):
        mantissa = [round(f * 2**shift) for f, _ in exact]
        offset = [round(o * 2**shift) for _, o in exact]
        fits = max(map(abs, mantissa)) < 2 ** (mantissa_bits - 1)
        return (mantissa, offset) if fits and legal(mantissa, offset, source) else None

    best = next((shift for shift in range(62, 0, -1) if constants(shift)), None)
    if best is None:
        with pytest.raises(VecqError, match="do not fit a mantissa"):
            rescale_constants(factors, offsets, source, mantissa_bits)
    else:
        found = rescale_constants(factors, offsets, source, mantissa_bits)
        assert found.shift == best
        assert (found.mantissa, found.offset) == constants(best)


def test_the_bound_of_products_is_reached_but_not_passed():
    found = rescale_constants([2.0**-40], [0.0], IntFormat(60, signed=True), 18)
    # -2^59 * 8 is the least product that is allowed.
    assert (found.mantissa, found.shift) == ([8], 43)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_greatest_mantissa_is_taken_and_one_beyond_shortens_the_shift(sign):
    source = IntFormat(20, signed=True)
    greatest = rescale_constants([sign * (1 - 2.0**-17)], [0.0], source, 18)
    assert (greatest.mantissa, greatest.shift) == ([sign * (2**17 - 1)], 17)
    # It rounds to 2^17, which 18 signed bits do not hold, and at the least not by both signs.
    beyond = rescale_constants([sign * (1 - 2.0**-20)], [0.0], source, 18)
    assert (beyond.mantissa, beyond.shift) == ([sign * 2**16], 16)
