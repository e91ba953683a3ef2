"""Cells of further families beside plain integers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.shares import nightly
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.netlist.simulate import RUNS, integers, spelled
from vecq_hw.netlist.simulators import simulator_of

SOURCE = {
    "parts.sv": """\
module parts #(parameter int Depth = 64) (
  input logic clk_i, input logic [3:0] e_i, input logic [5:0] r_i, w_i, input logic [19:0] d_i,
  output logic [9:0] less_o, output logic [23:0] sum_o, m_o, output logic [3:0] q_o, late_o,
  output logic [7:0] set_o, cleared_o, rotated_o
);
  logic [23:0] total = 24'd5;
  logic [4:0] m [Depth];
  logic [3:0] row [20], far [9];
  logic [7:0] rotated = 8'h81;
  assign less_o = d_i[9:0] < d_i[19:10] ? d_i[19:10] : d_i[9:0];
  assign sum_o = total;
  assign m_o = {19'd0, m[r_i]};
  assign rotated_o = rotated;
  assign late_o = row[19];
  assign q_o = far[8];
  always_ff @(posedge clk_i) begin
    if (e_i[0]) total <= total + 24'($signed(d_i)) - 24'(d_i[7:0]);
    if (e_i[1]) m[w_i] <= d_i[4:0];
    if (e_i[2]) begin
      row[0] <= d_i[3:0];
      for (int n = 1; n < 20; n++) row[n] <= row[n-1];
      rotated <= {rotated[6:0], rotated[7]};
    end
    far[0] <= d_i[7:4];
    for (int n = 1; n < 9; n++) far[n] <= far[n-1];
    if (e_i[3]) set_o <= '1; else if (e_i[1]) set_o <= d_i[7:0];
    if (e_i[1]) begin if (e_i[2]) cleared_o <= '0; else cleared_o <= d_i[15:8]; end
  end
endmodule
"""
}
USED = {
    "ecp5": {"CCU2C", "TRELLIS_DPR16X4"},
    "xcup": {"CARRY4", "FDRE", "FDSE", "SRL16E", "RAM64M8"},
    "xc7": {"CARRY4", "FDRE", "FDSE", "SRL16E", "RAM64M"},
    "ice40": {"SB_LUT4", "SB_CARRY", "SB_DFFESR"},
}


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    "name", [family if family == "xcup" else nightly(family, name=family) for family in USED]
)
def test_the_cells_of_a_family_compute_what_their_source_says(name: str):
    family = FAMILIES[name]
    netlist = yosys.synthesize(SOURCE, "parts", family, dsp=False).netlist
    assert USED[name] <= {*netlist.types}, netlist.types
    simulator = simulator_of(netlist, family, 1)
    generator = np.random.default_rng(0)
    total = np.full(RUNS, 5)
    memory, rotated = np.zeros((64, RUNS), np.int64), np.full(RUNS, 0x81)
    row, far = np.zeros((20, RUNS), np.int64), np.zeros((9, RUNS), np.int64)
    known = {"set": np.zeros(RUNS, bool), "cleared": np.zeros(RUNS, bool)}
    stored = {"set": np.zeros(RUNS, np.int64), "cleared": np.zeros(RUNS, np.int64)}
    shifts, every, compared = np.zeros(RUNS, np.int64), np.arange(RUNS), 0
    for cycle in range(80):
        e, d = generator.integers(0, 16, RUNS), generator.integers(0, 1 << 20, RUNS)
        r, w = generator.integers(0, 64, (2, RUNS)) & generator.choice([3, 63], (2, RUNS))
        for port, values, bits in (("e_i", e, 4), ("r_i", r, 6), ("w_i", w, 6), ("d_i", d, 20)):
            simulator.set(port, spelled(values, bits))
        simulator.settle()
        found = {
            port: integers(simulator.get(f"{port}_o"))
            for port in ("less", "sum", "m", "q", "late", "set", "cleared", "rotated")
        }
        low, high = d & 1023, d >> 10
        assert np.array_equal(found["less"], np.maximum(low, high))
        assert np.array_equal(found["sum"], total)
        assert np.array_equal(found["m"], memory[r, every])
        assert np.array_equal(found["rotated"], rotated)
        if cycle > 9:
            assert np.array_equal(found["q"], far[8])
        ready = shifts >= 20
        assert np.array_equal(found["late"][ready], row[19][ready])
        compared += int(ready.sum())
        for port, sure in known.items():
            assert np.array_equal(found[port][sure], stored[port][sure])
        simulator.clock()
        signed = (d ^ 1 << 19) - (1 << 19)
        total = np.where(e & 1, (total + signed - (d & 255)) % (1 << 24), total)
        taken = np.flatnonzero(e & 2)
        memory[w[taken], taken] = d[taken] & 31
        shifted = np.concatenate([(d & 15)[np.newaxis], row[:-1]])
        row = np.where(e & 4, shifted, row)
        rotated = np.where(e & 4, (rotated << 1 | rotated >> 7) & 255, rotated)
        shifts += (e & 4) > 0
        far = np.concatenate([(d >> 4 & 15)[np.newaxis], far[:-1]])
        kept = np.where(e & 2, d & 255, stored["set"])
        stored["set"] = np.where(e & 8, 255, kept)
        cleared = np.where(e & 4, 0, d >> 8 & 255)
        stored["cleared"] = np.where(e & 2, cleared, stored["cleared"])
        known["set"] |= (e & 10) > 0
        known["cleared"] |= (e & 2) > 0
    assert compared > 500
