"""The networks of MLPerf Tiny as circuits: mismatches, cycles and area of each.

Each file is imported by the rules of LiteRT's built-in kernels; the vectors are the samples stored
beside it, then random codes.  HLS C++ and SystemVerilog are emitted, built, run and compared with
the simulator; the bench of the SystemVerilog also asserts the cycles that the model says.  yosys
synthesizes the same SystemVerilog where --part area is given, which takes hours for ResNet-8;
what the cost model expects of it stands there in any case.

    python -m benchmarks.mlperf_tiny --models FOLDER [--only NAME] [--part PART]

What is not asked for stays in docs/results/mlperf_tiny.json as it was; the table beside it is
written anew.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.origin import ROOT, commit, machine
from vecq_hw import cost, devices
from vecq_hw.emit.project import Vectors
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray
from vecq_hw.interop import Imported, import_file
from vecq_hw.netlist import yosys
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.families import XCUP
from vecq_hw.schedule import Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import simulate_pace, with_fifo_depths
from vecq_hw.verify.compare import verify
from vecq_hw.verify.rtl import emit
from vecq_hw.verify.targets import choose

NETWORKS = {
    "mlperf_tiny_ad_autoencoder_int8": "anomaly detection, autoencoder",
    "mlperf_tiny_kws_dscnn_int8": "keyword spotting, DS-CNN",
    "mlperf_tiny_resnet8_int8": "image classification, ResNet-8",
}
VECTORS = {"hls": 50, "rtl": 2}
PARTS = (*VECTORS, "area")
DEVICE = "xczu3eg"
"""An UltraScale+ part; how large it is does not enter."""
OUT = ROOT / "docs/results/mlperf_tiny.json"


def given(models: Path, made: Imported, name: str, number: int) -> IntArray:
    """The first samples stored with a file, filled up with random codes."""
    (first,) = made.report.inputs
    with np.load(models / "expected" / f"{name}.npz") as arrays:
        stored = arrays["x"].astype(np.int64) - first.zero_point
    fmt = made.network.inputs[0].format
    more = np.random.default_rng(0).integers(fmt.lo, fmt.hi + 1, (number, *first.shape))
    return np.concatenate([stored.reshape(-1, *first.shape), more])[:number]


def compared(made: Imported, schedule: Schedule, target: str, codes: IntArray) -> dict[str, Any]:
    """What a target gave beside the simulator."""
    with tempfile.TemporaryDirectory() as folder:
        (row,) = verify(
            made.network,
            codes,
            targets=choose((target,)),
            folder=Path(folder),
            schedule=schedule,
            progress=click.echo,
        ).rows
    return {
        "status": row.status.value,
        "vectors": row.vectors,
        "integers": row.outputs,
        "mismatches": row.mismatches,
        "distinct": row.distinct_outputs,
        "message": row.message,
        "commit": commit(),
    }


def estimated(made: Imported, schedule: Schedule) -> dict[str, Any]:
    """What the cost model expects that yosys will make of it."""
    device = devices.device(DEVICE)
    found = cost.estimate(made.network, schedule, device.family, device)
    return {"family": device.family.name, **found.total.tree(), "commit": commit()}


def area(made: Imported, schedule: Schedule, codes: IntArray) -> dict[str, Any]:
    """What the SystemVerilog takes up on UltraScale+, memories and multipliers included."""
    vectors = Vectors(inputs=codes, outputs=simulate(made.network, codes))
    project = emit(made.network, schedule, vectors)
    (bench,) = (name for name in project.files if name.startswith("bench_"))
    top = bench.removeprefix("bench_").removesuffix(".py")
    files = {name: text for name, text in project.files.items() if name.startswith("rtl/")}
    found = yosys.synthesize(files, top, XCUP, progress=click.echo)
    return {
        "yosys": yosys.version(),
        "commit": commit(),
        "family": XCUP.name,
        **asdict(count(found.netlist, XCUP)),
        "cpu_seconds": found.seconds,
    }


def table(tree: dict[str, Any]) -> str:
    """The Markdown: a row for each network."""
    lines = [
        "# The networks of MLPerf Tiny as circuits",
        "",
        "These are the benchmark's published int8 files, imported by the rules of LiteRT's",
        "built-in kernels. A layer has at most so many",
        "[lanes](../reference/glossary.md#lane) as the table says. `benchmarks/mlperf_tiny.py`",
        "makes this page.",
        "",
        "Mismatches are integers that differ from the simulator's. The simulator equals LiteRT on",
        "every stored sample. The bench of the SystemVerilog asserts the latency and the ends of",
        "frames that the cycle model gives, so a run that passed had those cycles.",
        "",
        "LUTs, flip-flops, block RAMs and DSPs are those of UltraScale+. The first column has what",
        "the model of `vecq cost` expects, the second what yosys made where it ran.",
        "",
        "| network | lanes | HLS C++: vectors, integers, mismatches | SystemVerilog: vectors,"
        " integers, mismatches | latency, cycles | interval, cycles | LUTs, flip-flops, block RAMs"
        " (36 Kib), DSPs expected | the same by yosys |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, title in NETWORKS.items():
        row = tree["networks"].get(name, {})
        cells = [title, str(row.get("lanes", ""))]
        for part in VECTORS:
            one = row.get(part)
            cells.append(
                f"{one['vectors']}, {one['integers']:,}, {one['mismatches']} ({one['status']})"
                if one
                else "not run"
            )
        cells += [f"{row[key]:,}" if key in row else "" for key in ("latency", "interval")]
        kinds = {
            "estimate": ("luts", "ffs", "brams", "dsps"),
            "area": ("luts", "flip_flops", "block_rams", "dsps"),
        }
        for part, keys in kinds.items():
            spent = row.get(part)
            cells.append(", ".join(f"{spent[key]:,}" for key in keys) if spent else "not run")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--models", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--only", multiple=True, type=click.Choice([*NETWORKS]))
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS))
@click.option("--lanes", type=click.IntRange(1), default=8, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=OUT)
def main(
    models: Path, only: tuple[str, ...], parts: tuple[str, ...], lanes: int, out: Path
) -> None:
    """Measure; write what was found after every part; end with 1 where a part did not pass."""
    tree: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"networks": {}}
    tree |= {"command": "python -m benchmarks.mlperf_tiny --models models", "machine": machine()}
    failed = False
    for name in only or NETWORKS:
        made = import_file(models / f"{name}.tflite")
        schedule = with_fifo_depths(made.network, default_schedule(made.network, lanes))
        pace = simulate_pace(made.network, schedule, schedule.fifo_depths)
        row = tree["networks"].setdefault(name, {})
        if row.get("lanes") != lanes:
            row.clear()  # figures of two schedules do not stand in one row
        row |= {"lanes": lanes, "latency": pace.first_output, "interval": pace.interval}
        row["estimate"] = estimated(made, schedule)
        for part in parts or VECTORS:
            start = time.process_time()
            codes = given(models, made, name, VECTORS.get(part, 1))
            if part == "area":
                found = area(made, schedule, codes)
            else:
                found = compared(made, schedule, part, codes)
                failed |= found["status"] != "passed"
            row[part] = found
            click.echo(f"{name} {part}: {json.dumps(found)} {time.process_time() - start:.0f} s")
            write_atomically(out, f"{json.dumps(tree, indent=1)}\n".encode())
            write_atomically(out.with_suffix(".md"), table(tree).encode())
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
