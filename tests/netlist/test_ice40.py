"""Netlists of iCE40 as nextpnr takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecq_hw.devices import device
from vecq_hw.implement.place import run_tool
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.netlist.ice40 import with_write_clocks
from vecq_hw.netlist.model import Netlist
from vecq_hw.toolchain import wheel_program

CIRCUIT = """
module top (input logic clk, write_clk, write, input logic [7:0] address, written,
            output logic [7:0] constant, other, kept);
  (* ram_style = "block" *) logic [7:0] rom [256], ram [256];
  initial $readmemh("rom.mem", rom);
  always_ff @(posedge clk) begin
    constant <= rom[address];
    other <= rom[written];
    kept <= ram[address];
  end
  always_ff @(posedge write_clk) if (write) ram[address] <= written;
endmodule
"""
ROM = "".join(f"{word * 37 % 251:02x}\n" for word in range(256))


def log_of(netlist: Netlist, folder: Path) -> str:
    """What nextpnr says when it packs the netlist."""
    target = device("ice40-hx8k")
    assert target.family.place_and_route is not None
    program = wheel_program(target.family.place_and_route, target.family.wheels)
    (folder / "design.json").write_text(netlist.to_json())
    options = [*target.options, "--pcf-allow-unconstrained", "--pack-only"]
    return run_tool([str(program), *options, "--json", "design.json"], folder)


@pytest.mark.needs_nextpnr
def test_no_constant_takes_a_global_network(tmp_path: Path) -> None:
    files = {"top.sv": CIRCUIT, "rom.mem": ROM}
    made = yosys.synthesize(files, "top", FAMILIES["ice40"], pads=True).netlist
    clocked = with_write_clocks(made)
    before, after = (
        {cell.name: cell.pins for cell in netlist.cells.values() if "RAM40" in cell.type}
        for netlist in (made, clocked)
    )
    roms = [name for name, pins in before.items() if pins["WCLK"] == ("0",)]
    assert roms
    assert len(roms) < len(before)
    for name, pins in before.items():
        clock = pins["RCLK"] if name in roms else pins["WCLK"]
        assert after[name] == {**pins, "WCLK": clock}
        assert name not in roms or pins["WCLKE"] == ("0",)  # nothing is written
    assert "promoting $PACKER_GND_NET" in log_of(made, tmp_path)
    assert "promoting $PACKER_GND_NET" not in log_of(clocked, tmp_path)
