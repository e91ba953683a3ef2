"""How many look-up tables does a multiply-accumulate take with the weights of each method?

The complete unit of ``benchmarks.rtl_area`` for the weights that each method trains: memories,
input buffer, array, accumulators, Rescale; 1,024 inputs, 64 outputs, 16 x 16 lanes, activations of
8 bits, UltraScale+, no DSP.  Methods whose weights make one circuit share a unit, which is
synthesized once: the memory of a unit holds integers, so that the levels of ESB, the powers of two
of INQ and the two scales of TTQ cost the bits of their largest integer.

    python -m benchmarks.rtl_area_methods [--missing] [--out docs/results/rtl_area_methods.json]

The record has the ``units`` that were synthesized, each with what it is made of and where the
figures come from, and ``rows``, one for each method and width:

    method, weight_bits   as of ``vecq train --method`` and ``--weight-bits``
    settings              as of ``--method-options``, empty where defaults make this unit
    unit                  the name of its unit
    luts_per_mac          LUTs for one multiply-accumulate in each cycle, as yosys counts them
    physical_luts_per_mac the same in LUT positions as silicon spends them
    cycles                that the 256 lanes need for 256 multiply-accumulates

``luts_per_mac`` is ``luts / 256 * cycles``: a base-serial unit takes a cycle for each base, and so
``luts / 256`` times the mean number of passes that ``vecq show`` tells is the figure of a network
whose groups have lost bases.  A code book's unit depends on how many words of how many weights a
layer has; ``settings`` says which.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.origin import origin
from benchmarks.rtl_area import INPUTS, LANES, MACS, top_area, unit_network
from benchmarks.synthesis import XCUP
from vecq_hw.files import write_atomically
from vecq_hw.formats import Grid, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import AnyWeights, BinaryBases, ProductWeights, Weights
from vecq_hw.netlist import yosys
from vecq_hw.schedule import FoldKind

OUTPUTS = 4 * LANES
BLOCK_BITS, COORDINATES = 8, range(1, 128)
"""Bits of a weight in a word of a book, and the coordinates of bases, as trained by default."""
Make = Callable[[np.random.Generator], AnyWeights]


def scalar(grid: Grid, codes: IntFormat | None = None) -> Make:
    """Weights of a grid, all of its codes or those of a narrower format."""
    fmt = grid.code_format if codes is None else codes
    return lambda rng: Weights(codes=rng.integers(fmt.lo, fmt.hi + 1, (OUTPUTS, INPUTS)), grid=grid)


def product(words: int, block: int, rng: np.random.Generator) -> AnyWeights:
    """Blocks that are words of a book."""
    grid = TwosComplement(BLOCK_BITS)
    fmt = grid.code_format
    return ProductWeights(
        indices=rng.integers(0, words, (OUTPUTS, INPUTS // block)),
        book=rng.integers(fmt.lo, fmt.hi + 1, (words, block)),
        grid=grid,
    )


def bases(group: int, most: int, rng: np.random.Generator) -> AnyWeights:
    """As many bases in each group of inputs."""
    shape = OUTPUTS, INPUTS // group, most
    return BinaryBases(
        bases=rng.integers(0, 2, (*shape, group)),
        coordinates=rng.integers(COORDINATES.start, COORDINATES.stop, shape),
    )


def _planes(bits: int) -> str:
    return f"two's complement, {bits} bits"


def _book(words: int, block: int) -> str:
    return f"code book, {words} words of {block} × {BLOCK_BITS} bits"


def _bases(count: int, group: int) -> str:
    return f"base-serial, {count} base{'s' * (count > 1)} per {group} inputs"


def _mid_rise(bits: int) -> str:
    return f"mid-rise, {bits} bit{'s' * (bits > 1)}"


TERNARY = "ternary"
BOOKS = ((16, 1), (16, 2), (64, 2), (16, 4), (256, 4), (128, 8), (256, 8))
UNITS: Mapping[str, Make] = {
    **{_mid_rise(bits): scalar(MidRise(bits)) for bits in (1, 2, 3, 4, 8)},
    TERNARY: scalar(TwosComplement(2), IntFormat(2, True, -1, 1)),
    **{_planes(bits): scalar(TwosComplement(bits)) for bits in range(2, 10)},
    **{_bases(count, 128): partial(bases, 128, count) for count in (1, 2)},
    _bases(1, 16): partial(bases, 16, 1),
    **{_book(words, block): partial(product, words, block) for words, block in BOOKS},
}
METHODS: Sequence[tuple[str, int, str, str]] = [
    *(
        (method, bits, "", _mid_rise(bits))
        for method in ("vecq", "dorefa", "mul2q", "sq")
        for bits in (1, 2, 3, 4, 8)
    ),
    ("bwn", 1, "", _mid_rise(1)),
    ("sq", 1, "base=bwn", _mid_rise(1)),
    ("elq", 1, "", _mid_rise(1)),
    ("twn", 2, "", TERNARY),
    ("sq", 2, "base=twn", TERNARY),
    ("elq", 2, "", TERNARY),
    ("ttq", 2, "", _planes(8)),
    ("inq", 2, "", TERNARY),
    *(("inq", bits, "", _planes((1 << (bits - 2)) + 1)) for bits in (3, 4, 5)),
    ("minmax", 2, "", TERNARY),
    *(("minmax", bits, "", _planes(bits)) for bits in (3, 4, 8)),
    *(
        (method, bits, "", _planes(bits))
        for method in ("tqt", "lsq", "srq", "dropbits")
        for bits in (2, 3, 4, 8)
    ),
    ("esb", 2, "", TERNARY),
    ("esb", 3, "", _planes(3)),
    *(("esb", bits, "", _planes(bits + 1)) for bits in (4, 5, 6)),
    *(("alq", count, "part=128", _bases(count, 128)) for count in (1, 2)),
    ("alq", 1, "part=16", _bases(1, 16)),
    *(
        ("pq", bits, f"block={block},words={words}", _book(words, block))
        for bits, words, block in (
            (1, 16, 4),
            (1, 128, 8),
            (1, 256, 8),
            (2, 16, 2),
            (2, 256, 4),
            (3, 64, 2),
            (4, 16, 1),
        )
    ),
]


def measured(name: str) -> dict[str, Any]:
    """What a unit is made of, for the record."""
    rng = np.random.default_rng(0)
    weights = UNITS[name](rng)
    match weights:
        case BinaryBases():
            kind, cycles = FoldKind.BASE_SERIAL, int(weights.counts.max())
        case ProductWeights():
            kind, cycles = FoldKind.CODE_BOOK, 1
        case Weights():
            kind, cycles = FoldKind.STREAMING, 1
    area = top_area(*unit_network(weights, kind, rng), XCUP)
    return {"unit": name, "family": XCUP, "cycles": cycles, **area.tree(), **origin()}


def rows(units: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each method and width whose unit was synthesized."""
    found = {unit["unit"]: unit for unit in units}
    for method, bits, settings, name in METHODS:
        if name in found:
            unit = found[name]
            yield {
                "method": method,
                "weight_bits": bits,
                "settings": settings,
                "unit": name,
                "luts_per_mac": round(unit["luts"] * unit["cycles"] / MACS, 2),
                "physical_luts_per_mac": round(unit["physical_luts"] * unit["cycles"] / MACS, 2),
                "cycles": unit["cycles"],
            }


