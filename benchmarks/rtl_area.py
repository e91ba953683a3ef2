"""How many look-up tables does the folded matrix-vector unit take, beside FINN's and ESB's?

256 multiply-accumulates (PE 16 x SIMD 16), 8-bit activations, accumulators for 1,024 inputs, no
DSP.  Everything is synthesized in this run by one yosys.  Two counts, never one without the other:
LUTs as yosys counts them, and LUT positions as silicon spends them (LUT + shift register + carry
position without a LUT in front).

    python -m benchmarks.rtl_area [--out docs/results/rtl_area.json]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.synthesis import ECP5, XCUP, Area, synthesize
from vecq_hw import assets
from vecq_hw.emit.pair_rows import start_values, weight_steps
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.schedule import Fold

LANES, INPUTS = 16, 1024
MACS = LANES * LANES
ACTIVATIONS = IntFormat(8, signed=False)
CLOCK_MHZ = 200
"""Assumed, not measured: the clock at which ESB's rate is set beside ours."""
FINN_LUTS = {1: 13095, 2: 14503}
"""FINN's own formula for its LUT unit, PE = SIMD = 16, 8-bit activations, by weight bits."""
ESB_GOPS_PER_1000_LUTS = 10.95
"""Published for the ZCU102, without DSPs."""
GOALS = {
    ("array", XCUP): {1: 6.0, 2: 11.5, 4: 22.0},
    ("array", ECP5): {1: 12.0, 2: 23.0},
    ("unit", XCUP): {1: 9.0, 2: 15.0, 4: 27.0},
}
# The array alone: its inputs in registers, its sums accumulated from zero.
_ARRAY = """\
module array_alone #(
  parameter int WeightBits = 2, parameter int AccumulatorBits = 21,
  parameter int Pe = 16, parameter int Simd = 16, parameter int InputBits = 8
) (
  input  logic clk_i, input logic last_i,
  input  logic [Simd*InputBits-1:0] activations_i,
  input  logic [Simd*Pe*WeightBits-1:0] weights_i,
  output logic [Pe*AccumulatorBits-1:0] data_o
);
  localparam int SumBits = InputBits + 1 + $clog2(Simd / 2) + WeightBits - int'(WeightBits == 1);
  logic [Simd*InputBits-1:0] activations_q;
  logic [Simd*Pe*WeightBits-1:0] weights_q;
  logic [Pe*SumBits-1:0] sums;

  always_ff @(posedge clk_i) begin
    activations_q <= activations_i;
    weights_q     <= weights_i;
  end

  vecq_pair_row_array #(
    .Pe(Pe), .Simd(Simd), .WeightBits(WeightBits), .InputBits(InputBits), .SumBits(SumBits)
  ) pair_rows (
    .clk_i, .enable_i(1'b1), .activations_i(activations_q), .weights_i(weights_q), .sums_o(sums)
  );

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [AccumulatorBits-1:0] sum, accumulator_q, output_q;
    assign sum = accumulator_q + AccumulatorBits'(sums[pe*SumBits +: SumBits]);
    always_ff @(posedge clk_i) begin
      accumulator_q <= last_i ? '0 : sum;
      output_q      <= sum;
    end
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = output_q;
  end
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Random weights of a layer that the unit computes, and the rescale behind it."""

    bits: int
    outputs: int
    mantissa_bits: int = 18
    offset_bits: int = 32

    @property
    def codes(self) -> IntArray:
        grid = MidRise(self.bits).code_format
        return np.random.default_rng(self.bits).integers(
            grid.lo, grid.hi, (self.outputs, INPUTS), endpoint=True
        )

    @property
    def accumulator_bits(self) -> int:
        return accumulator_bits(self.bits)

    def memories(self) -> dict[str, str]:
        """The memories of the matrix-vector unit."""
        zero = np.zeros(self.outputs, np.int64)
        starts = start_values(self.codes, self.bits, LANES, ACTIVATIONS, zero)
        steps = weight_steps(self.codes, self.bits, Fold(pe=LANES, simd=LANES))
        return {
            "weights.mem": _lines(pack_rows(steps, MACS, self.bits)),
            "bias.mem": _lines(pack_rows(starts, LANES, self.accumulator_bits)),
        }


def accumulator_bits(weight_bits: int) -> int:
    """Of the sum of 1,024 products."""
    bound = INPUTS * MidRise(weight_bits).value_format.hi * ACTIVATIONS.hi
    return IntFormat.covering(-bound, bound).bits


def _lines(words: list[int]) -> str:
    return "".join(f"{word:x}\n" for word in words)


def _cells() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(assets.rtl().glob("*.sv"))}


def array_alone(weight_bits: int, family: str) -> Area:
    """Registers for the inputs and weights, pair rows, accumulators: weights change every cycle."""
    values = {"WeightBits": weight_bits, "AccumulatorBits": accumulator_bits(weight_bits)}
    return synthesize(_cells() | {"array_alone.sv": _ARRAY}, "array_alone", values, family)


def matrix_vector(layer: Layer, family: str) -> Area:
    """The streaming unit with its weight and bias memories and its buffer."""
    values = {
        "Inputs": INPUTS,
        "Outputs": layer.outputs,
        "Pe": LANES,
        "Simd": LANES,
        "WeightBits": layer.bits,
        "InputBits": ACTIVATIONS.bits,
        "AccumulatorBits": layer.accumulator_bits,
    }
    text = (
        "module unit (\n  input logic clk_i, input logic rst_ni,\n"
        f"  input logic valid_i, output logic ready_o, input logic [{LANES * 8 - 1}:0] data_i,\n"
        "  output logic valid_o, input logic ready_i,\n"
        f"  output logic [{LANES * layer.accumulator_bits - 1}:0] data_o\n);\n"
        f"  vecq_matrix_vector #({', '.join(f'.{k}({v})' for k, v in values.items())},\n"
        '    .WeightsFile("weights.mem"), .BiasFile("bias.mem")\n  ) unit (.*);\nendmodule\n'
    )
    return synthesize(_cells() | layer.memories() | {"unit.sv": text}, "unit", {}, family)
