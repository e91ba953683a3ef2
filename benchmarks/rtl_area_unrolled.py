"""How many look-up tables does an unrolled layer take, beside da4ml's RTL of the same?

Weights 2q + 1, q from a rounded Gaussian with VecQ's lambda, 8-bit unsigned inputs; the matrix
alone, then with a requantization to 8 bits by a power of two, then by 16-bit mantissas
(:mod:`benchmarks.unrolled_circuits` says what each side computes).  Both sides are synthesized in
this run by one yosys with the same passes (``synthesis.XCUP_AREA``), and each netlist must give the
exact integers on the vectors.  Two counts, never one without the other: LUT1 to LUT6 as yosys
counts them, and positions as silicon spends them (with inverters and carry positions without a LUT
in front).

The requantization is synthesized apart from the matrix, and the two are added.  Where a matrix is
16x16, the whole is synthesized as well, and so is the matrix with plain ``synth_xilinx``.

    python -m benchmarks.rtl_area_unrolled [--out docs/results/rtl_area_unrolled.json]

Synthesis of the large ones takes minutes; ``--work`` keeps what is done.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.netlist import evaluate
from benchmarks.origin import origin
from benchmarks.synthesis import SYNTHESIS, XCUP, XCUP_AREA, synthesize
from benchmarks.unrolled_circuits import (
    U8,
    Circuit,
    matrix_of,
    our_rescale,
    ours,
    peer,
    peer_rescale,
    rescale_of,
    vectors,
)
from vecq_hw.accelerator import unrolled
from vecq_hw.accelerator.unrolled import AdderGraph, offset_form
from vecq_hw.accelerator.unrolled.adder_graph import Adder, Output
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.files import write_atomically
from vecq_hw.formats import MidRise
from vecq_hw.layers import Dense, Weights
from vecq_hw.netlist import yosys

SHAPES = ((16, 16), (32, 64), (64, 64))
"""Outputs and inputs."""
WIDTHS = (1, 2, 3, 4)
EFFORT = 300_000
"""Attempts of the search, times weights, times their bits."""
WHOLE = 16
"""Up to so many outputs the layer is synthesized in one piece, too."""
RESCALES = {"power_of_two": 1, "mantissas_of_16_bits": 16}
COUNTS = ("luts", "physical_luts")
GOALS = {"geometric_mean": 0.9, "largest": 1.0}

Tree = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A folder of finished parts, by a digest of what they were made of."""

    folder: Path

    def remembered(self, parts: object, make: Callable[[], Any]) -> Any:
        """``make()``, or what it gave for equal parts before; both of JSON."""
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        record = self.folder / f"{key[:24]}.json"
        if not record.exists():
            write_atomically(record, json.dumps(make()).encode())
        return json.loads(record.read_text())

    def area(self, circuit: Circuit, passes: str = XCUP_AREA) -> Tree:
        """Counts and timing of the circuit, whose netlist must compute what it should."""

        def make() -> Tree:
            found = synthesize(circuit.files, "matrix", {}, passes)
            if evaluate(found.netlist, circuit.words) != circuit.expected:
                raise RuntimeError("a netlist differs from the integers that it should compute")
            tables = sum(count for name, count in found.cells.items() if name.startswith("LUT"))
            return {
                "luts": tables,
                "physical_luts": found.physical,
                "levels": found.levels,
                "path_ps": found.path_ps,
            }

        tree: Tree = self.remembered([yosys.version(), SYNTHESIS[passes], circuit.files], make)
        return tree

    def graph(self, outputs: int, inputs: int, bits: int, attempts: int) -> AdderGraph:
        """The graph of the matrix, as flat as an emitted layer's."""
        package = Path(unrolled.__file__).parent
        texts = [path.read_text() for path in sorted(package.glob("*.py"))]
        matrix = matrix_of(outputs, inputs, bits)
        weights = Weights(codes=(matrix - 1) // 2, grid=MidRise(bits))
        layer = Dense(name="matrix", input="x", weights=weights)

        def make() -> Any:
            graph = circuit(layer, U8, attempts=attempts)
            return [
                [[a.left, a.right, a.left_shift, a.right_shift, a.subtract] for a in graph.adders],
                [[o.node, o.shift, o.negative] for o in graph.outputs],
            ]

        adders, ends = self.remembered([texts, matrix.tolist(), attempts], make)
        formats = (U8,) * inputs
        return AdderGraph(
            formats, tuple(Adder(*row) for row in adders), tuple(Output(*row) for row in ends)
        )


def compared(mine: Tree, theirs: Tree) -> Tree:
    """Both sides and the ratios."""
    ratio = {count: round(mine[count] / theirs[count], 4) for count in COUNTS}
    return {"ours": mine, "da4ml": theirs, "ratio": ratio}


def matrix_alone(cell: Tree, work: Work) -> Tree:
    """The sums."""
    outputs, inputs, bits = cell["outputs"], cell["inputs"], cell["weight_bits"]
    matrix = matrix_of(outputs, inputs, bits)
    x = vectors(matrix)
    graph = work.graph(outputs, inputs, bits, cell["attempts"])
    sides = ours(graph, x, None), peer(matrix, x, None)
    form = offset_form(graph)
    tree = compared(work.area(sides[0]), work.area(sides[1]))
    tree |= {"overlap_bits": form.cost, "adders_in_a_row": max(form.depths)}
    if outputs <= WHOLE:
        tree["synth_xilinx"] = compared(work.area(sides[0], XCUP), work.area(sides[1], XCUP))
    return tree


def with_rescale(cell: Tree, mantissa_bits: int, work: Work) -> Tree:
    """The sums and their requantization, added; and the whole where it is small."""
    outputs, inputs, bits = cell["outputs"], cell["inputs"], cell["weight_bits"]
    matrix = matrix_of(outputs, inputs, bits)
    x = vectors(matrix)
    graph = work.graph(outputs, inputs, bits, cell["attempts"])
    rescale = rescale_of(matrix, mantissa_bits)
    mine = work.area(our_rescale(graph, x, rescale))
    theirs = work.area(peer_rescale(matrix, x, rescale))
    alone = cell["matrix"]
    sums = [
        {count: part[count] + alone[side][count] for count in COUNTS}
        for side, part in (("ours", mine), ("da4ml", theirs))
    ]
    tree = {**compared(*sums), "rescale_alone": compared(mine, theirs), "shift": rescale.shift}
    if outputs <= WHOLE:
        whole = work.area(ours(graph, x, rescale)), work.area(peer(matrix, x, rescale))
        tree["in_one_piece"] = compared(*whole)
    return tree


def geometric_mean(values: list[float]) -> float:
    """The geometric mean of positive numbers."""
    return math.exp(sum(map(math.log, values)) / len(values))


def summary(cells: list[Tree]) -> Tree:
    """The record, with the means of what was measured."""
    tree: Tree = {
        **origin(),
        "yosys": f"pyosys {yosys.version()}",
        "passes": [*SYNTHESIS[XCUP_AREA]],
        "goals_for_luts": GOALS,
    }
    for part in ("matrix", *RESCALES):
        ratios = [cell[part]["ratio"] for cell in cells if part in cell]
        if ratios:
            tree[part] = {
                "measured": len(ratios),
                "geometric_mean": {
                    count: round(geometric_mean([ratio[count] for ratio in ratios]), 4)
                    for count in COUNTS
                },
                "largest": {count: max(ratio[count] for ratio in ratios) for count in COUNTS},
            }
    return {**tree, "cells": cells}


def show(tree: Tree) -> None:
    """Print a table for the matrix alone and for each rescale."""
    for part in ("matrix", *RESCALES):
        if part not in tree:
            continue
        title = "alone" if part == "matrix" else f"with rescale, {part.replace('_', ' ')}"
        table = Table(title=f"Unrolled matrix {title}: LUTs (positions that silicon spends)")
        for column in ("inputs x outputs", "bits", "ours", "da4ml", "ratio"):
            table.add_column(column, justify="right")
        for cell in tree["cells"]:
            if part in cell:
                size = f"{cell['inputs']} x {cell['outputs']}"
                found = [_pair(cell[part][key]) for key in ("ours", "da4ml", "ratio")]
                table.add_row(size, str(cell["weight_bits"]), *found)
        for key in GOALS:
            table.add_row(key.replace("_", " "), "", "", "", _pair(tree[part][key]))
        Console().print(table)


def _pair(counts: Tree) -> str:
    return "{} ({})".format(*(counts[count] for count in COUNTS))


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
    """Synthesize both sides of every matrix, print the tables."""
    os.nice(5)
    work.mkdir(parents=True, exist_ok=True)
    kept = Work(work)
    cells: list[Tree] = [
        {
            "inputs": inputs,
            "outputs": outputs,
            "weight_bits": bits,
            "attempts": EFFORT // (inputs * outputs * bits),
        }
        for outputs, inputs in SHAPES
        for bits in WIDTHS
    ]
    for part in ("matrix", *RESCALES):
        for cell in cells:
            start = time.monotonic()
            if part == "matrix":
                cell[part] = matrix_alone(cell, kept)
            else:
                cell[part] = with_rescale(cell, RESCALES[part], kept)
            size = f"{cell['inputs']} x {cell['outputs']}, {cell['weight_bits']} bits"
            took = time.monotonic() - start
            click.echo(f"{part}, {size}: {_pair(cell[part]['ratio'])} ({took:.0f} s)", err=True)
            if out is not None:
                text = json.dumps(summary(cells), indent=2)
                write_atomically(out, text.encode() + b"\n")
    show(summary(cells))


if __name__ == "__main__":
    main()
