"""How large are the cells that are no arrays of multipliers, a lane of them?

Each cell alone, between ports, by the yosys of ``benchmarks.rtl_area``: LUTs as yosys counts them,
and LUT positions as silicon spends them.

    python -m benchmarks.rtl_area_cells [--cell lookup] [--out docs/results/rtl_area_cells.json]

Rows of what is not synthesized stay in the file if the same yosys made them; each says where it
comes from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.cell_alone import Cell
from benchmarks.origin import origin
from benchmarks.rtl_area_joins import products, rescales, sums
from benchmarks.rtl_area_layers import gather_cells, state_cells, weight_cells
from benchmarks.rtl_area_orders import order_cells
from benchmarks.synthesis import ECP5, XCUP
from vecq_hw.emit.systemverilog.parameters import lookup_lines, memory_text
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Lookup
from vecq_hw.netlist import yosys

S8 = IntFormat(8, signed=True)


def lookup(what: str, table: IntArray, source: IntFormat, lanes: int, channels: int) -> Cell:
    """A Lookup to 8 bits."""
    layer = Lookup(name="map", input="x", table=table, format=S8)
    lines = lookup_lines(layer, source, lanes)
    return Cell(
        what=what,
        module="vecq_lookup",
        parameters={
            "Channels": channels,
            "Lanes": lanes,
            "InputBits": source.bits,
            "OutputBits": 8,
            "OwnTables": f"1'b{int(len(table) > 1)}",
        },
        input_bits=lanes * source.bits,
        output_bits=lanes * 8,
        memories={"File": memory_text(lines, lines.shape[1], 8)},
        lanes=lanes,
    )


def curve(function: Callable[[float], float], source: IntFormat, tables: int = 1) -> IntArray:
    """The table of a function over -4..4, the largest value at 127; further ones are scaled."""
    x = np.arange(source.lo, source.hi + 1) * 4 / source.magnitude
    rows = [[function(v * (1 + row / 8)) for v in x.tolist()] for row in range(tables)]
    values = np.array(rows)
    return np.rint(values * 127 / np.abs(values).max()).astype(np.int64)


def gelu(v: float) -> float:
    """The GELU by the error function."""
    return v * (1 + math.erf(v / math.sqrt(2))) / 2


def sigmoid(v: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-v))


def topk(count: int) -> Cell:
    """A TopK that reads ten scores of 16 bits, one in each cycle."""
    return Cell(
        what=f"TopK, {count} of 10 classes, 16 bits",
        module="vecq_topk",
        parameters={"Channels": 10, "Count": count, "ElementBits": 16, "Signed": "1'b1"},
        input_bits=16,
        output_bits=4,
    )


def argmax() -> Cell:
    """An ArgMax that reads ten scores of 16 bits, one in each cycle."""
    return Cell(
        what="ArgMax, 10 classes, 16 bits",
        module="vecq_argmax",
        parameters={"Elements": 10, "Lanes": 1, "ElementBits": 16, "Signed": "1'b1"},
        input_bits=16,
        output_bits=4,
    )


def windows(what: str, image: tuple[int, int], **parameters: int) -> Cell:
    """The words of 3 × 3 windows of an image of words of 32 bits."""
    height, width = image
    kernel = {"KernelRows": 3, "KernelColumns": 3}
    return Cell(
        what=f"Windows, 3 × 3 of {height} × {width}, {what}",
        module="vecq_sliding_window",
        parameters={"Height": height, "Width": width, "WordBits": 32, **kernel, **parameters},
        input_bits=32,
        output_bits=32,
    )


def padded(top: int, left: int, bottom: int, right: int) -> dict[str, int]:
    """The parameters of a window cell that pads each side by so many pixels."""
    return {
        "PaddingTop": top, "PaddingLeft": left, "PaddingBottom": bottom, "PaddingRight": right,
    }  # fmt: skip


S10 = IntFormat(10, signed=True)
CELLS: Mapping[str, Callable[[], Sequence[Cell]]] = {
    "multiply": products,
    "add": sums,
    "rescale": rescales,
    "lookup": lambda: [
        lookup("Lookup, sigmoid, 8 to 8 bits", curve(sigmoid, S8), S8, 1, 1),
        lookup("Lookup, GELU, 8 to 8 bits", curve(gelu, S8), S8, 1, 1),
        lookup("Lookup, GELU, 8 to 8 bits, 4 lanes", curve(gelu, S8), S8, 4, 4),
        lookup("Lookup, GELU, 10 to 8 bits, 4 lanes", curve(gelu, S10), S10, 4, 4),
        lookup("Lookup, 8 own GELUs, 8 to 8 bits, 2 lanes", curve(gelu, S8, 8), S8, 2, 8),
    ],
    "windows": lambda: [
        windows("no padding", (32, 32)),
        windows("1 around", (32, 32), **padded(1, 1, 1, 1)),
        windows(
            "stride 2, 1 around", (32, 32), StrideRows=2, StrideColumns=2, **padded(1, 1, 1, 1)
        ),
        windows(
            "stride 2, 1 below and beside",
            (32, 32),
            StrideRows=2,
            StrideColumns=2,
            **padded(0, 0, 1, 1),
        ),
    ],
    "topk": lambda: [topk(1), topk(3), topk(5), argmax()],
    "gather": gather_cells,
    "weights": weight_cells,
    "states": state_cells,
    "orders": order_cells,
}


@click.command(help=__doc__)
@click.option("--cell", "names", multiple=True, type=click.Choice([*CELLS]), default=[*CELLS])
@click.option("--missing", is_flag=True, help="Only what --out has no row of.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(names: Sequence[str], missing: bool, out: Path | None) -> None:
    """Synthesize, print, record each row as soon as it is there."""
    runs = [(name, cell, fam) for name in names for fam in (XCUP, ECP5) for cell in CELLS[name]()]
    known = json.loads(out.read_text()) if out is not None and out.exists() else {"rows": []}
    same = known.get("yosys") == yosys.version()
    found = {_key(row): row for row in known["rows"] if same}
    if missing:
        runs = [run for run in runs if (run[0], run[1].what, run[2]) not in found]
    shown = Table(title=f"Cells alone, yosys {yosys.version()}")
    for column in ("cell", "family", "LUT/lane", "LUT", "physical", "FF", "BRAM"):
        shown.add_column(column, justify="left" if column in ("cell", "family") else "right")
    with Progress(transient=True) as progress:
        for name, cell, family in progress.track(runs, description="yosys"):
            area = cell.area(family)
            luts = area.luts + 2 * area.carries
            row = {"cell": name, "what": cell.what, "family": family, "lanes": cell.lanes}
            row |= {"luts_per_lane": round(luts / cell.lanes, 2), **area.tree(), **origin()}
            found[_key(row)] = row
            numbers = luts, area.physical, area.flip_flops, area.block_rams
            shown.add_row(cell.what, family, f"{luts / cell.lanes:.1f}", *map(str, numbers))
            if out is not None:
                tree = {"yosys": yosys.version(), "rows": list(found.values())}
                write_atomically(out, (json.dumps(tree, indent=2) + "\n").encode())
    Console(width=110).print(shown)


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["cell"], row["what"], row["family"]


if __name__ == "__main__":
    main()
