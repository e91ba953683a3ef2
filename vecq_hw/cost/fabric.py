"""What the parts of a cell take on a family of devices: tables, carry cells, block RAM, DSPs.

Memories are laid out as yosys' ``memory_libmap`` does it, by the same costs; block RAM and DSPs
are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vecq_hw.cost.structure import Memory, Product, Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The parts that a family offers.

    Attributes
    ----------
    lut_inputs : int
    carry_bits : int
        Of a carry cell.
    sum_is_table : bool
        Whether a bit of a sum is counted as a table.
    front_is_sum : bool
        Whether what is in front of a sum is in the same table.
    carry_positions : int
        Positions of tables that a carry cell takes besides those that are counted as tables.
    chosen : bool
        Whether carry cells choose between operands.
    lut_ram : tuple of int, or None
        Words and bits of a memory of tables, and how many tables it takes.
    block_ram : sequence of (words, bits)
        The shapes of a block RAM.
    block_cost, lut_ram_cost : float
        By which memories are laid out.
    whole_lut_rams : bool
        Whether a memory of tables costs as much with some of its bits as with all of them.
    dsp : tuple of int, or None
        Bits of the two sides of a multiplier.
    small_sums, small_comparisons : sequence of float
        Tables of sums of so few bits that synthesis makes no carry chain of them, by their bits.
    """

    name: str
    lut_inputs: int
    carry_bits: int
    sum_is_table: bool
    front_is_sum: bool
    carry_positions: int
    chosen: bool
    lut_ram: tuple[int, int, int] | None
    block_ram: Sequence[tuple[int, int]]
    block_cost: float
    lut_ram_cost: float
    dsp: tuple[int, int] | None
    whole_lut_rams: bool = True
    small_sums: Sequence[float] = ()
    small_comparisons: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """The parts of a cell before the fit.

    Attributes
    ----------
    kind : str
        Which constants of the fit are the cell's: of one with DSPs others than without.
    tables : float
        Those of logic and of memories of constants.
    memory_tables : int
        Of memories that are written.
    """

    kind: str
    tables: float
    memory_tables: int
    carries: int
    registers: int
    control: int
    brams: int
    dsps: int


PRODUCT_TABLES = {4: 3.4, 6: 1.9}
"""Tables of a multiplier for each pair of bits, by their inputs: measured on Rescales."""
COUNTED_IN_SIX = PRODUCT_TABLES[6] / PRODUCT_TABLES[4]
"""Tables of six inputs for one of four."""
REST_BITS = 2
"""The widest rest of a factor for which no block is taken, in bits."""
CHECK_COST = 8
"""LUTs of the logic that tells a read of a word that is being written."""
ROM_BIT_COST = 1 / 16
"""What yosys says that a bit of constants costs in tables."""
_ECP5_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))
FABRICS: Mapping[str, Fabric] = {
    fabric.name: fabric
    for fabric in (
        Fabric(
            name="ecp5",
            small_sums=(0, 1, 2, 4, 10),
            small_comparisons=(0, 0.5, 1, 4, 9),
            lut_inputs=4,
            carry_bits=2,
            sum_is_table=False,
            front_is_sum=False,
            carry_positions=2,
            chosen=True,
            lut_ram=(16, 4, 4),
            block_ram=_ECP5_SHAPES,
            block_cost=128,
            lut_ram_cost=4,
            dsp=(18, 18),
        ),
        Fabric(
            name="ice40",
            lut_inputs=4,
            carry_bits=1,
            sum_is_table=True,
            front_is_sum=False,
            carry_positions=0,
            chosen=False,
            lut_ram=None,
            block_ram=((256, 16), (512, 8), (1024, 4), (2048, 2)),
            block_cost=64,
            lut_ram_cost=0,
            dsp=(16, 16),
        ),
        Fabric(
            name="gowin",
            lut_inputs=4,
            carry_bits=1,
            sum_is_table=False,
            front_is_sum=False,
            carry_positions=1,
            chosen=False,
            lut_ram=(16, 4, 4),
            block_ram=_ECP5_SHAPES,
            block_cost=128,
            lut_ram_cost=4,
            dsp=(18, 18),
        ),
        *(
            Fabric(
                name=name,
                lut_inputs=6,
                carry_bits=4,
                sum_is_table=True,
                front_is_sum=True,
                carry_positions=0,
                chosen=False,
                lut_ram=(32, 6, 4),
                block_ram=((1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1)),
                block_cost=257,
                lut_ram_cost=8,
                whole_lut_rams=False,
                dsp=(25 if name == "xc7" else 27, 18),
            )
            for name in ("xc7", "xcup")
        ),
    )
}


