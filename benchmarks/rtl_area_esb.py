"""How many look-up tables do ESB's weights take, by bit planes and as the floats that they are?

256 multiply-accumulates (PE 16 x SIMD 16) as in ``benchmarks.rtl_area``, by the same yosys, without
DSPs.  *Planes* is the array that every network here gets: the levels' integers in two's complement.
*Significands* is the structure that ESB's authors describe: a product of significands, a sum of
exponents, a shift, a sign, and a tree of adders (``significand_array.sv``, to be measured and not
used); its netlist is run on random and extreme vectors and must give the sums.  A unit is
complete, with memories, Rescale and, for activations on levels, the table behind it; that of
significands (``significand_unit.py``) runs under Verilator in a nightly test.  The published 10.95
GOPS per 1,000 LUTs are of a complete unit, too, at a clock that is not known to us.

    python -m benchmarks.rtl_area_esb [--missing] [--out docs/results/rtl_area_esb.json]

Rows of what is not synthesized stay in the file if the same yosys made them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.netlist import clocked, packed
from benchmarks.origin import origin
from benchmarks.rtl_area import (
    CLOCK_MHZ,
    ESB_GOPS_PER_1000_LUTS,
    LANES,
    MACS,
    accumulator_bits,
    array_alone,
    complete_unit,
    project_area,
)
from benchmarks.significand_unit import BYTES, Activations, significand_unit
from benchmarks.synthesis import XCUP, Area, synthesize
from vecq_hw.files import write_atomically
from vecq_hw.formats import Grid, IntFormat, MidRise, MiniFloat
from vecq_hw.netlist import yosys
from vecq_hw.netlist.model import Netlist

SAMPLES = 100
PLANES, SIGNIFICANDS = "array, planes", "array, significands"
UNIT, SIGNIFICAND_UNIT = "unit, planes", "unit, significands"
_MODULES = [Path(__file__).with_name(f"significand_{name}.sv") for name in ("array", "rows")]


FOUR_BITS = Activations("ESB, 4 bits", IntFormat(5, False, 0, 28), MiniFloat(5, 2))
VECQ_4, ESB_4, ESB_5 = MidRise(4), MiniFloat(4, 1), MiniFloat(5, 2)
RUNS: list[tuple[str, Grid, Activations]] = [
    *((PLANES, grid, BYTES) for grid in (VECQ_4, ESB_4, ESB_5)),
    (PLANES, ESB_4, FOUR_BITS),
    *((SIGNIFICANDS, grid, BYTES) for grid in (ESB_4, ESB_5)),
    (SIGNIFICANDS, ESB_4, FOUR_BITS),
    *((UNIT, grid, BYTES) for grid in (VECQ_4, ESB_4, ESB_5)),
    (UNIT, ESB_4, FOUR_BITS),
    *((SIGNIFICAND_UNIT, grid, BYTES) for grid in (ESB_4, ESB_5)),
    (SIGNIFICAND_UNIT, ESB_4, FOUR_BITS),
]


def significands(grid: MiniFloat, activations: Activations, lanes: int = LANES) -> Area:
    """The array of floats between registers; as many outputs as lanes."""
    values = {
        "Pe": lanes,
        "Simd": lanes,
        "WeightBits": grid.bits,
        "Fraction": grid.fraction,
        "ActivationBits": activations.code.bits,
        "Floats": int(activations.grid is not None),
        "ActivationFraction": 0 if activations.grid is None else activations.grid.fraction,
        "AccumulatorBits": accumulator_bits(grid, activations.format),
    }
    files = {module.name: module.read_text() for module in _MODULES}
    return synthesize(files, "significand_array", values, XCUP)


def check(grid: MiniFloat, activations: Activations, netlist: Netlist, lanes: int = LANES) -> None:
    """Sums of one, two and three steps equal to the integers, for each sample's own weights."""
    rng = np.random.default_rng(grid.bits)
    codes = rng.integers(0, 1 << grid.bits, (SAMPLES, lanes, lanes))
    inputs = rng.integers(0, activations.code.hi + 1, (SAMPLES, lanes))
    largest = (1 << (grid.bits - 1)) - 1
    codes[0], codes[1], codes[2] = largest, 2 * largest + 1, largest + 1  # and -0
    inputs[:3] = activations.code.hi
    once = np.einsum("nol,nl->no", grid.values(codes).astype(np.int64), activations.values(inputs))
    weights = codes.transpose(0, 2, 1).reshape(SAMPLES, -1)  # lane 0 of all outputs first
    widths = [activations.code.bits] * lanes + [grid.bits] * lanes**2
    words = packed(np.concatenate([inputs, weights], axis=1), widths)
    # Inputs stand still until the pipeline is full of them; then two steps more are accumulated.
    settled = 5 + lanes.bit_length()
    steps = [1] * settled + [0, 0, 1, 1]
    outputs = list(clocked(netlist, [[word << 1 | bit for word in words] for bit in steps]))
    for times in (1, 2, 3):
        wanted = packed(times * once, [accumulator_bits(grid, activations.format)] * lanes)
        if outputs[settled + times] != wanted:
            raise RuntimeError(f"{grid}: the netlist does not compute the sums")


