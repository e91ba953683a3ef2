"""Bases of groups where the network has their channels, and their values where that takes less."""

import numpy as np
import pytest
import torch

from vecq_hw.layers import BinaryBases, Weights
from vecq_hw.lower.weights import places, weights_at
from vecq_hw.quantize import BaseCodes


def drawn(shape, group, bases=2):
    """Base codes of weights (O, C, taps, ...), and their values."""
    rng = np.random.default_rng(0)
    outputs, channels, *taps = shape
    groups = (outputs, channels // group, *taps)
    bits = torch.from_numpy(rng.integers(0, 2, (*groups, bases, group)))
    coordinates = torch.from_numpy(rng.integers(0, 100, (*groups, bases)).astype(np.int16))
    codes = BaseCodes(bits, coordinates, torch.tensor(0.5, dtype=torch.float64))
    sums = ((2 * bits - 1) * coordinates.unsqueeze(-1)).sum(-2)
    return codes, sums.movedim(-1, 2).reshape(shape).numpy()


@pytest.mark.parametrize(
    ("shape", "group", "order", "run"),
    [
        ((3, 12), 4, lambda at: at, 4),
        ((3, 12), 12, lambda at: at[:, ::-1], 12),
        ((3, 32), 32, lambda at: at[:, np.random.default_rng(1).permutation(32)], 32),
        ((3, 128), 64, lambda at: at.reshape(3, 32, 4).swapaxes(1, 2).reshape(3, 128), 16),
        ((3, 32), 2, lambda at: at.reshape(3, 8, 4).swapaxes(1, 2).reshape(3, 32), None),
        ((3, 8, 2, 2), 4, lambda at: at.transpose(0, 2, 3, 1), 4),
        ((3, 8, 2, 2), 8, lambda at: at.transpose(0, 2, 3, 1)[:, ::-1], 8),
    ],
)
def test_bases_where_the_network_has_their_channels(shape, group, order, run):
    codes, values = drawn(shape, group)
    taken = order(places(shape))
    found = weights_at(codes, taken)
    assert np.array_equal(found.values, values.reshape(-1)[taken])
    assert found.step == 0.5
    if run is None:
        assert isinstance(found, Weights)
    else:
        assert isinstance(found, BinaryBases)
        assert found.group == run


def test_groups_that_have_their_coordinates_in_common_become_one():
    codes, _ = drawn((3, 8, 2), 8)
    shared = codes.coordinates[:, :, :1].expand(codes.coordinates.shape)
    signs = 2 * codes.bases - 1
    values = (signs * shared.unsqueeze(-1)).sum(-2).movedim(-1, 2).reshape(-1).numpy()
    taken = places((3, 8, 2)).swapaxes(1, 2).reshape(3, 16)
    found = weights_at(codes._replace(coordinates=shared), taken)
    assert isinstance(found, BinaryBases)
    assert found.group == 16
    assert np.array_equal(found.values, values[taken])
