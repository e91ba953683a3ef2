from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import plain
from tests.strategies import formats, grids
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, IntFormat, MidRise, MiniFloat, TwosComplement, bit_planes


@given(formats(max_bits=63))
def test_a_format_lies_within_its_bits_and_its_dtype(fmt):
    full = IntFormat(fmt.bits, fmt.signed)
    assert full.hi - full.lo == 2**fmt.bits - 1
    assert full.contains(fmt.lo, fmt.hi)
    assert np.iinfo(fmt.dtype).min <= fmt.lo
    assert fmt.hi <= np.iinfo(fmt.dtype).max


@given(st.integers(-(2**61), 2**60), st.integers(0, 2**60))
def test_covering_is_the_narrowest_signed_format(lo, span):
    fmt = IntFormat.covering(lo, lo + span)
    assert (fmt.lo, fmt.hi, fmt.signed) == (lo, lo + span, True)
    if fmt.bits > 1:
        assert not IntFormat(fmt.bits - 1, True).contains(lo, lo + span)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0, True), "1 to 63 bits, not 0"),
        ((64, True), "1 to 63 bits, not 64"),
        ((3, False, -1, 4), "the range -1..4 does not lie in 0..7"),
        ((3, False, 5, 4), "the range 5..4"),
        ((3, False, 0, 8), "the range 0..8"),
    ],
)
def test_impossible_formats_are_refused(arguments, says):
    with pytest.raises(VecqError, match=says):
        IntFormat(*arguments)


@pytest.mark.parametrize("bits", range(1, 17))
def test_mid_rise_values_are_the_odd_integers_and_complement_negates(bits):
    grid = MidRise(bits)
    codes = np.arange(grid.code_format.lo, grid.code_format.hi + 1)
    values = grid.values(codes)
    assert values.tolist() == list(range(-(2**bits) + 1, 2**bits, 2))
    assert grid.values(~codes).tolist() == (-values).tolist()
    assert (grid.value_format.lo, grid.value_format.hi) == (values.min(), values.max())


@pytest.mark.parametrize("bits", [0, 17])
def test_weight_bits_out_of_range_are_refused(bits):
    for kind in (MidRise, TwosComplement):
        with pytest.raises(VecqError, match=f"1 to 16 bits, not {bits}"):
            kind(bits)


@given(grids())
def test_every_code_of_a_grid_has_a_value_in_its_format(grid):
    fmt = grid.code_format
    assert fmt.bits == grid.bits
    assert fmt.hi - fmt.lo == 2**grid.bits - 1
    values = grid.values(np.arange(fmt.lo, fmt.hi + 1, dtype=np.int32).astype(np.int16))
    assert values.dtype == np.int32
    assert (grid.value_format.lo, grid.value_format.hi) == (values.min(), values.max())


def test_the_values_of_each_grid():
    assert TwosComplement(3).values(np.arange(-4, 4)).tolist() == list(range(-4, 4))
    book = CodeBook((7, 0, -7, 2**31 - 1))
    assert book.values(np.array([[3, 2], [1, 0]])).tolist() == [[2**31 - 1, -7], [0, 7]]
    assert CodeBook([np.int64(5), 5]) == CodeBook((5, 5))
    assert CodeBook((5, 5)).bits == 1


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ((), "one for each code, not 0"),
        ((1,), "one for each code, not 1"),
        ((-1, 0, 1), "one for each code, not 3; repeat one"),
        ((0,) * (1 << 16), "not 65536"),
        ((0.5, 1), "holds integers, not 0.5"),
        ((True, 1), "holds integers, not True"),
        ((0, -(2**31)), "within ±(2^31 - 1), not -2147483648"),
    ],
)
def test_impossible_code_books_are_refused(levels, says):
    with pytest.raises(VecqError) as error:
        CodeBook(levels)
    assert says in str(error.value)


@given(grids())
def test_bit_planes_hold_every_value_in_the_fewest_bits(grid):
    fmt = grid.code_format
    values = [int(value) for value in grid.values(np.arange(fmt.lo, fmt.hi + 1))]
    planes = bit_planes(grid)
    assert planes.signs == all(value % 2 for value in values)
    codes = planes.codes(np.array(values)).tolist()
    assert [2 * q + 1 if planes.signs else q for q in codes] == values
    least, most = min(codes), max(codes)
    needed = next(n for n in range(1, 64) if least >= -(2 ** (n - 1)) and most < 2 ** (n - 1))
    assert planes.bits == (needed if least < 0 else IntFormat.covering(least, most).bits)


@pytest.mark.parametrize("bits", [1, 2, 7, 16])
def test_values_of_the_mid_rise_grid_take_one_bit_more_than_its_codes(bits):
    fmt = MidRise(bits).value_format
    assert (fmt.bits, fmt.signed, fmt.hi, fmt.lo) == (bits + 1, True, 2**bits - 1, 1 - 2**bits)


@pytest.mark.parametrize(
    ("bits", "fraction", "levels"),
    [
        (2, 0, [0, 1]),
        (3, 0, [0, 1, 2, 4]),
        (3, 1, [0, 1, 2, 3]),
        (4, 1, [0, 1, 2, 3, 4, 6, 8, 12]),
        (5, 2, [*range(9), 10, 12, 14, 16, 20, 24, 28]),
        (5, 3, list(range(16))),
        (6, 0, [0, *(1 << n for n in range(31))]),
    ],
)
def test_the_levels_of_small_floats_are_those_of_esb(bits, fraction, levels):
    grid = MiniFloat(bits, fraction)
    values = grid.values(np.arange(1 << bits)).tolist()
    assert values == levels + [-level for level in levels]
    assert [plain.value(grid, code) for code in range(1 << bits)] == values


@pytest.mark.parametrize(
    ("bits", "fraction", "says"),
    [
        (1, 0, "2 to 16 bits, not 1"),
        (17, 3, "2 to 16 bits, not 17"),
        (4, 3, "a small float of 4 bits has 0 to 2 fraction bits, not 3"),
        (4, -1, "0 to 2 fraction bits, not -1"),
        (7, 1, "7 bits, 1 of them fraction, reaches beyond"),
    ],
)
def test_impossible_small_floats_are_refused(bits, fraction, says):
    with pytest.raises(VecqError, match=says):
        MiniFloat(bits, fraction)
