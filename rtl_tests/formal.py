"""Proofs about cells by temporal induction, with the SAT solver inside yosys."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vecq_hw import assets
from vecq_hw.toolchain import run_process

_SCRIPT = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open("proof.ys").read().splitlines():
    libyosys.run_pass(command, design)
"""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A cell between two streams, and what has to hold of it.

    Attributes
    ----------
    invariants : str
        Assertions about the cell's own registers, put into a copy of its text before the end.
    mutants : sequence of (str, str)
        Text of the cell and what it becomes; with each of them the proof must fail.
    """

    cell: str
    parameters: Mapping[str, object]
    input_bits: int
    output_bits: int
    invariants: str = ""
    mutants: Sequence[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.cell.removeprefix("vecq_")

    def text(self) -> str:
        """A module whose ports are free: the rules of a stream on the one side, on the other."""
        parameters = ", ".join(f".{name}({value})" for name, value in self.parameters.items())
        return f"""\
module proof (
  input logic clk_i, input logic valid_i, input logic ready_i,
  input logic [{self.input_bits - 1}:0] data_i
);
  logic started = 1'b0;
  logic ready_o, valid_o, waits_in = 1'b0, waits_out = 1'b0;
  logic [{self.input_bits - 1}:0] held_in;
  logic [{self.output_bits - 1}:0] data_o, held_out;

  {self.cell} #({parameters}) unit (
    .clk_i, .rst_ni(started), .valid_i, .ready_o, .data_i, .valid_o, .ready_i, .data_o
  );

  always_ff @(posedge clk_i) begin
    started   <= 1'b1;
    waits_in  <= started && valid_i && !ready_o;
    held_in   <= data_i;
    waits_out <= started && valid_o && !ready_i;
    held_out  <= data_o;
  end

  always_comb begin
    if (waits_in) assume (valid_i && data_i == held_in);
    if (waits_out) assert (valid_o && data_o == held_out);
  end
endmodule
"""


def prove(folder: Path, stream: Stream, mutant: tuple[str, str] | None = None) -> tuple[bool, str]:
    """Whether an offered word of ``stream`` stays as it is until it is taken, and its invariants.

    For all inputs and all times: the solver shows it for the first cycles, and that it goes on.
    """
    texts = {path.name: path.read_text() for path in sorted(assets.rtl().glob("*.sv"))}
    name = f"{stream.cell}.sv"
    if mutant is not None:
        assert texts[name].count(mutant[0]) == 1, mutant[0]
        texts[name] = texts[name].replace(*mutant)
    if stream.invariants:
        cut = texts[name].rindex("endmodule")
        texts[name] = f"{texts[name][:cut]}{stream.invariants}\nendmodule\n"
    # A memory without contents may hold anything: the proof is for all of them.
    texts["vecq_rom.sv"] = re.sub(r"initial \$readmemh.*", "", texts["vecq_rom.sv"])
    texts["proof.sv"] = stream.text()
    for file, text in texts.items():
        (folder / file).write_text(text)
    return solve(folder, list(texts))


def solve(folder: Path, files: Sequence[str], steps: int = 30) -> tuple[bool, str]:
    """Prove the assertions of the module ``proof`` in these files; the solver's words beside it."""
    commands = [
        *(f"read_verilog -formal -sv -defer {file}" for file in files),
        "prep -flatten -top proof",
        "memory_map",
        "opt_clean",
        "async2sync",
        "chformal -lower",
        f"sat -verify -tempinduct -prove-asserts -set-assumes -maxsteps {steps} proof",
    ]
    (folder / "proof.ys").write_text("\n".join(commands))
    status, output = run_process(
        [sys.executable, "-c", _SCRIPT], folder, dict(os.environ), timeout=120
    )
    proven = "Induction step proven: SUCCESS!" in output
    assert proven == (not status), output[-3000:]
    # A syntax error or a lost file must not pass for a proof that failed.
    assert proven or "proof did fail" in output, output[-3000:]
    return proven, output
