"""Which families' cells can be simulated."""

from __future__ import annotations

from collections.abc import Mapping

from vecq_hw.errors import VecqError
from vecq_hw.netlist import ecp5, ice40, xilinx
from vecq_hw.netlist.circuit import CellMaker, circuit_of
from vecq_hw.netlist.families import Family
from vecq_hw.netlist.model import Netlist
from vecq_hw.netlist.simulate import Simulator

MAKERS: Mapping[str, Mapping[str, CellMaker]] = {
    "ecp5": ecp5.MAKERS,
    "ice40": ice40.MAKERS,
    "xc7": xilinx.MAKERS,
    "xcup": xilinx.MAKERS,
}
"""What the cells of each family compute, by its name."""


def simulator_of(netlist: Netlist, family: Family, words: int) -> Simulator:
    """A netlist of a family at work, 64 runs to a word.

    Raises
    ------
    VecqError
        There are no models of the family's cells, or something in the netlist has none.
    """
    if family.name not in MAKERS:
        raise VecqError(
            f"netlist of '{netlist.top}': there are no models of the cells of {family.title}, only"
            f" of {', '.join(MAKERS)}, so it cannot be simulated"
        )
    return Simulator(netlist, circuit_of(netlist, MAKERS[family.name]), words)