def raw(structure: Structure, fabric: Fabric, *, dsp: bool) -> Raw:
    """The parts of a cell on a fabric.

    Parameters
    ----------
    dsp : bool
        Whether any fold of the network asks for DSPs: synthesis then takes them for multipliers
        that ask for nothing, too.
    """
    tables = structure.counted * (COUNTED_IN_SIX if fabric.lut_inputs == 6 else 1)
    carries, memory_tables, brams = 0, 0, 0
    registers = structure.registers
    for inputs, count in structure.tables.items():
        tables += count * _tables_of(inputs, fabric.lut_inputs)
    for inputs, count in structure.flat.items():
        tables += count * 2.0 ** max(inputs - fabric.lut_inputs, 0)
    for part in structure.sums:
        if part.bits < len(fabric.small_sums) and not part.chosen:
            if part.compared:
                tables += fabric.small_comparisons[part.bits] * part.count
            else:
                tables += (fabric.small_sums[part.bits] + part.fronts) * part.count
            continue
        cells = math.ceil(part.bits / fabric.carry_bits) * part.count
        carries += cells
        if fabric.sum_is_table:
            tables += part.bits * part.count
        if not fabric.front_is_sum and not (part.chosen and fabric.chosen):
            tables += part.fronts * part.count
    for memory in structure.memories:
        made = _memory(memory, fabric)
        tables += made.tables
        memory_tables += made.memory_tables
        registers += made.registers
        brams += made.brams
    dsps = 0
    for product in structure.products:
        blocks, rests = _dsps(product, fabric, dsp)
        dsps += blocks * product.count
        if not blocks:
            rows = product.right if product.rows is None else product.rows
            tables += product.left * rows * product.count * PRODUCT_TABLES[fabric.lut_inputs]
        elif blocks + rests > 1:  # their sum
            width = product.left + product.right - min(fabric.dsp or (0,))
            carries += (blocks + rests - 1) * math.ceil(width / fabric.carry_bits) * product.count
            tables += rests * min(product.left, product.right) * REST_BITS * product.count
    return Raw(
        kind=f"{structure.kind}, DSP" if dsps else structure.kind,
        tables=tables,
        memory_tables=memory_tables,
        carries=carries,
        registers=registers,
        control=structure.control,
        brams=brams,
        dsps=dsps,
    )


