"""The kinds of weights: their values, what is counted as stored, what a flipped bit does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import plain
from tests.random_networks import Seeded, random_bases, random_product
from vecq_hw.errors import VecqError
from vecq_hw.formats import BitPlanes, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import BinaryBases, Dense, Input, ProductWeights, Weights
from vecq_hw.network import Network

SHAPES = ((3, 12), (2, 3, 2, 4), (1, 1))
RANDOM = {"product": random_product, "bases": random_bases}
seeds = st.integers(0, 2**32)

PRODUCT = ProductWeights(indices=[[0, 3, 1], [2, 2, 0]], book=[[1, -2], [7, 0], [-8, 5], [3, 3]])
BASES = BinaryBases(
    bases=[[[[1, 0], [1, 1], [0, 1]], [[1, 1], [1, 0], [0, 0]]]],
    coordinates=[[[5, 0, 3], [0, 0, 0]]],
)


def test_a_block_is_a_word_of_the_book_and_its_bits_are_counted():
    assert PRODUCT.values.tolist() == [[1, -2, 3, 3, 7, 0], [-8, 5, -8, 5, 1, -2]]
    assert PRODUCT.shape == (2, 6)
    assert PRODUCT.stored_bits == 6 * 2 + 8 * 8
    assert PRODUCT.value_format == TwosComplement(8).value_format
    assert repr(PRODUCT) == "6.33-bit product of 4 × 2"
    odd = ProductWeights(indices=[[1, 0]], book=[[0], [-2]], grid=MidRise(2))
    assert odd.planes == BitPlanes(2, signs=True)
    assert odd.values.tolist() == [[-3, 1]]


def test_a_group_is_a_sum_of_bases_and_those_pruned_take_no_bits():
    assert BASES.values.tolist() == [[5 - 3, -5 + 3, 0, 0]]
    assert BASES.counts.tolist() == [[2, 0]]
    # Two bases of two bits, their coordinates of three, two counts of 0 to 3.
    assert BASES.stored_bits == 2 * 2 + 2 * 3 + 2 * 2
    assert BASES.coordinates.tolist() == [[[5, 3, 0], [0, 0, 0]]]
    assert BASES.bases.tolist() == [[[[1, 0], [0, 1], [0, 0]], [[0, 0], [0, 0], [0, 0]]]]
    assert (BASES.value_format, BASES.bits) == (IntFormat.covering(-2, 2), 3)


def test_outputs_side_by_side_take_the_passes_of_the_longest():
    coordinates = np.zeros((4, 2, 3), int)
    coordinates[0, 0], coordinates[1, 1, :2], coordinates[3, 0, 0] = 1, 1, 1
    weights = BinaryBases(bases=np.ones((4, 2, 3, 2), int), coordinates=coordinates)
    assert weights.passes(1) == 6 / 8
    assert weights.passes(2) == (3 + 2 + 1 + 0) / 4
    assert weights.passes(4) == (3 + 2) / 2


@pytest.mark.parametrize("kind", RANDOM)
@given(seed=seeds, shape=st.sampled_from(SHAPES))
def test_values_are_those_of_plain_integers(kind, seed, shape):
    weights = RANDOM[kind](Seeded(seed), shape)
    assert weights.shape == shape == weights.values.shape
    assert weights.values.tolist() == plain.values(weights)
    fmt, planes = weights.value_format, weights.planes
    assert fmt.contains(int(weights.values.min()), int(weights.values.max()))
    codes = planes.codes(weights.values)
    assert np.array_equal(2 * codes + 1 if planes.signs else codes, weights.values)
    assert abs(codes + 0.5).max() < 1 << (planes.bits - 1) or not (codes < 0).any()


@given(seed=seeds, count=st.integers(0, 9))
def test_flipped_bits_of_a_product_are_those_of_its_indices_and_book(seed, count):
    weights = random_product(Seeded(seed), (3, 12))
    places = np.random.default_rng(seed).permutation(weights.stored_bits)[:count]
    flipped = weights.flipped(places)
    apart = [
        np.bitwise_count((a ^ b).astype(np.int64) & ((1 << width) - 1)).sum()
        for a, b, width in (
            (weights.indices, flipped.indices, weights.index_bits),
            (weights.book, flipped.book, weights.grid.bits),
        )
    ]
    assert sum(apart) == len(places)
    assert not list(flipped.problems())
    again = flipped.flipped(places)
    assert np.array_equal(again.indices, weights.indices)
    assert np.array_equal(again.book, weights.book)


def test_flipped_bits_of_bases_are_signs_then_coordinates_then_counts():
    assert BASES.flipped(np.array([0])).values.tolist() == [[-5 - 3, -5 + 3, 0, 0]]
    # The highest bit of the first coordinate, 5, and of the second, 3.
    assert BASES.flipped(np.array([6])).values.tolist() == [[1 - 3, -1 + 3, 0, 0]]
    assert BASES.flipped(np.array([9])).values.tolist() == [[5 - 7, -5 + 7, 0, 0]]
    # The first count becomes 0, the second 3: of bases that there are none of.
    assert BASES.flipped(np.array([11])).counts.tolist() == [[0, 0]]
    assert BASES.flipped(np.array([12, 13])).counts.tolist() == [[2, 0]]
    every = BASES.flipped(np.arange(BASES.stored_bits))
    assert every.counts.tolist() == [[1, 0]]
    assert every.values.tolist() == [[-2, 2, 0, 0]]


def one(weights: Weights | ProductWeights | BinaryBases) -> Network:
    dense = Dense(name="fc", input="x", weights=weights)
    source = Input(name="x", shape=(weights.shape[-1],), format=IntFormat(8, False))
    return Network(name="one", inputs=(source,), layers=(dense,), outputs=("fc",))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ProductWeights(indices=[[0]], book=[[1], [2], [3]]), r"not \(3, 1\); repeat"),
        (lambda: ProductWeights(indices=[[0]], book=[1, 2]), r"book has the shape .* not \(2,\)"),
        (lambda: ProductWeights(indices=[[0]], book=np.zeros((2, 0), int)), "not .2, 0."),
        (lambda: ProductWeights(indices=0, book=[[1], [2]]), "an array of shape"),
        (lambda: one(ProductWeights(indices=[[2]], book=[[1], [2]])), "2..2 leave the book of 2"),
        (lambda: one(ProductWeights(indices=[[-1]], book=[[1], [2]])), "indices -1..-1 leave"),
        (
            lambda: one(ProductWeights(indices=[[0]], book=[[128], [2]])),
            "layer 'fc': the book's codes 2..128 do not fit 8 bits",
        ),
        (
            lambda: one(ProductWeights(indices=[0], book=[[1], [2]])),
            r"weights have the shape \(1,\)",
        ),
        (lambda: BinaryBases(bases=[[[1]]], coordinates=[[1]]), r"have the shapes \(1, 1, 1\)"),
        (
            lambda: BinaryBases(bases=[[[[1, 0]]]], coordinates=[[[1, 1]]]),
            r"\(1, 1, 1, 2\) and \(1, 1, 2\)",
        ),
        (lambda: BinaryBases(bases=[[[[2]]]], coordinates=[[[1]]]), "0 and 1, not 2"),
        (lambda: BinaryBases(bases=[[[[0.5]]]], coordinates=[[[1]]]), "an integer array is wanted"),
    ],
)
def test_impossible_weights_are_refused(make, says):
    with pytest.raises(VecqError, match=says):
        make()
