"""The netlist that yosys makes of a module, with the simulation models of its cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from rtl_tests.harness import Case
from vecq_hw import assets
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import XCUP
from vecq_hw.netlist.model import read_json


def synthesized(cases: Sequence[Case], chosen: Collection[int]) -> list[Case]:
    """The cases of a cell of one input and one output; instead of the chosen ones, netlists."""
    sources = {path.name: path.read_text() for path in sorted(assets.rtl().glob("*.sv"))}
    tops = {index: f"netlist_{index}" for index in chosen}
    for index, top in tops.items():
        case = cases[index]
        assert isinstance(case.input_bits, int)
        for name, memory in case.memories.items():
            sources[f"{top}_{name}.mem"] = memory.text()
        files = {name: f'"{top}_{name}.mem"' for name in case.memories}
        values = {**case.parameters, **files}.items()
        sources[f"{top}.sv"] = f"""\
module {top} (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic valid_i,
  output logic ready_o,
  input  logic [{case.input_bits - 1}:0] data_i,
  output logic valid_o,
  input  logic ready_i,
  output logic [{case.output_bits - 1}:0] data_o
);
  {case.module} #({", ".join(f".{name}({value})" for name, value in values)}) unit (
    .clk_i, .rst_ni, .valid_i, .ready_o, .data_i, .valid_o, .ready_i, .data_o
  );
endmodule
"""
    made = netlists(sources, list(tops.values()))
    return [
        replace(case, module=tops[index], parameters={}, memories={}, sources=made)
        if index in tops
        else case
        for index, case in enumerate(cases)
    ]


def netlists(sources: Mapping[str, str], tops: list[str]) -> dict[str, str]:
    """Texts by name: a flat netlist of LUTs, carries and flip-flops for each top, and the cells."""
    commands = []
    for top in tops:
        commands += [
            "design -reset",
            *yosys.read_commands(sources, top),
            f"{XCUP.command(dsp=False, options=['-noclkbuf'])} -top {top}",
            "opt_clean -purge",
            f"write_json {top}.json",
            f"write_verilog -noattr {top}.netlist.sv",
        ]
    results = [f"{top}{end}" for top in tops for end in (".json", ".netlist.sv")]
    made = yosys.run(sources, commands, results).files
    texts, used = {}, set()
    for top in tops:
        texts[f"{top}.sv"] = made[f"{top}.netlist.sv"]
        used |= {*read_json(made[f"{top}.json"], top).types}
    return {**texts, "cells_xilinx.sv": models(used)}


def carry_cells() -> dict[str, str]:
    """The file of ECP5's carry cell and its parts, for proofs of what synthesis sees."""
    library = ("ecp5/ccu2c_sim.vh", "ecp5/common_sim.vh")
    return {"cells_ecp5.sv": models({"CCU2C", "LUT2", "LUT4"}, library)}


def models(cells: set[str], files: Sequence[str] = ("xilinx/cells_sim.v",)) -> str:
    """The models of yosys' library, without their timing."""
    library = "".join((yosys.library() / file).read_text() for file in files)
    library = re.sub(r"^\s*specify$.*?^\s*endspecify$", "", library, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^module (\w+).*?^endmodule", library, flags=re.DOTALL | re.MULTILINE)
    assert cells <= set(found), cells - set(found)
    parts = re.finditer(r"^module (\w+).*?^endmodule\n", library, flags=re.DOTALL | re.MULTILINE)
    return "".join(part[0] for part in parts if part[1] in cells)
