"""How yosys lays out memories and multipliers in the blocks of a family.

Memories go where ``memory_libmap`` puts them, by the same costs; multipliers are cut as ``mul2dsp``
does it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vecq_hw.cost.structure import Memory

EMULATION_COST = 2
"""LUTs of the logic beside any memory, in yosys' costs."""
CHECK_COST = 12
"""The same of the logic that tells a read of a word that is being written."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block RAM in one of its shapes.

    Attributes
    ----------
    words, bits : int
        Of the shape.
    written : int
        Bits that are written together: of a memory deeper than the block each row begins there.
    cost : float
        By which yosys chooses.
    share : float
        How many block RAMs it counts as.
    ports : int
        That read a memory of constants.
    """

    words: int
    bits: int
    written: int
    cost: float = 128
    share: float = 1
    ports: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRam:
    """A memory of look-up tables, written at one port and read at another.

    Attributes
    ----------
    tables : sequence of int
        How many it takes where 1, 2, … of its bits are used.
    cost : float
        By which yosys chooses.
    scaled : float
        How much of the cost goes with the share of the bits that are used.
    """

    words: int
    tables: Sequence[int]
    cost: float
    scaled: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """A DSP block as a multiplier.

    Attributes
    ----------
    long, short : int
        Bits of its sides.
    part : int
        Bits that a piece of a longer factor has.
    headroom : int
        By how many bits of a piece the next one is further: less than ``part`` by this, which is
        1 where a block takes no unsigned numbers.
    least_long, least_short, least_product : int
        Bits below which a piece is made of tables.
    share : float
        How many DSPs it counts as.
    """

    long: int
    short: int
    part: int
    headroom: int = 0
    least_long: int = 2
    least_short: int = 2
    least_product: int = 0
    share: float = 1


def block_rams(memory: Memory, blocks: Iterable[Block], check: float) -> tuple[float, float, int]:
    """Block RAMs of a memory in the shape that costs least, what yosys says they cost, and rows.

    Where a memory is deeper than a block, its rows lie side by side as one wide word.  The shape is
    chosen for whole words; blocks of which no bit is read are left out.

    Parameters
    ----------
    check : float
        What it costs to tell a read of a word that is being written.

    Examples
    --------
    >>> part = Memory(4096, 7, most_in_luts=64, first=7, of=56)  # blocks 0 and 1, and 7
    >>> block_rams(part, [Block(512, 36, 9), Block(2048, 9, 9)], CHECK_COST)
    (3, 1694.0, 2)
    """
    constant = memory.most_in_luts is not None
    word = memory.of or memory.bits

    def row_bits(block: Block) -> int:
        return word if constant else -(-word // block.written) * block.written

    def cost(block: Block) -> float:
        rows = math.ceil(memory.words / block.words)
        wide = row_bits(block) if rows > 1 else word
        copies = math.ceil(memory.ports / block.ports)
        beside = _beside(rows, word, constant=constant) + check * memory.checked
        return copies * math.ceil(rows * wide / block.bits) * block.cost + beside

    block = min(blocks, key=cost)
    rows = math.ceil(memory.words / block.words)
    read: set[int] = set()
    for row in range(rows):
        places = memory.places or range(memory.first, memory.first + memory.bits)
        read.update((row * row_bits(block) + place) // block.bits for place in places)
    return len(read) * math.ceil(memory.ports / block.ports) * block.share, cost(block), rows


def table_rams(memory: Memory, shapes: Iterable[TableRam]) -> tuple[int, int, float]:
    """Tables of a memory that is written, its rows, and what yosys says that they cost.

    The shape is chosen for whole words; those of which no bit is read are left out.
    """
    found, word = [], memory.of or memory.bits
    for shape in shapes:
        rows, width = math.ceil(memory.words / shape.words), len(shape.tables)
        whole, rest = divmod(word, width)
        read = {place // width for place in memory.places or range(word)}
        last = int(whole in read)  # the one that is not full
        tables = rows * ((len(read) - last) * shape.tables[-1] + last * shape.tables[rest - 1])
        partly = shape.cost - shape.scaled * (1 - rest / width) if rest else 0
        cost = rows * (whole * shape.cost + partly) + _beside(rows, word, constant=False)
        found.append((cost, tables, rows))
    cost, tables, rows = min(found)
    return tables, rows, cost


def _beside(rows: int, word: int, *, constant: bool) -> float:
    """What yosys says that the logic beside a memory of so many rows costs.

    Half a LUT for each bit of a multiplexer, and for each row that is told to be written.
    """
    chosen = (rows - 1) * word + (rows if rows > 1 and not constant else 0)
    return EMULATION_COST + chosen / 2


def pieces(long: int, short: int, kinds: Sequence[Multiplier]) -> tuple[float, list[int]]:
    """DSPs of a signed product, and how many tables each piece takes that is made of them.

    Pieces that are too small for the first kind of block are tried in the next.

    Examples
    --------
    >>> block = Multiplier(long=18, short=18, part=18)
    >>> [pieces(bits, 18, [block]) for bits in (18, 19, 20, 37)]
    [(1.0, []), (1.0, [18]), (2.0, []), (2.0, [18])]
    """
    if not kinds:
        return 0, [long * short]
    kind, *others = kinds
    blocks, tables = 0.0, list[int]()
    for left in _cut(long, kind.long, kind):
        for right in _cut(short, kind.short, kind):
            small = left < kind.least_long or right < kind.least_short
            if not small and left + right >= kind.least_product:
                blocks += kind.share
                continue
            more, rest = pieces(left, right, others)
            blocks += more
            tables += rest
    return blocks, tables


def _cut(bits: int, width: int, kind: Multiplier) -> list[int]:
    """The bits of the pieces of a factor, the highest last."""
    step = kind.part - kind.headroom
    cut = max(-(-(bits - width) // step), 0)
    return [kind.part] * cut + [bits - cut * step]
