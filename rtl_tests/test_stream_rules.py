"""The assertions of vecq_stream_rules: silent on the cells, and tripped by mutants of each of them.

One simulation holds all: the cells with the parameters of their proofs, their mutants, all fed with
random words under random stalls, and senders that break each rule.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from rtl_tests.formal import Stream
from rtl_tests.test_formal_streams import STREAMS
from vecq_hw import assets
from vecq_hw.toolchain import simulation_environment

TOP = "stream_rules"
MAIN = """\
#include "Vstream_rules.h"
#include "verilated.h"

int main(int argc, char** argv) {
  Verilated::commandArgs(argc, argv);
  Vstream_rules top;
  for (int cycle = 0; cycle < 3000; cycle++) {
    top.rst_ni = cycle > 2 && (cycle < 1500 || cycle > 1502);
    top.clk_i = 0;
    top.eval();
    top.clk_i = 1;
    top.eval();
  }
}
"""
# A register with words counted from 0 in frames of three; its faults, and what is said of them.
SENDER = """\
module sender (input logic clk_i, input logic rst_ni);
  logic valid_q, ready_q, last;
  logic [7:0] word_q;
  logic [1:0] count_q;
  always_ff @(posedge clk_i) begin
    ready_q <= 1'($urandom);
    if (!rst_ni) begin
      valid_q <= 1'b0;
      word_q  <= '0;
      count_q <= '0;
    end else if (!valid_q || ready_q) begin
      valid_q <= 1'($urandom);
      if (valid_q) begin
        word_q  <= word_q + 8'd1;
        count_q <= count_q == 2'd2 ? 2'd0 : count_q + 2'd1;
      end
    end FAULT
  end
  assign last = LAST;
  vecq_stream_rules #(.Words(3)) rules (
    .clk_i, .rst_ni, .valid_i(valid_q), .ready_i(ready_q), .data_i(word_q), .last_i(last)
  );
endmodule
"""
FAULTS = {
    "right": ("", "count_q == 2'd2", None),
    "falls": (
        "else if (word_q[2:0] == 3'd1) valid_q <= 1'b0;",
        "count_q == 2'd2",
        "valid fell before the word was taken",
    ),
    "changes": (
        "else if (word_q[2:0] == 3'd1) word_q[7:3] <= ~word_q[7:3];",
        "count_q == 2'd2",
        "the word changed before it was taken, from 09 to f1",
    ),
    "early": ("", "count_q == 2'd1", "last is 1 at word 2 of 3"),
    "never": ("", "1'b0", "last is 0 at word 3 of 3"),
    "wavers": (
        "",
        "count_q == 2'd2 && !ready_q",
        "the word changed before it was taken",
    ),
}


def instance(name: str, stream: Stream, module: str) -> str:
    """A module with the cell, a sender that keeps the rules, and a receiver that stalls."""
    text = (assets.rtl() / f"{stream.cell}.sv").read_text()
    files = re.findall(r"parameter +(\w*File)\b", text)
    # Packets end anywhere, but a word keeps its mark.
    last = ", .last_i(data_i[0])" if re.search(r"^  input +logic +last_i", text, re.M) else ""
    values = {**stream.parameters, **dict.fromkeys(files, f'"{stream.memory}.mem"')}
    parameters = ", ".join(f".{key}({value})" for key, value in values.items())
    ins, bits = stream.inputs, stream.input_bits
    # A cell that reads a memory alone takes no words.
    taken = f"logic [{ins - 1}:0] valid_i, ready_o; logic [{ins * bits - 1}:0] data_i;" * (ins > 0)
    sender = f"""\
    for (int n = 0; n < {ins}; n++) begin
      if (!rst_ni) valid_i[n] <= 1'b0;
      else if (!valid_i[n] || ready_o[n]) begin
        valid_i[n] <= 1'($urandom);
        data_i[n*{bits} +: {bits}] <= {bits}'($urandom);
      end
    end
""" * (ins > 0)
    ports = ".valid_i, .ready_o, .data_i, " * (ins > 0)
    return f"""\
module {name} (input logic clk_i, input logic rst_ni);
  {taken}
  logic [{stream.outputs - 1}:0] valid_o, ready_i;
  logic [{stream.outputs * stream.output_bits - 1}:0] data_o;
  {module} #({parameters}) unit (
    .clk_i, .rst_ni, {ports}.valid_o, .ready_i, .data_o{last}
  );
  always_ff @(posedge clk_i) begin
    ready_i <= {stream.outputs}'($urandom);
{sender}  end
endmodule
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the assertions said, by instance of the top."""
    folder = tmp_path_factory.mktemp("rules")
    texts: list[str] = []
    names: list[str] = []

    def add(name: str, *modules: str) -> None:
        texts.extend(modules)
        names.append(name)

    for number, stream in enumerate(STREAMS):
        add(f"right_{number}", instance(f"right_{number}", stream, stream.cell))
        text = (assets.rtl() / f"{stream.cell}.sv").read_text()
        for count, mutant in enumerate(stream.mutants):
            name = f"mutant_{number}_{count}"
            changed = re.sub(rf"\bmodule {stream.cell}\b", f"module {name}_cell", text)
            assert changed.count(mutant[0]) == 1
            add(name, changed.replace(*mutant), instance(name, stream, f"{name}_cell"))
    for fault, (change, last, _) in FAULTS.items():
        sender = SENDER.replace("module sender", f"module {fault}")
        add(fault, sender.replace("FAULT", change).replace("LAST", last))
    units = "".join(f"  {name} {name}_unit (.clk_i, .rst_ni);\n" for name in names)
    top = f"module {TOP} (input logic clk_i, input logic rst_ni);\n{units}endmodule\n"
    (folder / f"{TOP}.sv").write_text("\n".join([*texts, top]))
    (folder / "main.cpp").write_text(MAIN)
    for value in {stream.memory for stream in STREAMS}:
        (folder / f"{value}.mem").write_text(f"{value:x}\n")
    # As for synthesis, so that one short file may serve all memories.
    options = ["-DVECQ_ASSERTIONS", "--assert", "-DSYNTHESIS", "-Wno-fatal"]
    options += ["-MAKEFLAGS", "OPT_FAST=-O0 OPT_GLOBAL=-O0", "--top-module", TOP]
    sources = [*sorted(assets.rtl().glob("*.sv")), folder / f"{TOP}.sv", folder / "main.cpp"]
    command = ["verilator", "--cc", "--exe", "--build", *options, *map(str, sources)]
    environment = simulation_environment()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        # Without a seed the draws are others each time.
        [folder / "obj_dir" / f"V{TOP}", "+verilator+error+limit+1000000", "+verilator+seed+1"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, message in re.findall(r"TOP\.stream_rules\.(\w+)_unit\.(.*)", done.stdout):
        found[name].append(message)
    return found


@pytest.mark.needs_verilator
def test_cells_keep_the_rules_and_their_mutants_do_not(said: dict[str, list[str]]) -> None:
    for number, stream in enumerate(STREAMS):
        assert not said[f"right_{number}"], stream
        mutants = [said[f"mutant_{number}_{count}"] for count in range(len(stream.mutants))]
        assert any("rules_out" in message for messages in mutants for message in messages), stream


@pytest.mark.needs_verilator
@pytest.mark.parametrize("fault", FAULTS)
def test_every_broken_rule_is_said(fault: str, said: dict[str, list[str]]) -> None:
    message = FAULTS[fault][-1]
    if message is None:
        assert not said[fault]
    else:
        assert any(message in text for text in said[fault]), said[fault][:5]
