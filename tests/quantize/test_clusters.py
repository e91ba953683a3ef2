"""The search for words: nearest, means, weighted by activations, the same again."""

import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.quantize.clusters import clustered, nearest

torch.set_num_threads(1)


def blocks(count, size, seed=0):
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def error(given, words, indices, moments=None):
    """The error of the outputs, per block."""
    off = (given - words[indices]).double()
    weights = torch.eye(off.shape[1]).double() if moments is None else moments.double()
    return float(((off @ weights) * off).sum() / len(off))


def test_every_block_takes_the_nearest_word():
    given, words = blocks(700, 3), blocks(40, 3, 1)
    expected = torch.cdist(given.double(), words.double()).argmin(1)
    assert torch.equal(nearest(given, words), expected)
    assert torch.equal(nearest(given[:1], words[:1]), torch.tensor([0]))


def test_words_become_the_means_of_their_blocks_and_the_error_falls():
    given = blocks(2000, 4)
    errors = [error(given, *clustered(given, 32, iterations=n)) for n in (0, 1, 3, 25, 1000)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.75 * errors[0]
    words, indices = clustered(given, 32, iterations=1000)  # until nothing changes
    means = torch.stack([given[indices == k].mean(0) for k in range(32)])
    torch.testing.assert_close(words, means)
    assert torch.equal(indices, torch.cdist(given, words).argmin(1))


@pytest.mark.parametrize("scale", [1.0, 1e-15, 1e15])
def test_moments_weigh_the_error_of_the_outputs(scale):
    given = blocks(3000, 4, 3) * scale
    inputs = blocks(500, 4, 4) @ torch.diag(torch.tensor([8.0, 1.0, 1.0, 0.1]))
    inputs[:, 1] += inputs[:, 0]
    moments = inputs.T @ inputs / len(inputs)
    plain, weighted = clustered(given, 16), clustered(given, 16, moments)
    assert error(given, *weighted, moments) < 0.6 * error(given, *plain, moments)
    assert error(given, *plain) < error(given, *weighted)
    # That of the outputs themselves, in whichever unit the activations are.
    again = clustered(given, 16, 1e6 * moments)
    assert torch.equal(again[1], weighted[1])
    # Of inputs that never differ from 0, every block is as good as another.
    assert torch.equal(clustered(given, 16, torch.zeros(4, 4))[1], plain[1])


def test_a_word_without_blocks_splits_the_largest_cluster():
    # Two points and noise: words drawn from the crowd at the first one have to move.
    given = torch.cat([blocks(4000, 2) * 1e-3, blocks(4, 2) * 1e-3 + 5, blocks(60, 2) - 9])
    words, indices = clustered(given, 64, iterations=60)
    assert len(indices.unique()) == 64
    assert error(given, words, indices) < 0.02


def test_as_many_words_as_different_blocks_are_these():
    given = blocks(50, 3)
    repeated = torch.cat([given, given[:20], given])
    for most in (50, 64):
        words, indices = clustered(repeated, most)
        assert len(words) == most
        assert torch.equal(words[indices], repeated)
    words, indices = clustered(torch.ones(9, 2), 4)
    assert words.tolist() == [[1, 1]] * 4
    assert indices.tolist() == [0] * 9


def test_the_same_blocks_have_the_same_words_again():
    given = blocks(1000, 4).double()
    first = clustered(given, 8)
    torch.rand(5)
    second = clustered(given, 8)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].dtype == torch.float64
    told = []
    clustered(given, 8, iterations=3, tell=told.append)
    assert told == [0, 1, 2]


@pytest.mark.parametrize("moments", [torch.ones(3, 3), torch.full((2, 2), torch.nan)])
def test_moments_are_those_of_a_block(moments):
    with pytest.raises(VecqError, match="moments of the inputs of a block are 2 × 2 finite"):
        clustered(blocks(9, 2), 2, moments)
