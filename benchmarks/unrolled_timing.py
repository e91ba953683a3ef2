"""How long are the paths of a pipelined unrolled layer, beside da4ml's with as many registers?

The layer as a network has it: matrix and requantization to 8 bits by a power of two
(:mod:`benchmarks.unrolled_circuits`), ours with its streaming handshake.  Both sides by
``synth_xilinx`` of one yosys.  Levels are LUTs and CARRY4s on the longest path between registers
and ports; picoseconds are those of its cells on a 7 series part, wires apart: they compare, and are
no clock that silicon reaches.

    python -m benchmarks.unrolled_timing [--out docs/results/unrolled_timing.json]
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.origin import origin
from benchmarks.synthesis import XCUP, synthesize
from benchmarks.unrolled_circuits import U8, matrix_of, peer_logic, rescale_of
from vecq_hw import assets
from vecq_hw.accelerator.units import unrolled_depth
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.emit.unrolled.layer import unrolled_layer
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Dense, Weights
from vecq_hw.netlist import yosys

SIZE = 16
"""Inputs and outputs."""


def pipelined(logic: Any, name: str, most: int) -> tuple[dict[str, str], int]:
    """da4ml's pipeline of the most stages that are not more than ``most``, and their number.

    The top of its files is called ``name``.
    """
    from da4ml.codegen import RTLModel
    from da4ml.trace.pipeline import to_pipeline

    cutoff = 1
    while len((pipeline := to_pipeline(logic, cutoff, verbose=False)).solutions) > most:
        cutoff += 1
    with tempfile.TemporaryDirectory() as folder:
        RTLModel(pipeline, name, folder, print_latency=False).write()
        sources = [
            path
            for path in sorted(Path(folder).rglob("*.v"))
            if "wrapper" not in path.name and path.parent.name in ("src", "static")
        ]
        return {path.name: path.read_text() for path in sources}, len(pipeline.solutions)


def both(bits: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our layer as the emitter writes it, in as many cycles as da4ml's; and da4ml's."""
    matrix = matrix_of(SIZE, SIZE, bits)
    rescale = rescale_of(matrix, 1)
    weights = Weights(codes=(matrix - 1) // 2, grid=MidRise(bits))
    layer = Dense(name="matrix", input="x", weights=weights)
    logic = peer_logic(matrix, rescale)
    theirs, cycles = pipelined(logic, "matrix", unrolled_depth(layer, rescale))
    sums = IntFormat(U8.bits + bits + SIZE.bit_length(), signed=True)
    graph = circuit(layer, U8, rescale)
    text = unrolled_layer("matrix", layer, graph, sums, rescale, latency=cycles)
    adder = (assets.rtl() / "vecq_adder.sv").read_text()
    return side({"matrix.sv": text, "vecq_adder.sv": adder}, cycles), side(theirs, cycles)


def side(files: dict[str, str], cycles: int) -> dict[str, Any]:
    """Synthesized and counted."""
    found = synthesize(files, "matrix", {}, XCUP)
    return {
        "cycles": cycles,
        "levels": found.levels,
        "path_ps": found.path_ps,
        "luts": found.luts,
        "physical_luts": found.physical,
        "flip_flops": found.flip_flops,
    }


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
@click.option("--bits", multiple=True, type=click.IntRange(1, 4), default=(2, 4), show_default=True)
def main(out: Path | None, bits: tuple[int, ...]) -> None:
    """Synthesize both pipelines for each width of weights, print the table."""
    os.nice(5)
    table = Table(title=f"Pipelined {SIZE} x {SIZE} with rescale: ours, da4ml (ratio)")
    keys = ("cycles", "levels", "path_ps", "luts", "physical_luts", "flip_flops")
    for title in ("bits", *(key.replace("_", " ") for key in keys)):
        table.add_column(title, justify="right")
    cells: list[dict[str, Any]] = []
    for width in bits:
        mine, theirs = both(width)
        ratio = {key: round(mine[key] / theirs[key], 3) for key in keys}
        cells.append({"weight_bits": width, "ours": mine, "da4ml": theirs, "ratio": ratio})
        pairs = [f"{mine[key]}, {theirs[key]} ({ratio[key]})" for key in keys]
        table.add_row(str(width), *pairs)
        click.echo(f"{width} bits: {ratio}", err=True)
        if out is not None:
            tree = {
                **origin(),
                "yosys": f"pyosys {yosys.version()}",
                "size": SIZE,
                "cells": cells,
            }
            write_atomically(out, json.dumps(tree, indent=2).encode() + b"\n")
    Console().print(table)


if __name__ == "__main__":
    main()
