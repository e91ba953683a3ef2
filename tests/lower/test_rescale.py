from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vecq_hw import arithmetic
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.lower.rescale import rescale_constants

S12, U8 = IntFormat(12, signed=True), IntFormat(8, signed=False)


def codes_of(lines, source, result, mantissa_bits=18):
    """What the constants make of every accumulator, shape (accumulators, C), and the constants."""
    factors, offsets = zip(*lines, strict=True)
    found = rescale_constants(factors, offsets, source, mantissa_bits, result)
    accumulators = np.arange(source.lo, source.hi + 1)[:, np.newaxis].repeat(len(lines), axis=1)
    columns = (np.array(column) for column in (found.mantissa, found.offset, found.shift))
    return arithmetic.rescale(accumulators, *columns, result), found


def wanted(lines, source, result):
    """The codes of the lines themselves, in rational numbers."""
    half = Fraction(1, 2)
    exact = [(Fraction(factor), Fraction(offset)) for factor, offset in lines]
    return np.array(
        [
            [min(max(floor(a * f + o + half), result.lo), result.hi) for f, o in exact]
            for a in range(source.lo, source.hi + 1)
        ]
    )


factors = st.builds(lambda m, e: m * 2.0**e, st.floats(-1, 1), st.integers(-40, 40))
lines_of = st.tuples(factors, st.floats(-2, 2), st.integers(-600, 600))
"""Factor, and where the line lies at which accumulator."""
results = st.builds(IntFormat, st.sampled_from([1, 2, 4, 8, 12, 16]), st.booleans())


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(lines_of, min_size=1, max_size=4),
    bits=st.integers(1, 10),
    signed=st.booleans(),
    result=results,
)
@example([(316.2, 0.0, 100), (2.0**-9, 0.3, 0), (2.0**-20, 1.0, 0)], 9, True, U8)
@example([(1.7 * 2**20, 0.0, -300), (0.37, 0.0, 0)], 10, True, IntFormat(16, signed=True))
def test_no_code_is_off_by_more_than_one_whatever_the_gains(drawn, bits, signed, result):
    source = IntFormat(bits, signed)
    lines = [(f, (result.hi - result.lo) * at - f * centre) for f, at, centre in drawn]
    codes, found = codes_of(lines, source, result)
    assert np.abs(codes - wanted(lines, source, result)).max() <= 1
    assert max(map(abs, found.mantissa)) < 1 << 17


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(
        st.tuples(st.integers(-(2**17) + 1, 2**17 - 1), st.integers(-24, 20), st.integers(-9, 9)),
        min_size=1,
        max_size=4,
    ),
    result=results,
)
@example([(1, 13, 7)], IntFormat(16, signed=False))
def test_short_dyadic_gains_are_exact_whatever_their_spread(drawn, result):
    """Where float32 computes a training forward exactly, gains are of this kind."""
    source = IntFormat(8, signed=True)
    lines = [(m * 2.0**e, o * 2.0**-4) for m, e, o in drawn]
    codes, _ = codes_of(lines, source, result)
    assert np.array_equal(codes, wanted(lines, source, result))


def test_a_constant_a_step_and_a_jump_are_exact():
    lines = [
        (0.0, 17.5),  # the same everywhere
        (2.0**-50, 3.4),
        (-1e-9, -700.0),  # clamped everywhere
        (1e-5, 6.49),  # a single threshold
        (-1e-5, 6.5),
        (1e30, -123e30),  # from end to end within an accumulator unit
        (-7777.7, 1e6),
        (300.0, -300.0 * 71 + 99.2),  # with one code between
    ]
    codes, found = codes_of(lines, S12, U8)
    assert np.array_equal(codes, wanted(lines, S12, U8))
    assert found.mantissa[:3] == [0, 0, 0]


def test_channels_of_like_gains_share_their_shift():
    generator = np.random.default_rng(0)
    gains = generator.uniform(0.03, 0.9, 64) * generator.choice((-1, 1), 64)
    _, found = codes_of([(gain, 3.0) for gain in gains.tolist()], S12, U8)
    assert found.shift == [18 - 1] * 64
    # A dead channel changes nothing for the others, and takes their shift.
    _, with_dead = codes_of([*((gain, 3.0) for gain in gains.tolist()), (1e9, -1e15)], S12, U8)
    assert with_dead.shift == [*found.shift, 17]
    assert with_dead.mantissa[:-1] == found.mantissa


def test_a_shift_of_its_own_where_gains_differ_too_much():
    gains = [0.7, 0.7 * 2**-4, 0.7 * 2**-11, 0.7 * 2**-12]
    source, pixel = IntFormat(20, signed=True), IntFormat(12, signed=True)
    found = rescale_constants(gains, [3.2] * 4, source, 18, pixel)
    assert found.shift == [17, 21, 28, 28]
    assert [m.bit_length() for m in found.mantissa] == [17, 17, 17, 16]


@settings(max_examples=100, deadline=None)
@given(
    scale=st.integers(-60, 4),
    bits=st.integers(1, 62),
    mantissa_bits=st.integers(4, 32),
    line=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e6, 1e6)),
)
def test_one_channel_gets_the_longest_shift_that_is_legal(scale, bits, mantissa_bits, line):
    source, result = IntFormat(bits, signed=True), IntFormat(16, signed=True)
    factor, offset = line[0] * 2.0**scale, line[1]
    try:
        found = rescale_constants([factor], [offset], source, mantissa_bits, result)
    except VecqError as error:
        assert "do not fit a mantissa" in str(error)  # noqa: PT017
        return
    (m,), (b,), (s,) = found.mantissa, found.offset, found.shift

    def legal(m, b):
        ends = [end * m + b for end in (source.lo, source.hi)]
        fits = abs(m) < 2 ** (mantissa_bits - 1)
        return fits and -(2**62) <= min(ends) and max(ends) < 2**62

    assert 1 <= s <= 62
    assert legal(m, b)
    assert s == 62 or not m or not legal(2 * m, 2 * b) or not legal(2 * m + 1, 2 * b)


def test_the_bound_of_products_is_reached_but_not_passed():
    source, result = IntFormat(60, signed=True), IntFormat(60, signed=True)
    found = rescale_constants([2.0**-40], [0.0], source, 18, result)
    # -2^59 * 8 is the least product that is allowed.
    assert (found.mantissa, found.shift) == ([8], [43])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_greatest_mantissa_is_taken_and_one_beyond_shortens_the_shift(sign):
    source = IntFormat(20, signed=True)
    greatest = rescale_constants([sign * (1 - 2.0**-17)], [0.0], source, 18, source)
    assert (greatest.mantissa, greatest.shift) == ([sign * (2**17 - 1)], [17])
    # It rounds to 2^17, which 18 signed bits do not hold, and at the least not by both signs.
    beyond = rescale_constants([sign * (1 - 2.0**-20)], [0.0], source, 18, source)
    assert (beyond.mantissa, beyond.shift) == ([sign * 2**16], [16])


@pytest.mark.parametrize("line", [(float("inf"), 0.0), (1.0, float("nan"))])
def test_what_is_no_number_is_refused(line):
    with pytest.raises(VecqError, match="train it again"):
        codes_of([line], S12, U8)
