"""The tables of a partial-sum unit: dot products of a word's blocks with the words of a book."""

from __future__ import annotations

from dataclasses import dataclass

from vecq_hw.layers import MacLayer, ProductWeights
from vecq_hw.schedule import Fold


@dataclass(frozen=True, slots=True, kw_only=True)
class SumTables:
    """What a word of inputs is for the unit of a layer.

    Attributes
    ----------
    taps, groups, inner : int
        A frame comes as taps, in each of them the groups of the convolution, in each of these so
        many words.
    turns : int
        Words of outputs that a word of inputs is added to, one in each cycle.
    blocks : int
        Of inputs in a word; each has a table.
    lines, parallel : int
        A table is filled in so many cycles, with as many dot products in each of them.  Lines are
        the largest power of two that neither the turns nor the words of the book are fewer than.
    """

    taps: int
    groups: int
    inner: int
    turns: int
    blocks: int
    lines: int
    parallel: int

    @property
    def words(self) -> int:
        """The words of a frame."""
        return self.taps * self.groups * self.inner


def sum_tables(layer: MacLayer, weights: ProductWeights, fold: Fold) -> SumTables:
    """The tables that a fold of ``layer``, whose weights are ``weights``, needs.

    Examples
    --------
    >>> import numpy as np
    >>> from vecq_hw.layers import Dense
    >>> weights = ProductWeights(indices=np.zeros((12, 4), int), book=np.zeros((16, 2), int))
    >>> tables = sum_tables(Dense(name="d", input="x", weights=weights), weights, Fold(simd=4))
    >>> tables.words, tables.turns, tables.blocks, tables.lines, tables.parallel
    (2, 12, 2, 8, 2)
    """
    turns = layer.outputs // layer.groups // fold.pe
    book = len(weights.book)
    lines = 1 << (min(turns, book).bit_length() - 1)
    return SumTables(
        taps=layer.inputs_of_one_output // layer.group_channels,
        groups=layer.groups,
        inner=layer.group_channels // fold.simd,
        turns=turns,
        blocks=fold.simd // weights.block,
        lines=lines,
        parallel=book // lines,
    )
