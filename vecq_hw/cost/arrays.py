"""The parts of the arrays that add rows of lanes, chosen by weights that a memory holds.

Weights that never change leave wires instead of tables, and sums that several outputs share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vecq_hw.cost.contents import Contents, Keys, functions
from vecq_hw.cost.structure import Structure, log2

Mask = npt.NDArray[np.bool_]

ROWS = 4
"""Pair rows of a stage."""
STAGE_LANES = 2 * ROWS


class PairReads(NamedTuple):
    """What rows read of a pair of lanes."""

    lanes: int
    plus: bool
    minus: bool
    alone: int


def planes_of(found: Contents, simd: int, pe: int, bits: int) -> Keys:
    """The keys by lane and by plane of each output.

    The shape is (simd, pe * bits); of each plane all outputs lie together.
    """
    return found.keys.reshape(simd, pe, bits).swapaxes(1, 2).reshape(simd, bits * pe)


def _numbered(rows: Keys) -> Keys:
    """Equal numbers for equal columns of ``rows``, whose shape is (n, columns)."""
    return np.unique(rows, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _distinct(rows: Keys) -> int:
    """How many different columns there are; ``rows`` has the shape (n, columns)."""
    return len(np.unique(rows, axis=1).T)


def _choices(rows: Keys) -> Keys:
    """What makes rows the same circuit: equal constants; those that are chosen differ.

    ``rows`` and the result have the shape (lanes, columns).
    """
    chosen = (rows > 1).any(axis=0)
    alone = 2 + np.arange(rows.shape[1])
    return np.where(chosen, alone, rows)


def pair_sums(
    made: Structure,
    reads: Sequence[PairReads],
    bits: int,
    most: int,
    *,
    rows: int,
    registers: int,
    early: bool,
) -> None:
    """``vecq_pair_sums``: what the rows read of each two lanes, delayed by their stage.

    Of each lane ``bits`` are read, of a sum of two ``most`` at most.
    """
    for pair, read in enumerate(reads):
        stage = pair // rows
        stage -= early and stage > 0
        wide = min(bits + (read.lanes == 2), most)
        if read.lanes == 2:
            made.add(wide, read.plus + read.minus)
        if read.plus or read.minus:
            made.delay(stage, read.lanes * bits)
            stage = 0
        made.delay(1 + registers, (read.plus + read.minus) * wide)
        made.delay(stage + 1 + registers, read.alone * bits)


def _reads_of_signs(codes: Keys, *, both: bool) -> list[PairReads]:
    """What rows of signs read: the difference where the second lane's code is 1, else the sum.

    With ``both`` second pairs are chosen in carry cells, which always read both.
    """
    found = []
    for pair in range(-(-len(codes) // 2)):
        own = codes[2 * pair : 2 * pair + 2]
        carry = both and pair % 2 == 1 and pair > 1
        plus = len(own) < 2 or carry or bool((own[1] != 1).any())
        minus = len(own) == 2 and (carry or bool((own[1] != 0).any()))
        found.append(PairReads(len(own), plus, minus, 0))
    return found


def _reads_of_values(codes: Keys) -> list[PairReads]:
    """What rows of two's complement read: their lanes alone, or the sum."""
    found = []
    for pair in range(-(-len(codes) // 2)):
        own = codes[2 * pair : 2 * pair + 2]
        if len(own) == 1:
            found.append(PairReads(1, False, False, int((own != 0).any())))
            continue
        plus = bool((own != 0).all(axis=0).any())
        certain = (own == 1).all(axis=0)
        alone = sum(int(((lane != 0) & ~certain).any()) for lane in own)
        found.append(PairReads(2, plus, False, alone))
    return found


def quad_rows(made: Structure, codes: Keys, pe: int, bits: int, most: int) -> None:
    """``vecq_quad_row_array``: four lanes a row, the choice inside the carry cells.

    ``codes`` has the shape (SIMD, planes * PE); of the sums ``most`` bits are read.
    """
    simd, count = codes.shape
    planes = count // pe
    low = min(bits, most)
    reads = _reads_of_signs(codes, both=True)
    pair_sums(made, reads, low, most, rows=2, registers=0, early=True)
    later = 2 * len(range(3, len(reads), 2))  # second pairs, but of the first row
    made.register(later * min(bits + 1, most))
    pairs, rows, row = -(-simd // 2), -(-simd // 4), bits + 1
    kept = _kept(planes, pe, most, row + log2(pairs))
    sums = np.arange(count)
    for quad in range(rows):
        own = codes[4 * quad : 4 * quad + 4]
        wide = row + 1 if len(own) > 2 else row
        first, second, third = own[:2], own[2:], own[2:3]
        width = row + log2(min(2 * quad + 2, pairs)) if quad else wide
        inputs = 4 if len(own) > 1 else 2
        for bound, these in kept:
            low, middle, high = min(row, bound), min(wide, bound), min(width, bound)
            made.table(inputs, _fronts(first[:, these]) * low)
            made.register(_distinct(first[:, these]) * low)
            count = int(these.sum())
            if quad:
                # Sums of carry cells that are asked for by name are never shared.
                if len(second):
                    made.add(middle, count, chosen=True, fronts=low)
                    made.register(count * middle + functions(own[3:, these]))
                else:
                    made.register(_distinct(first[:, these]) * middle)
                made.add(high, count, chosen=True, fronts=middle)
                made.register(count * high + 2 * functions(third[:, these]))
            else:
                sums[these] = _numbered(_choices(own[:, these])) + sums.size * bound
                different = len(np.unique(sums[these]))
                if len(second):
                    made.table(4 if len(second) > 1 else 2, _fronts(second[:, these]) * low)
                    made.register(_distinct(second[:, these]) * low)
                    made.add(middle, different)
                made.register(different * middle)
    if rows > 1:
        sums = np.arange(len(sums))
    _plane_sum(made, sums, pe, planes, row + log2(pairs), most)


def _kept(planes: int, pe: int, most: int | Keys, full: int) -> list[tuple[int, Mask]]:
    """How many bits are read of which planes: ``full`` at most, of the others fewer.

    Bit ``n`` of a plane's sum counts ``2^(plane + n)``, and bits from ``most`` on are not read.
    """
    bounds = np.clip(_bounds(planes, pe, most), 0, full)
    return [(bound, bounds == bound) for bound in np.unique(bounds[bounds > 0]).tolist()]


def _bounds(planes: int, pe: int, most: int | Keys) -> Keys:
    """How many bits may be read of the sum of each plane; shape (planes * PE,)."""
    read = np.broadcast_to(np.asarray(most, np.int64), pe)
    return np.tile(read, planes) - np.arange(planes * pe) // pe


def _fronts(rows: Keys) -> int:
    """How many different choices of a pair's sums need tables; ``rows`` has the shape (n, columns).

    A choice that never changes is a wire, or inverters.
    """
    chosen = (rows > 1).any(axis=0)
    kinds = chosen, ~chosen & (rows[0] == 1)
    return sum(_distinct(rows[:, kind]) for kind in kinds if kind.any())


def pair_rows(
    made: Structure,
    codes: Keys,
    pe: int,
    bits: int,
    most: int | Keys,
    *,
    signs: bool,
    rows: int = ROWS,
    registers: int = 0,
    least: int | Keys = 0,
) -> None:
    """``vecq_pair_row_array``: two lanes a row, chosen in front of its sum.

    ``codes`` has the shape (SIMD, planes * PE); of the sums the bits from ``least`` to ``most`` are
    read, both of them numbers or arrays of shape (PE,).
    """
    simd, count = codes.shape
    planes, row, pairs = count // pe, bits + 1, -(-simd // 2)
    top = np.arange(count) >= (count if signs else count - pe)
    bounds = _bounds(planes, pe, most)
    widest, used = int(bounds.max()), codes[:, bounds > 0]
    reads = _reads_of_signs(used, both=False) if signs else _reads_of_values(used)
    pair_sums(made, reads, min(bits, widest), widest, rows=rows, registers=registers, early=False)
    sums = np.zeros(count, np.int64)
    width: Keys = np.zeros(count, np.int64)
    nothing = np.full(count, not signs) & ~top
    whole = chain_bits(row, pairs) if simd > 1 else bits  # a lane alone has no carry
    bounds = np.minimum(bounds, whole)
    for pair in range(pairs):
        own = codes[2 * pair : 2 * pair + 2]
        zero = np.full(count, not signs) & ~top & (own == 0).all(axis=0)
        sums = np.where(zero, sums, _numbered(np.vstack([sums, own, top])) + count * (pair + 1))
        # Copies of the sign are no registers: what is read of one lane alone is no wider than it.
        lanes = np.full(count, len(own)) if signs else (own != 0).sum(axis=0)
        wide = np.where(lanes > 0, bits + (lanes > 1), 0)
        chain = chain_bits(row, pair + 1)
        width = np.where((width > 0) & (wide > 0), chain, width + wide).astype(np.int64)
        read = np.minimum(row if len(own) > 1 else bits, bounds)
        first = nothing | (pair == 0)  # nothing is added to these
        fronts = _pair_fronts(own, top, read, bits, first, signs=signs)
        alone = _pair_fronts(own, top, np.where(first, read, 0), bits, first, signs=signs)
        made.table(4, alone)
        made.fronts += fronts - alone
        if pair:
            for size, number in _widths(sums, np.minimum(chain, bounds), ~zero & ~nothing):
                made.add(size, number)
        nothing &= zero
        if pair % rows == rows - 1 or pair == pairs - 1:
            kept = np.minimum(width, bounds)
            if planes == 1 and pair == pairs - 1:
                kept -= least
            for size, number in _widths(sums, kept, ~nothing):
                made.register(number * size)
    _plane_sum(made, sums, pe, planes, whole, most, width, nothing, least)


def _widths(sums: Keys, width: Keys, which: Mask) -> list[tuple[int, int]]:
    """How many different sums are so wide, each as wide as it is read anywhere.

    All three have the same shape; sums of no bits are left out.
    """
    different, alike = np.unique(sums[which], return_inverse=True)
    widest = np.zeros(len(different), np.int64)
    np.maximum.at(widest, alike.reshape(-1), width[which])
    return sorted(Counter(widest[widest > 0].tolist()).items())


def _pair_fronts(rows: Keys, top: Mask, width: Keys, bits: int, first: Mask, *, signs: bool) -> int:
    """Tables of four inputs in front of the rows of a pair, of which ``width`` bits are read.

    A row that never changes is a wire or inverters: ``vecq_adder`` subtracts the complement of all
    but the ``first`` row, and so these need inverters where they are not inverted themselves.
    """
    both = _numbered(rows if signs else np.vstack([rows, top]))
    chosen = (rows > 1).any(axis=0)
    inverted = rows[0] == 1 if signs else top
    inverters = ~chosen & (inverted == first) & (signs | (rows == 1).any(axis=0))
    # Of two lanes and their sum each bit takes two tables, but for the highest: five inputs.
    wide = (rows > 1).all(axis=0) & (rows[0] != rows[-1]) & (not signs)
    doubled = width + np.minimum(width, bits)
    kinds = (wide, doubled), (chosen & ~wide, width), (inverters, width)
    return sum(
        size * number for which, sizes in kinds for size, number in _widths(both, sizes, which)
    )


def chain_bits(row: int, rows: int) -> int:
    """The bits of the sum of so many rows."""
    if row < log2(rows):
        return log2((rows << row) - rows + 1)
    return row + log2(rows)


def _plane_sum(
    made: Structure,
    sums: Keys,
    pe: int,
    planes: int,
    bits: int,
    most: int | Keys,
    width: Keys | None = None,
    nothing: Mask | None = None,
    least: int | Keys = 0,
) -> None:
    """``vecq_plane_sum``: a tree over the planes of a weight, read from ``least`` to ``most``.

    ``sums`` tells the planes' sums apart, of ``width`` bits those that are not copies of the sign,
    and ``nothing`` those that are 0; all have the shape (planes * PE,).
    """
    joined = sums.reshape(planes, pe)
    wide = np.full_like(joined, bits) if width is None else width.reshape(planes, pe)
    empty = np.zeros_like(joined, bool) if nothing is None else nothing.reshape(planes, pe)
    empty = empty | (_bounds(planes, pe, most).reshape(planes, pe) <= 0)
    read = np.broadcast_to(np.asarray(most, np.int64), pe)
    reach, shift = [bits] * planes, 1
    while len(joined) > 1:
        keys, empties, widths, reaches = list[Keys](), list[Mask](), list[Keys](), list[int]()
        for low in range(0, len(joined), 2):
            bound = np.maximum(read - low * shift, 0)
            if low + 1 == len(joined):
                keys.append(joined[low])
                empties.append(empty[low])
                widths.append(wide[low])
                reaches.append(reach[low])
            else:
                shared = reach[low] - shift  # none: the two lie side by side
                total = max(reach[low + 1], shared) + 1 if shared > 0 else reach[low + 1]
                key = _numbered(joined[low : low + 2])
                under, over = empty[low], empty[low + 1]
                if shared > 0:
                    added = np.minimum(total, bound - shift)
                    for size, number in _widths(key, added, ~under & ~over):
                        made.add(size, number)
                keys.append(key)
                empties.append(under & over)
                alone = np.where(over, wide[low], wide[low + 1])
                widths.append(np.where(under | over, alone, total + shift).astype(np.int64))
                reaches.append(total + shift)
            kept = np.minimum(widths[-1], bound)
            if len(joined) == 2:  # the last level
                kept -= least
            for size, number in _widths(keys[-1], kept, ~empties[-1]):
                made.register(number * size)
        joined, empty, wide = np.array(keys), np.array(empties), np.array(widths)
        reach, shift = reaches, 2 * shift


def popcount(made: Structure, pe: int, simd: int, count: int) -> None:
    """``vecq_popcount_array``: threes, sixes and their sums, of ``count`` bits."""
    for leaf in range(-(-simd // 16)):
        lanes = min(16, simd - 16 * leaf)
        made.register((2 * leaf + 1) * lanes)
        threes = -(-lanes // 3)
        made.table(6, pe * 2 * threes)
        made.table(6, pe * 10)
        if lanes > 8:
            made.register(pe * 2 * threes)
        if leaf:
            made.add(count, pe)
        made.register(pe * count * (2 if leaf and lanes > 8 else 1))
