"""Proofs about cells, most by temporal induction, with the SAT solver inside yosys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vecq_hw import assets
from vecq_hw.netlist import yosys


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A cell between streams, and what has to hold of it.

    Attributes
    ----------
    steps : int
        So many cycles may the induction look back on.
    memory : int
        What every word of its memories holds where it is simulated; proofs take any.
    inputs, outputs : int
        How many streams there are on each side; each has its word in data.  A cell may take none.
    invariants : str
        Assertions about the cell's own registers, put into a copy of its text before the end.
    mutants : sequence of (str, str)
        Text of the cell and what it becomes; with each of them the proof must fail.
    cuts : sequence of (str, str)
        What is cut out of the cell, wherever it stands, and what the invariants put in its place.
    """

    cell: str
    parameters: Mapping[str, object]
    input_bits: int
    output_bits: int
    invariants: str = ""
    mutants: Sequence[tuple[str, str]] = field(default_factory=list)
    cuts: Sequence[tuple[str, str]] = field(default_factory=list)
    inputs: int = 1
    outputs: int = 1
    steps: int = 30
    memory: int = 2

    def __str__(self) -> str:
        return self.cell.removeprefix("vecq_")

    def text(self) -> str:
        """A module whose ports are free: the rules of a stream on the one side, on the other."""
        parameters = ", ".join(f".{name}({value})" for name, value in self.parameters.items())
        offered = _held("out", "assert", "valid_o", "data_o", self.outputs, self.output_bits)
        ports = wires = kept = connected = ""
        if self.inputs:
            offered = (
                _held("in", "assume", "valid_i", "data_i", self.inputs, self.input_bits) + offered
            )
            ports = f"""
  input logic [{self.inputs - 1}:0] valid_i,
  input logic [{self.inputs * self.input_bits - 1}:0] data_i,"""
            wires = f"""
  logic [{self.inputs - 1}:0] ready_o, waits_in = 0;
  logic [{self.inputs * self.input_bits - 1}:0] held_in;"""
            kept = """
    waits_in  <= started ? valid_i & ~ready_o : 0;
    held_in   <= data_i;"""
            connected = " .valid_i, .ready_o, .data_i,"
        return f"""\
module proof ({ports}
  input logic clk_i,
  input logic [{self.outputs - 1}:0] ready_i
);
  logic started = 1'b0;{wires}
  logic [{self.outputs - 1}:0] valid_o, waits_out = 0;
  logic [{self.outputs * self.output_bits - 1}:0] data_o, held_out;

  {self.cell} #({parameters}) unit (
    .clk_i, .rst_ni(started),{connected} .valid_o, .ready_i, .data_o
  );

  always_ff @(posedge clk_i) begin
    started   <= 1'b1;{kept}
    waits_out <= started ? valid_o & ~ready_i : 0;
    held_out  <= data_o;
  end

  always_comb begin
{offered}  end
endmodule
"""


def _held(side: str, verb: str, valid: str, data: str, count: int, bits: int) -> str:
    """That each stream which waits offers what it offered before."""
    return "".join(
        f"    if (waits_{side}[{n}]) {verb} ({valid}[{n}]"
        f" && {data}[{n * bits} +: {bits}] == held_{side}[{n * bits} +: {bits}]);\n"
        for n in range(count)
    )


def prove(folder: Path, stream: Stream, mutant: tuple[str, str] | None = None) -> tuple[bool, str]:
    """Whether an offered word of ``stream`` stays as it is until it is taken, and its invariants.

    For all inputs and all times: the solver shows it for the first cycles, and that it goes on.
    """
    texts = {path.name: path.read_text() for path in sorted(assets.rtl().glob("*.sv"))}
    name = f"{stream.cell}.sv"
    if mutant is not None:
        assert texts[name].count(mutant[0]) == 1, mutant[0]
        texts[name] = texts[name].replace(*mutant)
    for old, new in stream.cuts:
        assert old in texts[name], old
        texts[name] = texts[name].replace(old, new)
    if stream.invariants:
        cut = texts[name].rindex("endmodule")
        texts[name] = f"{texts[name][:cut]}{stream.invariants}\nendmodule\n"
    texts["vecq_rom.sv"] = _any_contents(texts["vecq_rom.sv"])
    del texts["vecq_memory_file.sv"]
    # As simulation sees it: what synthesis sees instead has a proof in test_formal_quad_rows.py.
    carry = "vecq_carry_adder.sv"
    texts[carry] = f"`undef SYNTHESIS\n{texts[carry]}\n`define SYNTHESIS\n"
    # A memory without contents may hold anything: the proof is for all of them.
    texts = {file: _without_files(text) for file, text in texts.items()}
    texts["proof.sv"] = stream.text()
    for file, text in texts.items():
        (folder / file).write_text(text)
    return solve(folder, list(texts), [f"-tempinduct -maxsteps {stream.steps}"])


def _without_files(text: str) -> str:
    """The cell without the files that fill its memories, and what looks for them."""
    text = re.sub(r"`ifdef SYNTHESIS\n[^`]*localparam found.*?`endif\n", "", text, flags=re.DOTALL)
    text = re.sub(r"(parameter +\w*File)(?=,|\n)", r'\1 = ""', text)
    return re.sub(r"initial \$readmemh.*", "", text)


def _any_contents(text: str) -> str:
    """The memory as one wide constant, any; invariants may read it, as they may not a memory."""
    text, memories = re.subn(
        r"logic \[WordBits-1:0\] memory \[Words\];",
        "(* anyconst *) logic [Words*WordBits-1:0] contents;",
        text,
    )
    text, reads = re.subn(
        r"memory\[(address(?:_i)?\[[^]]*\])\]\[First \+: Bits\]",
        r"contents[\1*WordBits+First +: Bits]",
        text,
    )
    assert memories == reads == 2, text
    return text


def proven(folder: Path, texts: Mapping[str, str]) -> bool:
    """Whether the assertions of the module ``proof`` hold in these texts, by the files' names."""
    for file, text in texts.items():
        (folder / file).write_text(text)
    return solve(folder, list(texts))[0]


def solve(
    folder: Path, files: Sequence[str], goals: Sequence[str] = ("-tempinduct -maxsteps 30",)
) -> tuple[bool, str]:
    """Prove the assertions of the module ``proof`` in these files; the solver's words beside it.

    Each goal is options of yosys' ``sat``: how, and for which part of the inputs.
    """
    commands = [
        *(f"read_verilog -formal -sv -defer {file}" for file in files),
        "prep -flatten -top proof",
        "memory_map",
        "opt_clean",
        "async2sync",
        "chformal -lower",
        *(f"sat -verify -prove-asserts -set-assumes {goal} proof" for goal in goals),
    ]
    given = {file: (folder / file).read_text() for file in files}
    failed, output = attempt(given, commands, timeout=1800)
    found = re.findall(r"(?:Induction step proven|no model found): SUCCESS!", output)
    proven = len(found) == len(goals)
    assert proven == (not failed), output[-3000:]
    # A syntax error or a lost file must not pass for a proof that failed.
    assert proven or "proof did fail" in output, output[-3000:]
    return proven, output


def attempt(
    files: Mapping[str, str],
    commands: Sequence[str],
    timeout: float = 60,
    folder: Path | None = None,
) -> tuple[bool, str]:
    """Whether one of yosys' commands failed, and what it said."""
    try:
        return False, yosys.run(files, commands, timeout=timeout, folder=folder).log
    except yosys.YosysError as error:
        return True, error.log
