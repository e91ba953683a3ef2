"""The memory of ``rtl/vecq_threshold.sv``: a search tree for each channel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntFormat, signed_bits
from vecq_hw.layers import Threshold


def threshold_lines(
    layer: Threshold, source: IntFormat, lanes: int
) -> tuple[npt.NDArray[np.int64], int, int]:
    """The memory of ``vecq_threshold``: a search tree for each channel.

    A falling channel counts ``x <= t``, which is all its thresholds less the ``t + 1`` that x
    reaches.  Thresholds outside the range of ``source`` move to just outside it, which no count
    sees; a tree whose thresholds are no power of two less one is filled up with such.

    Returns
    -------
    lines : int64 array of shape (C / lanes * 2^count_bits, lanes)
        Of one row for all channels (2^count_bits, 1).
    bits : int
        Of a threshold, signed.
    count_bits : int

    Examples
    --------
    >>> layer = Threshold(
    ...     name="t", input="x", thresholds=np.array([[2, 5, 9]]), falling=np.array([0]),
    ...     format=IntFormat(2, signed=False),
    ... )
    >>> lines, bits, count_bits = threshold_lines(layer, IntFormat(4, signed=False), 1)
    >>> lines.ravel(), bits, count_bits
    (array([0, 5, 2, 9]), 6, 2)
    """
    rows, levels = layer.thresholds.shape
    width = 1 if layer.shared else lanes
    count_bits = levels.bit_length()
    never = source.hi + 1
    reached = np.clip(layer.thresholds, source.lo - 1, never) + layer.falling[:, np.newaxis]
    ascending = np.full((rows, 1 << count_bits), never, np.int64)
    ascending[:, :levels] = np.clip(reached, source.lo, never)
    tree = np.empty_like(ascending)
    tree[:, 0] = layer.falling
    for level in range(count_bits):
        # Of 2^level stretches of thresholds the middle of each.
        stretch = 1 << (count_bits - level)
        tree[:, 1 << level : 2 << level] = ascending[:, stretch // 2 - 1 :: stretch]
    # (words, lanes, lines) to (words, lines, lanes)
    lines = tree.reshape(rows // width, width, -1).swapaxes(1, 2).reshape(-1, width)
    return lines, signed_bits(np.array([source.lo, never, 1])), count_bits
