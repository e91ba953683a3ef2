"""Memories and products lie in the blocks in which yosys puts them, on every family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from vecq_hw import assets
from vecq_hw.cost.blocks import Block, block_rams, pieces
from vecq_hw.cost.constants import Resources
from vecq_hw.cost.contents import Contents, contents
from vecq_hw.cost.fabric import FABRICS, raw
from vecq_hw.cost.forms import shift_in
from vecq_hw.cost.multipliers import by_constant, by_constants, of_any
from vecq_hw.cost.structure import Memory, Structure
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.netlist import yosys
from vecq_hw.netlist.counts import Counts, count
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.netlist.model import read_json

MEMORIES = {
    "ecp5": {
        (4, 1): (0, 0),
        (2, 3): (0, 0),
        (3, 40): (0, 40),
        (70, 16): (0, 80),
        (1100, 30): (3, 0),
        (1536, 12): (2, 0),
        (600, 40): (3, 0),
    },
    "ice40": {
        (3, 40): (0, 0),
        (33, 5): (1, 0),
        (600, 40): (8, 0),
        (1025, 20): (7, 0),
        (1536, 12): (5, 0),
        (5000, 3): (4, 0),
    },
    "gowin": {
        (2, 2): (0, 0),
        (33, 5): (0, 24),
        (130, 1): (0, 36),
        (300, 20): (1, 0),
        (4096, 10): (3, 0),
        (640, 64): (4, 0),
    },
    "xc7": {
        (2, 3): (0, 0),
        (64, 16): (0, 24),
        (70, 16): (0, 36),
        (128, 24): (0.5, 0),
        (640, 64): (2, 0),
        (1025, 20): (1.5, 0),
        (2000, 13): (1, 0),
    },
    "xcup": {
        (2, 3): (0, 8),
        (70, 16): (0, 48),
        (128, 24): (0, 64),
        (128, 32): (0.5, 0),
        (257, 9): (0, 80),
        (2049, 5): (1, 0),
    },
}
"""Block RAMs and tables of memories by their words and bits, as yosys 0.70 makes them."""
PRODUCTS = {
    "ecp5": {(6, 2): 1, (19, 19): 1, (20, 20): 4, (36, 18): 2, (37, 18): 2, (42, 20): 6},
    "ice40": {(6, 4): 0, (6, 6): 1, (17, 17): 1, (18, 18): 3, (22, 4): 1, (34, 10): 3},
    "gowin": {(9, 3): 0, (9, 9): 0.25, (19, 19): 0.5, (22, 12): 0.75, (22, 17): 1, (43, 9): 1.25},
    "xc7": {(6, 2): 0, (25, 18): 1, (25, 19): 2, (26, 2): 2, (42, 18): 2, (43, 18): 3},
    "xcup": {(6, 2): 0, (27, 18): 1, (28, 19): 4, (44, 18): 2},
}
"""DSPs of signed products by the bits of their factors."""
_MODULES = """
module written #(parameter int Words = 1, parameter int Bits = 1, parameter int Address = 1) (
  input logic clk, write, enable, input logic [Address-1:0] to, from,
  input logic [Bits-1:0] data, output logic [Bits-1:0] out);
  (* no_rw_check *) logic [Bits-1:0] memory [Words];
  always_ff @(posedge clk) begin
    if (write) memory[to] <= data;
    if (enable) out <= memory[from];
  end
endmodule
module product #(parameter int Left = 1, parameter int Right = 1) (
  input logic signed [Left-1:0] left, input logic signed [Right-1:0] right,
  output logic signed [Left+Right-1:0] out);
  assign out = left * right;
