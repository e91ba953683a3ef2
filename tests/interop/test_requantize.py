"""Any monotone function of accumulators as thresholds, and the Rescale that is the same."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import formats, rescales
from vecq_hw.arithmetic import count_thresholds, rescale
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.interop.requantize import lookup, requantized, thresholds
from vecq_hw.interop.shared_rows import shared
from vecq_hw.interop.shorten import Lines, channel_ranges, shortened
from vecq_hw.layers import Lookup, Rescale, Tensor, Threshold
from vecq_hw.passes.thresholds import thresholds_of

U4, S8 = IntFormat(4, signed=False), IntFormat(8, signed=True)


def tensor(channels: int, fmt: IntFormat) -> Tensor:
    return Tensor(shape=(channels,), format=fmt, step=1.0)


def codes_of(layer: Rescale | Threshold | Lookup, fmt: IntFormat, x: np.ndarray) -> np.ndarray:
    """The codes that a layer makes of accumulators of shape (n, C)."""
    match layer:
        case Rescale():
            return rescale(x, layer.mantissa, layer.offset, layer.shift, layer.format)
        case Threshold():
            return count_thresholds(x, layer.thresholds, layer.falling, layer.format.lo)
        case Lookup():
            channel = np.arange(x.shape[1]) % len(layer.table)
            return layer.table[channel, x - fmt.lo]


@st.composite
def monotone(draw: st.DrawFn):
    """A random table for each channel that rises or falls, over a random range."""
    lo = draw(st.integers(-200, 50))
    fmt = IntFormat.covering(lo, lo + draw(st.integers(0, 300)))
    result = draw(st.sampled_from([IntFormat(2, True, -1, 1), U4, S8, IntFormat(9, True, -9, 200)]))
    channels = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wide = rng.integers(1, 400)
    middle = rng.integers(-50, 300)
    table = np.sort(rng.integers(middle - wide, middle + wide, (channels, fmt.hi - fmt.lo + 1)))
    falls = rng.random(channels) < 0.5
    table = np.where(falls[:, None], table[:, ::-1], table)
    return fmt, result, np.clip(table, result.lo, result.hi)


@settings(max_examples=40, deadline=None)
@given(monotone())
def test_bisection_finds_every_monotone_function(drawn):
    fmt, result, table = drawn
    rows = np.arange(len(table))[:, None]
    source = tensor(len(table), fmt)
    layer = requantized("r", "x", source, lambda x: table[rows, x - fmt.lo], result, 1.0)
    x = np.tile(np.arange(fmt.lo, fmt.hi + 1)[:, None], (1, len(table)))
    assert np.array_equal(codes_of(layer, fmt, x), table.T)
    rule = thresholds("r", "x", source, lambda x: table[rows, x - fmt.lo], result, 1.0)
    assert np.array_equal(codes_of(rule, fmt, x), table.T)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_rescale_is_found_again_in_its_thresholds(data):
    source = data.draw(formats())
    channels = data.draw(st.integers(1, 4))
    given_layer = data.draw(rescales("r", "x", tensor(channels, source)))
    if given_layer.rows is not None or given_layer.format.bits > 8:
        return
    rule = thresholds_of(given_layer, source)
    found = shortened(rule, tensor(channels, source))
    assert found is not None
    # In Python integers, over the whole range.
    again = thresholds_of(found, source)
    ends = np.tile([[source.lo], [source.hi]], (1, channels))
    assert np.array_equal(codes_of(again, source, ends), codes_of(rule, source, ends))
    inside = (rule.falling == again.falling)[:, None]
    assert np.array_equal(
        np.where(inside, again.thresholds, 0), np.where(inside, rule.thresholds, 0)
    )
    assert np.max(found.shifts) <= np.max(given_layer.shifts)


def test_the_line_found_is_the_shortest():
    fmt = IntFormat(8, signed=True)
    line = Rescale(name="r", input="x", mantissa=[45], offset=[77], shift=9, format=U4)
    wanted = thresholds_of(line, fmt)
    found = shortened(wanted, tensor(1, fmt))
    assert found is not None
    assert found.shift <= 9
    x = np.arange(fmt.lo, fmt.hi + 1)[:, None]
    codes = codes_of(line, fmt, x)
    for shorter in range(1, found.shift):
        # Every mantissa and offset that could matter: no line of fewer shifted bits is the same.
        m, b = np.arange(1, 2 << shorter), np.arange(-(1 << 7), 1 << 7)
        for one in m.tolist():
            all_codes = np.clip(x * one + b + (1 << shorter >> 1) >> shorter, 0, 15)
            assert not (all_codes == codes).all(axis=0).any()


def test_no_line_means_thresholds_and_the_channels_are_counted():
    fmt = IntFormat(16, signed=True)

    def squares(x: np.ndarray) -> np.ndarray:
        return np.clip(np.sqrt(np.maximum(x, 0)).astype(np.int64), 0, 15)

    layer = requantized("r", "x", tensor(3, fmt), squares, U4, 1.0)
    assert isinstance(layer, Threshold)
    rule = layer.by_channel(3)
    assert not Lines.of(rule, channel_ranges(tensor(3, fmt), None)).found.any()
    narrow = IntFormat(8, signed=True)
    u7 = IntFormat(7, signed=False)
    alike = requantized("r", "x", tensor(3, narrow), lambda x: squares(x) * 8, u7, 1.0)
    assert isinstance(alike, Lookup)
    assert alike.table.shape == (1, 256)


def test_two_equal_thresholds_jump_over_zero():
    fmt, signs = IntFormat(20, signed=True), IntFormat(2, True, -1, 1)
    layer = requantized("r", "x", tensor(2, fmt), lambda x: np.where(x >= -7, 1, -1), signs, 1.0)
    assert isinstance(layer, Rescale)
    x = np.array([[-8, -7], [fmt.lo, fmt.hi]])
    assert codes_of(layer, fmt, x).tolist() == [[-1, 1], [-1, 1]]


def test_what_rises_and_falls_is_a_table_or_refused():
    wide = IntFormat(14, signed=True)
    with pytest.raises(VecqError, match=r"node 'swish'.*neither rises nor falls"):
        requantized("r", "x", tensor(1, wide), lambda x: np.abs(x) // 1024, U4, 1.0, "swish")
    layer = requantized("r", "x", tensor(1, S8), lambda x: np.abs(x) // 16, U4, 1.0)
    assert isinstance(layer, Lookup)


def test_codes_that_leave_the_format_are_refused():
    with pytest.raises(VecqError, match=r"codes of -128\.\.127 leave u4"):
        requantized("r", "x", tensor(1, S8), lambda x: x, U4, 1.0)
    with pytest.raises(VecqError, match="leave u4"):
        lookup("r", "x", tensor(1, S8), lambda x: x, U4, 1.0)


def test_a_wide_range_that_dips_between_thresholds_is_noticed():
    fmt = IntFormat(30, signed=True)

    def function(x: np.ndarray) -> np.ndarray:
        dips = (x > (1 << 26) + (1 << 15)) & (x < (1 << 26) + (1 << 17))
        return (x >> 26) + 8 - dips

    with pytest.raises(VecqError, match="neither rises nor falls"):
        requantized("r", "x", tensor(2, fmt), function, U4, 1.0)


def test_wide_accumulators_and_many_rows_take_little_time():
    """The figures of a small residual network: 64 channels, 255 levels, float32 arithmetic."""
    fmt = IntFormat(22, signed=True)
    scale = np.linspace(1e-4, 3e-3, 64, dtype=np.float32)[:, None]

    def function(x: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(x.astype(np.float32) * scale), -128, 127).astype(np.int64)

    layer = requantized("r", "x", tensor(64, fmt), function, S8, 1.0)
    rng = np.random.default_rng(0)
    x = rng.integers(-(10**6), 10**6, (2000, 64))
    assert np.array_equal(codes_of(layer, fmt, x), function(x.T).T)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_row_serves_all_channels_exactly_where_one_can(data):
    """Channels see their own ranges; whether a row serves is found by trying all rows."""
    falls = data.draw(st.booleans())
    result = IntFormat(2, signed=False)
    ends = np.array(
        data.draw(
            st.lists(st.tuples(st.integers(-4, 0), st.integers(0, 4)), min_size=1, max_size=3)
        )
    )
    kept = data.draw(st.lists(st.integers(-5, 5), min_size=3, max_size=3))
    moved = data.draw(st.lists(st.integers(0, 1), min_size=len(ends), max_size=len(ends)))
    rows = np.sort(np.array(kept)) + np.array(moved)[:, None]

    def function(x: np.ndarray) -> np.ndarray:
        signed = -x if falls else x
        return (signed[:, :, None] >= rows[:, None, :]).sum(axis=2)

    source = tensor(len(ends), IntFormat(4, signed=True))
    rule = thresholds("r", "x", source, function, result, 1.0, ends)
    one = shared(rule, ends)
    points = np.clip(np.arange(-5, 6)[None], ends[:, :1], ends[:, 1:])
    wanted = function(points)
    everything = np.array(list(combinations_with_replacement(range(-6, 7), 3)))
    serves = any(
        ((points[:, :, None] <= everything[:, None, None]) if down
         else (points[:, :, None] >= everything[:, None, None])).sum(axis=3).__eq__(wanted)
        .all(axis=(1, 2)).any()
        for down in (False, True)
    )  # fmt: skip
    assert (one is not None) == serves
    if one is not None:
        assert one.thresholds.shape == (1, 3)
        assert np.array_equal(codes_of(one, source.format, points.T), wanted.T)


def test_what_all_channels_do_alike_takes_one_row():
    fmt, wide = IntFormat(11, signed=True), IntFormat(16, signed=True)

    def squares(x: np.ndarray) -> np.ndarray:
        return np.clip(np.sqrt(np.maximum(x, 0)).astype(np.int64), 0, 15)

    for source in (fmt, wide):  # also where a table would be larger
        layer = requantized("r", "x", tensor(3, source), squares, U4, 1.0)
        assert isinstance(layer, Threshold)
        assert layer.thresholds.shape == (1, 15)
    own = requantized(
        "r", "x", tensor(2, wide), lambda x: squares(x + np.array([[0], [1]])), U4, 1.0
    )
    assert isinstance(own, Threshold)
    assert own.thresholds.shape == (2, 15)
