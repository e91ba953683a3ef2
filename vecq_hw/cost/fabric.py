"""What the parts of a cell take on a family of devices: tables, carry cells, block RAM, DSPs.

Memories and multipliers are laid out as yosys does it (:mod:`vecq_hw.cost.blocks`); block RAM and
DSPs are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vecq_hw.cost.blocks import (
    CHECK_COST,
    Block,
    Multiplier,
    TableRam,
    block_rams,
    pieces,
    table_rams,
)
from vecq_hw.cost.structure import Memory, Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The parts that a family offers.

    Attributes
    ----------
    lut_inputs : int
    carry_bits : int
        Of a carry cell.
    sum_is_table : bool
        Whether a bit of a sum takes the position of a table.
    front_is_sum : bool
        Whether what is in front of a sum is in the same table.
    carry_positions : int
        Positions of tables that a carry cell takes besides those that are counted as tables.
    chosen : bool
        Whether carry cells choose between operands.
    blocks : sequence of Block
        The shapes of block RAMs.
    dsps : sequence of Multiplier
        Multipliers, in the order in which they are tried.
    table_rams : sequence of TableRam
        Memories of look-up tables.
    rom_bit_cost : float
        What yosys says that a bit of constants costs in tables.
    check_cost : float
        By how much block RAMs cost more where a read of a word that is being written matters.
    wider : float
        How many times as many tables a table of constants takes whose address has more bits than
        theirs: where multiplexers lie behind them these are free.
    joins : bool
        Whether multiplexers join tables to larger ones, which are as fast.
    subtracts : bool
        Whether carry cells invert an operand.
    least_shift : int or None
        So many registers in a row become a shift register in tables.
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
    blocks: Sequence[Block]
    dsps: Sequence[Multiplier]
    table_rams: Sequence[TableRam] = ()
    rom_bit_cost: float = 1 / 16
    check_cost: float = CHECK_COST
    wider: float = 1
    joins: bool = True
    subtracts: bool = True
    least_shift: int | None = None
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
    brams: float
    dsps: float


PRODUCT_TABLES = {4: 3.4, 6: 1.9}
"""Tables of a multiplier for each pair of bits, by their inputs: measured on Rescales."""
COUNTED_IN_SIX = PRODUCT_TABLES[6] / PRODUCT_TABLES[4]
"""Tables of six inputs for one of four."""
SMALL_TABLES, WIDE_TABLES, WIDE = 0.93, 1.2, 8
"""What a table of constants takes of the tables of four inputs that its bits fill, if it has an
address of few bits or of so many: beyond seven inputs no multiplexers lie behind tables."""
CHOICE_TABLES = {4: 0.85, 6: 0.39}
"""Tables of a multiplexer for each way beyond the first, by their inputs: measured alone."""
SHIFT_LENGTH = 32
"""Registers that a shift register has in a table."""
REST_TABLES = 3.4
"""Tables for each pair of bits of a piece of a product for which no DSP is taken."""


def _shapes(depth: int, widths: Sequence[int], *, ports: int = 1, **of: float) -> list[Block]:
    """The shapes of a block of ``depth`` bits without parity, whose bytes have 9 bits with it."""
    return [
        Block(depth // (width - width // 9), width, min(width, 9), ports=ports, **of)
        for width in widths
    ]


_NINES = (1, 2, 4, 9, 18, 36, 72)
_LATTICE = [*_shapes(1 << 14, _NINES[:5], ports=2), *_shapes(1 << 14, _NINES[:6])]
_XILINX = [
    *_shapes(1 << 14, _NINES[:5], ports=2, cost=129, share=0.5),
    *_shapes(1 << 14, _NINES[:6], cost=129, share=0.5),
    *_shapes(1 << 15, _NINES[:6], ports=2, cost=257),
    *_shapes(1 << 15, _NINES, cost=257),
]
_ICE40 = [Block(256, 16, 1, 64), Block(512, 8, 8, 64), Block(1024, 4, 4, 64), Block(2048, 2, 2, 64)]
FABRICS: Mapping[str, Fabric] = {
    fabric.name: fabric
    for fabric in (
        Fabric(
            name="ecp5",
            small_sums=(0, 1, 2, 4, 6),
            small_comparisons=(0, 0.5, 1, 4, 9),
            lut_inputs=4,
            carry_bits=2,
            sum_is_table=False,
            front_is_sum=False,
            carry_positions=2,
            chosen=True,
            blocks=_LATTICE,
            dsps=[Multiplier(long=18, short=18, part=18)],
            table_rams=[TableRam(words=16, tables=(4,) * 4, cost=4)],
        ),
        Fabric(
            name="ice40",
            lut_inputs=4,
            carry_bits=1,
            sum_is_table=True,
            front_is_sum=False,
            carry_positions=0,
            chosen=False,
            blocks=_ICE40,
            wider=2.6,  # measured on four look-ups of the record
            joins=False,
            subtracts=False,
            dsps=[Multiplier(long=16, short=16, part=16, least_product=11)],
        ),
        Fabric(
            name="gowin",
            lut_inputs=4,
            carry_bits=1,
            sum_is_table=False,
            front_is_sum=False,
            carry_positions=1,
            chosen=False,
            blocks=_LATTICE,
            dsps=[
                Multiplier(long=18, short=18, part=18, least_long=10, least_short=4, share=0.5),
                Multiplier(long=9, short=9, part=9, least_long=4, least_short=4, share=0.25),
            ],
            table_rams=[TableRam(words=16, tables=(4,) * 4, cost=4, scaled=4)],
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
                blocks=blocks,
                dsps=[Multiplier(long=long, short=18, part=18, headroom=1, least_product=9)],
                table_rams=tables,
                rom_bit_cost=1 / 64,
                least_shift=3,
                check_cost=0,
            )
            for name, long, blocks, tables in (
                (
                    "xc7",
                    25,
                    [*_XILINX, Block(1 << 16, 1, 1, cost=513, share=2)],
                    [
                        TableRam(words=32, tables=(4,) * 6, cost=8, scaled=7),
                        TableRam(words=64, tables=(4,) * 3, cost=8, scaled=7),
                    ],
                ),
                (
                    "xcup",
                    27,
                    _XILINX,
                    [
                        TableRam(words=32, tables=(8,) * 14, cost=16, scaled=16),
                        TableRam(words=64, tables=(8,) * 7, cost=16, scaled=16),
                    ],
                ),
            )
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
    if structure.by_memory is not None:
        structure = structure.joined(structure.by_memory[not fabric.table_rams])
    in_six = COUNTED_IN_SIX if fabric.lut_inputs == 6 else 1
    tables = structure.counted * in_six + structure.fronts * (not fabric.front_is_sum)
    carries, memory_tables, brams = 0, 0, 0.0
    registers = structure.registers
    for stages, bits in structure.delays.items():
        shifted, kept = _delay(stages, bits, fabric)
        memory_tables += shifted
        registers += kept
    for inputs, count in structure.tables.items():
        tables += count * _tables_of(inputs, fabric.lut_inputs)
    for inputs, count in structure.flat.items():
        each = 2.0 ** max(inputs - fabric.lut_inputs, 0)
        tables += count * (each if fabric.joins else _tables_of(inputs, fabric.lut_inputs))
    for ways, count in structure.choices.items():
        tables += count * _choice(ways, fabric.lut_inputs)
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
        if not fabric.subtracts:
            tables += part.off * part.count
    for memory in structure.memories:
        made = _memory(memory, fabric)
        tables += made.tables
        memory_tables += made.memory_tables
        registers += made.registers
        brams += made.brams
    dsps = 0.0
    for product in structure.products:
        most, least = max(product.left, product.right), min(product.left, product.right)
        kinds = fabric.dsps if dsp and product.dsp is not False else ()
        blocks, rests = pieces(most, least, kinds)
        dsps += blocks * product.count
        if not blocks:
            pairs = product.left * product.right * product.count
            own = pairs * PRODUCT_TABLES[4] if product.tables is None else product.tables
            tables += own * in_six
            continue
        parts = pieces(most, least, [replace(kind, share=1) for kind in kinds])[0] + len(rests)
        width = most + least - kinds[0].short  # of the sums of pieces
        carries += (round(parts) - 1) * math.ceil(width / fabric.carry_bits) * product.count
        tables += sum(rests) * REST_TABLES * product.count
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


def _delay(stages: int, bits: int, fabric: Fabric) -> tuple[int, int]:
    """Tables and flip-flops of registers in a row."""
    if fabric.least_shift is None or stages < fabric.least_shift:
        return 0, stages * bits
    return -(-stages // SHIFT_LENGTH) * bits, 0


def _tables_of(inputs: int, size: int) -> float:
    """Tables of ``size`` inputs that a function of more of them takes, as in a tree."""
    return 1.0 if inputs <= size else (inputs - 1) / (size - 1)


def _choice(ways: int, size: int) -> float:
    """Tables of ``size`` inputs of a multiplexer of one bit that is not on the longest path."""
    return max(CHOICE_TABLES[size] * (ways - 1), 1.0)


@dataclass(frozen=True, slots=True)
class _Made:
    """What a memory became."""

    tables: float = 0
    memory_tables: int = 0
    registers: int = 0
    brams: float = 0


def _memory(memory: Memory, fabric: Fabric) -> _Made:
    if memory.most_in_luts is not None:
        return _rom(memory, fabric)
    blocks, cost, _ = block_rams(memory, fabric.blocks, fabric.check_cost)
    behind = (memory.stages - 1) * memory.bits
    logic = memory.words * (memory.of or memory.bits)  # a register for each bit
    if fabric.table_rams:
        tables, rows, in_tables = table_rams(memory, fabric.table_rams)
        if in_tables <= cost and in_tables < logic:
            chosen = _choice(rows, fabric.lut_inputs)
            return _Made(
                tables=memory.bits * chosen + rows if rows > 1 else 0,  # told which is written
                memory_tables=tables,
                registers=memory.bits + behind,
            )
    if cost < logic:
        return _Made(brams=blocks, registers=behind)
    chosen, bits = _choice(memory.words, fabric.lut_inputs), memory.bits - memory.repeated
    return _Made(
        tables=bits * chosen + memory.words,
        registers=(memory.words + 1) * bits + behind,
    )


def _rom(memory: Memory, fabric: Fabric) -> _Made:
    """Constants, in blocks where it is asked for or costs less."""
    assert memory.most_in_luts is not None
    if not memory.bits:
        return _Made()
    blocks, cost, rows = block_rams(memory, fabric.blocks, 0)
    asked = memory.words > memory.most_in_luts
    cheaper = cost < memory.words * memory.of * fabric.rom_bit_cost
    if asked or (cheaper and memory.stages > 0):
        row = (rows - 1).bit_length()  # of the address, which chooses among the rows that are read
        read = memory.ports * memory.bits
        return _Made(
            tables=read * _choice(rows, fabric.lut_inputs) if rows > 1 else 0,
            brams=blocks,
            registers=(memory.stages - 1 + memory.registers) * read + memory.ports * row,
        )
    return _table_rom(memory, fabric)


def _table_rom(memory: Memory, fabric: Fabric) -> _Made:
    """Constants in tables, for each different column that changes."""
    address = max((memory.words - 1).bit_length(), 0)
    each = 1.0 if address > 1 else 0.0
    if address > fabric.lut_inputs:
        each = 2.0 ** (address - fabric.lut_inputs)
        each *= 1 if fabric.lut_inputs == 6 else SMALL_TABLES if address < WIDE else WIDE_TABLES
        each *= fabric.wider * (memory.words if fabric.joins else memory.used) / 2.0**address
    read = memory.ports * memory.functions
    addresses = memory.registers * memory.ports * address
    shifted, kept = _delay(memory.stages, read, fabric)
    return _Made(tables=read * each, memory_tables=shifted, registers=kept + addresses)
