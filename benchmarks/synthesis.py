"""How large is a circuit?  Synthesis by yosys and the count of what silicon spends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vecq_hw.netlist import families, yosys
from vecq_hw.netlist.counts import Counts, count
from vecq_hw.netlist.families import Family
from vecq_hw.netlist.model import Netlist, read_json

XCUP, ECP5, XCUP_AREA = "xcup", "ecp5", "xcup, least area"
SYNTHESIS = {
    XCUP: (families.XCUP.command(dsp=False),),
    ECP5: (families.ECP5.command(dsp=False),),
    XCUP_AREA: (
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        *("proc", "flatten", "opt_expr", "opt_clean", "opt", "wreduce", "peepopt", "opt_clean"),
        "techmap -map +/cmp2lut.v -map +/cmp2lcu.v -D LUT_WIDTH=6",
        *("alumacc", "opt", "opt -full"),
        "techmap -map +/techmap.v -D LUT_SIZE=6 -map +/xilinx/arith_map.v",
        *("opt -fast", "clean", "opt_expr -mux_undef -noclkinv"),
        "abc -lut 6 -script +strash;dch,-f;if,-a;mfs2,-a",
        "clean",
        "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
        *("opt_lut_ins -tech xilinx", "clean", "blackbox =A:whitebox"),
    ),
}
"""The passes that make the netlist.

ABC's own proof that its netlist equals what it was given is left out (``abc9.verify 0``): it took
168 of the 199 seconds of ABC on da4ml's 64x32 matrix, and counts are the same with it and without.

The last one is ``synth_xilinx`` without memories, flip-flops and DSPs, and with ABC told to save
LUTs instead of delay.  On 16x16 constant matrices it takes a fifth of the time, makes as many LUTs
of our RTL as ``synth_xilinx`` and 2 to 3 % fewer of da4ml's.
"""
# Longest path in cells, flip-flops apart, and its delay by the cell arcs that yosys knows for 7
# series, wires apart: both compare circuits, neither is a clock that silicon reaches.
_XILINX_TIMING = (
    "tee -o levels.txt ltp t:FD* %n",
    "read_verilog -lib -specify +/xilinx/cells_sim.v",
    "tee -o timing.txt sta",
)
_TIMING = {XCUP: _XILINX_TIMING, ECP5: (), XCUP_AREA: _XILINX_TIMING}
_FAMILY: Mapping[str, Family] = {
    XCUP: families.XCUP,
    ECP5: families.ECP5,
    XCUP_AREA: families.XCUP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """What a circuit is made of.

    Attributes
    ----------
    seconds : float
        Of the processor, for the synthesis.
    levels, path_ps : int, optional
        LUTs and carry cells on the longest path between flip-flops and ports, and the delay of the
        slowest one without its wires (xcup).
    """

    counts: Counts
    family: Family
    seconds: float
    netlist: Netlist = field(repr=False)
    levels: int | None = None
    path_ps: int | None = None

    @property
    def luts(self) -> int:
        """LUT1 to LUT6 (xcup), LUT4 (ecp5) and the LUTs of memories made of them."""
        return self.counts.luts

    @property
    def flip_flops(self) -> int:
        """Flip-flops outside of blocks."""
        return self.counts.flip_flops

    @property
    def physical(self) -> int:
        """LUT positions that silicon spends."""
        return self.counts.positions

    @property
    def carries(self) -> int:
        """CCU2C (ecp5), two LUT4 positions each."""
        return self.netlist.types.get("CCU2C", 0)

    @property
    def block_rams(self) -> float:
        """In blocks of 36 kilobits."""
        return self.counts.block_rams * self.family.block_ram_kilobits / 36

    @property
    def dsps(self) -> float:
        """DSP blocks."""
        return self.counts.dsps

    @property
    def cells(self) -> Mapping[str, int]:
        """How many cells there are of each type."""
        return self.netlist.types

    def tree(self) -> dict[str, Any]:
        """For a record in JSON."""
        ecp5 = self.family is families.ECP5
        return {
            "luts": self.luts,
            "shift_registers": self.counts.shift_registers,
            "carry_positions_without_lut": 0 if ecp5 else self.counts.carry_positions,
            "ccu2c": self.carries,
            "physical_luts": self.physical,
            "flip_flops": self.flip_flops,
            "block_rams_36k": self.block_rams,
            "dsps": self.dsps,
            "cpu_seconds": self.seconds,
        }


def synthesize(
    files: Mapping[str, str], top: str, parameters: Mapping[str, object], family: str
) -> Area:
    """Synthesize ``top`` and count.

    Parameters
    ----------
    files : mapping
        Texts by name: SystemVerilog (``.sv``, ``.v``) and the memories that they read.
    family : str
        A key of :data:`SYNTHESIS`: ``xcup`` is UltraScale+, and so is ``xcup, least area``, for
        modules without memories and flip-flops.
    """
    commands = [
        "scratchpad -set abc9.verify 0",
        *yosys.read_commands(files, top, **parameters),
        *SYNTHESIS[family],
        "opt_clean -purge",
        "write_json netlist.json",
        *_TIMING[family],
    ]
    done = yosys.run(files, commands, ("netlist.json", "levels.txt", "timing.txt"))
    netlist = read_json(done.files["netlist.json"], top)
    return Area(
        counts=count(netlist, _FAMILY[family]),
        family=_FAMILY[family],
        seconds=done.seconds,
        netlist=netlist,
        levels=_number(r"\(length=(\d+)\)", done.files.get("levels.txt")),
        path_ps=_number(r"arrival time in '.*' is (\d+)", done.files.get("timing.txt")),
    )


def _number(pattern: str, report: str | None) -> int | None:
    """The number in the report of a pass, None where the pass was not run."""
    found = None if report is None else re.search(pattern, report)
    return int(found[1]) if found else None
