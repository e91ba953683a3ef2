"""How channels meet the lanes, and weights as the ROM words of ``vecq::Packing``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.emit.literals import signed_bits
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.network import Conv2d, MacLayer, Weights
from vecq_hw.schedule import Fold

WORD_BITS = 16
"""Widest ROM word of several codes; ``vecq::Packing`` says why."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """``vecq::Grouping``: how the channels of a Dense or Conv2d meet its lanes.

    Attributes
    ----------
    lanes : int
        Of the words that it takes.
    blocks : int
    block_outputs : int
    """

    lanes: int
    blocks: int
    block_outputs: int

    @classmethod
    def of(cls, layer: MacLayer, fold: Fold) -> Grouping:
        """Blocks are the fewest groups whose outputs are a multiple of the elements."""
        outputs, channels = len(layer.weights.codes), layer.weights.codes.shape[-1]
        groups = layer.groups if isinstance(layer, Conv2d) else 1
        block_outputs = math.lcm(outputs // groups, fold.pe)
        together = block_outputs * groups // outputs
        lanes = fold.simd if together == 1 else together * channels
        return cls(lanes, groups // together, block_outputs)


def stored(weights: Weights) -> tuple[str, int, IntArray]:
    """What a ROM holds of ``weights``: the C++ kind of weight, its bits, and the integers.

    The codes of a mid-rise grid; of every other grid the values, as narrow as they are.
    """
    if isinstance(weights.grid, MidRise):
        return "MidRise", weights.grid.bits, weights.codes
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
