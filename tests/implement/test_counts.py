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

CIRCUIT = """
module top (input logic clk, input logic [11:0] a, b, c, output logic [1:0] below,
            output logic [12:0] sum, both, output logic [15:0] shifted, output logic [5:0] upper);
  always_ff @(posedge clk) begin
    below <= {a < 2471, b < c};
    sum <= a + b;
    shifted <= a + (c << 3);
    upper <= 6'((a + c) >> 6);
    both <= (a[0] ? a - b : a + b) + 13'(c);
  end
endmodule
"""


@pytest.mark.needs_nextpnr
def test_carries_without_a_table_are_those_of_nextpnr_on_ice40(tmp_path: Path) -> None:
    target = device("ice40-hx8k")
    made = yosys.synthesize({"top.sv": CIRCUIT}, "top", FAMILIES["ice40"], pads=True)
    (tmp_path / "design.json").write_bytes(made.netlist.to_json().encode())
    assert target.family.place_and_route is not None
    program = wheel_program(target.family.place_and_route, target.family.wheels)
    options = [*target.options, "--pcf-allow-unconstrained", "--pack-only"]
    log = run_tool([str(program), *options, "--json", "design.json"], tmp_path)
    alone, merged = (
        int(number)
        for what in ("LCs used as CARRY only", "LUTs merged into carry LCs")
        for number in re.findall(rf"(\d+) {what}", log)
    )
    found = count(made.netlist, FAMILIES["ice40"]).carry_positions
    # It merges what makes its constant 1, too, which is no LUT of the netlist.
    assert alone - merged <= found <= alone - merged + 1
    assert found > 10
