"""How large is a circuit?  Synthesis by yosys (pyosys) and the count of what silicon spends."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vecq_hw.toolchain import run_process

XCUP, ECP5, XCUP_AREA = "xcup", "ecp5", "xcup, least area"
SYNTHESIS = {
    XCUP: ("synth_xilinx -family xcup -noiopad -flatten -nodsp",),
    ECP5: ("synth_ecp5 -nodsp",),
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
# Look-up tables that a memory in LUTs is made of; a shift register is one each.
_MEMORY_LUTS = {
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM128X1S": 2,
    "RAM64X1S": 1,
    "RAM32X1S": 1,
    "TRELLIS_DPR16X4": 4,
}
_SCRIPT = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open("synthesis.ys").read().splitlines():
    libyosys.run_pass(command, design)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """What a circuit is made of.

    Attributes
    ----------
    luts : int
        LUT1 to LUT6 (xcup), LUT4 (ecp5) and the LUTs of memories made of them.
    shift_registers : int
        SRL16 and SRLC32; each takes the place of a LUT.
    carry_only : int
        Positions of carry chains (xcup) without a LUT in front, which nothing else can use.
    carries : int
        CCU2C (ecp5), two LUT4 positions each.
    netlist : mapping
        The module as ``write_json`` tells it.
    levels, path_ps : int, optional
        LUTs and carry cells on the longest path between flip-flops and ports, and the delay of the
        slowest one without its wires (xcup).
    """

    luts: int
    shift_registers: int
    carry_only: int
    carries: int
    flip_flops: int
    block_rams: float
    dsps: int
    seconds: float
    cells: Mapping[str, int] = field(repr=False)
    netlist: Mapping[str, Any] = field(repr=False)
    levels: int | None = None
    path_ps: int | None = None

    @property
    def physical(self) -> int:
        """LUT positions that silicon spends."""
        return self.luts + self.shift_registers + self.carry_only + 2 * self.carries

    def tree(self) -> dict[str, Any]:
        """For a record in JSON."""
        return {
            "luts": self.luts,
            "shift_registers": self.shift_registers,
            "carry_positions_without_lut": self.carry_only,
            "ccu2c": self.carries,
            "physical_luts": self.physical,
            "flip_flops": self.flip_flops,
            "block_rams_36k": self.block_rams,
            "dsps": self.dsps,
            "cpu_seconds": self.seconds,
        }


def yosys_version() -> str:
    """The version whose counts these are; counts of two versions are no comparison."""
    from importlib.metadata import version

    return version("pyosys")


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
    sources = [file for file in files if file.endswith((".sv", ".v"))]
    values = " ".join(f"-chparam {key} {value}" for key, value in parameters.items())
    commands = [
        "scratchpad -set abc9.verify 0",
        f"read_verilog -sv -defer {' '.join(sources)}",
        f"hierarchy -top {top} {values}",
        *SYNTHESIS[family],
        "opt_clean -purge",
        "write_json netlist.json",
        *_TIMING[family],
    ]
    before = os.times()
    made = run_yosys(files, commands, ("netlist.json", "levels.txt", "timing.txt"))
    spent = os.times().children_user - before.children_user
    module = json.loads(made["netlist.json"])["modules"][top]
    levels = _number(r"\(length=(\d+)\)", made.get("levels.txt"))
    path = _number(r"arrival time in '.*' is (\d+)", made.get("timing.txt"))
    return replace(count(module, round(spent, 1)), levels=levels, path_ps=path)


def run_yosys(
    files: Mapping[str, str], commands: Sequence[str], results: Sequence[str]
) -> dict[str, str]:
    """Run yosys' passes in a folder of ``files``: the texts of the ``results`` that they wrote."""
    with tempfile.TemporaryDirectory(prefix="vecq_area_") as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        (folder / "synthesis.ys").write_text("\n".join(commands))
        status, output = run_process(
            [sys.executable, "-c", _SCRIPT], folder, dict(os.environ), timeout=1200
        )
        if status:
            raise RuntimeError(f"yosys: {output[-2000:]}")
        return {file: (folder / file).read_text() for file in results if (folder / file).exists()}


def _number(pattern: str, report: str | None) -> int | None:
    """The number in the report of a pass, None where the pass was not run."""
    found = None if report is None else re.search(pattern, report)
    return int(found[1]) if found else None


def count(module: Mapping[str, Any], seconds: float = 0.0) -> Area:
    """What a mapped module, as ``write_json`` tells it, is made of."""
    cells = [cell for cell in module["cells"].values() if cell["type"] != "$scopeinfo"]
    types = Counter(cell["type"] for cell in cells)

    def number(*prefixes: str) -> int:
        return sum(count for name, count in types.items() if name.startswith(prefixes))

    memories = sum(types[name] * luts for name, luts in _MEMORY_LUTS.items())
    return Area(
        luts=number("LUT", "INV") + memories,
        shift_registers=number("SRL"),
        carry_only=_carry_only(module, cells),
        carries=types["CCU2C"],
        flip_flops=number("FD", "TRELLIS_FF"),
        block_rams=types["RAMB36E2"] + types["RAMB18E2"] / 2 + types["DP16KD"] / 2,
        dsps=number("DSP", "MULT18X18D"),
        seconds=seconds,
        cells=dict(sorted(types.items())),
        netlist=module,
    )


def _carry_only(module: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> int:
    """Positions of CARRY4 up to the last one used whose S no LUT drives.

    An inverter in front of S is itself counted as a LUT.
    """
    by_lut, read = set(), Counter[int]()
    for port in module["ports"].values():
        read.update(bit for bit in port["bits"] if isinstance(bit, int))
    for cell in cells:
        outputs = {name for name, way in cell["port_directions"].items() if way == "output"}
        for name, bits in cell["connections"].items():
            if name not in outputs:
                read.update(bit for bit in bits if isinstance(bit, int))
            elif cell["type"].startswith(("LUT", "INV")):
                by_lut.update(bits)
    positions = 0
    for cell in cells:
        if cell["type"] != "CARRY4":
            continue
        wires = cell["connections"]
        used = [
            place
            for place in range(4)
            if any(
                read[net] for name in ("O", "CO") for net in wires.get(name, ())[place : place + 1]
            )
        ]
        last = max(used, default=-1)
        positions += sum(wires["S"][place] not in by_lut for place in range(last + 1))
    return positions
