"""A cell of rtl/ between ports, to be synthesized alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.synthesis import ECP5, Area, synthesize
from vecq_hw import assets
from vecq_hw.emit.systemverilog.cells import with_inner


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell with its parameters, the widths of its words, and its memories by parameter.

    Attributes
    ----------
    lanes : int
        By which its LUTs are divided.
    inputs : int
        Streams that it reads; ``input_bits`` are those of all of them.
    """

    what: str
    module: str
    parameters: Mapping[str, object]
    input_bits: int
    output_bits: int
    memories: Mapping[str, str] = field(default_factory=dict)
    lanes: int = 1
    inputs: int = 1

    def area(self, family: str) -> Area:
        """Synthesized alone; with the carry cells of ECP5 there, as an accelerator has it."""
        names = with_inner([self.module])
        files = {f"{name}.sv": (assets.rtl() / f"{name}.sv").read_text() for name in names}
        files |= {f"{name}.mem": text for name, text in self.memories.items()}
        carries = family == ECP5 and "parameter bit CarryChoice" in files[f"{self.module}.sv"]
        choice = {"CarryChoice": 1} if carries else {}
        given = {**choice, **self.parameters, **{name: f'"{name}.mem"' for name in self.memories}}
        values = ", ".join(f".{name}({value})" for name, value in given.items())
        files["alone.sv"] = (
            "module alone (input logic clk_i, input logic rst_ni,"
            f" input logic [{self.inputs - 1}:0] valid_i,"
            f" output logic [{self.inputs - 1}:0] ready_o,"
            f" input logic [{self.input_bits - 1}:0] data_i,"
            " output logic valid_o, input logic ready_i,"
            f" output logic [{self.output_bits - 1}:0] data_o);\n  {self.module} #({values}) cell_i"
            " (.clk_i, .rst_ni, .valid_i, .ready_o, .data_i, .valid_o, .ready_i, .data_o);\n"
            "endmodule\n"
        )
        return synthesize(files, "alone", {}, family)
