"""The device families that yosys maps to: passes, and which cells count as what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vecq_hw.arguments import nearest
from vecq_hw.errors import VecqError


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How a family is synthesized, and what its cells take up.

    Attributes
    ----------
    synthesis : str
        yosys' command, flat.
    dsp, no_dsp : str
        What is added to the command where multipliers may become DSP blocks, and where not.
    no_pads : str
        What is added where the ports are those of a part of a design, without I/O pads.
    luts : mapping of str to float
        LUT positions that a cell of each type takes, memories made of LUTs included.
    carries : mapping of str to float
        LUT positions that a cell of a carry chain takes beside ``luts``.  Of Xilinx' chains only
        those positions count that have no LUT in front, so its cells are given none here.
    flip_flops, shift_registers : tuple of str
        How the names of their cells begin.
    block_rams, dsps : mapping of str to float
        What a cell of each type counts as.
    block_ram_kilobits : int
        Of what counts as one block RAM, parity bits included.
    """

    name: str
    title: str
    synthesis: str
    dsp: str = ""
    no_dsp: str = "-nodsp"
    no_pads: str = ""
    luts: Mapping[str, float]
    carries: Mapping[str, float]
    flip_flops: tuple[str, ...]
    shift_registers: tuple[str, ...] = ()
    block_rams: Mapping[str, float]
    block_ram_kilobits: int
    dsps: Mapping[str, float]

    def command(self, *, dsp: bool, pads: bool = False, options: Sequence[str] = ()) -> str:
        """Yosys' command, with DSP blocks or without, for pins of the device or for a part."""
        kinds = (self.dsp if dsp else self.no_dsp, "" if pads else self.no_pads)
        return " ".join(filter(None, (self.synthesis, *kinds, *options)))


# Look-up tables that a memory in LUTs is made of.
_XILINX_LUTS = {f"LUT{inputs}": 1.0 for inputs in range(1, 7)} | {
    "INV": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
}
XCUP = Family(
    name="xcup",
    title="AMD UltraScale+",
    synthesis="synth_xilinx -family xcup -flatten",
    no_pads="-noiopad",
    block_rams={"RAMB36E2": 1, "RAMB18E2": 0.5},
    dsps={"DSP48E2": 1},
    luts=_XILINX_LUTS,
    carries={"CARRY4": 0, "CARRY8": 0},
    flip_flops=("FD",),
    shift_registers=("SRL",),
    block_ram_kilobits=36,
)
XC7 = Family(
    name="xc7",
    title="AMD 7 series",
    synthesis="synth_xilinx -family xc7 -flatten",
    no_pads="-noiopad",
    block_rams={"RAMB36E1": 1, "RAMB18E1": 0.5},
    dsps={"DSP48E1": 1},
    luts=_XILINX_LUTS,
    carries={"CARRY4": 0, "CARRY8": 0},
    flip_flops=("FD",),
    shift_registers=("SRL",),
    block_ram_kilobits=36,
)
ECP5 = Family(
    name="ecp5",
    title="Lattice ECP5",
    synthesis="synth_ecp5",
    luts={"LUT4": 1, "TRELLIS_DPR16X4": 4},
    flip_flops=("TRELLIS_FF",),
    carries={"CCU2C": 2},
    block_rams={"DP16KD": 1, "PDPW16KD": 1},
    block_ram_kilobits=18,
    dsps={"MULT18X18D": 1},
)
ICE40 = Family(
    name="ice40",
    title="Lattice iCE40",
    synthesis="synth_ice40",
    dsp="-dsp",
    no_dsp="",
    luts={"SB_LUT4": 1},
    flip_flops=("SB_DFF",),
    # A carry shares a logic cell with the table that reads it.
    carries={"SB_CARRY": 0},
    block_rams={"SB_RAM40_4K": 1, "SB_SPRAM256KA": 64},
    block_ram_kilobits=4,
    dsps={"SB_MAC16": 1},
)
GOWIN = Family(
    name="gowin",
    title="Gowin LittleBee and Arora",
    synthesis="synth_gowin",
    no_pads="-noiopads",
    luts={
        "LUT1": 1,
        "LUT2": 1,
        "LUT3": 1,
        "LUT4": 1,
        "INV": 1,
        "RAM16SDP1": 1,
        "RAM16SDP2": 2,
        "RAM16SDP4": 4,
    },
    flip_flops=("DFF",),
    carries={"ALU": 1},
    block_rams={"SDPB": 1, "SDPX9B": 1, "SP": 1, "SPX9": 1, "DPB": 1, "DPX9B": 1, "pROM": 1},
    block_ram_kilobits=18,
    dsps={"MULT18X18": 0.5, "MULT9X9": 0.25, "MULT36X36": 2, "MULT12X12": 1, "MULT27X36": 1},
)
GATEMATE = Family(
    name="gatemate",
    title="Cologne Chip GateMate",
    synthesis="synth_gatemate -luttree -nomx8",
    no_pads="-noiopad -noclkbuf",
    no_dsp="-nomult",
    luts={
        "CC_LUT1": 1,
        "CC_LUT2": 1,
        "CC_LUT3": 1,
        "CC_LUT4": 1,
        "CC_L2T4": 1,
        "CC_L2T5": 2,
        "CC_MX2": 1,
        "CC_MX4": 1,
    },
    flip_flops=("CC_DFF",),
    carries={"CC_ADDF": 1},
    block_rams={"CC_BRAM_20K": 0.5, "CC_BRAM_40K": 1},
    block_ram_kilobits=40,
    # A multiplier is made of logic cells.
    dsps={},
)
FAMILIES: Mapping[str, Family] = {
    family.name: family for family in (XCUP, XC7, ECP5, ICE40, GOWIN, GATEMATE)
}


def family_named(name: str) -> Family:
    """The family of that name.

    Raises
    ------
    VecqError
        There is none; the message names the nearest.
    """
    if name not in FAMILIES:
        raise VecqError(f"there is no device family '{name}'; {nearest(name, FAMILIES)}")
    return FAMILIES[name]
