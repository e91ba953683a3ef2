"""The driver of yosys: what comes back, what is said where something is wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.shares import nightly
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.netlist import yosys
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.families import ECP5, FAMILIES, family_named
from vecq_hw.netlist.model import read_json

PRODUCT = {
    "product.sv": """\
module product #(parameter int Bits = 4) (
  input logic clk_i, input logic [Bits-1:0] a_i, b_i, output logic [2*Bits-1:0] c_o
);
  always_ff @(posedge clk_i) c_o <= a_i * b_i;
endmodule
"""
}


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    "family", [name if name == "ecp5" else nightly(name, name=name) for name in FAMILIES]
)
def test_a_product_in_blocks_and_in_tables(family: str):
    passes: list[str] = []
    for dsp in (True, False):
        made = yosys.synthesize(
            PRODUCT,
            "product",
            FAMILIES[family],
            dsp=dsp,
            parameters={"Bits": 10},
            progress=passes.append,
        )
        size = count(made.netlist, made.family)
        in_block = dsp and family != "gatemate"
        assert (size.dsps > 0, size.luts > 50) == (in_block, not dsp)
        assert size.flip_flops == 20 or size.dsps
        assert size.positions >= size.luts
    assert len(passes) > 50
    assert "OPT_CLEAN" in passes


@pytest.mark.needs_yosys
def test_errors_are_one_sentence_with_the_place():
    with pytest.raises(yosys.YosysError, match=r"^yosys: bad.sv:1: syntax error.*status 1\)$"):
        yosys.run({"bad.sv": "module bad(input x; endmodule"}, ["read_verilog -sv bad.sv"])
    with pytest.raises(yosys.YosysError, match=r"other.*not found") as error:
        yosys.synthesize(PRODUCT, "other", ECP5)
    assert "Executing" in error.value.log
    with pytest.raises(yosys.YosysError, match="did not end within"):
        yosys.run(PRODUCT, ["read_verilog -sv product.sv", "synth_ecp5"], timeout=0.01)


def test_a_missing_yosys_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(yosys, "YOSYS", replace(yosys.YOSYS, find=lambda: None))
    with pytest.raises(MissingToolError, match=r"pip install.*pyosys"):
        yosys.synthesize(PRODUCT, "product", ECP5)
    with pytest.raises(VecqError, match=r"'ecp'; .*ecp5"):
        family_named("ecp")


def test_a_netlist_is_written_as_it_was_read():
    wire = {"bits": [2], "hide_name": 0, "attributes": {"src": "a.sv:1"}}
    cell = {
        "hide_name": 1,
        "type": "LUT4",
        "parameters": {"INIT": "0" * 16},
        "attributes": {},
        "port_directions": {"A": "input", "Z": "output"},
        "connections": {"A": [2], "Z": [3]},
    }
    ports = {
        "x": {"direction": "input", "bits": [2]},
        "y": {"direction": "output", "bits": [3, "1"]},
    }
    module = {"attributes": {"top": "1"}, "ports": ports, "cells": {"$1": cell}}
    text = json.dumps({"creator": "by hand", "modules": {"a": {**module, "netnames": {"w": wire}}}})
    netlist = read_json(text)
    assert json.loads(netlist.to_json()) == json.loads(text)
    assert netlist.readers == {2: 1, 3: 1, "1": 1}
    with pytest.raises(ValueError, match="no module 'b'; it has a"):
        read_json(text, "b")
