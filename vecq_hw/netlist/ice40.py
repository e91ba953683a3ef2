"""What the logic cells of Lattice iCE40 compute, and clocks for block RAM that nothing writes.

Block RAM and DSP blocks have no model.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType

from vecq_hw.netlist.circuit import CellMaker, Circuit, number, pin
from vecq_hw.netlist.model import Cell, Netlist

_MAJORITY = 0b11101000


def _lut4(circuit: Circuit, cell: Cell) -> None:
    inputs = [pin(cell, f"I{place}") for place in range(4)]
    circuit.table(pin(cell, "O"), number(cell, "LUT_INIT"), inputs)


def _carry(circuit: Circuit, cell: Cell) -> None:
    circuit.table(pin(cell, "CO"), _MAJORITY, [pin(cell, name) for name in ("I0", "I1", "CI")])


def _flip_flop(circuit: Circuit, cell: Cell, clear: str, value: bool) -> None:
    """All begin at 0; one that is enabled is cleared only where it is enabled."""
    enable = pin(cell, "E", "1")
    circuit.clocks.add(pin(cell, "C"))
    circuit.register(
        pin(cell, "Q"),
        pin(cell, "D"),
        enable=enable,
        clear=circuit.all_of(enable, pin(cell, clear)) if clear else "0",
        value=value,
        begins=False,
    )


MAKERS: dict[str, CellMaker] = {
    "SB_LUT4": _lut4,
    "SB_CARRY": _carry,
    **dict.fromkeys(("SB_DFF", "SB_DFFE"), partial(_flip_flop, clear="", value=False)),
    **dict.fromkeys(("SB_DFFSR", "SB_DFFESR"), partial(_flip_flop, clear="R", value=False)),
    **dict.fromkeys(("SB_DFFSS", "SB_DFFESS"), partial(_flip_flop, clear="S", value=True)),
}
"""By the type of the cell."""


def with_write_clocks(netlist: Netlist) -> Netlist:
    """The netlist whose block RAMs that nothing writes have the clock of their reads for writes.

    yosys makes that clock a constant.  nextpnr then gives the constant one of the eight global
    networks, and its first router went on for ever with some placements of such designs.
    """
    changed = {
        name: replace(cell, pins=MappingProxyType({**cell.pins, "WCLK": cell.pins["RCLK"]}))
        for name, cell in netlist.cells.items()
        if cell.type == "SB_RAM40_4K" and cell.pins["WCLK"] == cell.pins["WCLKE"] == ("0",)
    }
    return replace(netlist, cells=MappingProxyType({**netlist.cells, **changed}))
