"""The steps of units: matrix-vector, rescale, recurrent, and what all of them are made of.

A unit reads one word per step, in raster order of the image, kernel rows, kernel columns and
channels, and keeps words for as long as a later step reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.base_passes import base_passes
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.formats import BitPlanes, IntFormat
from vecq_hw.layers import (
    BinaryBases,
    Dense,
    Gru,
    Lstm,
    MacLayer,
    ProductWeights,
    RecurrentLayer,
    Rescale,
    Weights,
)
from vecq_hw.schedule import Fabric, Fold, FoldKind

Indices = npt.NDArray[np.int64]

BOOK_KINDS = FoldKind.CODE_BOOK, FoldKind.PARTIAL_SUMS
"""Those whose arrays multiply by the words of a book."""
ROOM = 2
"""Words in the stream register at the end of a pipeline that gives a word every cycle."""
ROOM_OF_SPACED = 1
"""The same where words come every second cycle or more seldom."""
SEARCHED = 32
"""Up to so many output codes an unrolled Rescale is a search."""


class StepRun(NamedTuple):
    """Consecutive steps of one kind, of a unit that reads its words from a buffer.

    Attributes
    ----------
    gap : int
        Local cycles from the step before to the first of these; those between do nothing.
    steps : int
        How many steps, one a local cycle.
    needs : int
        Index within the period of the word that the first of them reads and that must have come in,
        or -1; the others read the words after it.
    frees : int
        How many words each of them frees, in the order in which they came; 0 or 1 where ``steps``
        is more than 1.
    gives : bool
        Whether each of them completes an output word.
    """

    gap: int
    steps: int
    needs: int
    frees: int
    gives: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A buffer of ``capacity`` words and the periodic steps of the pipeline that reads it.

    A word can be read from the cycle after it came in; its place is free in the cycle after the
    step that freed it.
    """

    pattern: Sequence[StepRun]
    words: int
    """Words that come in a period."""
    capacity: int
    depth: int
    room: int = 0
    """Words that the stream register at its end holds; 0 where it has none."""

    @property
    def cycles(self) -> int:
        """Cycles of a period without stalls."""
        return sum(step.gap + step.steps - 1 for step in self.pattern)

    @property
    def outputs(self) -> int:
        """Words that go out a period."""
        return sum(step.gives * step.steps for step in self.pattern)


