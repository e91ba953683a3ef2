"""How many look-up tables does the folded matrix-vector unit take, beside FINN's and ESB's?

256 multiply-accumulates (PE 16 x SIMD 16), 8-bit activations, accumulators for 1,024 inputs, no
DSP; a bit-serial unit takes a cycle for each bit of a weight.  The recurrent layers, of 64
elements, have 32 (PE 4 x SIMD 8).  One yosys makes all of it.  Two counts, never one without the
other: LUTs as yosys counts them, and LUT positions as silicon spends them (LUT + shift register +
carry position without a LUT in front).

    python -m benchmarks.rtl_area [--part array] [--out docs/results/rtl_area.json]

With --part, the rows of the other parts stay in the file if the same yosys made them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.origin import origin
from benchmarks.rtl_area_layers import recurrent_layer
from benchmarks.synthesis import ECP5, XCUP, Area, synthesize
from vecq_hw import assets
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.files import write_atomically
from vecq_hw.formats import Grid, IntArray, IntFormat, MidRise, bit_planes
from vecq_hw.layers import (
    AnyWeights,
    Dense,
    Gru,
    Input,
    Layer,
    Lookup,
    Lstm,
    Rescale,
    Weights,
)
from vecq_hw.netlist import yosys
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.rtl import emit

LANES, INPUTS = 16, 1024
MACS = LANES * LANES
ACTIVATIONS = IntFormat(8, signed=False)
RECURRENT_FOLD = Fold(pe=4, simd=8)
CLOCK_MHZ = 200
"""Assumed, not measured: the clock at which ESB's rate is set beside ours."""
FINN_LUTS = {1: 13095, 2: 14503}
"""FINN's own formula for its LUT unit, PE = SIMD = 16, 8-bit activations, by weight bits."""
ESB_GOPS_PER_1000_LUTS = 10.95
"""Published for the ZCU102, without DSPs."""
GOALS = {
    ("array", XCUP): {1: 6.0, 2: 11.5, 4: 22.0},
    ("array", ECP5): {1: 12.0, 2: 23.0},
    ("array, rows of four", ECP5): {1: 12.0, 2: 23.0},
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

  ROW_ARRAY #(
    .Pe(Pe), .Simd(Simd), .WeightBits(WeightBits), .InputBits(InputBits), .SumBits(SumBits) SETTINGS
  ) rows (
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


def accumulator_bits(grid: Grid, activations: IntFormat = ACTIVATIONS) -> int:
    """The bits that hold every sum of 1,024 products."""
    return sum_bits(grid.value_format.magnitude, activations)


def sum_bits(largest: int, activations: IntFormat = ACTIVATIONS) -> int:
    """The bits that hold every sum of 1,024 products, whose weights reach at most ``largest``."""
    bound = INPUTS * largest * activations.hi
    return IntFormat.covering(-bound, bound).bits


def array_alone(cell: str, grid: Grid, family: str, activations: IntFormat = ACTIVATIONS) -> Area:
    """Registers for activations and weights, rows, accumulators that start from zero."""
    planes = bit_planes(grid)
    values = {
        "WeightBits": planes.bits,
        "InputBits": activations.bits,
        "AccumulatorBits": accumulator_bits(grid, activations),
    }
    files = {f"{name}.sv": (assets.rtl() / f"{name}.sv").read_text() for name in with_inner([cell])}
    carry = "vecq_carry_adder.sv"
    if family != ECP5 and carry in files:  # what simulation sees, since there is no such cell
        files[carry] = "`undef SYNTHESIS\n" + files[carry]
    settings = "" if planes.signs else ", .TwosComplement(1'b1)"
    files["array_alone.sv"] = _ARRAY.replace("ROW_ARRAY", cell).replace(" SETTINGS", settings)
    return synthesize(files, "array_alone", values, family)


def complete_unit(
    grid: Grid,
    outputs: int,
    family: str,
    bit_serial: bool = False,
    activations: IntFormat = ACTIVATIONS,
    levels: IntArray | None = None,
) -> Area:
    """What ``emit.systemverilog`` makes of a Dense and a Rescale to activations, all of it.

    Weight and bias memories, input buffer, pair rows, accumulators, rescale, output register.
    Bit-serial, it takes as many cycles as a weight has bits.  With ``levels``, the integers that
    activations have, ascending, the Rescale gives half steps and a table behind it the nearest of
    them.
    """
    generator, limits = np.random.default_rng(grid.bits), grid.code_format
    codes = generator.integers(limits.lo, limits.hi + 1, (outputs, INPUTS))
    kind = FoldKind.BIT_SERIAL if bit_serial else FoldKind.STREAMING
    weights = Weights(codes=codes, grid=grid)
    return top_area(*unit_network(weights, kind, generator, activations, levels), family)


def unit_network(
    weights: AnyWeights,
    kind: FoldKind,
    generator: np.random.Generator,
    activations: IntFormat = ACTIVATIONS,
    levels: IntArray | None = None,
) -> tuple[Network, Schedule]:
    """What becomes a complete unit; the generator draws the constants of its Rescale."""
    outputs = weights.shape[0]
    halves = None if levels is None else levels[1:] + levels[:-1]
    codes = activations if halves is None else IntFormat.covering(0, int(halves[-1]), signed=False)
    shift, quarter = 22 + weights.value_format.bits, 1 << (codes.bits - 2)
    dense = Dense(
        name="dense",
        input="x",
        weights=weights,
        accumulator_bits=sum_bits(int(np.abs(weights.values).max()), activations),
    )
    rescale = Rescale(
        name="rescale",
        input="dense",
        mantissa=generator.integers(1 << 16, 1 << 17, outputs),
        offset=generator.integers(quarter << shift, 3 * quarter << shift, outputs),
        shift=shift,
        format=codes,
    )
    layers: list[Layer] = [dense, rescale]
    if levels is not None and halves is not None:
        table = levels[np.searchsorted(halves, np.arange(codes.hi + 1), side="right")]
        layers.append(
            Lookup(name="levels", input="rescale", table=table[np.newaxis], format=activations)
        )
    network = Network(
        name="unit",
        inputs=(Input(name="x", shape=(INPUTS,), format=activations),),
        layers=tuple(layers),
        outputs=(layers[-1].name,),
    )
    schedule = Schedule(folds={"dense": Fold(pe=LANES, simd=LANES, kind=kind)})
    return network, schedule


def top_area(network: Network, schedule: Schedule, family: str) -> Area:
    """All of a generated top called ``unit``."""
    inputs = np.zeros((1, *network.inputs[0].shape), np.int64)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    return project_area(emit(network, schedule, vectors).files, family)


def project_area(project: Mapping[str, object], family: str) -> Area:
    """All of a top called ``unit`` among the files of a project."""
    files = {name: str(text) for name, text in project.items() if name.endswith((".sv", ".mem"))}
    return synthesize(files, "unit", {}, family)


def recurrent_unit(kind: type[Lstm] | type[Gru], weight_bits: int, family: str) -> Area:
    """What ``emit.systemverilog`` makes of a recurrent layer of 64 elements, PE 4 x SIMD 8.

    Its sums over the input have 16 bits, its mantissas 18, and it gives the state of each step.
    """
    layer = recurrent_layer(kind, weight_bits, 64)
    source = Input(name="x", shape=(1, 2, len(layer.offset)), format=IntFormat(16, signed=True))
    network = Network(name="unit", inputs=(source,), layers=(layer,), outputs=("states",))
    return top_area(network, Schedule(folds={"states": RECURRENT_FOLD}), family)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A circuit, its size, and what its size is set beside."""

    part: str
    family: str
    weight_bits: int
    area: Area

    @property
    def goal(self) -> float | None:
        """LUTs per MAC at most; on ecp5 LUT4 positions."""
        return GOALS.get((self.part, self.family), {}).get(self.weight_bits)

    @property
    def macs(self) -> int:
        """Multiply-accumulates a cycle."""
        return RECURRENT_FOLD.pe * RECURRENT_FOLD.simd if self.part in RECURRENT else MACS

    @property
    def luts(self) -> float:
        """Per MAC, as yosys counts; on ecp5 with the two positions of each CCU2C."""
        return (self.area.luts + 2 * self.area.carries) / self.macs

    @property
    def is_unit(self) -> bool:
        """Whether it stands beside FINN's and ESB's figures, which are of whole units."""
        return self.part.startswith("unit")

    @property
    def cycles(self) -> int:
        """That the 256 multiply-accumulates take."""
        return self.weight_bits if self.part == BIT_SERIAL else 1

    @property
    def finn_luts(self) -> int | None:
        """The LUTs that FINN states for as many multiply-accumulates per cycle, if it does."""
        return FINN_LUTS.get(self.weight_bits) if self.is_unit and self.cycles == 1 else None

    def tree(self) -> dict[str, Any]:
        """For the record."""
        tree = {
            "part": self.part,
            "family": self.family,
            "weight_bits": self.weight_bits,
            "luts_per_mac": round(self.luts, 2),
            "physical_luts_per_mac": round(self.area.physical / self.macs, 2),
            "goal_luts_per_mac": self.goal,
            "cycles": self.cycles,
            **self.area.tree(),
        }
        if self.is_unit:
            finn, gops = self.finn_luts, 2 * MACS * CLOCK_MHZ / 1000 / self.cycles
            tree |= {
                "finn_luts": finn,
                "finn_over_ours": finn and round(finn / self.area.luts, 2),
                "gops_per_1000_luts_at_assumed_clock": round(1000 * gops / self.area.luts, 1),
                "gops_per_1000_physical_luts": round(1000 * gops / self.area.physical, 1),
                "esb_gops_per_1000_luts": ESB_GOPS_PER_1000_LUTS,
            }
        return tree


BIT_SERIAL = "unit, bit-serial"
RECURRENT = {"LSTM step": Lstm, "GRU step": Gru}
PARTS: dict[str, Callable[[int, str], Area]] = {
    "array": lambda bits, family: array_alone("vecq_pair_row_array", MidRise(bits), family),
    "array, rows of four": lambda bits, family: array_alone(
        "vecq_quad_row_array", MidRise(bits), family
    ),
    "unit": lambda bits, family: complete_unit(MidRise(bits), 4 * LANES, family),
    "unit, 16 outputs": lambda bits, family: complete_unit(MidRise(bits), LANES, family),
    BIT_SERIAL: lambda bits, family: complete_unit(
        MidRise(bits), 4 * LANES, family, bit_serial=True
    ),
    **{name: partial(recurrent_unit, kind) for name, kind in RECURRENT.items()},
}
RUNS = [
    *(("array", XCUP, bits) for bits in (1, 2, 4)),
    *(("array", ECP5, bits) for bits in (1, 2, 4)),
    *(("array, rows of four", ECP5, bits) for bits in (1, 2, 4)),
    *(("array, rows of four", XCUP, bits) for bits in (1, 2)),
    *(("unit", XCUP, bits) for bits in (1, 2, 4)),
    *(("unit, 16 outputs", XCUP, bits) for bits in (1, 2, 4)),
    *((BIT_SERIAL, XCUP, bits) for bits in (2, 4)),
    *((name, XCUP, 2) for name in RECURRENT),
]


def table(rows: Sequence[Row]) -> Table:
    """What is printed."""
    result = Table(title=f"256 MACs, 8-bit activations, yosys {yosys.version()}")
    names = ("part", "family", "weights", "LUT/MAC", "physical", "goal", "cycles", "LUT", "BRAM")
    for name in names:
        result.add_column(name, justify="left" if name in ("part", "family") else "right")
    result.add_column("FINN / ours", justify="right")
    result.add_column(f"GOPS/1000 LUT, {CLOCK_MHZ} MHz assumed", justify="right")
    for row in rows:
        finn, tree = row.finn_luts, row.tree()
        result.add_row(
            row.part,
            row.family,
            f"{row.weight_bits} bit",
            f"{row.luts:.2f}",
            f"{row.area.physical / row.macs:.2f}",
            f"{row.goal or ''}",
            f"{row.cycles}",
            f"{row.area.luts}",
            f"{row.area.block_rams:g}",
            f"{finn / row.area.luts:.1f}" if finn else "",
            f"{tree.get('gops_per_1000_luts_at_assumed_clock', '')}",
        )
    return result


@click.command(help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice([*PARTS]), default=[*PARTS])
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(parts: Sequence[str], out: Path | None) -> None:
    """Synthesize, print, record."""
    console, rows = Console(width=120), list[Row]()
    runs = [run for run in RUNS if run[0] in parts]
    with Progress(console=console, transient=True) as progress:
        for part, family, bits in progress.track(runs, description="yosys"):
            area = PARTS[part](bits, family)
            rows.append(Row(part=part, family=family, weight_bits=bits, area=area))
    console.print(table(rows))
    if out is not None:
        head = {"yosys": yosys.version(), "macs": MACS, "clock_mhz_assumed": CLOCK_MHZ}
        known = json.loads(out.read_text()) if out.exists() else {"rows": []}
        same = known.get("yosys") == head["yosys"]
        kept = [row for row in known["rows"] if same and row["part"] not in parts]
        # Parts may be of several runs, so each row says where it comes from.
        tree = head | {"rows": kept + [row.tree() | origin() for row in rows]}
        write_atomically(out, (json.dumps(tree, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
