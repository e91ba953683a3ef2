"""The clock that a device may reach, from the longest stage of each cell.

A stage is what lies between two registers: tables, a carry chain and wires.  Which register drives
how many loads decides about wires, and the placer about all of it, so this is an estimate within a
third: two seeds of one placement differ by as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vecq_hw.cost.fabric import FABRICS, Raw
from vecq_hw.cost.structure import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Delays of a family, in nanoseconds.

    Attributes
    ----------
    register : float
        From the clock to its output, and the time before the clock that its input must be there.
    table : float
    carry_ends, carry_cell : float
        Into a chain and out of it; along one carry cell.
    memory : float
        Of a block RAM without its output register.
    wire : float
        With few loads.
    wire_doubling : float
        More of it for each doubling of its loads.
    """

    register: float
    table: float
    carry_ends: float
    carry_cell: float
    memory: float
    wire: float
    wire_doubling: float


DELAYS: Mapping[str, Delays] = {
    "ecp5": Delays(
        register=0.52,
        table=0.24,
        carry_ends=0.89,
        carry_cell=0.07,
        memory=5.83,
        wire=0.9,
        wire_doubling=0.16,
    ),
    "ice40": Delays(
        register=0.8,
        table=0.4,
        carry_ends=0.7,
        carry_cell=0.13,
        memory=2.1,
        wire=0.9,
        wire_doubling=0.14,
    ),
    "gowin": Delays(
        register=0.35,
        table=0.5,
        carry_ends=0.7,
        carry_cell=0.04,
        memory=2.5,
        wire=0.6,
        wire_doubling=0.1,
    ),
    "xc7": Delays(
        register=0.5,
        table=0.12,
        carry_ends=0.6,
        carry_cell=0.06,
        memory=2.1,
        wire=0.6,
        wire_doubling=0.06,
    ),
    "xcup": Delays(
        register=0.2,
        table=0.1,
        carry_ends=0.3,
        carry_cell=0.03,
        memory=1.2,
        wire=0.35,
        wire_doubling=0.04,
    ),
}


def longest_stage(structure: Structure, parts: Raw, family: str) -> float:
    """Nanoseconds of the slowest stage of a cell.

    The enable of its pipeline, which all its registers read and two tables make; or its widest
    sum, with a table in front and one behind; or the sums of a multiplier of tables.
    """
    delays, fabric = DELAYS[family], FABRICS[family]
    loads = max(parts.registers, 1)
    far = delays.wire + delays.wire_doubling * (loads.bit_length() - 1)
    enable = delays.register + 2 * (delays.table + delays.wire) + far
    widest = max((part.bits for part in structure.sums), default=0)
    chain = delays.carry_ends + delays.carry_cell * widest / fabric.carry_bits if widest else 0.0
    total = delays.register + chain + 2 * (delays.table + delays.wire) + delays.wire
    chained = delays.register + structure.chained * (chain + delays.wire)
    return max(enable, total, chained)
