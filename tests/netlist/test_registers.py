"""Flip-flops go into blocks where nobody can tell, and nowhere else."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vecq_hw.netlist import ecp5, yosys
from vecq_hw.netlist.circuit import circuit_of
from vecq_hw.netlist.families import ECP5
from vecq_hw.netlist.model import Cell, Netlist, read_json
from vecq_hw.netlist.registers import Place, Registered, with_block_registers
from vecq_hw.netlist.simulate import RUNS, Simulator, spelled

HEAD = """\
  input logic clk_i, clear_i, input logic [1:0] e_i, input logic [17:0] a_i, b_i,
  output logic [35:0] y_o, z_o
"""
PORTS = (
    ("input", "clear_i", 1),
    ("input", "e_i", 2),
    ("input", "a_i", 18),
    ("input", "b_i", 18),
    ("output", "y_o", 36),
    ("output", "z_o", 36),
)
PLAIN = "if (e_i[0]) begin a <= a_i; b <= b_i; end if (e_i[1]) y_o <= a * b;"
PRODUCTS = {
    "plain": (PLAIN, "assign z_o = '0;", {"inputs": 36, "outputs": 36}),
    "shared inputs": (PLAIN, "assign z_o = 36'(a);", {"inputs": 36, "outputs": 36}),
    "narrow": (
        "a <= 18'(a_i[9:0]); b <= b_i; y_o <= a * b;",
        "assign z_o = '0;",
        {"inputs": 28, "outputs": 28},
    ),
    "read twice": (
        "a <= a_i; b <= b_i; y_o <= p;",
        "assign z_o = p;",
        {"inputs": 36, "outputs": "drives 2 inputs"},
    ),
    "an output": (
        "a <= a_i; b <= b_i; if (p[0]) y_o <= p;",
        "assign z_o = '0;",
        {"inputs": 36, "outputs": r"P0 drives \d+ inputs"},
    ),
    "logic between": (
        "a <= a_i; b <= b_i; y_o <= p ^ 36'(a_i);",
        "assign z_o = '0;",
        {"inputs": 36, "outputs": "drives no flip-flop's data"},
    ),
    "cleared": (
        "if (clear_i) begin a <= '0; y_o <= '0; end else begin a <= a_i; y_o <= p; end b <= b_i;",
        "assign z_o = '0;",
        {"inputs": "is set or cleared", "outputs": "is set or cleared"},
    ),
    "begins at 1": (
        "a <= a_i; b <= b_i; y_o <= p;",
        "assign z_o = '0; initial begin y_o = 36'h10; a = 18'h4; end",
        {"inputs": "begins at 1", "outputs": "begins at 1"},
    ),
    "two enables": (
        "if (e_i[0]) a <= a_i; if (e_i[1]) b <= b_i;"
        " y_o[9:0] <= p[9:0]; if (e_i[0]) y_o[35:10] <= p[35:10];",
        "assign z_o = '0;",
        {"inputs": "have 2 enables", "outputs": "have 2 enables"},
    ),
    "always 1": (
        "if (e_i[0]) begin a[16:0] <= a_i[16:0]; b <= b_i; end y_o <= p;",
        "assign z_o = '0; assign a[17] = 1'b1;",
        {"inputs": 35, "outputs": 36},
    ),
    "both always 1": (
        "a[16:0] <= a_i[16:0]; b[16:0] <= b_i[16:0]; y_o <= p;",
        "assign z_o = '0; assign a[17] = 1'b1; assign b[17] = 1'b1;",
        {"inputs": "both operands have bits that are always 1", "outputs": 36},
    ),
    "no register": (
        "a <= a_i; y_o <= p;",
        "assign z_o = '0; assign b = b_i;",
        {"inputs": "comes from no flip-flop", "outputs": 36},
    ),
}
MEMORY = """\
  (* ram_style = "block", no_rw_check *) logic [{high}:0] m [512], r;
  initial $readmemh("m.mem", m);
  always_ff @(posedge clk_i) begin if (e_i[0]) r <= m[a_i[8:0]]; {write} {behind} end
