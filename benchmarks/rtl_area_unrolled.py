"""How many look-up tables does an unrolled constant matrix take, beside da4ml's RTL of the same?

Weights 2q + 1, q from a rounded Gaussian with VecQ's lambda, 8-bit unsigned inputs.  Both sides are
synthesized in this run by one yosys.  Two counts, never one without the other: LUT1 to LUT6 as
yosys counts them, and positions as silicon spends them (with inverters and carry positions without
a LUT in front).  Synthesis of the large ones takes minutes; ``--work`` keeps what is done.

    python -m benchmarks.rtl_area_unrolled [--out docs/results/rtl_area_unrolled.json]
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.synthesis import SYNTHESIS, XCUP, synthesize, yosys_version
from vecq_hw import assets
from vecq_hw.arithmetic import exact_matmul, product_bound
from vecq_hw.emit.unrolled import offset_form, solve
from vecq_hw.emit.unrolled.verilog import combinational
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.quantize.distributions import best_step
from vecq_hw.storage import write_atomically

SHAPES = ((16, 16), (32, 64), (64, 64))
"""Outputs and inputs."""
WIDTHS = (1, 2, 3, 4)
SOURCE = IntFormat(8, signed=False)
EFFORT = 600_000
"""Attempts of the search, times weights, times their bits."""
GOALS = {"geometric_mean": 0.9, "largest": 1.0}


def matrix_of(outputs: int, inputs: int, bits: int) -> IntArray:
    """Odd integers of ``bits``-bit codes, shape (outputs, inputs)."""
    fmt = MidRise(bits).code_format
    step = best_step(fmt.lo + 0.5, fmt.hi + 0.5)
    drawn = np.random.default_rng([outputs, inputs, bits]).standard_normal((outputs, inputs))
    codes = np.clip(np.floor(drawn / step), fmt.lo, fmt.hi).astype(np.int64)
    return MidRise(bits).values(codes)


def peer(matrix: IntArray, x: IntArray, expected: IntArray) -> dict[str, str]:
    """da4ml's combinational RTL of the matrix, by file name; ``matrix`` is its top."""
    from da4ml.codegen import RTLModel
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    zeros = np.zeros(matrix.shape[1], np.int64)
    wires = FixedVariableArrayInput(matrix.shape[1]).quantize(zeros, zeros + SOURCE.bits, zeros)
    logic = comb_trace(wires, wires @ matrix.T.astype(np.float64))
    assert np.array_equal(logic.predict(x.astype(np.float64)), expected)
    with tempfile.TemporaryDirectory() as folder:
        RTLModel(logic, "matrix", folder, print_latency=False).write()
        sources = [*Path(folder).rglob("matrix.v"), *Path(folder).rglob("static/*.v")]
        return {path.name: path.read_text() for path in sources}


def ours(matrix: IntArray, x: IntArray, expected: IntArray, attempts: int) -> tuple[str, int, int]:
    """Our combinational RTL, the overlap bits and the adders in a row."""
    graph = offset_form(solve(matrix, (SOURCE,) * matrix.shape[1], attempts=attempts))
    assert np.array_equal(graph(x), expected)
    return combinational(graph, "matrix"), graph.cost, max(graph.depths)


def area(files: Mapping[str, str], work: Path) -> dict[str, int]:
    """Synthesized, or remembered from an earlier run with the same texts and yosys."""
    parts = [yosys_version(), SYNTHESIS[XCUP], files]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    record = work / f"{key[:24]}.json"
    if not record.exists():
        found = synthesize(files, "matrix", {}, XCUP)
        tables = sum(count for name, count in found.cells.items() if name.startswith("LUT"))
        tree = {
            "luts": tables,
            "physical_luts": found.physical,
            "levels": found.levels,
            "path_ps": found.path_ps,
            "cpu_seconds": found.seconds,
        }
        write_atomically(record, json.dumps(tree).encode())
    result: dict[str, int] = json.loads(record.read_text())
    return result


def measure(outputs: int, inputs: int, bits: int, work: Path) -> dict[str, Any]:
    """One cell of the table."""
    matrix = matrix_of(outputs, inputs, bits)
    x = np.random.default_rng(0).integers(0, SOURCE.hi, (500, inputs), endpoint=True)
    x[:2] = [[0], [SOURCE.hi]]
    expected = exact_matmul(x, matrix, product_bound(matrix, SOURCE.hi))
    attempts = EFFORT // (matrix.size * bits)
    text, cost, depth = ours(matrix, x, expected, attempts)
    adder = (assets.rtl() / "vecq_adder.sv").read_text()
    sides = {
        "ours": area({"matrix.sv": text, "vecq_adder.sv": adder}, work),
        "da4ml": area(peer(matrix, x, expected), work),
    }
    ratios = {
        count: round(sides["ours"][count] / sides["da4ml"][count], 4)
        for count in ("luts", "physical_luts")
    }
    cell = {"inputs": inputs, "outputs": outputs, "weight_bits": bits}
    return {
        **cell,
        "attempts": attempts,
        "overlap_bits": cost,
        "adders_in_a_row": depth,
        **sides,
        "ratio": ratios,
    }


def geometric_mean(values: list[float]) -> float:
    """Of positive numbers."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The record, with the means of what was measured."""
    ratios = {
        count: [cell["ratio"][count] for cell in cells] for count in ("luts", "physical_luts")
    }
    return {
        "yosys": f"pyosys {yosys_version()}, synth_xilinx -family {XCUP} -noiopad -flatten -nodsp",
        "goals_for_luts": GOALS,
        "geometric_mean": {k: round(geometric_mean(v), 4) for k, v in ratios.items()},
        "largest": {k: max(v) for k, v in ratios.items()},
        "matrices": cells,
    }


def show(tree: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title="Unrolled constant matrix alone, LUTs (positions that silicon spends)")
    for title in ("inputs x outputs", "bits", "ours", "da4ml", "ratio"):
        table.add_column(title, justify="right")
    for cell in tree["matrices"]:
        sides = [f"{cell[s]['luts']} ({cell[s]['physical_luts']})" for s in ("ours", "da4ml")]
        ratio = f"{cell['ratio']['luts']:.3f} ({cell['ratio']['physical_luts']:.3f})"
        size = f"{cell['inputs']} x {cell['outputs']}"
        table.add_row(size, str(cell["weight_bits"]), *sides, ratio)
    mean, largest = tree["geometric_mean"], tree["largest"]
    table.add_row("geometric mean", "", "", "", f"{mean['luts']:.3f} ({mean['physical_luts']:.3f})")
    table.add_row("largest", "", "", "", f"{largest['luts']:.3f} ({largest['physical_luts']:.3f})")
    Console().print(table)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path(tempfile.gettempdir()) / "vecq_rtl_area_unrolled",
    show_default=True,
    help="Where finished parts are kept.",
)
def main(out: Path | None, work: Path) -> None:
    """Synthesize both sides of every matrix, print the table."""
    os.nice(5)
    work.mkdir(parents=True, exist_ok=True)
    cells: list[dict[str, Any]] = []
    for outputs, inputs in SHAPES:
        for bits in WIDTHS:
            start = time.monotonic()
            cells.append(measure(outputs, inputs, bits, work))
            ratio = cells[-1]["ratio"]
            took = time.monotonic() - start
            click.echo(f"{inputs} x {outputs}, {bits} bits: {ratio} ({took:.0f} s)", err=True)
            if out is not None:
                text = json.dumps(summary(cells), indent=2)
                write_atomically(out, text.encode() + b"\n")
    show(summary(cells))


if __name__ == "__main__":
    main()
