"""The simulator of netlists beside plain integers, cell by cell and whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vecq_hw.errors import VecqError
from vecq_hw.netlist import ecp5, yosys
from vecq_hw.netlist.circuit import Circuit, Memory, Read, Write, circuit_of, reduced
from vecq_hw.netlist.families import ECP5
from vecq_hw.netlist.model import Bit, Netlist, Port
from vecq_hw.netlist.simulate import RUNS, Simulator, integers, spelled

WORDS = 2
CYCLES = 60
MEMORIES = {"block": (4, 9, 36, 1, 18), "distributed": (5,)}
"""Widths by style; 512 words in blocks, 16 in look-up tables."""
GENERATOR = np.random.default_rng(0)
CONTENT = {width: GENERATOR.integers(0, 1 << width, 512) for width in (4, 9, 36, 1, 18)}


def text() -> str:
    """Memories with contents, registers of each kind, a product, a sum, a comparison."""
    parts, ports = [], []
    for style, widths in MEMORIES.items():
        for width in widths:
            depth, name = (512, f"m{width}") if style == "block" else (16, f"l{width}")
            address = f"w_i[{depth.bit_length() - 2}:0]"
            ports.append(f"output logic [{width - 1}:0] {name}_o")
            first = f'initial $readmemh("{name}.mem", {name});' if style == "block" else ""
            read = f"assign {name}_o = {name}[r_i[3:0]];"
            if style == "block":
                read = f"always_ff @(posedge clk_i) if (e_i[0]) {name}_o <= {name}[r_i];"
            parts.append(f"""\
  (* ram_style = "{style}", no_rw_check *) logic [{width - 1}:0] {name} [{depth}]; {first}
  always_ff @(posedge clk_i) if (e_i[1]) {name}[{address}] <= d_i[{width - 1}:0];
  {read}
""")
    return f"""\
module parts (
  input logic clk_i, input logic [8:0] r_i, w_i, input logic [2:0] e_i, input logic [35:0] d_i,
  output logic [35:0] p_o, output logic [19:0] s_o, output logic [7:0] set_o, cleared_o,
  output logic less_o, {", ".join(ports)}
);
{"".join(parts)}
  assign s_o = 20'($signed(d_i[17:0])) - 20'($signed(d_i[35:18]));
  assign less_o = $signed(d_i[17:0]) < $signed(d_i[35:18]);
  always_ff @(posedge clk_i) begin
    if (e_i[2]) p_o <= $signed(d_i[17:0]) * $signed(d_i[35:18]);
    if (e_i[0]) set_o <= '1; else if (e_i[1]) set_o <= d_i[7:0];
    if (e_i[1]) begin if (e_i[2]) cleared_o <= '0; else cleared_o <= d_i[15:8]; end
  end
