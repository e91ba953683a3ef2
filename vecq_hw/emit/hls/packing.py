"""Weights as the ROM words of ``vecq::Packing``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.memories.compact import index_memory
from vecq_hw.emit.literals import cpp_rows, cpp_type
from vecq_hw.formats import IntArray, signed_bits
from vecq_hw.layers import AnyWeights, ProductWeights
from vecq_hw.schedule import Fold

MID_RISE_BITS = 16
"""Most bits of a ``vecq::MidRise``."""
WORD_BITS = 16
"""Widest ROM word of several codes; ``vecq::Packing`` says why."""


def stored(weights: AnyWeights) -> tuple[str, int, IntArray]:
    """The kind of weight in C++, its bits, and the integers that a ROM holds of ``weights``.

    Where all values are odd, as on VecQ's grid, the integers are the codes q that stand for ``2q +
    1``; else they are the values, as narrow as they are. Their shape is that of the weights,
    outputs along axis 0.
    """
    planes = weights.planes
    if planes.signs and planes.bits <= MID_RISE_BITS:
        return "MidRise", planes.bits, planes.codes(weights.values)
    return "TwosComplement", signed_bits(weights.values), weights.values


def packed_words(
    codes: npt.NDArray[np.integer], bits: int, fold: Fold
) -> tuple[npt.NDArray[np.uint32], int]:
    """What :func:`stored` gives as the words of ``vecq::Packing``, and how many bits a word has.

    Parameters
    ----------
    codes : int array of shape (O, inputs)
    bits : int
        Of one code.

    Returns
    -------
    uint32 array of shape (O / pe * inputs / simd, words)
        Row ``o * (inputs / simd) + i`` is one fold; its word ``part * pe + p`` holds the codes of
        output ``o * pe + p`` and inputs ``i * simd + part * codes_per_word ...``, lowest first.
    """
    outputs, inputs = codes.shape
    per_word = min(fold.simd, max(1, WORD_BITS // bits))
    parts = -(-fold.simd // per_word)
    folded = codes.reshape(outputs // fold.pe, fold.pe, inputs // fold.simd, fold.simd)
    folded = folded.transpose(0, 2, 1, 3)
    padded = np.zeros((*folded.shape[:3], parts * per_word), np.uint32)
    padded[..., : fold.simd] = folded.astype(np.uint32) & np.uint32((1 << bits) - 1)
    lanes = padded.reshape(*folded.shape[:3], parts, per_word)
    words = np.zeros(lanes.shape[:-1], np.uint32)
    for lane in range(per_word):
        words |= lanes[..., lane] << np.uint32(lane * bits)
    return words.transpose(0, 1, 3, 2).reshape(-1, parts * fold.pe), per_word * bits


def book_definition(name: str, weights: ProductWeights, fold: Fold, folds: int) -> str:
    """The definition of a ``vecq::Book`` for so many folds."""
    indices = index_memory(weights, fold).astype(np.uint32)
    kinds = cpp_type(weights.index_bits, signed=False), cpp_type(weights.grid.bits + 1, signed=True)
    words, block = weights.book.shape
    parameters = f"{fold.pe}, {fold.simd}, {folds}, {words}, {block}, {', '.join(kinds)}"
    arrays = ", ".join(cpp_rows(array) for array in (indices, weights.book_values))
    return (
        f'#include "vecq/code_book.hpp"\n\nconst vecq::Book<{parameters}> {name} = {{{arrays}}};\n'
    )
