"""The passes of a base-serial unit: which bases of which group its outputs take together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray
from vecq_hw.layers import BinaryBases, MacLayer
from vecq_hw.schedule import Fold

Int64Array = npt.NDArray[np.int64]


class Passes(NamedTuple):
    """A row for each pass, those of a word of outputs one behind the other.

    A group takes as many passes as the output of the word that has most bases there; the others
    have coordinates of 0.  A word whose outputs have no base at all takes one of these.

    Attributes
    ----------
    addresses : int64 array of shape (passes,)
        The first word of the group within a frame.
    last : bool array of shape (passes,)
        Of its word of outputs.
    bases : int array of shape (passes, pe, n)
    coordinates : int64 array of shape (passes, pe)
    outputs : int64 array of shape (passes, pe)
        Whose they are.
    """

    addresses: Int64Array
    last: npt.NDArray[np.bool_]
    bases: IntArray
    coordinates: Int64Array
    outputs: Int64Array


def base_passes(layer: MacLayer, weights: BinaryBases, fold: Fold) -> Passes:
    """The passes that a fold of ``layer``, whose weights are ``weights``, makes of a frame.

    Examples
    --------
    >>> from vecq_hw.layers import Dense
    >>> weights = BinaryBases(
    ...     bases=np.ones((2, 2, 2, 4), int), coordinates=[[[5, 0], [0, 0]], [[3, 1], [0, 0]]]
    ... )
    >>> passes = base_passes(Dense(name="d", input="x", weights=weights), weights, Fold(pe=2))
    >>> passes.addresses.tolist(), passes.coordinates.tolist()
    ([0, 0], [[5, 3], [0, 1]])
    """
    pe, folds = fold.pe, layer.outputs // fold.pe
    most, group = weights.bases.shape[-2:]
    bases = weights.bases.reshape(folds, pe, -1, most, group)
    coordinates = weights.coordinates.reshape(folds, pe, -1, most).astype(np.int64)
    counts = weights.counts.reshape(folds, pe, -1).max(axis=1)
    counts[counts.sum(axis=1) == 0, 0] = 1
    # Of each pass: word of outputs, group, base.
    word, place = (axis.repeat(counts.ravel()) for axis in np.indices(counts.shape).reshape(2, -1))
    ends = counts.cumsum()
    base = np.arange(ends[-1]) - np.repeat(ends - counts.ravel(), counts.ravel())
    # The frame's words: taps, in each of them the groups of the convolution, in these the bases'.
    taps = layer.inputs_of_one_output // layer.group_channels
    tap, inner = np.divmod(place, counts.shape[1] // taps)
    channels = word * pe // (layer.outputs // layer.groups) * layer.group_channels
    first = tap * layer.groups * layer.group_channels + channels + inner * group
    return Passes(
        addresses=first // fold.simd,
        last=np.diff(word, append=folds) > 0,
        bases=bases[word, :, place, base],
        coordinates=coordinates[word, :, place, base],
        outputs=word[:, np.newaxis] * pe + np.arange(pe),
    )