"""
WRITE = "if (clear_i) m[b_i[8:0]] <= {b_i, a_i};"
MEMORIES = {
    "rom": (18, "", "y_o <= 36'(r);", {"outputs": 18}),
    "wide": (36, WRITE, "if (e_i[1]) y_o <= r;", {"outputs": 36}),
    "narrow": (4, WRITE, "if (e_i[1]) y_o <= 36'(r);", {"outputs": 4}),
    "read twice": (
        18,
        WRITE,
        "y_o <= 36'(r); z_o <= 36'(r) + 1;",
        {"outputs": r"drives \d inputs"},
    ),
    "cleared": (
        18,
        WRITE,
        "if (clear_i) y_o <= '0; else y_o <= 36'(r);",
        {"outputs": "is set or cleared"},
    ),
    "logic behind": (
        18,
        WRITE,
        "y_o <= 36'(r) + 36'(a_i);",
        {"outputs": r"no flip-flop's data|drives \d inputs"},
    ),
}


CASES: dict[str, Any] = {
    **{f"product, {name}": case for name, case in PRODUCTS.items()},
    **{f"memory, {name}": case for name, case in MEMORIES.items()},
}
NAMES = [*CASES]


def module(name: str) -> str:
    """A case as a module with the ports of all."""
    place = NAMES.index(name)
    if name.startswith("product"):
        body, rest, _ = CASES[name]
        head = "logic [17:0] a, b; logic [35:0] p; assign p = a * b;"
        text = f"{head} always_ff @(posedge clk_i) begin {body} end {rest}"
    else:
        bits, write, behind, _ = CASES[name]
        text = MEMORY.format(high=bits - 1, write=write, behind=behind)
    return f"module case_{place} (\n{HEAD});\n{text}\nendmodule\n"


@pytest.fixture(scope="module")
def netlist() -> Netlist:
    """All cases side by side, each with inputs of its own."""
    ports, instances = ["input logic clk_i"], []
    for place in range(len(CASES)):
        connected = []
        for way, port, bits in PORTS:
            ports.append(f"{way} logic [{bits - 1}:0] {port}_{place}")
            connected.append(f".{port}({port}_{place})")
        instances.append(f"case_{place} case_{place}_i (.clk_i, {', '.join(connected)});")
    words = np.random.default_rng(1).integers(0, 1 << 36, 512)
    body = "\n".join(instances)
    files = {f"case_{place}.sv": module(name) for place, name in enumerate(NAMES)}
    files["cases.sv"] = f"module cases ({', '.join(ports)});\n{body}\nendmodule\n"
    files["m.mem"] = "\n".join(f"{word:x}" for word in words)
    return yosys.synthesize(files, "cases", ECP5).netlist


def outputs(netlist: Netlist) -> dict[str, np.ndarray]:
    """What comes out of each case in 40 cycles of random inputs."""
    simulator = Simulator(netlist, circuit_of(netlist, ecp5.MAKERS), 1)
    generator = np.random.default_rng(0)
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for _ in range(40):
        for place in range(len(CASES)):
            values = {
                port: generator.integers(0, 1 << bits, RUNS)
                for way, port, bits in PORTS
                if way == "input"
            }
            # What is read while it is written may be anything.
            same = (values["a_i"] ^ values["b_i"]) & 511 == 0
            values["b_i"] = np.where(same, values["b_i"] ^ 1, values["b_i"])
            for way, port, bits in PORTS:
                if way == "input":
                    simulator.set(f"{port}_{place}", spelled(values[port], bits))
        simulator.settle()
        for place, name in enumerate(NAMES):
            rows[name] += [simulator.get(f"{port}_{place}") for port in ("y_o", "z_o")]
        simulator.clock()
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def places_of(name: str, made: Registered) -> dict[str, Place]:
    """What became of the only block of a case."""
    case, cells = f"case_{NAMES.index(name)}", made.netlist.cells
    found = {
        place.what.split()[0]: place
        for place in made.places
        if place.cell.startswith(f"{case}_i.")
        or f"{case}.sv" in cells[place.cell].attributes["src"]
    }
    assert found
    return found


@pytest.mark.needs_yosys
def test_flip_flops_move_where_it_is_safe_and_outputs_stay(netlist: Netlist):
    made = with_block_registers(netlist)
    removed = 0
    for name, (*_, wanted) in CASES.items():
        found = places_of(name, made)
        assert {*found} == {*wanted}, name
        for what, result in wanted.items():
            place = found[what]
            if isinstance(result, int):
                assert (place.moved, place.refusal) == (result, ""), (name, place)
                removed += result
            else:
                assert place.moved == 0
                assert re.search(result, place.refusal), (name, place)
    # Inputs that others read too stay for them.
    assert made.removed == removed - 18
    before, after = outputs(netlist), outputs(made.netlist)
    for name, rows in before.items():
        assert np.array_equal(rows, after[name]), name
        assert len(np.unique(rows)) > 100, name
    assert read_json(made.netlist.to_json()).types == made.netlist.types
    assert made.text().count(" flip-flops moved into the block") == sum(
        isinstance(result, int) for *_, wanted in CASES.values() for result in wanted.values()
    )
    again = with_block_registers(made.netlist)
    assert again.removed == 0
    assert {p.refusal for p in again.places if p.moved} == set()


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"attributes": {"keep": f"{1:032b}"}}, "is to be kept"),
        ({"pins": {"CLK": (3,)}}, "have 2 clocks|has another clock"),
        ({"parameters": {"CLKMUX": "INV"}}, "falling edge"),
        ({"parameters": {"CEMUX": "INV"}}, "enabled by an inverse"),
        ({"parameters": {"LSRMUX": "INV"}}, "is set or cleared"),
    ],
)
@pytest.mark.parametrize("name", ["product, plain", "memory, wide"])
def test_a_single_flip_flop_that_differs_keeps_all_where_they_are(
    netlist: Netlist, name: str, changes, refusal: str
):
    cell = behind(netlist, places_of(name, with_block_registers(netlist))["outputs"].cell)
    fields = {field: {**getattr(cell, field), **more} for field, more in changes.items()}
    cells = {**netlist.cells, cell.name: replace(cell, **fields)}
    place = places_of(name, with_block_registers(replace(netlist, cells=cells)))["outputs"]
    assert place.moved == 0
    assert re.search(refusal, place.refusal), place


def behind(netlist: Netlist, block: str) -> Cell:
    """A flip-flop behind a block."""
    driven = {bit for _, bits in netlist.cells[block].outputs() for bit in bits}
    return next(
        cell
        for cell in netlist.cells.values()
        if cell.type == "TRELLIS_FF" and cell.pins["DI"][0] in driven
    )
