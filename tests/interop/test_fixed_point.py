"""The rules between an accumulator and a code, against the executors, at ties and extremes.

A layer whose weights are 1 and whose input is real zero gives its biases as accumulators, so that
any of them can be asked for.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.interop.tflite_models import Model, executed
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.interop.fixed_point import (
    ACCUMULATOR,
    Multiplier,
    Rounding,
    Semantics,
    clamped,
    divided_away,
    divided_up,
    fixed_point,
    product_scale,
    rounded_away,
    sums,
)

COUNT = 3000
KINDS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
CASES = ("small multiplier", "medium multiplier", "powers of two", "multiplier above 1")


def _file(kind, accumulators, scales, zero_points):
    """A layer of one input code; scales of input, weights, output."""
    m, count = Model(), len(accumulators)
    dense = kind == "FULLY_CONNECTED"
    x = m.tensor("x", (1, 1) if dense else (1, 1, 1, 1), scales[0], zero_points[0])
    shape = {
        "FULLY_CONNECTED": (count, 1),
        "CONV_2D": (count, 1, 1, 1),
        "DEPTHWISE_CONV_2D": (1, 1, 1, count),
    }[kind]
    w = m.constant("w", np.ones(shape, np.int8), scales[1], axis=3 if kind[0] == "D" else 0)
    b = m.constant("b", accumulators.astype(np.int32), scales[0] * scales[1])
    y = m.tensor("y", (1, count) if dense else (1, 1, 1, count), scales[2], zero_points[1])
    fields = {} if dense else {
        "StrideH": 1, "StrideW": 1, "Padding": 1, "DilationHFactor": 1, "DilationWFactor": 1,
    }  # fmt: skip
    fields |= {"DepthMultiplier": count} if kind[0] == "D" else {}
    m.node(kind, [x, w, b], [y], FusedActivationFunction=0, **fields)
    return m.file([x], [y])


def _case(case, per_channel, rng):
    """Scales and accumulators around every place where the code changes."""
    f32 = np.float32
    source, weight = f32(np.exp(rng.uniform(-6, -2, 2)))
    ratio = {
        "small multiplier": 2.0 ** rng.uniform(18, 23.5),
        "medium multiplier": 2.0 ** rng.uniform(3, 16),
        "powers of two": 1.0,
        "multiplier above 1": rng.uniform(0.002, 0.9),
    }[case]
    result = f32(source * weight * f32(ratio))
    if case == "powers of two":
        source, weight, result = f32(2.0**-3), f32(2.0**-5), f32(2.0 ** rng.integers(-5, 6))
    weights = np.full(COUNT if per_channel else 1, weight, np.float32)
    if per_channel and case != "powers of two":
        weights = (weight * np.exp(rng.uniform(-1, 1, COUNT))).astype(np.float32)
    multiplier = float(source) * weights.astype(float) / float(result)
    half = (rng.integers(-140, 140, COUNT) + 0.5) / multiplier
    near = np.floor(half) + rng.integers(-2, 3, COUNT)
    if case == "powers of two":
        near = np.rint(half)
    limit = (1 << 31) / max(2.0 ** np.ceil(np.log2(multiplier.max())), 1) - 9
    return (source, weights, result), np.clip(near, -limit, limit).astype(np.int64)


@pytest.mark.parametrize("semantics", list(Semantics), ids=lambda one: one.value)
@pytest.mark.parametrize("per_channel", [True, False], ids=["channels", "tensor"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_accumulators_at_every_change_of_code(kind, case, per_channel, semantics):
    rng = np.random.default_rng(KINDS.index(kind) * 100 + CASES.index(case) * 10 + per_channel)
    scales, accumulators = _case(case, per_channel, rng)
    zero_points = int(rng.integers(-20, 20)), int(rng.integers(-20, 20))
    data = _file(kind, accumulators, scales, zero_points)
    shape = (1, 1) if kind == "FULLY_CONNECTED" else (1, 1, 1, 1)
    wanted = executed(data, semantics.value, np.full(shape, zero_points[0]))[0].ravel()
    source, weights, result = scales
    multiplier = product_scale(
        semantics, kind == "FULLY_CONNECTED", float(source), weights, float(result)
    )
    codes = IntFormat(9, True, -128 - zero_points[1], 127 - zero_points[1])
    given = accumulators[:, None] if per_channel else accumulators[None]
    found = clamped(multiplier, codes)(given).ravel() + zero_points[1]
    assert np.array_equal(found, wanted)


def test_rules_differ_where_they_should():
    """Halves, above and below zero, and a first rounding that makes a half."""
    half = np.array([[-6, -2, 2, 6]])
    found = {kind: Multiplier(np.array([0.25]), kind)(half).ravel().tolist() for kind in Rounding}
    assert found == {
        Rounding.DOUBLE_AWAY: [-2, -1, 1, 2],
        Rounding.DOUBLE_UP: [-1, 0, 1, 2],
        Rounding.SINGLE_UP: [-1, 0, 1, 2],
        Rounding.FLOAT: [-2, 0, 0, 2],
        Rounding.DOUBLE_PRECISION: [-2, -1, 1, 2],
    }
    near = Multiplier(np.array([0.5 - 2.0**-31]), Rounding.DOUBLE_UP)
    once = Multiplier(np.array([0.5 - 2.0**-31]), Rounding.SINGLE_UP)
    assert (near(np.array([[3]])), once(np.array([[3]]))) == (2, 1)


def test_mantissas_have_31_bits():
    mantissa, exponent = fixed_point(np.array([1 - 2.0**-40, 2.0**-33, 3e-5]))
    assert mantissa.tolist()[:2] == [1 << 30, 0]
    assert exponent.tolist()[:2] == [1, 0]
    assert mantissa[2].bit_length() == 31 if hasattr(mantissa[2], "bit_length") else True
    assert np.isclose(float(mantissa[2]) * 2.0 ** (int(exponent[2]) - 31), 3e-5, rtol=1e-9)


def test_divisions_by_powers_of_two():
    x = np.arange(-9, 10)
    for bits in range(4):
        exact = x / 2**bits
        away = np.sign(exact) * np.floor(np.abs(exact) + 0.5)
        assert np.array_equal(divided_away(x, np.array(bits)), away)
        assert np.array_equal(divided_up(x, np.array(bits)), np.floor(exact + 0.5))
    just_below = np.nextafter(0.5, 0)
    assert rounded_away(np.array([just_below, -just_below, 0.5, -0.5])).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize("real", [0.0, -1.0, np.inf, np.nan, 2.0**31])
def test_multipliers_that_no_executor_holds_are_refused(real):
    with pytest.raises(VecqError, match="multiplier"):
        Multiplier(np.array([real]), Rounding.DOUBLE_AWAY)


def test_accumulators_that_would_wrap_are_refused():
    multiplier = Multiplier(np.array([3.0]), Rounding.DOUBLE_AWAY)
    codes = IntFormat(8, signed=True)
    clamped(multiplier, codes, IntFormat.covering(-100, 1 << 28))
    with pytest.raises(VecqError, match="32 bits"):
        clamped(multiplier, codes, IntFormat.covering(-100, 1 << 29))
    with pytest.raises(VecqError, match="32 bits"):
        clamped(
            Multiplier(np.array([0.5]), Rounding.FLOAT), codes,
            IntFormat.covering(0, ACCUMULATOR.hi + 1),
        )  # fmt: skip


def test_sums_beyond_what_a_delegate_takes_follow_the_built_in_kernel():
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    scales = (0.001, 0.9, 3.0)  # the first is less than 2^-10 of the result
    scales = tuple(float(np.float32(scale)) for scale in scales)
    delegate = sums(Semantics.XNNPACK, *scales)(a, b)
    assert np.array_equal(delegate, sums(Semantics.RUY, *scales)(a, b))
    m = Model()
    first, second = m.tensor("a", (1, 65536), scales[0]), m.tensor("b", (1, 65536), scales[1])
    y = m.tensor("y", (1, 65536), scales[2])
    m.node("ADD", [first, second], [y], FusedActivationFunction=0)
    wanted = executed(m.file([first, second], [y]), "xnnpack", a[None], b[None])[0].ravel()
    assert np.array_equal(np.clip(delegate, -128, 127), wanted)
