from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import formats
from vecq_hw import arithmetic, exact_products
from vecq_hw.arithmetic import FloatRescale
from vecq_hw.exact_products import Engine
from vecq_hw.formats import IntFormat


@given(st.floats(-1e6, 1e6), st.sampled_from([1.0, 0.5, 2.0**-7, 3.0]), formats())
def test_quantize_rounds_half_up_and_clamps(x, step, fmt):
    code = int(arithmetic.quantize(np.array([x]), step, fmt)[0])
    assert fmt.lo <= code <= fmt.hi
    if fmt.lo < code < fmt.hi:
        assert code == np.floor(x / step + 0.5)


def test_ties_go_up_unlike_numpy_round():
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    codes = arithmetic.quantize(x, 1.0, IntFormat(4, True))
    assert codes.tolist() == [-2, -1, 0, 1, 2, 3]
    assert np.round(x).tolist() != codes.tolist()


@given(
    acc=st.integers(-(2**30), 2**30),
    mantissa=st.integers(-(2**17), 2**17 - 1),
    offset=st.integers(-(2**60), 2**60),
    shift=st.integers(1, 62),
    fmt=formats(),
)
def test_rescale_is_the_contract(acc, mantissa, offset, shift, fmt):
    exact = (acc * mantissa + offset + 2 ** (shift - 1)) // 2**shift
    got = arithmetic.rescale(
        np.array([[acc]]), np.array([mantissa]), np.array([offset]), shift, fmt
    )
    assert int(got[0, 0]) == min(max(exact, fmt.lo), fmt.hi)


@pytest.mark.parametrize("product", [-(2**62), 2**62 - 1])
def test_rescale_at_the_ends_of_its_range(product):
    got = arithmetic.rescale(
        np.array([[product]]), np.array([1]), np.array([0]), 62, IntFormat(8, True)
    )
    assert int(got[0, 0]) == (product + 2**61) >> 62


@given(st.integers(-(2**62), 2**62), st.integers(1, 63))
def test_wrap_is_twos_complement(x, bits):
    expected = (x + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    assert int(arithmetic.wrap(np.array([x]), bits)[0]) == expected


@given(st.integers(-(2**40), 2**40), formats())
def test_saturate_clamps(x, fmt):
    assert int(arithmetic.saturate(np.array([x]), fmt)[0]) == min(max(x, fmt.lo), fmt.hi)


@pytest.mark.parametrize(
    ("bound", "engine"),
    [
        (2**24, Engine.FLOAT32),
        (2**24 + 1, Engine.FLOAT64),
        (2**53, Engine.FLOAT64),
        (2**53 + 1, Engine.LIMBS),
    ],
)
def test_engine_changes_exactly_where_a_float_stops_being_exact(bound, engine):
    assert exact_products.engine_for(bound) is engine


@pytest.mark.parametrize("bits", [8, 16, 24, 31, 37])
@pytest.mark.parametrize("inputs", [1, 3, 200])
def test_matmul_is_exact_at_every_width(bits, inputs):
    rng = np.random.default_rng(bits)
    x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, inputs))
    x[0], x[1] = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
    weights = rng.integers(-(2**15), 2**15, (4, inputs)) * 2 + 1
    bound = exact_products.product_bound(weights, 2 ** (bits - 1))
    expected = x.astype(object) @ weights.T.astype(object)
    assert np.array_equal(exact_products.exact_matmul(x, weights, bound), expected.astype(np.int64))


def test_float64_rescale_equals_the_definition_wherever_it_says_it_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(300):
        bits, channels = int(rng.integers(2, 53)), int(rng.integers(1, 5))
        magnitude = int(rng.integers(1, 1 << min(bits, 30)))
        mantissa = rng.integers(-(1 << 17), 1 << 17, channels)
        offset = rng.integers(-(1 << bits), 1 << bits, channels)
        shift = int(rng.integers(1, 53))
        fmt = IntFormat(int(rng.integers(1, 17)), bool(rng.integers(2)))
        if not FloatRescale.is_exact(magnitude, mantissa, offset, shift):
            continue
        x = rng.integers(-magnitude, magnitude + 1, (7, channels))
        x[0], x[1] = magnitude, -magnitude
        got = FloatRescale.in_double(mantissa, offset, shift, fmt)(x)
        assert np.array_equal(got, arithmetic.rescale(x, mantissa, offset, shift, fmt))
        assert got.dtype == fmt.dtype


@pytest.mark.parametrize("sign", [1, -1])
def test_float64_rescale_is_refused_one_past_its_bound(sign):
    # The total is odd: of an odd number above 2^53 float64 has lost the last bit.
    mantissa, shift, fmt = np.array([sign]), 1, IntFormat(63, True)
    for magnitude, exact in ((2**53 - 1, True), (2**53, False)):
        offset = np.array([0])
        assert FloatRescale.is_exact(magnitude, mantissa, offset, shift) is exact
    x = np.array([[2**53 + 1]])
    expected = arithmetic.rescale(x, np.array([2]), np.array([1]), shift, fmt)
    assert not np.array_equal(
        FloatRescale.in_double(np.array([2]), np.array([1]), shift, fmt)(x), expected
    )


@pytest.mark.parametrize("shift", [1, 5, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_float64_rescale_rounds_half_up_at_every_tie(shift, signed):
    half = 1 << (shift - 1)
    x = np.arange(-20 * half - 1, 20 * half + 2)[:, np.newaxis]
    one, fmt = np.array([1]), IntFormat(5, signed)
    got = FloatRescale.in_double(one, 0 * one, shift, fmt)(x)
    assert np.array_equal(got, arithmetic.rescale(x, one, 0 * one, shift, fmt))
    assert got.min() < got.max()


def test_float64_rescale_joins_blocks():
    rng = np.random.default_rng(0)
    channels = 7
    x = rng.integers(-1000, 1000, (FloatRescale.BLOCK // 3, channels))
    mantissa, offset = rng.integers(-99, 99, channels), rng.integers(-99, 99, channels)
    fmt = IntFormat(8, True)
    got = FloatRescale.in_double(mantissa, offset, 9, fmt)(x)
    assert np.array_equal(got, arithmetic.rescale(x, mantissa, offset, 9, fmt))


def test_float32_would_be_wrong_one_past_its_bound():
    x, weights = np.array([[2**24, 1]]), np.array([[1, 1]])
    bound = exact_products.product_bound(weights, 2**24)
    assert exact_products.exact_matmul(x, weights, bound)[0, 0] == 2**24 + 1
    assert exact_products.exact_matmul(x, weights, 2**24)[0, 0] == 2**24


def test_columns_pad_with_code_zero():
    x = np.arange(1, 5).reshape(1, 2, 2, 1)
    windows = exact_products.columns(x, (3, 3), (2, 2), (1, 1, 1, 1))
    assert windows.shape == (1, 1, 1, 3, 3, 1)
    assert windows.ravel().tolist() == [0, 0, 0, 0, 1, 2, 0, 3, 4]


@pytest.mark.parametrize("lo", [-5, 0, 3])
def test_thresholds_are_counted_from_below_or_from_above(lo):
    thresholds = np.array([[-4, -1, -1, 6], [-7, 0, 2, 3]])
    x = np.stack([np.arange(-9, 9)] * 2, axis=-1)
    want = [
        [lo + sum(a >= t for t in thresholds[0]), lo + sum(b <= t for t in thresholds[1])]
        for a, b in x.tolist()
    ]
    got = arithmetic.count_thresholds(x, thresholds, np.array([0, 1]), lo)
    assert got.dtype == np.int64
    assert got.tolist() == want