endmodule
"""


@pytest.fixture(scope="module")
def parts() -> Netlist:
    files = {"parts.sv": text()}
    for width, words in CONTENT.items():
        files[f"m{width}.mem"] = "\n".join(f"{word:x}" for word in words)
    return yosys.synthesize(files, "parts", ECP5).netlist


def signed(values, bits):
    return (values ^ (1 << bits - 1)) - (1 << bits - 1)


@pytest.mark.needs_yosys
def test_every_cell_of_ecp5_computes_what_its_source_says(parts: Netlist):
    assert {"LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "MULT18X18D", "DP16KD"} <= {
        *parts.types
    }
    simulator, runs = Simulator(parts, circuit_of(parts, ecp5.MAKERS), WORDS), WORDS * RUNS
    memory = {
        f"m{width}": np.repeat(words[:, np.newaxis], runs, 1) for width, words in CONTENT.items()
    }
    memory["l5"] = np.zeros((16, runs), np.int64)
    stored = {name: np.zeros(runs, np.int64) for name in (*memory, "p", "set", "cleared")}
    stored["set"] += 255  # what is set begins at 1
    every, compared = np.arange(runs), 0
    for _ in range(CYCLES):
        r, w = GENERATOR.integers(0, 512, (2, runs)) & GENERATOR.choice([3, 511], (2, runs))
        w = np.where(r == w, w ^ 1, w)  # what is read while it is written may be anything
        e, d = GENERATOR.integers(0, 8, runs), GENERATOR.integers(0, 1 << 36, runs)
        for name, values, bits in (("r_i", r, 9), ("w_i", w, 9), ("e_i", e, 3), ("d_i", d, 36)):
            simulator.set(name, spelled(values, bits))
        simulator.settle()
        found = {name: integers(simulator.get(f"{name}_o")) for name in (*stored, "s", "less")}
        left, right = signed(d & 0x3FFFF, 18), signed(d >> 18, 18)
        expected = {
            **stored,
            "l5": memory["l5"][r & 15, every],
            "s": (left - right) & 0xFFFFF,
            "less": (left < right).astype(np.int64),
        }
        for name, wanted in expected.items():
            assert np.array_equal(found[name], wanted), name
            compared += len(wanted)
        simulator.clock()
        for name, content in memory.items():
            width, low = int(name[1:]), len(content) - 1
            stored[name] = np.where(e & 1, content[r & low, every], stored[name])
            taken = np.flatnonzero(e & 2)
            content[w[taken] & low, taken] = d[taken] & ((1 << width) - 1)
        stored["p"] = np.where(e & 4, (left * right) & ((1 << 36) - 1), stored["p"])
        kept = np.where(e & 2, d & 255, stored["set"])
        stored["set"] = np.where(e & 1, 255, kept)
        cleared = np.where(e & 4, 0, d >> 8 & 255)
        stored["cleared"] = np.where(e & 2, cleared, stored["cleared"])
    assert compared == CYCLES * runs * 11


@pytest.mark.parametrize("count", range(7))
def test_tables_of_up_to_six_inputs_read_their_bits_in_order(count: int):
    generator = np.random.default_rng(count)
    truths = [
        int(t) for t in generator.integers(0, 1 << (1 << count) if count < 6 else 1 << 62, 20)
    ]
    names: tuple[Bit, ...] = tuple(range(2, 2 + count))
    # Some read a net twice, or a constant.
    wirings: list[tuple[Bit, ...]] = [
        names,
        names[::-1],
        (*names[:-1], "1")[:count],
        (*names[:-1], 2)[:count],
    ]
    circuit = Circuit()
    outputs = range(100, 100 + len(truths) * len(wirings))
    asked = [(truth, wiring) for truth in truths for wiring in wirings]
    for output, (truth, wiring) in zip(outputs, asked, strict=True):
        circuit.table(output, truth, wiring)
    simulator = Simulator(module(names, outputs), circuit, 1)
    words = np.arange(RUNS) % (1 << count)
    if count:
        simulator.set("x", spelled(words, count))
    simulator.settle()
    found = np.unpackbits(simulator.get("y").view(np.uint8), axis=1, bitorder="little")
    for row, (truth, wiring) in zip(found, asked, strict=True):
        values: dict[Bit, Any] = {net: words >> place & 1 for place, net in enumerate(names)} | {
            "1": 1
        }
        index = sum(values[net] << place for place, net in enumerate(wiring))
        assert np.array_equal(row, [truth >> int(i) & 1 for i in np.broadcast_to(index, RUNS)])
        assert len(reduced(truth, wiring)[1]) <= len(wiring)


def module(inputs, outputs) -> Netlist:
    ports = {
        "x": Port(name="x", direction="input", bits=tuple(inputs)),
        "y": Port(name="y", direction="output", bits=tuple(outputs)),
    }
    return Netlist(top="made", ports=ports, cells={}, names={}, attributes={})


def test_wide_words_are_written_by_their_parts():
    circuit = Circuit()
    address, data = tuple(range(2, 6)), tuple(range(10, 28))
    circuit.memories.append(
        Memory(
            unit_bits=9,
            content=np.arange(32),
            reads=(Read(address=("0", *address), data=tuple(range(40, 58))),),
            writes=(Write(address=("0", *address), data=data, enables=(6, 7)),),
        )
    )
    simulator = Simulator(module((*address, 6, 7, *data), range(40, 58)), circuit, 1)
    runs, expected = np.arange(RUNS), np.repeat(np.arange(32)[:, np.newaxis], RUNS, 1)
    for _ in range(50):
        places, parts = GENERATOR.integers(0, 16, RUNS), GENERATOR.integers(0, 4, RUNS)
        words = GENERATOR.integers(0, 1 << 18, RUNS)
        simulator.set("x", spelled(places | parts << 4 | words << 6, 24))
        simulator.settle()
        low, high = expected[2 * places, runs], expected[2 * places + 1, runs]
        assert np.array_equal(integers(simulator.get("y")), low | high << 9)
        simulator.clock()
        for unit in (0, 1):
            taken = np.flatnonzero(parts >> unit & 1)
            expected[2 * places[taken] + unit, taken] = words[taken] >> 9 * unit & 511


@pytest.mark.needs_yosys
def test_what_has_no_model_is_refused_in_a_sentence(parts: Netlist):
    name, cell = next(item for item in parts.cells.items() if item[1].type == "TRELLIS_FF")

    def changed(**fields):
        other = replace(cell, **fields)
        return circuit_of(replace(parts, cells={**parts.cells, name: other}), ecp5.MAKERS)

    with pytest.raises(VecqError, match=r"there is no model of cell .* a EHXPLLL"):
        changed(type="EHXPLLL")
    with pytest.raises(VecqError, match="falling edge"):
        changed(parameters={**cell.parameters, "CLKMUX": "INV"})
    with pytest.raises(VecqError, match="without the clock"):
        changed(parameters={**cell.parameters, "SRMODE": "ASYNC"}, pins={**cell.pins, "LSR": (5,)})
    two = changed(pins={**cell.pins, "CLK": (3,)})
    with pytest.raises(VecqError, match="there are 2 clocks; one is wanted"):
        Simulator(parts, two, 1)
    loop = Circuit()
    loop.table(7, 0b0110, (7, 2))
    with pytest.raises(VecqError, match="net 7 depends on itself"):
        Simulator(module((2,), (7,)), loop, 1)
