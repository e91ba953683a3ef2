"""A network as large as those for tagging jets, all of it unrolled, beside da4ml's of its weights.

16 inputs, layers of 64, 32, 32 and 5 outputs, odd weights of 4 bits, activations of 6 bits, between
layers a requantization by a power of two.  Ours as ``emit`` writes it, streams and guards included;
da4ml's pipelined in at most as many cycles, and in as many as it can, where its clock is highest.
All give the same integers for the same vectors, and go through one yosys and one nextpnr, behind
the same registers at a few pins, for an ECP5-85F.  The clock is what nextpnr reports of the routed
design, and beside it what it estimates of the placed one, which is known long before.

    python -m benchmarks.unrolled_network [--sizes 16,16 | --trained] [--seeds 3] [--side da4ml]
        [--placed-only] [--out FILE]

With ``--trained`` the weights are not drawn but trained (trained_tagger.py), and each
requantization multiplies by the scale of its layer.
"""

from __future__ import annotations

import json
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import trained_tagger
from benchmarks.origin import commit, origin
from benchmarks.unrolled_circuits import matrix_of
from benchmarks.unrolled_timing import pipelined
from vecq_hw.devices import DEVICES
from vecq_hw.emit.project import Vectors
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.implement.place import REPORT, place_and_route, read_timing
from vecq_hw.implement.stages import LOG
from vecq_hw.layers import Dense, Input, Layer, Rescale, Weights
from vecq_hw.netlist import yosys
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import simulate_frames, with_fifo_depths
from vecq_hw.verify.rtl import emit

SIZES = "16,64,32,32,5"
BITS = 4
U6 = IntFormat(6, signed=False)
DEVICE = "ecp5-85k"
WISHED_MHZ = 250.0
TOP = "pins"
SIDES = ("ours", "da4ml", "da4ml_deepest")
UNBOUNDED = 1000
"""More cycles than any pipeline has."""


