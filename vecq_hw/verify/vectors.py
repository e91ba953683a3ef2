"""Inputs that a verification feeds to every target when the user gives none, and beside those."""

from __future__ import annotations

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.network import Network


def corner_vectors(network: Network) -> IntArray:
    """All zero (or the code nearest to it), all least, all greatest, and both alternations.

    Returns
    -------
    int array of shape (5, ...)
    """
    source = network.inputs[0]
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


def random_vectors(network: Network, count: int, seed: int = 0) -> IntArray:
    """Seeded codes, uniform over the input format: int array of shape (count, ...)."""
    source = network.inputs[0]
    rng = np.random.default_rng(seed)
    codes: IntArray = rng.integers(
        source.format.lo, source.format.hi, (count, *source.shape), endpoint=True
    ).astype(source.format.dtype)
    return codes