@click.command(help=__doc__)
@click.option("--unit", "names", multiple=True, type=click.Choice([*UNITS]), default=[*UNITS])
@click.option("--missing", is_flag=True, help="Only the units that --out has not.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(names: Sequence[str], missing: bool, out: Path | None) -> None:
    """Synthesize, record each unit as soon as it is there, print."""
    head = {"yosys": yosys.version(), "macs": MACS, "inputs": INPUTS, "outputs": OUTPUTS}
    known = json.loads(out.read_text()) if out is not None and out.exists() else {}
    units = known["units"] if known.get("yosys") == head["yosys"] else []
    found: dict[str, dict[str, Any]] = {unit["unit"]: unit for unit in units}
    runs = [name for name in names if not (missing and name in found)]
    with Progress(transient=True) as progress:
        for name in progress.track(runs, description="yosys"):
            found[name] = measured(name)
            if out is not None:
                kept = [found[unit] for unit in UNITS if unit in found]
                tree = head | {"rows": list(rows(kept)), "units": kept}
                write_atomically(out, (json.dumps(tree, indent=2) + "\n").encode())
    shown = Table(title=f"Units of each method's weights, yosys {head['yosys']}")
    for column in ("method", "bits", "settings", "unit", "LUT/MAC", "physical/MAC", "cycles"):
        shown.add_column(column)
    for row in rows(found.values()):
        shown.add_row(*map(str, row.values()))
    Console(width=130).print(shown)


if __name__ == "__main__":
    main()
