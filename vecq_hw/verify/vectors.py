"""Inputs that a verification feeds to every target when the user gives none, and beside those."""

from __future__ import annotations

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.layers import Input
from vecq_hw.network import Network
from vecq_hw.simulate.ends import Given, one_or_all
from vecq_hw.simulate.reference import checked_inputs


def corner_vectors(network: Network) -> IntArray | dict[str, IntArray]:
    """All zero (or the code nearest to it), all least, all greatest, and both alternations.

    Returns
    -------
    int array of shape (5, ...)
        Of several inputs a dictionary from the name of each to its array of shape (10, ...): first
        all have the same corner, then each one the corner after that of the one before.
    """
    corners = {source.name: _corners(source) for source in network.inputs}
    if len(corners) > 1:
        corners = {
            name: np.concatenate([rows, np.roll(rows, -place, axis=0)])
            for place, (name, rows) in enumerate(corners.items())
        }
    return one_or_all(corners)


def with_corners(network: Network, inputs: Given) -> dict[str, IntArray]:
    """The samples, and the corner vectors behind them, of each input by its name.

    The arrays have the shape (N, ...).
    """
    corners = checked_inputs(network, corner_vectors(network))
    return {
        name: np.concatenate([codes, corners[name]])
        for name, codes in checked_inputs(network, inputs).items()
    }


def _corners(source: Input) -> IntArray:
    lo, hi = source.format.lo, source.format.hi
    count = int(np.prod(source.shape))
    alternating = np.where(np.arange(count) % 2, hi, lo)
    rows = [
        np.full(count, min(max(0, lo), hi)),
        np.full(count, lo),
        np.full(count, hi),
        alternating,
        alternating[::-1] if count % 2 == 0 else np.where(alternating == lo, hi, lo),
    ]
    corners: IntArray = np.stack(rows).reshape(5, *source.shape).astype(source.format.dtype)
    return corners


def random_vectors(network: Network, count: int, seed: int = 0) -> IntArray | dict[str, IntArray]:
    """Seeded codes, uniform over the input format: int array of shape (count, ...).

    Of several inputs a dictionary from the name of each to its array.
    """
    rng = np.random.default_rng(seed)
    return one_or_all({source.name: _random(source, count, rng) for source in network.inputs})


def _random(source: Input, count: int, rng: np.random.Generator) -> IntArray:
    codes: IntArray = rng.integers(
        source.format.lo, source.format.hi, (count, *source.shape), endpoint=True
    ).astype(source.format.dtype)
    return codes