def _unit(grid: Grid, activations: Activations) -> Area:
    return complete_unit(
        grid, 4 * LANES, XCUP, activations=activations.format, levels=activations.levels
    )


def _significands(grid: Grid, activations: Activations) -> Area:
    assert isinstance(grid, MiniFloat)
    area = significands(grid, activations)
    check(grid, activations, area.netlist)
    return area


def _significand_unit(grid: Grid, activations: Activations) -> Area:
    assert isinstance(grid, MiniFloat)
    return project_area(significand_unit(grid, activations, 4 * LANES).files, XCUP)


PARTS: Mapping[str, Callable[[Grid, Activations], Area]] = {
    PLANES: lambda grid, activations: array_alone(
        "vecq_pair_row_array", grid, XCUP, activations.format
    ),
    SIGNIFICANDS: _significands,
    UNIT: _unit,
    SIGNIFICAND_UNIT: _significand_unit,
}


@click.command(help=__doc__)
@click.option("--part", "parts", multiple=True, type=click.Choice([*PARTS]), default=[*PARTS])
@click.option("--missing", is_flag=True, help="Only what --out has no row of.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(parts: tuple[str, ...], missing: bool, out: Path | None) -> None:
    """Synthesize, check, record each row as soon as it is there, print."""
    head = {"yosys": yosys.version(), "macs": MACS, "clock_mhz_assumed": CLOCK_MHZ}
    known = json.loads(out.read_text()) if out is not None and out.exists() else {"rows": []}
    same = known.get("yosys") == head["yosys"]
    found = {_key(row): row for row in known["rows"] if same}
    runs = [run for run in RUNS if run[0] in parts and not (missing and _named(*run) in found)]
    with Progress(transient=True) as progress:
        for run in progress.track(runs, description="yosys"):
            row = _row(*run)
            found[_key(row)] = row
            if out is not None:
                kept = [found[_named(*each)] for each in RUNS if _named(*each) in found]
                write_atomically(out, (json.dumps(head | {"rows": kept}, indent=2) + "\n").encode())
    shown = Table(title=f"256 MACs, yosys {yosys.version()}, {CLOCK_MHZ} MHz assumed")
    columns = ("part", "weights", "activations", "LUT/MAC", "physical/MAC", "GOPS/1000 LUT")
    for column in (*columns, "GOPS/1000 physical", "published"):
        shown.add_column(column, justify="left" if column in columns[:3] else "right")
    for run in runs:
        values = [str(value) for name, value in found[_named(*run)].items() if name != "family"]
        shown.add_row(*values[: len(shown.columns)])
    Console(width=130).print(shown)


def _row(part: str, grid: Grid, activations: Activations) -> dict[str, Any]:
    """Synthesized and, where it is an array of significands, checked."""
    area, gops = PARTS[part](grid, activations), 2 * MACS * CLOCK_MHZ / 1000
    row = {
        "part": part,
        "family": XCUP,
        "weights": repr(grid),
        "activations": activations.name,
        "luts_per_mac": round(area.luts / MACS, 2),
        "physical_luts_per_mac": round(area.physical / MACS, 2),
        "gops_per_1000_luts_at_assumed_clock": round(1000 * gops / area.luts, 1),
        "gops_per_1000_physical_luts": round(1000 * gops / area.physical, 1),
        "esb_gops_per_1000_luts": ESB_GOPS_PER_1000_LUTS,
        "netlist_checked_on": SAMPLES if part == SIGNIFICANDS else 0,
    }
    return row | area.tree() | origin()


def _named(part: str, grid: Grid, activations: Activations) -> tuple[str, str, str]:
    return part, repr(grid), activations.name


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["part"], row["weights"], row["activations"]


if __name__ == "__main__":
    main()
