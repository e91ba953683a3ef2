"""Which clock does the matrix-vector unit reach on ECP5, and of how many cells?

A layer of 64 inputs and 64 outputs, weights of 2 bits, activations of 8, on 8 x 16 lanes, with its
Rescale in DSP blocks, as ``emit.systemverilog`` writes it, behind a few pins.  Synthesized, placed
and routed with several seeds for an ECP5-25F of speed grade 6; the estimate is that of
:mod:`benchmarks.static_timing`.  With --against, the same of another commit's cells, in one run.

    python -m benchmarks.clock [--seeds 5] [--against COMMIT] [--out FILE]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.another_commit import checked_out, environment, resolved
from benchmarks.origin import origin
from benchmarks.static_timing import longest_paths
from vecq_hw.devices import DEVICES
from vecq_hw.emit.project import Vectors
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.implement.pins import NAME, pins_text
from vecq_hw.implement.place import REPORT, place_and_route, read_timing
from vecq_hw.layers import Dense, Input, Rescale, Weights
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.netlist.registers import with_block_registers
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Fold, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import with_fifo_depths
from vecq_hw.verify.rtl import emit

SIZE, FOLD = 64, Fold(pe=8, simd=16, dsp=True)
DEVICE = "ecp5-25k"
WISHED_MHZ = 250.0


def write_unit(folder: Path) -> None:
    """The project of the unit."""
    generator, fmt = np.random.default_rng(2), IntFormat(8, signed=False)
    codes = generator.integers(-2, 2, (SIZE, SIZE))
    dense = Dense(name="dense", input="x", weights=Weights(codes=codes, grid=MidRise(2)))
    rescale = Rescale(
        name="rescale",
        input="dense",
        mantissa=generator.integers(1 << 16, 1 << 17, SIZE),
        offset=generator.integers(64 << 24, 192 << 24, SIZE),
        shift=24,
        format=fmt,
    )
    network = Network(
        name="unit",
        inputs=(Input(name="x", shape=(SIZE,), format=fmt),),
        layers=(dense, rescale),
        outputs=("rescale",),
    )
    schedule = with_fifo_depths(network, Schedule(folds={"dense": FOLD}, fabric=Fabric.ECP5))
    inputs = {"x": generator.integers(0, 256, (8, SIZE))}
    outputs = simulate(network, inputs, taps=network.outputs)
    emit(network, schedule, Vectors(inputs=inputs, outputs=outputs)).write(folder)


def measured(folder: Path, seeds: int) -> dict[str, Any]:
    """Cells and clocks of the project in a folder."""
    from vecq_hw.bench.ports import load_ends

    manifest = folder / "manifest.json"
    inputs, outputs = load_ends(manifest)
    top = json.loads(manifest.read_text())["top"]
    sources = [*(folder / "rtl").glob("*.sv"), *(folder / "rtl").glob("*.mem")]
    files = {path.name: path.read_text() for path in sorted(sources)}
    files["pins.sv"] = pins_text(top, [e.port for e in inputs], [e.port for e in outputs])
    device = DEVICES[DEVICE]
    made = yosys.synthesize(files, NAME, FAMILIES["ecp5"], pads=True)
    registered = with_block_registers(made.netlist)
    text = registered.netlist.to_json()
    module = json.loads(text)["modules"][NAME]
    types = Counter(cell["type"] for cell in module["cells"].values())
    positions = types["LUT4"] + 2 * types["CCU2C"] + 4 * types["TRELLIS_DPR16X4"]
    paths = longest_paths(registered.netlist, 12)
    path = paths[0]
    result: dict[str, Any] = {
        "lut4": types["LUT4"],
        "ccu2c": types["CCU2C"],
        "distributed": types["TRELLIS_DPR16X4"],
        "positions": positions,
        "flip_flops": types["TRELLIS_FF"],
        "block_rams": types["DP16KD"] + types["PDPW16KD"],
        "dsps": types["MULT18X18D"],
        "estimated_mhz": round(path.mhz, 1),
        "estimated_path": [f"{delay:.2f} {kind} {net}" for delay, kind, net in path.points],
        "estimated_next": [[str(p.points[0]), *map(str, p.points[-2:])] for p in paths],
        "fmax_mhz": [],
        "paths": [],
    }
    for seed in range(1, seeds + 1):
        placed = place_and_route(text.encode(), device, clock_mhz=WISHED_MHZ, seed=seed, pins="")
        timing = read_timing(placed[REPORT], files)
        result["fmax_mhz"].append(round(timing.fmax_mhz, 1))
        result["paths"].append([str(step) for step in timing.path])
        click.echo(f"seed {seed}: {timing.fmax_mhz:.1f} MHz", err=True)
    return result


def show(name: str, found: dict[str, Any]) -> None:
    """One line of the table."""
    clocks = found["fmax_mhz"]
    reached = (
        f"best {max(clocks)}, median {statistics.median(clocks):.1f} of {clocks}" if clocks else ""
    )
    click.echo(
        f"{name}: {found['lut4']} LUT4, {found['ccu2c']} CCU2C, {found['positions']} positions,"
        f" {found['flip_flops']} FF, {found['block_rams']} EBR, {found['dsps']} DSP;"
        f" estimated {found['estimated_mhz']} MHz; {reached}"
    )


@click.command()
@click.option("--seeds", type=click.IntRange(0), default=5, show_default=True)
@click.option("--against", help="A commit whose cells are measured, too.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
@click.option("--emit-only", type=click.Path(path_type=Path), hidden=True)
def main(seeds: int, against: str | None, out: Path | None, emit_only: Path | None) -> None:
    """Measure the unit of this tree and perhaps of another commit."""
    if emit_only is not None:
        write_unit(emit_only)
        return
    os.nice(5)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="vecq_clock_") as name:
        if against is not None:
            with checked_out(against) as tree:
                # Emitted by that commit's emitter, of the layer that this file describes.
                (tree / "benchmarks" / "clock_unit.py").write_text(_only_the_unit())
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.clock_unit", f"{name}/before"],
                    cwd=tree, env=environment(tree), check=True,
                )  # fmt: skip
            rows[resolved(against)] = measured(Path(name) / "before", seeds)
            show(resolved(against), rows[resolved(against)])
        write_unit(Path(name) / "now")
        rows["this tree"] = measured(Path(name) / "now", seeds)
        show("this tree", rows["this tree"])
    if out is not None:
        tree_record = {**origin(), "yosys": f"pyosys {yosys.version()}", "rows": rows}
        write_atomically(out, json.dumps(tree_record, indent=2).encode() + b"\n")


def _only_the_unit() -> str:
    """What an older commit has of this file: the function that writes the unit."""
    text = Path(__file__).read_text()
    start, end = text.index("SIZE, FOLD"), text.index("DEVICE =")
    body = text[text.index("def write_unit") : text.index("def measured")]
    imports = "\n".join(
        line
        for line in text.splitlines()
        if line.startswith(("import sys", "from pathlib", "import numpy", "from vecq_hw"))
        and not any(part in line for part in ("devices", "files", "implement", "netlist"))
    )
    return f"{imports}\n{text[start:end]}\n{body}\nwrite_unit(Path(sys.argv[1]))\n"


if __name__ == "__main__":
    main()