def input_lanes(layer: MacLayer, fold: Fold) -> int:
    """SIMD lanes for each group of a convolution that the PEs span."""
    group_outputs = layer.outputs // layer.groups
    return fold.simd * (fold.pe // group_outputs if fold.pe % group_outputs == 0 else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """How ``vecq_matrix_vector.sv`` fits a device: parameters of the same names.

    Attributes
    ----------
    rows : int
        Pairs of lanes that are added in a stage.
    registers : int
        Behind memories and input buffer.
    most_in_luts : int
        Words of a memory in look-up tables.
    """

    rows: int
    registers: int
    most_in_luts: int

    def stages(self, simd: int) -> int:
        """In which so many lanes are added."""
        return -(-simd // (2 * self.rows))


STRUCTURES = {
    # UltraScale+ delays lanes in shift registers, of which each takes a look-up table.
    Fabric.LUT6: Structure(rows=4, registers=1, most_in_luts=64),
    Fabric.LUT4: Structure(rows=4, registers=1, most_in_luts=64),
    # A wire takes longer than a table, and a block RAM has 36 bits of 512 words.
    Fabric.ECP5: Structure(rows=2, registers=2, most_in_luts=16),
}


def matrix_vector(layer: MacLayer, fold: Fold, fabric: Fabric) -> tuple[Unit, int]:
    """The folded unit of a layer, a vector per period, and its input lanes.

    :func:`base_serial`, :func:`partial_sums`, or ``vecq_matrix_vector.sv`` with the following.

    Outputs / PE folds over inputs / SIMD words; a buffer of two vectors, or of two words where one
    fold makes all outputs; ``3 + registers + ceil(SIMD / (2 * rows)) + ceil(log2(weight bits))``
    stages behind the step that reads a vector's last word, of which :data:`STRUCTURES` has the
    first two for each fabric.  A bit-serial fold makes a pass over its words for each bit of
    a weight, gives its sums in the last of them, and has a stage for a single bit.  Weight bits:
    :func:`array_planes`.

    Groups of a convolution: each fold steps through the words of its group alone.  Where the PEs
    span several groups, each of these has SIMD lanes of its own in a word.
    """
    if isinstance(layer.weights, BinaryBases) and fold.kind is FoldKind.BASE_SERIAL:
        return base_serial(layer, layer.weights, fold), fold.simd
    if isinstance(layer.weights, ProductWeights) and fold.kind is FoldKind.PARTIAL_SUMS:
        return partial_sums(layer, layer.weights, fold), fold.simd
    lanes = input_lanes(layer, fold)
    bits = array_planes(layer, fold).bits
    planes = bits if fold.kind is FoldKind.BIT_SERIAL else 1
    structure = STRUCTURES[fabric]
    stages = structure.stages(fold.simd) + (bits // planes - 1).bit_length()
    unit = _folded(
        folds=layer.outputs // fold.pe,
        pe=fold.pe,
        group_outputs=layer.outputs // layer.groups,
        groups=layer.groups,
        span=lanes // fold.simd,
        taps=layer.inputs_of_one_output // layer.group_channels,
        group_words=layer.group_channels // fold.simd,
        planes=planes,
        depth=3 + structure.registers + stages,
    )
    return unit, lanes


@lru_cache(maxsize=256)
def _folded(
    *,
    folds: int,
    pe: int,
    group_outputs: int,
    groups: int,
    span: int,
    taps: int,
    group_words: int,
    planes: int,
    depth: int,
) -> Unit:
    """:func:`matrix_vector`'s unit; searches for schedules ask for the same ones again and again.

    Parameters
    ----------
    folds : int
        Words that go out, of ``pe`` outputs each.
    span : int
        Groups of a word that comes in, of which each has ``group_words`` words at each of
        ``taps`` kernel positions.
    planes : int
        Passes of a bit-serial fold over its words; of others 1.
    """
    words = taps * group_words * groups // span
    last = ((np.arange(folds) + 1) * pe - 1) // group_outputs // span
    tap = np.arange(taps)[:, np.newaxis] * (groups // span * group_words)
    inner = (tap + np.arange(group_words)).ravel()
    needs = np.repeat(last * group_words, planes)[:, np.newaxis] + inner
    gives = np.zeros(needs.shape, bool)
    gives[planes - 1 :: planes, -1] = True
    needs = needs.ravel()
    # A vector that one pass uses up is not kept.
    capacity = 2 if folds * planes == 1 else 2 * words
    frees = last_uses(needs, words)
    unit = stepped_unit(needs, gives.ravel(), frees, words, capacity, depth)
    one_step = taps * group_words * planes == 1
    return replace(unit, room=ROOM if one_step else ROOM_OF_SPACED)


def base_serial(layer: MacLayer, weights: BinaryBases, fold: Fold) -> Unit:
    """The unit of ``vecq_base_serial.sv``, a vector or window per period.

    A pass over the words of a group for each base; ``5 + ceil(SIMD / 8)`` stages behind the step
    that reads the last word of an output word's last pass.  Where a group has as many words as a
    coordinate has bits, or more, a stage for each of these bits replaces two of the five.
    """
    passes = base_passes(layer, weights, fold)
    inner = np.arange(weights.group // fold.simd)
    needs = (passes.addresses[:, np.newaxis] + inner).ravel()
    gives = np.zeros((len(passes.last), inner.size), bool)
    gives[:, -1] = passes.last
    words = layer.inputs_of_one_output * layer.groups // fold.simd
    bits = weights.coordinate_format.bits
    depth = -(-fold.simd // 8) + (3 + bits if inner.size >= bits else 5)
    return whole_frames(needs, gives.ravel(), words, depth)


def partial_sums(layer: MacLayer, weights: ProductWeights, fold: Fold) -> Unit:
    """The unit of ``vecq_partial_sums.sv``, a vector or window per period.

    Each word of inputs takes a step for each word of its group's outputs; those of the last words
    give these.  A table is filled before its turns begin, so that the stages behind a step are as
    many as it has lines, and ``4 + ceil(block / 8) + ceil(log2(bits of the book)) + ceil(log2(
    blocks of a word))``, and one where a line has several dot products.
    """
    tables = sum_tables(layer, weights, fold)
    needs = np.repeat(np.arange(tables.words), tables.turns)
    gives = np.zeros((tables.taps, tables.groups, tables.inner, tables.turns), bool)
    gives[-1, :, -1] = True
    array = -(-weights.block // 8) + (weights.book_planes.bits - 1).bit_length()
    tree = (tables.blocks - 1).bit_length() + (tables.parallel > 1)
    depth = 4 + tables.lines + array + tree
    frees = last_uses(needs, tables.words)
    return stepped_unit(needs, gives.ravel(), frees, tables.words, capacity=2, depth=depth)


def array_planes(layer: MacLayer, fold: Fold) -> BitPlanes:
    """The bit planes of a folded layer's weights: words of a book are in two's complement."""
    match layer.weights:
        case ProductWeights(book_planes=planes) if fold.kind in BOOK_KINDS:
            return planes
        case Weights() | ProductWeights() | BinaryBases():
            return layer.weights.planes
        case _:
            assert_never(layer.weights)


def unrolled_depth(layer: Dense, rescale: Rescale | None) -> int:
    """Stages of an unrolled layer: one for every two adders in a row, and one for its end.

    Where the mantissas of the Rescale are multiplied among the sums, these add ``ceil(log2(mantissa
    bits - 1))`` adders in a row.
    """
    adders = adders_in_a_row(layer)
    if rescale is not None and not is_searched(rescale):
        adders += max(mantissa_bits(rescale) - 2, 0).bit_length()
    return 1 + -(-adders // 2)


def adders_in_a_row(layer: Dense) -> int:
    """How many the circuit of an unrolled layer aims at: two or three more than a tree would have.

    ``2 + ceil(log2(inputs)) + ceil(log2(weight bits))``, and one more if that is odd.
    """
    bits: int = layer.weights.planes.bits
    tree = (layer.inputs_of_one_output - 1).bit_length() + (bits - 1).bit_length()
    return 2 + tree + tree % 2


def is_searched(rescale: Rescale) -> bool:
    """Whether a search over constants, behind an unrolled layer, is smaller than a product."""
    return rescale.format.hi - rescale.format.lo < SEARCHED


def mantissa_bits(layer: Rescale) -> int:
    """Bits of the narrowest two's complement that holds all mantissas."""
    return IntFormat.covering(int(layer.mantissa.min()), int(layer.mantissa.max())).bits


def rows(folds: int) -> Unit:
    """The table of ``vecq_embedding.sv``, an index per period: so many words, a word per cycle."""
    needs = np.zeros(folds, np.int64)
    gives = np.ones(folds, bool)
    return stepped_unit(needs, gives, last_uses(needs, 1), 1, capacity=2, depth=1)


def recurrent(layer: RecurrentLayer, fold: Fold, length: int) -> Unit:
    """The unit of ``vecq_lstm.sv`` or ``vecq_gru.sv``: a step a period, or all of them.

    A step begins once its first word is there.  Its sums come ``pe`` at a time, as many cycles
    apart as the product takes or as they are, whichever is more, and a gate is taken a cycle.  As
    many cycles behind the last one as an element's last gate needs to become its state, the next
    step may begin.
    """
    gates, depth = layer.gates, _state_depth(layer)
    outputs, folds = layer.product.outputs, layer.elements // fold.simd
    bits = layer.weights.planes.bits
    latency = 3 + -(-fold.simd // 8) + (bits - 1).bit_length()
    period = max(folds, fold.pe)
    pattern: list[StepRun] = []
    for step in range(1 if layer.sequence else length):
        gives = layer.sequence or step == length - 1
        first = step * outputs
        pattern.append(StepRun(gap=1, steps=1, needs=first, frees=0, gives=False))
        gap = folds + latency
        for word in range(first, first + outputs, fold.pe):
            for begin, count, ends in _runs(word - first, fold.pe, gates if gives else outputs):
                last = gives and ends
                place = first + begin
                pattern.append(StepRun(gap=gap, steps=count, needs=place, frees=1, gives=last))
                gap = 1
            gap = period - fold.pe + 1
        pattern.append(StepRun(gap=depth - 1, steps=1, needs=-1, frees=0, gives=False))
    words = outputs * (1 if layer.sequence else length)
    return Unit(pattern=pattern, words=words, capacity=2, depth=depth)


def step_cycles(layer: RecurrentLayer, fold: Fold) -> int:
    """Cycles of a step of :func:`recurrent`, without waiting."""
    folds, words = layer.elements // fold.simd, layer.product.outputs // fold.pe
    latency = 3 + -(-fold.simd // 8) + (layer.weights.planes.bits - 1).bit_length()
    between = (words - 1) * max(folds, fold.pe)
    return folds + latency + between + fold.pe + _state_depth(layer) - 1


def _state_depth(layer: RecurrentLayer) -> int:
    match layer:
        case Lstm():
            return 8
        case Gru():
            return 11
        case _:
            assert_never(layer)


def _runs(begin: int, count: int, gates: int) -> list[tuple[int, int, bool]]:
    """``count`` gates from ``begin`` on: first, how many, and whether it is an element's last."""
    found = []
    place, end = begin, begin + count
    while place < end:
        stop = place + gates - 1 - place % gates
        if place < min(stop, end):
            found.append((place, min(stop, end) - place, False))
        if stop < end:
            found.append((stop, 1, True))
        place = stop + 1
    return found


def whole_frames(needs: Indices, gives: npt.NDArray[np.bool_], words: int, depth: int) -> Unit:
    """A unit on ``vecq_frame_buffer`` whose last step frees all words; both arrays are (steps,)."""
    frees = np.zeros(needs.size, np.int64)
    needs[-1], frees[-1] = words - 1, words
    return stepped_unit(needs, gives, frees, words, 2 * words, depth)


def last_uses(needs: Indices, words: int) -> Indices:
    """How many words each step frees: those that it, or a step before it, reads last.

    ``needs`` has the shape (steps,), as the result; -1 stands for no word.
    """
    last_use = np.full(words, 0, np.int64)
    reads = np.flatnonzero(needs >= 0)
    np.maximum.at(last_use, needs[reads], reads)
    return np.bincount(np.maximum.accumulate(last_use), minlength=needs.size)


def stepped_unit(
    needs: Indices,
    gives: npt.NDArray[np.bool_],
    frees: Indices,
    words: int,
    capacity: int,
    depth: int,
) -> Unit:
    """A unit of one step per cycle; step i reads word ``needs[i]``, or none where that is -1.

    ``needs``, ``gives`` and ``frees`` have the shape (steps,).
    """
    # A word that a step has read is there for all later ones.
    first = np.maximum.accumulate(needs)
    fresh = np.flatnonzero(np.diff(first, prepend=-1) > 0)
    waits = np.full(needs.size, -1, np.int64)
    waits[fresh] = needs[fresh]
    kept = np.flatnonzero((waits >= 0) | (frees > 0) | gives)
    assert kept[-1] == needs.size - 1  # it gives a word
    gaps = np.diff(kept, prepend=-1)
    waits, frees, gives = waits[kept], frees[kept], gives[kept]
    # Consecutive steps of one kind become one.
    follows = np.where(waits[1:] < 0, waits[:-1] < 0, waits[1:] == waits[:-1] + 1)
    follows &= (waits[1:] < 0) == (waits[:-1] < 0)
    same = follows & (gaps[1:] == 1) & (frees[1:] == frees[:-1]) & (gives[1:] == gives[:-1])
    starts = np.flatnonzero(np.concatenate([[True], ~(same & (frees[1:] <= 1))]))
    counts = np.diff(starts, append=kept.size)
    columns = (gaps[starts], counts, waits[starts], frees[starts], gives[starts])
    rows = zip(*(column.tolist() for column in columns), strict=True)
    pattern = tuple(StepRun(*row) for row in rows)
    return Unit(pattern=pattern, words=words, capacity=capacity, depth=depth)
