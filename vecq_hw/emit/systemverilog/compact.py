"""Memories of the units that keep weights as they are stored: books and binary bases."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.emit import pair_rows
from vecq_hw.layers import ProductWeights
from vecq_hw.schedule import Fold


def index_memory(weights: ProductWeights, fold: Fold) -> npt.NDArray[np.int64]:
    """The indices that ``vecq_code_book`` reads at once; shape (lines, words * pe).

    Examples
    --------
    >>> weights = ProductWeights(indices=[[0, 1], [3, 2]], book=[[1, 2], [3, 4], [5, 6], [7, 8]])
    >>> index_memory(weights, Fold(pe=2, simd=4)).tolist()
    [[0, 3, 1, 2]]
    >>> index_memory(weights, Fold(pe=1, simd=1)).ravel().tolist()
    [0, 1, 3, 2]
    """
    words = max(fold.simd // weights.block, 1)
    indices = weights.indices.reshape(len(weights.indices), -1)
    return pair_rows.in_steps(indices, Fold(pe=fold.pe, simd=words))


def book_memory(weights: ProductWeights, fold: Fold) -> npt.NDArray[np.int64]:
    """A word a line; where it lasts for several steps, the lanes of one step.

    Examples
    --------
    >>> weights = ProductWeights(indices=[[0, 1]], book=[[1, 2], [3, 4]])
    >>> book_memory(weights, Fold(simd=1)).tolist(), book_memory(weights, Fold(simd=4)).tolist()
    ([[1], [2], [3], [4]], [[1, 2], [3, 4]])
    """
    lanes = min(fold.simd, weights.block)
    return weights.book_values.astype(np.int64).reshape(-1, lanes)
