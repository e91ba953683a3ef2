"""How large is an array of 1-bit weights and 1-bit activations, ours, XNOR and popcount, FINN's?

As many outputs as lanes a cycle, accumulators of 12 bits for 1,024 inputs, by the yosys of
``benchmarks.rtl_area``.  All three compute the same integers up to a constant of each output; of
UltraScale+ each netlist is run on random and extreme vectors and must give them.  FINN's figure is
its own formula (FINN-R, as ``lut_estimation`` of its unit in Vitis HLS has it): of the whole unit
without thresholds and weight memory, its control included.

    python -m benchmarks.rtl_area_signs [--out docs/results/rtl_area_signs.json]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.netlist import clocked, packed
from benchmarks.origin import origin
from benchmarks.synthesis import ECP5, XCUP, Area, synthesize
from vecq_hw import assets
from vecq_hw.accelerator.memories import pair_rows
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.files import write_atomically
from vecq_hw.formats import BitPlanes, IntArray, IntFormat
from vecq_hw.netlist import yosys
from vecq_hw.netlist.model import Netlist
from vecq_hw.schedule import Fold

SIZES, ACCUMULATOR_BITS, SAMPLES = (8, 16, 32), 12, 200
CODES = IntFormat(1, signed=False)
PLANES = BitPlanes(1, signs=True)
PAIRS, QUADS, XNOR = "pair rows", "rows of four", "XNOR and popcount"
RUNS = ((XCUP, PAIRS), (XCUP, XNOR), (ECP5, PAIRS), (ECP5, QUADS), (ECP5, XNOR))
_ROWS = ".WeightBits(1), .InputBits(1),"
_CELLS = {
    PAIRS: ("vecq_pair_row_array", _ROWS),
    QUADS: ("vecq_quad_row_array", _ROWS),
    XNOR: ("vecq_popcount_array", ""),
}
# Its inputs in registers, its sums accumulated from zero.
_ARRAY = """\
module array_alone #(parameter int Lanes = 8, parameter int AccumulatorBits = 12) (
  input  logic clk_i,
  input  logic [Lanes*Lanes+Lanes:0] data_i,
  output logic [Lanes*AccumulatorBits-1:0] data_o
);
  localparam int SumBits = 2 + $clog2(Lanes / 2);
  logic last;
  logic [Lanes-1:0] activations_q;
  logic [Lanes*Lanes-1:0] weights_q;
  logic [Lanes*SumBits-1:0] sums;

  assign last = data_i[0];
  always_ff @(posedge clk_i) {weights_q, activations_q} <= data_i[1 +: Lanes*Lanes+Lanes];

  CELL #(
    .Pe(Lanes), .Simd(Lanes), SETTINGS .SumBits(SumBits)
  ) rows (
    .clk_i, .enable_i(1'b1), .activations_i(activations_q), .weights_i(weights_q), .sums_o(sums)
  );

  for (genvar pe = 0; pe < Lanes; pe++) begin : gen_pe
    logic [AccumulatorBits-1:0] sum, accumulator_q, output_q;
    assign sum = accumulator_q + AccumulatorBits'(sums[pe*SumBits +: SumBits]);
    always_ff @(posedge clk_i) begin
      accumulator_q <= last ? '0 : sum;
      output_q      <= sum;
    end
    assign data_o[pe*AccumulatorBits +: AccumulatorBits] = output_q;
  end
endmodule
"""


def finn_luts(lanes: int) -> int:
    """FINN's LUTs for weights and activations of one bit, where PE = SIMD = ``lanes``."""
    bits = 2
    products, tree = lanes * bits, bits * (2 * lanes - 1)
    return int(300 + 1.1 * lanes * (products + tree + ACCUMULATOR_BITS))


def array(kind: str, lanes: int, family: str) -> Area:
    """Synthesized between registers."""
    cell, settings = _CELLS[kind]
    names = with_inner([cell])
    files = {f"{name}.sv": (assets.rtl() / f"{name}.sv").read_text() for name in names}
    files["alone.sv"] = _ARRAY.replace("CELL", cell).replace("SETTINGS", settings)
    values = {"Lanes": lanes, "AccumulatorBits": ACCUMULATOR_BITS}
    return synthesize(files, "array_alone", values, family)


def check(kind: str, lanes: int, netlist: Netlist) -> None:
    """Sums of one, two and three steps equal to the integers, for each sample's own weights."""
    rng = np.random.default_rng(lanes)
    signs = rng.choice([-1, 1], (SAMPLES, lanes, lanes))
    codes = rng.integers(0, 2, (SAMPLES, lanes))
    signs[0], signs[1], codes[0], codes[1] = 1, -1, 1, 0
    signs[2], codes[2] = -1, 1
    words = [_word(kind, s, c) for s, c in zip(signs, codes, strict=True)]
    offsets = np.stack([_offsets(kind, s) for s in signs])
    # Inputs stand still until the pipeline is full of them; then two steps more are accumulated.
    settled = 4 + lanes // 8
    steps = [1] * settled + [0, 0, 1, 1]
    last = [[word << 1 | bit for word in words] for bit in steps]
    outputs = list(clocked(netlist, last))
    once = np.einsum("nol,nl->no", signs, codes) + offsets
    for times in (1, 2, 3):
        found = outputs[settled + times]
        wanted = packed(times * once, [ACCUMULATOR_BITS] * lanes)
        if found != wanted:
            raise RuntimeError(f"{kind}, {lanes} lanes: the netlist does not compute the sums")


def _word(kind: str, signs: IntArray, codes: IntArray) -> int:
    """Activations below the weights as the array takes them, lane 0 of all outputs first."""
    minus = (signs - 1) // 2  # codes of the mid-rise grid: 0 is 1 and -1 is -1
    fold = Fold(pe=len(signs), simd=len(codes))
    weights = -minus.T if kind == XNOR else pair_rows.weight_memory(minus, PLANES, fold)
    bits = np.concatenate([codes, weights.ravel()])[np.newaxis]
    (word,) = packed(bits, [1] * bits.size)
    return word


def _offsets(kind: str, signs: IntArray) -> IntArray:
    """What the array adds to the sum of each output."""
    if kind == XNOR:
        return (signs < 0).sum(axis=1)
    none = np.zeros(len(signs), np.int64)
    return -pair_rows.bias_memory((signs - 1) // 2, PLANES, signs.shape[1], CODES, none)


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(out: Path | None) -> None:
    """Synthesize, check, print, record."""
    shown = Table(title=f"Weights and activations of one bit, yosys {yosys.version()}")
    columns = ("lanes", "family", "array", "LUT", "physical", "LUT/MAC", "physical/MAC", "FF")
    for column in (*columns, "FINN's formula"):
        shown.add_column(column, justify="left" if column in ("family", "array") else "right")
    rows: list[dict[str, Any]] = []
    runs = [(family, kind, lanes) for lanes in SIZES for family, kind in RUNS]
    with Progress(transient=True) as progress:
        for family, kind, lanes in progress.track(runs, description="yosys"):
            area = array(kind, lanes, family)
            if family == XCUP:
                check(kind, lanes, area.netlist)
            macs, finn = lanes * lanes, finn_luts(lanes) if family == XCUP else None
            luts = area.luts + 2 * area.carries
            rows.append(
                {
                    "array": kind,
                    "family": family,
                    "lanes": lanes,
                    "luts_per_mac": round(luts / macs, 2),
                    "physical_luts_per_mac": round(area.physical / macs, 2),
                    "finn_luts": finn,
                    "netlist_checked_on": SAMPLES if family == XCUP else 0,
                    **area.tree(),
                    **origin(),
                }
            )
            shown.add_row(
                f"{lanes} x {lanes}",
                family,
                kind,
                f"{luts}",
                f"{area.physical}",
                f"{luts / macs:.2f}",
                f"{area.physical / macs:.2f}",
                f"{area.flip_flops}",
                f"{finn or ''}",
            )
    Console(width=110).print(shown)
    if out is not None:
        tree = {"yosys": yosys.version(), "accumulator_bits": ACCUMULATOR_BITS, "rows": rows}
        write_atomically(out, (json.dumps(tree, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