def _tables_of(inputs: int, size: int) -> float:
    """Tables of ``size`` inputs that a function of more of them takes, as in a tree."""
    return 1.0 if inputs <= size else (inputs - 1) / (size - 1)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a memory became."""

    tables: float = 0
    memory_tables: int = 0
    registers: int = 0
    brams: int = 0


def _memory(memory: Memory, fabric: Fabric) -> _Made:
    if memory.most_in_luts is not None:
        return _rom(memory, fabric)
    blocks, cost = block_rams(memory, fabric)
    behind = (memory.stages - 1) * memory.bits
    if fabric.lut_ram is None:
        return _Made(brams=blocks, registers=behind)
    words, bits, taken = fabric.lut_ram
    rows, columns = math.ceil(memory.words / words), math.ceil(memory.bits / bits)
    share = columns if fabric.whole_lut_rams else memory.bits / bits
    in_tables = fabric.lut_ram_cost * rows * share + (rows - 1) * (memory.bits + 1) / 2
    if cost + CHECK_COST * memory.checked < in_tables:
        return _Made(brams=blocks, registers=behind)
    return _Made(
        tables=memory.bits * _tables_of(rows + (rows - 1).bit_length(), fabric.lut_inputs)
        if rows > 1
        else 0,
        memory_tables=taken * rows * columns,
        registers=memory.bits + behind,
    )


def _rom(memory: Memory, fabric: Fabric) -> _Made:
    """Constants, in blocks where it is asked for or costs less."""
    assert memory.most_in_luts is not None
    if not memory.bits:
        return _Made()
    blocks, cost = block_rams(memory, fabric)
    copies = 1 if memory.ports == 1 else math.ceil(memory.ports / 2)
    asked = memory.words > memory.most_in_luts
    cheaper = copies * cost < memory.words * memory.of * ROM_BIT_COST
    if asked or (cheaper and memory.stages > 0):
        return _Made(
            brams=copies * blocks,
            registers=(memory.stages - 1 + memory.registers) * memory.ports * memory.bits,
        )
    return _table_rom(memory, fabric)


def _table_rom(memory: Memory, fabric: Fabric) -> _Made:
    """Constants in tables, for each different column that changes."""
    address = max((memory.words - 1).bit_length(), 0)
    each = 1.0 if address > 1 else 0.0
    if address > fabric.lut_inputs:
        each = 2.0 ** (address - fabric.lut_inputs)
        each *= 1 if fabric.lut_inputs == 6 else 0.93
        each *= memory.words / 2.0**address
    read = memory.ports * memory.functions
    addresses = memory.registers * memory.ports * address
    return _Made(tables=read * each, registers=memory.stages * read + addresses)


def block_rams(memory: Memory, fabric: Fabric) -> tuple[int, float]:
    """Block RAMs of a memory, in the shape that costs least, and what yosys says that they cost.

    Where a memory is deeper than a block, its rows lie side by side as one wide word.  The shape is
    chosen for whole words; blocks of which no bit is read are left out.

    Examples
    --------
    >>> part = Memory(4096, 7, most_in_luts=64, first=7, of=56)  # blocks 0 and 1, and 7
    >>> block_rams(part, FABRICS["ecp5"])
    (3, 1692.5)
    """
    word = memory.of or memory.bits

    def cost(shape: tuple[int, int]) -> float:
        depth, width = shape
        rows = math.ceil(memory.words / depth)
        return math.ceil(rows * word / width) * fabric.block_cost + (rows - 1) * (word + 1) / 2

    depth, width = min(fabric.block_ram, key=cost)
    read: set[int] = set()
    for row in range(math.ceil(memory.words / depth)):
        first = row * word + memory.first
        read.update(range(first // width, (first + memory.bits - 1) // width + 1))
    return len(read), cost((depth, width))


def _dsps(product: Product, fabric: Fabric, dsp: bool) -> tuple[int, int]:
    """DSP blocks of each of the multipliers, none where they are made of tables, and their rests.

    A rest is a piece of so few bits that it is made of tables.
    """
    if fabric.dsp is None or not dsp or product.dsp is False:
        return 0, 0
    most, least = max(product.left, product.right), min(product.left, product.right)
    long, short = _pieces(most, max(fabric.dsp)), _pieces(least, min(fabric.dsp))
    blocks = long[0] * short[0]
    return blocks, sum(long) * sum(short) - blocks


def _pieces(bits: int, width: int) -> tuple[int, int]:
    """How ``mul2dsp`` of yosys cuts a signed factor: pieces for blocks, and for tables (0 or 1).

    Each piece but the highest has a bit less than the block, whose sign it does not need.

    Examples
    --------
    >>> [_pieces(bits, 18) for bits in (18, 19, 20, 36)]
    [(1, 0), (1, 1), (2, 0), (2, 1)]
    """
    cut = max(-(-(bits - width) // (width - 1)), 0)
    rest = bits - cut * (width - 1) <= REST_BITS and cut > 0
    return cut + (not rest), int(rest)
