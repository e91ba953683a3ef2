"""Memories of the units that keep weights as they are stored: books, sums, binary bases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.base_passes import base_passes
from vecq_hw.accelerator.memories import pair_rows
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, MacLayer, ProductWeights
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

    The shape is (lines, lanes).

    Examples
    --------
    >>> weights = ProductWeights(indices=[[0, 1]], book=[[1, 2], [3, 4]])
    >>> book_memory(weights, Fold(simd=1)).tolist(), book_memory(weights, Fold(simd=4)).tolist()
    ([[1], [2], [3], [4]], [[1, 2], [3, 4]])
    """
    lanes = min(fold.simd, weights.block)
    return weights.book_values.astype(np.int64).reshape(-1, lanes)


def turn_indices(layer: MacLayer, weights: ProductWeights, fold: Fold) -> npt.NDArray[np.int64]:
    """The indices that ``vecq_partial_sums`` reads at once; shape (words * turns, blocks * pe).

    Examples
    --------
    >>> from vecq_hw.layers import Dense
    >>> weights = ProductWeights(indices=[[0, 1], [3, 2]], book=[[1, 2], [3, 4], [5, 6], [7, 8]])
    >>> layer = Dense(name="d", input="x", weights=weights)
    >>> turn_indices(layer, weights, Fold(pe=1, simd=2)).ravel().tolist()
    [0, 3, 1, 2]
    >>> turn_indices(layer, weights, Fold(pe=2, simd=4)).tolist()
    [[0, 3, 1, 2]]
    """
    tables = sum_tables(layer, weights, fold)
    outputs = tables.groups, tables.turns, fold.pe
    inputs = tables.taps, tables.inner, tables.blocks
    indices = weights.indices.astype(np.int64).reshape(*outputs, *inputs)
    # (group, turn, pe, tap, inner, block) to (tap, group, inner, turn, block, pe)
    return indices.transpose(3, 0, 4, 1, 5, 2).reshape(-1, tables.blocks * fold.pe)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SumMemories:
    """What ``vecq_partial_sums`` stores.

    Attributes
    ----------
    book : int64 array of shape (lines, block * parallel)
        Lane 0 of all words of a line first.
    indices : int64 array of shape (words * turns, blocks * pe)
    starts : int64 array of shape (outputs,)
        Of the accumulators, modulo 2^64.
    """

    book: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


def sum_memories(
    layer: MacLayer, weights: ProductWeights, fold: Fold, activations: IntFormat
) -> SumMemories:
    """The memories of a layer's unit; an offset for each block is taken off the bias."""
    tables = sum_tables(layer, weights, fold)
    book = weights.book_values.astype(np.int64).reshape(tables.lines, tables.parallel, -1)
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias
    values = weights.values.reshape(layer.outputs, -1)
    return SumMemories(
        book=book.transpose(0, 2, 1).reshape(tables.lines, -1),
        indices=turn_indices(layer, weights, fold),
        starts=pair_rows.bias_memory(values, weights.book_planes, weights.block, activations, bias),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaseMemories:
    """What ``vecq_base_serial`` stores.

    Attributes
    ----------
    steps : int64 array of shape (passes * words of a group, simd * pe)
        Of one bit each.
    coordinates : int64 array of shape (passes, pe)
    passes : int64 array of shape (passes,)
        An address of ``address_bits`` bits, and above it whether the pass is the last.
    starts : int64 array of shape (outputs,)
        Of the accumulators, modulo 2^64.
    """

    steps: npt.NDArray[np.int64]
    coordinates: npt.NDArray[np.int64]
    passes: npt.NDArray[np.int64]
    address_bits: int
    starts: npt.NDArray[np.int64]


def base_memories(
    layer: MacLayer, weights: BinaryBases, fold: Fold, activations: IntFormat, words: int
) -> BaseMemories:
    """The memories of a layer's unit, whose frame has ``words`` words.

    A pass adds the offset of its bases
    (:func:`vecq_hw.accelerator.memories.pair_rows.start_values`), times the coordinate; all of them
    are taken off the bias.
    """
    passes = base_passes(layer, weights, fold)
    codes = passes.bases.astype(np.int64).reshape(-1, weights.group) - 1  # 0 for +1, -1 for -1
    none = np.zeros(len(codes), np.int64)
    offsets = pair_rows.start_values(codes, 1, fold.simd, activations, none)
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias
    starts = bias.astype(np.int64)
    # Modulo 2^64, which every accumulator's modulus divides.
    np.add.at(starts, passes.outputs.ravel(), offsets * passes.coordinates.ravel())
    address_bits = max((words - 1).bit_length(), 1)
    return BaseMemories(
        steps=pair_rows.weight_steps(codes, 1, fold),
        coordinates=passes.coordinates,
        passes=passes.addresses | passes.last.astype(np.int64) << address_bits,
        address_bits=address_bits,
        starts=starts,
    )
