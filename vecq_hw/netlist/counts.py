"""How large a netlist is: what a device spends on its cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from vecq_hw.netlist.families import Family
from vecq_hw.netlist.model import Bit, Netlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a circuit is made of.

    Attributes
    ----------
    luts : int
        LUTs, those of memories made of them included.
    shift_registers : int
        Each takes the place of a LUT.
    carries : int
        Cells of carry chains.
    carry_positions : int
        LUT positions that carry chains take beside ``luts``: of a CARRY4 those that no LUT stands
        in front of, of a CCU2C both, of SB_CARRYs those that share a logic cell with no LUT.
    block_rams, dsps : float
        In whole blocks of the family; a block that is cut in two counts a half.
    """

    luts: int
    shift_registers: int
    carries: int
    carry_positions: int
    flip_flops: int
    block_rams: float
    dsps: float

    @property
    def positions(self) -> int:
        """LUT positions that silicon spends."""
        return self.luts + self.shift_registers + self.carry_positions


def count(netlist: Netlist, family: Family) -> Counts:
    """What a netlist of a family is made of."""
    types = netlist.types

    def total(worth: Mapping[str, float]) -> float:
        return sum(types[name] * each for name, each in worth.items() if name in types)

    def beginning(starts: tuple[str, ...]) -> int:
        return sum(number for name, number in types.items() if name.startswith(starts))

    return Counts(
        luts=round(total(family.luts)),
        shift_registers=beginning(family.shift_registers),
        carries=sum(types.get(name, 0) for name in family.carries),
        carry_positions=round(total(family.carries)) + _without_lut(netlist) + _alone(netlist),
        flip_flops=beginning(family.flip_flops),
        block_rams=total(family.block_rams),
        dsps=total(family.dsps),
    )


def _without_lut(netlist: Netlist) -> int:
    """Positions of Xilinx' carry chains up to the last one used whose S no LUT drives.

    An inverter in front of S is itself counted as a LUT.
    """
    by_lut: set[Bit] = set()
    for cell in netlist.cells.values():
        if cell.type.startswith(("LUT", "INV")):
            by_lut.update(*(bits for _, bits in cell.outputs()))
    positions = 0
    for cell in netlist.cells.values():
        if cell.type not in ("CARRY4", "CARRY8"):
            continue
        used = [
            place
            for place in range(len(cell.pins["S"]))
            if any(
                netlist.readers.get(net, 0)
                for port in ("O", "CO")
                for net in cell.pins.get(port, ())[place : place + 1]
            )
        ]
        last = max(used, default=-1)
        positions += sum(net not in by_lut for net in cell.pins["S"][: last + 1])
    return positions


def _alone(netlist: Netlist) -> int:
    """SB_CARRYs of iCE40 in logic cells without a LUT, as nextpnr packs them.

    A carry's numbers are two inputs of the LUT in its cell, whose third is the carry that comes in.
    Where there is none, a LUT of two inputs that drives the carry stands there.
    """
    cells: dict[tuple[Bit, ...], list[str]] = defaultdict(list)
    small: dict[Bit, str] = {}  # by what they drive
    for name, cell in netlist.cells.items():
        if cell.type == "SB_LUT4":
            first, left, right, last = (cell.pins[f"I{place}"][0] for place in range(4))
            cells[left, right, last].append(name)
            if (first, left) == ("0", "0"):
                small[cell.pins["O"][0]] = name
    alone = 0
    for cell in netlist.cells.values():
        if cell.type == "SB_CARRY":
            left, right, carry = (cell.pins[port][0] for port in ("I0", "I1", "CI"))
            if cells[left, right, carry]:
                cells[left, right, carry].pop()
            elif not small.pop(left, None) and not small.pop(right, None):
                alone += 1
    return alone
