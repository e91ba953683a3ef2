import numpy as np
import pytest

from vecq_hw import arithmetic
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Rescale
from vecq_hw.simulate.lines import _always_above, float32_rescale, proven_line

BYTE = IntFormat(8, False)


def rescale_layer(mantissa, offset, shift, fmt=BYTE):
    return Rescale(
        name="r",
        input="x",
        mantissa=np.array(mantissa),
        offset=np.array(offset),
        shift=shift,
        format=fmt,
    )


def assert_equal_for(layer, line, x):
    x = np.repeat(np.asarray(x)[:, np.newaxis], len(layer.mantissa), axis=1)
    want = arithmetic.rescale(x, layer.mantissa, layer.offset, layer.shift, layer.format)
    assert np.array_equal(line(x), want)
    assert np.array_equal(line(x.astype(np.float32)), want)


def test_a_line_equals_the_definition_on_the_whole_range():
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        lo, hi = sorted(rng.integers(-3000, 3000, 2).tolist())
        channels, shift = int(rng.integers(1, 6)), int(rng.integers(1, 20))
        fmt = IntFormat(int(rng.integers(1, 9)), bool(rng.integers(2)))
        # Small mantissas make ties and constants, zero is among them.
        mantissa = rng.integers(-(1 << int(rng.integers(1, 17))), 1 << 12, channels)
        mantissa[rng.integers(0, channels)] = rng.choice([0, 1, -1, 1 << (shift - 1)])
        offset = rng.integers(-(1 << 18), 1 << 18, channels)
        layer = rescale_layer(mantissa, offset, shift, fmt)
        line = float32_rescale(layer, IntFormat.covering(lo, hi))
        if line is not None:
            found += 1
            assert_equal_for(layer, line, np.arange(lo, hi + 1))
            assert line(np.array([[lo] * channels])).dtype == fmt.dtype
    assert found > 190


@pytest.mark.parametrize("sign", [1, -1])
def test_lines_of_long_mantissas_round_nowhere_that_matters(sign):
    """Where float32 rounds, the nearest slope alone goes wrong at some of the thresholds."""
    rng = np.random.default_rng(1)
    source, nearest_goes_wrong, found = IntFormat(20, True), 0, 0
    for _ in range(150):
        m, shift = sign * int(rng.integers(1 << 16, 1 << 17)), 22
        b = (30 << shift) + int(rng.integers(-(1 << shift), 1 << shift))
        layer = rescale_layer([m], [b], shift)
        levels = (np.arange(256) << shift) - (1 << (shift - 1)) - b
        near = (levels // m)[:, np.newaxis] + np.arange(-2, 3)
        x = np.clip(near.ravel(), source.lo, source.hi)
        half = b + (1 << (shift - 1))
        nearest = arithmetic.FloatRescale(
            np.float32([np.ldexp(m, -shift)]), np.float32([np.ldexp(half, -shift)]), BYTE
        )
        want = arithmetic.rescale(x[:, np.newaxis], layer.mantissa, layer.offset, shift, BYTE)
        nearest_goes_wrong += not np.array_equal(nearest(x[:, np.newaxis]), want)
        line = float32_rescale(layer, source)
        if line is not None:
            found += 1
            assert_equal_for(layer, line, x)
    assert found > 140
    assert nearest_goes_wrong > 5


def test_there_is_no_line_beyond_float32():
    layer = rescale_layer([0], [40], 3)
    assert float32_rescale(layer, IntFormat.covering(0, 1 << 24)) is not None
    assert float32_rescale(layer, IntFormat.covering(0, (1 << 24) + 1)) is None
    # So long a mantissa on so wide a range has thresholds that float32 cannot tell apart.
    close = rescale_layer(np.arange(99_001, 99_200, 2), np.arange(0, 100_000, 1000), 33)
    assert float32_rescale(close, IntFormat(24, True)) is None


def test_there_is_no_line_to_wide_codes_or_to_one_code():
    source = IntFormat(8, True)
    assert float32_rescale(rescale_layer([1], [0], 1, IntFormat(9, True)), source) is None
    assert float32_rescale(rescale_layer([1], [0], 1, IntFormat(4, True, 3, 3)), source) is None


def test_a_rounded_line_equals_the_definition_with_one_rounding_or_two():
    """On sums moved by a constant, as the engine int8 takes them."""
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(200):
        lo, hi = sorted(rng.integers(-30000, 30000, 2).tolist())
        channels, shift = int(rng.integers(1, 6)), int(rng.integers(1, 20))
        fmt = IntFormat(int(rng.integers(2, 9)), bool(rng.integers(2)))
        mantissa = rng.integers(-(1 << int(rng.integers(1, 17))), 1 << 12, channels)
        # Halves and whole codes are what rounding half to even and half up do differently.
        mantissa[rng.integers(0, channels)] = rng.choice([0, 1, -1, 1 << (shift - 1), 1 << shift])
        offset = rng.integers(-(1 << 18), 1 << 18, channels)
        offset[rng.integers(0, channels)] = rng.choice([0, 1 << (shift - 1)])
        moved = rng.integers(-(1 << 14), 1 << 14, channels)
        layer = rescale_layer(mantissa, offset, shift, fmt)
        line = proven_line(layer, IntFormat.covering(lo, hi), moved, rounded=True)
        if line is None:
            continue
        found += 1
        factor, addend = line
        x = np.repeat(np.arange(lo, hi + 1)[:, np.newaxis], channels, axis=1)
        want = arithmetic.rescale(x, mantissa, offset, shift, fmt)
        two = (x + moved).astype(np.float32) * factor + addend
        one = ((x + moved) * factor.astype(np.float64) + addend).astype(np.float32)
        for values in (two, one):
            assert np.array_equal(np.clip(np.rint(values), fmt.lo, fmt.hi), want)
    assert found > 150


def test_a_rounded_line_of_small_slope_holds_with_one_rounding_and_with_two():
    rng = np.random.default_rng(3)
    source, found = IntFormat(20, True), 0
    x = np.arange(-15_000, 15_000)[:, np.newaxis]
    for _ in range(40):
        m, shift = rng.integers(1 << 16, 1 << 17, 4), 23
        layer = rescale_layer(m, (128 << shift) + rng.integers(0, 1 << shift, 4), shift)
        line = proven_line(layer, source, rounded=True)
        if line is None:
            continue
        found += 1
        factor, addend = line
        want = arithmetic.rescale(x, m, layer.offset, shift, BYTE)
        two = x.astype(np.float32) * factor + addend
        one = (x * factor.astype(np.float64) + addend).astype(np.float32)
        for values in (two, one):
            assert np.array_equal(np.clip(np.rint(values), 0, 255), want)
    assert found > 10


def test_a_sum_that_two_roundings_lift_over_its_level_is_not_above_it():
    level = 3 + 2.0**-22
    product, addend = np.array([[1 + 2.0**-24 + 2.0**-30]]), np.float32([2 + 2.0**-22])
    assert product[0, 0].astype(np.float32) + addend[0] > level
    assert np.float32(product[0, 0] + float(addend[0])) == level
    assert not _always_above(product, addend, np.array([[level]])).any()
    assert _always_above(product, addend, np.array([[3.0]])).all()