endmodule
"""


def modelled(words: int, bits: int, family: str) -> tuple[float, float]:
    """Block RAMs and tables of a memory that is written, by the model."""
    made = Structure("memory")
    made.ram(words, bits)
    parts = raw(made, FABRICS[family], dsp=False)
    return parts.brams, parts.memory_tables


@pytest.mark.parametrize("family", MEMORIES)
def test_memories_take_the_blocks_and_tables_of_yosys(family: str) -> None:
    assert {size: modelled(*size, family) for size in MEMORIES[family]} == MEMORIES[family]


@pytest.mark.parametrize("family", PRODUCTS)
def test_products_take_the_blocks_of_yosys(family: str) -> None:
    found = {bits: pieces(*bits, FABRICS[family].dsps)[0] for bits in PRODUCTS[family]}
    assert found == PRODUCTS[family]


def test_rows_of_a_memory_that_is_written_begin_at_a_byte() -> None:
    shapes = [Block(512, 36, 9)]
    assert block_rams(Memory(1536, 12, most_in_luts=64, of=12), shapes, 0)[0] == 1
    assert block_rams(Memory(1536, 12), shapes, 0)[0] == 2


def test_blocks_of_which_no_bit_is_read_are_left_out() -> None:
    found = Contents(2 + np.arange(8 * 32).reshape(8, 32))
    taken = []
    for read in (found, replace(found, most=12)):
        made = Structure("two's complement rows")
        made.rom(36, 256, most_in_luts=16, found=read)
        taken.append(block_rams(made.memories[0], FABRICS["ecp5"].blocks, 0)[0])
    assert taken == [8, 7]  # of "chain 705" in the record


def test_rows_of_a_deep_memory_of_constants_are_chosen_by_tables() -> None:
    found = []
    for words in (1 << 9, 1 << 12):
        made = Structure("lookup")
        made.rom(words, 36, most_in_luts=256)
        found.append(raw(made, FABRICS["ecp5"], dsp=False).tables)
    assert found[0] == 0 < found[1]


def test_zeros_in_a_constant_factor_still_end_in_sums_and_carries() -> None:
    sparse = np.array([*[0] * 16, 1, 0, 0, 0, 1, 0])  # 0x110000
    assert 250 < by_constants(39, sparse) < 390  # yosys took 339 tables for a `*`


def _counts(files: Mapping[str, str], family: str) -> Counts:
    """What yosys makes of the module ``top``."""
    commands = [
        *yosys.read_commands(files, "top"),
        *yosys.family_commands(FAMILIES[family], "top", dsp=False, pads=False),
        "opt_clean -purge",
        "write_json netlist.json",
    ]
    done = yosys.run(files, commands, ("netlist.json",))
    return count(read_json(done.files["netlist.json"], "top"), FAMILIES[family])


@pytest.mark.needs_yosys
@pytest.mark.parametrize("family", ["ecp5", "ice40", "xc7"])
def test_the_chains_of_a_constant_factor_are_those_that_yosys_makes(family: str) -> None:
    """One factor is negative and has two equal pairs of digits; the other one has no such pairs."""
    for factor in (-23171, 31956):
        product = (
            "module top (input logic clk, input logic signed [19:0] given,"
            " output logic signed [35:0] out); logic signed [19:0] held;"
            " logic signed [35:0] product; vecq_constant_multiplier #(.InputBits(20),"
            f" .FactorBits(16), .Factor({factor})) unit (.data_i(held), .product_o(product));"
            " always_ff @(posedge clk) begin held <= given; out <= product; end endmodule\n"
        )
        names = with_inner(["vecq_constant_multiplier"])
        files = {f"{name}.sv": (assets.rtl() / f"{name}.sv").read_text() for name in names}
        files["top.sv"] = product
        counts = _counts(files, family)
        made = Structure("product")
        by_constant(made, 20, factor)
        guess = raw(made, FABRICS[family], dsp=False)
        assert guess.carries == pytest.approx(counts.carries, rel=0.12)
        assert guess.tables == pytest.approx(counts.luts, rel=0.12)


@pytest.mark.needs_yosys
@pytest.mark.parametrize(("left", "signed"), [(10, True), (11, True), (4, False)])
def test_the_chains_of_any_factors_are_those_that_yosys_makes(left: int, signed: bool) -> None:
    """Where the bits are odd in number, or the sign is 0, one of them makes no sum with another."""
    given = "a" if signed else f"{{1'b0, a[{left - 2}:0]}}"
    text = (
        f"module top (input logic clk, input logic signed [{left - 1}:0] a, input logic signed"
        f" [14:0] b, output logic signed [{left + 14}:0] out); logic signed [{left - 1}:0] x;"
        f" logic signed [14:0] y; logic signed [{left + 14}:0] product; vecq_table_multiplier"
        f" #(.LeftBits({left}), .RightBits(15)) unit (.left_i(x), .right_i(y),"
        f" .product_o(product)); always_ff @(posedge clk) begin x <= {given}; y <= b;"
        " out <= product; end endmodule\n"
    )
    names = with_inner(["vecq_table_multiplier"])
    files = {f"{name}.sv": (assets.rtl() / f"{name}.sv").read_text() for name in names}
    counts = _counts({**files, "top.sv": text}, "ice40")
    made = Structure("product")
    of_any(made, left, 15, signed=signed)
    guess = raw(made, FABRICS["ice40"], dsp=False)
    assert guess.carries == pytest.approx(counts.carries, rel=0.12)


def test_what_is_in_front_of_a_sum_is_in_its_table_of_six_inputs() -> None:
    made = Structure("rows")
    made.add(8)
    made.fronts += 5
    found = {name: raw(made, FABRICS[name], dsp=False).tables for name in ("ice40", "xc7")}
    assert found == {"ice40": 8 + 5, "xc7": 8}


def test_equal_bits_of_memories_in_flip_flops_are_there_once() -> None:
    registers = {}
    for repeated in (0, 4):
        made = Structure("sums")
        made.ram(2, 6, repeated=repeated)
        registers[repeated] = [raw(made, FABRICS[n], dsp=False).registers for n in FABRICS]
    words = {"ecp5": 0, "ice40": 2, "gowin": 0, "xc7": 0, "xcup": 0}  # of two bits are left
    differences = np.subtract(*registers.values()).tolist()
    assert differences == [4 * (1 + words[n]) if words[n] else 0 for n in FABRICS]


def test_a_factor_of_two_mantissas_has_one_choice_for_equal_bits() -> None:
    """Two mantissas leave two functions; five pairs of bits choose copies of 17, one bit alone."""
    tables = []
    for factor in (None, contents(np.array([[14404], [11457]]), 15).keys[0]):
        made = Structure("product")
        of_any(made, 11, 15, factor=factor)
        tables.append(raw(made, FABRICS["ice40"], dsp=False).tables)
    assert tables[0] - tables[1] == 5 * 2 * (17 - 2)


def test_ports_of_constants_need_copies_where_a_block_has_fewer() -> None:
    table = Memory(1024, 4, most_in_luts=256, ports=5, of=4)
    taken = {name: block_rams(table, FABRICS[name].blocks, 0)[0] for name in FABRICS}
    assert taken == {"ecp5": 3, "ice40": 5, "gowin": 3, "xc7": 1.5, "xcup": 1.5}


@pytest.mark.needs_yosys
@pytest.mark.parametrize("family", ["ice40", "xc7"])
@pytest.mark.parametrize("stages", [2, 3, 40])
def test_registers_in_a_row_are_tables_where_yosys_makes_such_of_them(
    stages: int, family: str
) -> None:
    text = (
        "module top (input logic clk, enable, input logic [7:0] given, output logic [7:0] out);"
        f" logic [{stages}:0][7:0] held; assign held[0] = given; assign out = held[{stages}];"
        f" always_ff @(posedge clk) if (enable) held[{stages}:1] <= held[{stages - 1}:0];"
        " endmodule\n"
    )
    counts = _counts({"top.sv": text}, family)
    made = Structure("delay")
    made.delay(stages, 8)
    guess = raw(made, FABRICS[family], dsp=False)
    assert (guess.memory_tables, guess.registers) == (counts.shift_registers, counts.flip_flops)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("known", [True, False])
def test_a_comparison_takes_a_position_for_each_bit_on_ice40(known: bool) -> None:
    text = (
        "module top (input logic clk, input logic [15:0] a, b, output logic out);"
        f" always_ff @(posedge clk) out <= a < {'b' if not known else 9871}; endmodule\n"
    )
    counts = _counts({"top.sv": text}, "ice40")
    made = Structure("comparison")
    made.compare(16)
    guess = raw(made, FABRICS["ice40"], dsp=False)
    assert guess.tables == pytest.approx(counts.positions, abs=1)


@pytest.mark.needs_yosys
@pytest.mark.parametrize("lanes", [(1, 5), (3, 1)])
def test_converters_of_width_take_as_many_tables_as_yosys_makes(lanes: tuple[int, int]) -> None:
    """An iCE40 has no multiplexers that would make large tables of small ones."""
    come, go = lanes
    text = (
        "module top (input logic clk_i, rst_ni, valid_i, ready_i, output logic ready_o, valid_o,"
        f" input logic [{16 * come - 1}:0] data_i, output logic [{16 * go - 1}:0] data_o);"
        f" vecq_stream_width #(.LanesIn({come}), .LanesOut({go}), .ElementBits(16)) unit (.*);"
        " endmodule\n"
    )
    cell = (assets.rtl() / "vecq_stream_width.sv").read_text()
    counts = _counts({"vecq_stream_width.sv": cell, "top.sv": text}, "ice40")
    made = Structure("stream width")
    shift_in(made, come, go, come + go, 16)
    guess = raw(made, FABRICS["ice40"], dsp=False)
    assert guess.registers + guess.control == pytest.approx(counts.flip_flops, abs=2)
    assert guess.tables + guess.control == pytest.approx(counts.luts, rel=0.25)


@pytest.mark.nightly
@pytest.mark.needs_yosys
@pytest.mark.parametrize("family", MEMORIES)
def test_yosys_makes_the_same_of_them_now(family: str) -> None:
    ports, cells = ["input logic clk"], []
    for words, bits in MEMORIES[family]:
        address, name = max((words - 1).bit_length(), 1), f"m{words}_{bits}"
        ports.append(f"input logic [1:0] c{name}, input logic [{2 * address - 1}:0] a{name}")
        ports.append(f"input logic [{bits - 1}:0] d{name}, output logic [{bits - 1}:0] q{name}")
        cells.append(
            f"(* keep_hierarchy *) written #(.Words({words}), .Bits({bits}), .Address({address}))"
            f" {name} (.clk, .write(c{name}[0]), .enable(c{name}[1]), .data(d{name}),"
            f" .to(a{name}[{address - 1}:0]), .from(a{name}[{2 * address - 1}:{address}]),"
            f" .out(q{name}));"
        )
    for left, right in PRODUCTS[family]:
        name = f"p{left}_{right}"
        ports.append(f"input logic [{left + right - 1}:0] i{name}")
        ports.append(f"output logic [{left + right - 1}:0] q{name}")
        cells.append(
            f"(* keep_hierarchy *) product #(.Left({left}), .Right({right})) {name}"
            f" (.left(i{name}[{left - 1}:0]), .right(i{name}[{left + right - 1}:{left}]),"
            f" .out(q{name}));"
        )
    text = f"{_MODULES}module top ({', '.join(ports)});\n{chr(10).join(cells)}\nendmodule\n"
    found = FAMILIES[family]
    commands = [
        *yosys.read_commands({"top.sv": text}, "top"),
        f"{found.command(dsp=True)} -top top -run begin:map_ffram",
        "opt_clean -purge",
        "delete =A:whitebox =A:blackbox",
        "write_json netlist.json",
    ]
    done = yosys.run({"top.sv": text}, commands, ("netlist.json",))
    modules = json.loads(done.files["netlist.json"])["modules"]

    def taken(name: str) -> tuple[float, float, float]:
        types = [
            cell["type"]
            for cell in modules[modules["top"]["cells"][name]["type"]]["cells"].values()
        ]
        tables = sum(found.luts.get(kind, 0) for kind in types if "RAM" in kind or "DPR" in kind)
        blocks = sum(found.block_rams.get(kind, 0) for kind in types)
        return blocks, tables, sum(found.dsps.get(kind, 0) for kind in types)

    assert {size: taken(f"m{size[0]}_{size[1]}")[:2] for size in MEMORIES[family]} == MEMORIES[
        family
    ]
    assert {bits: taken(f"p{bits[0]}_{bits[1]}")[2] for bits in PRODUCTS[family]} == PRODUCTS[
        family
    ]


def test_halves_of_block_rams_are_told() -> None:
    taken = Resources(luts=10.4, brams=2.5, dsps=3.0)
    assert taken.tree() == {"luts": 10, "carries": 0, "ffs": 0, "brams": 2.5, "dsps": 3}