def network(sizes: Sequence[int]) -> Network:
    """The network of layers between vectors of so many elements; mantissas are 1."""
    layers: list[Layer] = []
    before = "x"
    for index, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        matrix = matrix_of(outputs, inputs, BITS)
        weights = Weights(codes=(matrix - 1) // 2, grid=MidRise(BITS))
        layers.append(Dense(name=f"fc{index}", input=before, weights=weights))
        before = f"fc{index}"
        if index < len(sizes) - 1 or len(sizes) == 2:
            layers.append(_requantized(f"fc{index}", matrix))
            before = layers[-1].name
    source = Input(name="x", shape=(sizes[0],), format=U6)
    return Network(name="tagger", inputs=(source,), layers=tuple(layers), outputs=(before,))


def _requantized(name: str, matrix: IntArray) -> Rescale:
    """Sums of a standard deviation of inputs in the middle half of the codes."""
    spread = float(np.sqrt((matrix**2).sum(axis=1).mean() * 64**2 / 12))
    mean = matrix.sum(axis=1) * (U6.hi / 2)
    shift = int(np.ceil(np.log2(3 * spread / (U6.hi + 1))))
    return Rescale(
        name=f"{name}_codes",
        input=name,
        mantissa=np.ones(len(matrix), np.int64),
        offset=np.rint(spread - mean).astype(np.int64),
        shift=shift,
        format=U6,
    )


def ours(made: Network, x: IntArray) -> tuple[dict[str, str], int]:
    """The files of our RTL with its pins, and its cycles from word to word of the first frame."""
    folds = {
        layer.name: Fold(pe=layer.outputs, simd=layer.inputs_of_one_output, kind=FoldKind.UNROLLED)
        for layer in made.products
    }
    schedule = with_fifo_depths(made, Schedule(folds=folds, fabric=Fabric.ECP5))
    inputs = {made.inputs[0].name: x}
    project = emit(made, schedule, Vectors(inputs=inputs, outputs=simulate(made, inputs)))
    files = {
        name.removeprefix("rtl/"): str(text)
        for name, text in project.files.items()
        if name.startswith("rtl/") and name.endswith((".sv", ".mem"))
    }
    manifest = json.loads(str(project.files["manifest.json"]))
    (top,) = [
        path.removesuffix(".sv") for path, text in files.items() if "input  logic aclk" in text
    ]
    return files | _pins_of_streams(manifest, top), simulate_frames(made, schedule).first_output


def theirs(made: Network, x: IntArray, most: Sequence[int]) -> list[tuple[dict[str, str], int]]:
    """Files of da4ml's pipelines of at most so many cycles each with its pins, and its cycles."""
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    wires = _ranged(FixedVariableArrayInput(x.shape[1]), made.inputs[0].format, x.shape[1])
    value: Any = wires
    for layer in made.layers:
        match layer:
            case Dense():
                value = value @ layer.weights.values.T.astype(np.float64)
            case Rescale():
                unit = 2.0 ** -layer.shifts.astype(np.float64)
                real = value * (layer.mantissa * unit) + layer.offset * unit
                value = _ranged(real, layer.format, layer.channels, "SAT", "RND")
            case _:
                raise AssertionError(layer)
    logic = comb_trace(wires, value)
    expected = simulate(made, x)
    assert isinstance(expected, np.ndarray)
    assert np.array_equal(logic.predict(x.astype(np.float64)), expected)
    given, result = (_bits(kifs) for kifs in (logic.inp_kifs, logic.out_kifs))
    body = "  tagger unit (.clk(clk_i), .model_inp(given), .model_out(result));"
    pins = {f"{TOP}.sv": _pins(given, result, body)}
    found = [pipelined(logic, "tagger", limit) for limit in most]
    return [(files | pins, cycles) for files, cycles in found]


def _ranged(value: Any, form: IntFormat, count: int, *modes: str) -> Any:
    """``count`` numbers as integers of a format, where they are not."""
    ones = np.ones(count, np.int64)
    integer_bits = form.bits - form.signed
    return value.quantize(form.signed * ones, integer_bits * ones, 0 * ones, *modes)


def _bits(kifs: Any) -> int:
    """Bits of da4ml's numbers: of each its sign, integer and fraction bits."""
    return int(sum(np.asarray(part).sum() for part in kifs))


def _pins_of_streams(manifest: Mapping[str, Any], top: str) -> dict[str, str]:
    """Pins around a streaming top: always valid, always ready."""
    source, target = manifest["input"], manifest["output"]
    body = (
        f"  {top} unit (.aclk(clk_i), .aresetn(reset_n),\n"
        "    .s_axis_tvalid(1'b1), .s_axis_tready(), .s_axis_tdata(given), .s_axis_tlast(1'b1),\n"
        "    .m_axis_tvalid(), .m_axis_tready(1'b1), .m_axis_tdata(result), .m_axis_tlast(),\n"
        "    .frame_error());"
    )
    return {f"{TOP}.sv": _pins(source["word_bits"], target["word_bits"], body)}


def _pins(inputs: int, outputs: int, body: str) -> str:
    """Registers that a bit per cycle goes into and comes out of."""
    return f"""
module {TOP} (input logic clk_i, input logic rst_ni, input logic bit_i, input logic load_i,
              output logic bit_o);
  logic reset_n, load;
  logic [{inputs - 1}:0] given;
  logic [{outputs - 1}:0] result, kept, shown;
  always_ff @(posedge clk_i) begin
    reset_n <= rst_ni;
    load <= load_i;
    given <= {{bit_i, given[{inputs - 1}:1]}};
    kept <= result;
    shown <= load ? kept : {{1'b0, shown[{outputs - 1}:1]}};
    bit_o <= shown[0];
  end
{body}
endmodule
"""


def measured(
    files: dict[str, str], cycles: int, seeds: int, *, route: bool = True
) -> dict[str, Any]:
    """Cells, clocks and nanoseconds; without ``route`` those of the placed design alone."""
    made = yosys.synthesize(files, TOP, FAMILIES["ecp5"], pads=True)
    cells = count(made.netlist, FAMILIES["ecp5"])
    design = made.netlist.to_json().encode()
    placed, routed = [], []
    for seed in range(1, seeds + 1):
        found = place_and_route(
            design, DEVICES[DEVICE], clock_mhz=WISHED_MHZ, seed=seed, pins="", route=route
        )
        placed.append(estimate(found[LOG].decode()))
        click.echo(f"seed {seed}: {placed[-1]} MHz when placed", err=True)
        if route:
            routed.append(round(read_timing(found[REPORT], files).fmax_mhz, 1))
            click.echo(f"seed {seed}: {routed[-1]} MHz", err=True)
    median = statistics.median(routed) if routed else None
    return {
        "cycles": cycles,
        "positions": int(cells.luts + cells.carry_positions),
        "carries": int(cells.carries),
        "flip_flops": int(cells.flip_flops),
        "placed_mhz": placed,
        "fmax_mhz": routed,
        "median_mhz": median,
        "latency_ns": round(1000 * cycles / median, 1) if median else None,
    }


def estimate(log: str) -> float:
    """The clock in MHz that nextpnr's log reports first: that of the placed design."""
    found = re.search(r"Max frequency for clock '[^']*': ([\d.]+) MHz", log)
    assert found is not None, log
    return round(float(found[1]), 1)


@click.command()
@click.option("--seeds", type=click.IntRange(0), default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The record: written, or added to.")
@click.option("--placed-only", is_flag=True, help="Do not route: some take many hours.")
@click.option("--sizes", default=SIZES, show_default=True, help="Inputs, outputs of each layer.")
@click.option("--trained", is_flag=True, help="The weights of trained_tagger.py and its sizes.")
@click.option(
    "--side",
    "names",
    type=click.Choice(SIDES),
    multiple=True,
    default=SIDES,
    help="Which to measure; all, where none is named.",
)
def main(
    seeds: int,
    out: Path | None,
    placed_only: bool,
    sizes: str,
    trained: bool,
    names: Sequence[str],
) -> None:
    """Measure the sides and print them; a placement can take an hour, so one is kept once done."""
    os.nice(5)
    told: dict[str, Any] = {"sizes": sizes}
    if trained:
        made, scores = trained_tagger.trained()
        told = {"sizes": ",".join(map(str, trained_tagger.SIZES)), "trained": scores}
    else:
        made = network([int(size) for size in sizes.split(",")])
    source = made.inputs[0]
    x = np.random.default_rng(0).integers(
        source.format.lo, source.format.hi + 1, (500, *source.shape)
    )
    mine, cycles = ours(made, x)
    click.echo(f"ours: {cycles} cycles", err=True)
    pair, deepest = theirs(made, x, (cycles, UNBOUNDED))
    circuits = dict(zip(SIDES, ((mine, cycles), pair, deepest), strict=True))
    for name in names:
        files, depth = circuits[name]
        click.echo(f"{name}: {depth} cycles", err=True)
        row = measured(files, depth, seeds, route=not placed_only)
        click.echo(f"{name}: {row}")
        if out is not None:
            _keep(out, told, name, row)


def _keep(out: Path, told: dict[str, Any], name: str, row: dict[str, Any]) -> None:
    """Put one side's row into the record, beside those of the same network that are there."""
    rows: dict[str, Any] = {}
    if out.exists():
        kept = json.loads(out.read_bytes())
        found = {key: kept.get(key) for key in told}
        if found != told or ("trained" in kept) != ("trained" in told):
            raise click.ClickException(f"{out} is of another network: {found}; wanted is {told}")
        rows = kept["rows"]
    rows[name] = {"commit": commit(), **row}
    tree: dict[str, Any] = {**origin(), "yosys": f"pyosys {yosys.version()}", "device": DEVICE}
    tree |= {**told, "rows": {side: rows[side] for side in SIDES if side in rows}}
    write_atomically(out, json.dumps(tree, indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
