"""What a netlist is counted to take, beside what nextpnr packs it into."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vecq_hw.devices import device
from vecq_hw.implement.place import run_tool
from vecq_hw.netlist import yosys
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.toolchain import wheel_program

CIRCUITS = {
    "comparison": "output logic out); always_ff @(posedge clk) out <= a < 2471;",
    "difference": "output logic out); always_ff @(posedge clk) out <= a < b;",
    "sum": "output logic [11:0] out); always_ff @(posedge clk) out <= a + b;",
    "sum of a shift": "output logic [15:0] out); always_ff @(posedge clk) out <= a + (b << 3);",
    "upper half": "output logic [5:0] out); always_ff @(posedge clk) out <= 6'((a + b) >> 6);",
    "two sums": "output logic [12:0] out);"
    " always_ff @(posedge clk) out <= (a[0] ? a - b : a + b) + 13'(c);",
}


@pytest.mark.needs_nextpnr
@pytest.mark.parametrize("name", CIRCUITS)
def test_carries_without_a_table_are_those_of_nextpnr_on_ice40(name: str, tmp_path: Path) -> None:
    target = device("ice40-hx8k")
    family = target.family
    text = f"module top (input logic clk, input logic [11:0] a, b, c, {CIRCUITS[name]} endmodule\n"
    made = yosys.synthesize({"top.sv": text}, "top", FAMILIES["ice40"], pads=True)
    (tmp_path / "design.json").write_bytes(made.netlist.to_json().encode())
    assert family.place_and_route is not None
    program = wheel_program(family.place_and_route, family.wheels)
    options = [*target.options, "--pcf-allow-unconstrained", "--pack-only"]
    log = run_tool([str(program), *options, "--json", "design.json"], tmp_path)
    alone, merged = (
        int(re.search(rf"(\d+) {what}", log)[1])
        for what in ("LCs used as CARRY only", "LUTs merged into carry LCs")
    )
    found = count(made.netlist, FAMILIES["ice40"]).carry_positions
    assert alone - merged <= found <= alone - merged + 1  # it merges its constant 1, no LUT of ours
