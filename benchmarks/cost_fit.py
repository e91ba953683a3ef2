"""The constants of the cost model, fitted to a part of the recorded sweep, and its errors.

    python -m benchmarks.cost_fit [--cells]

Writes ``vecq_hw/cost/constants.json``.  Errors are those on configurations that the fit has not
seen, each as a whole, and on whole networks flattened.  Of kinds of cells with few samples the
weights stay near those of all cells; on families with fewer networks than ECP5, near those that
the kind has there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.optimize import lsq_linear

from benchmarks.cost_networks import FIT, Configuration, configurations
from benchmarks.cost_sweep import FABRICS as FABRICS_OF
from benchmarks.cost_sweep import RECORD, identity
from vecq_hw.accelerator.plan import plan
from vecq_hw.cost import constants
from vecq_hw.cost.constants import Resources, features, weighted
from vecq_hw.cost.fabric import FABRICS, Raw, raw
from vecq_hw.cost.forms import Context, ends, structure
from vecq_hw.cost.structure import Structure
from vecq_hw.files import write_atomically
from vecq_hw.schedule import Fabric

CONSTANTS = Path(constants.__file__).with_name(constants.FILE)
PRIOR = {
    "tables": (1.0, 1.2, 3.0),
    "carries": (1.0, 0.3, 0.0),
    "ffs": (1.0, 1.0, 2.0),
}
"""Towards which the weights of all cells are drawn, and these draw those of a kind."""
STRENGTH = (0.1, 0.3, 0.3)
"""How strongly, against samples whose errors are counted as shares."""
BASE = "ecp5"
"""The family with most networks, towards whose kinds those of the others are drawn."""
FEWER = 3
"""How many times as strongly."""


SMALLEST = 20
"""Tables of a cell whose error is told by itself."""
FLATTENED = ", flattened"


KEPT = 0.75
"""Registers of a cell, as a share of its form's, below which it is not fitted."""
SHIFTED = 3
"""Registers in a row from which on synthesis makes a shift register of them."""
TOLERATED = 0.1
"""Errors as shares beyond which a sample loses weight."""
Array = npt.NDArray[np.float64]


class Sample(NamedTuple):
    """A cell; what yosys made of it, and the registers that are left, in flip-flops or not."""

    configuration: str
    part: str
    kind: str
    parts: Raw
    measured: Resources
    registers: float


def measured(counts: Mapping[str, float]) -> Resources:
    """The size that yosys gave."""
    luts = counts["luts"] + counts["shift_registers"] + counts["carry_positions"]
    return Resources(
        luts, counts["carries"], counts["flip_flops"], counts["block_rams"], counts["dsps"]
    )


def cells_of(configuration: Configuration, row: Mapping[str, Any], family: str) -> list[Raw] | None:
    """The parts of all cells and of the ends; None if another network is drawn now."""
    found = _cells(configuration.name, tuple(row["depths"].items()), family)
    return found[1] if found[0] == row["of"] else None


@cache
def _cells(name: str, depths: tuple[tuple[str, int], ...], family: str) -> tuple[str, list[Raw]]:
    """The identity of a configuration, and the parts of its cells."""
    found, made, dsp = _structures(name, depths, FABRICS_OF[family])
    return found, [raw(part, FABRICS[family], dsp=dsp) for part in made]


@cache
def _structures(
    name: str, depths: tuple[tuple[str, int], ...], circuits: Fabric
) -> tuple[str, list[Structure], bool]:
    """The same before a family is chosen, and whether there are DSPs."""
    network, schedule = _named()[name].on(circuits)
    planned = plan(network, schedule)
    context = Context(plan=planned, depths=dict(depths), fabric=circuits)
    made = [*(structure(cell, context) for cell in planned.cells), ends(context, None)]
    return identity(network, schedule), made, schedule.dsp


@cache
def _named() -> Mapping[str, Configuration]:
    return {configuration.name: configuration for configuration in configurations()}


def samples(rows: Mapping[str, Any], family: str) -> Iterator[Sample]:
    """The cells of all recorded configurations that were kept apart."""
    for configuration in configurations():
        row = rows.get(configuration.name)
        if row is None or "whole" in row:
            continue
        cells = cells_of(configuration, row, family)
        for parts, counts in zip(cells or (), [*row["cells"], row["ends"]], strict=bool(cells)):
            registers = counts["flip_flops"] + SHIFTED * counts["shift_registers"]
            found = measured(counts)
            yield Sample(configuration.name, row["part"], parts.kind, parts, found, registers)


def fit(
    found: Sequence[Sample],
    family: str,
    towards: Mapping[str, Sequence[float]],
    strength: float = 1,
) -> dict[str, list[float]]:
    """Weights, not negative, by least squares of errors as shares."""
    if not found:
        return {what: [*weights] for what, weights in towards.items()}
    result: dict[str, list[float]] = {}
    for what in ("tables", "carries", "ffs"):
        rows = np.array([features(sample.parts)[what] for sample in found], float)
        match what:
            case "tables":
                carries = FABRICS[family].carry_positions
                wanted = np.array(
                    [
                        s.measured.luts - s.parts.memory_tables - carries * s.measured.carries
                        for s in found
                    ]
                )
            case "carries":
                wanted = np.array([s.measured.carries for s in found])
            case _:
                wanted = np.array([s.measured.ffs for s in found])
        result[what] = _solved(rows, wanted, np.array(towards[what]), strength)
    return result


def _solved(rows: Array, wanted: Array, towards: Array, strength: float) -> list[float]:
    """Weights of one sum; samples far off count less, such as constants that logic swallows."""
    found = towards
    for _ in range(8):
        off = (rows @ found - wanted) / (wanted + 20)
        trust = 1 / np.sqrt(1 + (off / TOLERATED) ** 2)
        share = trust * (wanted + 20) ** -0.75
        reach = np.abs(rows * share[:, np.newaxis]).max(axis=0)
        pull = strength * np.array(STRENGTH) * np.maximum(reach, 0.05)
        design = np.vstack([rows * share[:, np.newaxis], np.diag(pull)])
        target = np.concatenate([wanted * share, pull * towards])
        bounds = (np.array([0, 0, -np.inf]), np.inf)
        found = lsq_linear(design, target, bounds, method="bvls").x
    return [round(float(weight), 4) for weight in found]


def swallowed(sample: Sample) -> bool:
    """Whether constants made registers needless, so that it says little of its structure.

    Those beside a product may lie in its DSP block.
    """
    return not sample.parts.dsps and sample.registers < KEPT * sample.parts.registers


def error(guess: float, truth: float) -> float:
    """In percent, signed."""
    return 100 * (guess - truth) / max(truth, 1)


def summary(errors: Iterable[float]) -> dict[str, float] | None:
    """Median and worst of the magnitudes; None of none."""
    sizes = np.abs([*errors])
    if not sizes.size:
        return None
    return {"median": round(float(np.median(sizes)), 1), "worst": round(float(sizes.max()), 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The constants of a family, and how far they are from its record.

    Attributes
    ----------
    weights : mapping
        Of all cells, and of each kind.
    rows : sequence
        Name, whether it was fitted, and the sizes guessed and measured.
    by_kind : mapping
        The errors of the LUTs of each cell, in percent.
    """

    weights: Mapping[str, Any]
    rows: Sequence[tuple[str, bool, Resources, Resources]]
    by_kind: Mapping[str, Sequence[float]]

    @property
    def errors(self) -> dict[str, Any]:
        """The errors on configurations that were not fitted."""
        held = [row for row in self.rows if not row[1]]
        whole = [row for row in held if row[0].endswith(FLATTENED)]
        return {
            "configurations": len(held),
            "luts": summary(error(guess.luts, truth.luts) for _, _, guess, truth in held),
            "ffs": summary(error(guess.ffs, truth.ffs) for _, _, guess, truth in held),
            "networks": summary(error(guess.luts, truth.luts) for _, _, guess, truth in whole),
            "wrong_brams": sum(g.brams != t.brams for _, _, g, t in self.rows),
            "wrong_dsps": sum(g.dsps != t.dsps for _, _, g, t in self.rows),
        }


def fitted(rows: Mapping[str, Any], family: str, base: Mapping[str, Any] | None = None) -> Fitted:
    """Fit a family to its record.

    Parameters
    ----------
    base : mapping, optional
        The weights of :data:`BASE`, for another family.
    """
    found = list(samples(rows, family))
    taken = [sample for sample in found if sample.part == FIT and not swallowed(sample)]
    prior: Mapping[str, Any] = {"all": PRIOR, "kinds": {}} if base is None else base
    strength = 1 if base is None else FEWER
    everything = fit(taken, family, prior["all"])
    kinds = {
        kind: fit(
            [s for s in taken if s.kind == kind],
            family,
            prior["kinds"].get(kind, everything),
            strength,
        )
        for kind in sorted({*(sample.kind for sample in taken), *prior["kinds"]})
    }
    by_kind: dict[str, list[float]] = defaultdict(list)
    guesses: dict[str, Resources] = defaultdict(Resources)
    truths: dict[str, Resources] = defaultdict(Resources)
    for sample in found:
        guess = weighted(sample.parts, kinds.get(sample.kind, everything), family)
        guesses[sample.configuration] += guess
        truths[sample.configuration] += sample.measured
        if sample.measured.luts >= SMALLEST:
            by_kind[sample.kind].append(error(guess.luts, sample.measured.luts))
    result = [(n, rows[n]["part"] == FIT, guess, truths[n]) for n, guess in guesses.items()]
    for configuration in configurations():
        row = rows.get(configuration.name, {})
        cells = cells_of(configuration, row, family) if "whole" in row else None
        if cells is not None:
            sizes = [weighted(c, kinds.get(c.kind, everything), family) for c in cells]
            guess, truth = sum(sizes, Resources()), measured(row["whole"])
            result.append((f"{configuration.name}{FLATTENED}", False, guess, truth))
    return Fitted(weights={"all": everything, "kinds": kinds}, rows=result, by_kind=by_kind)


def fitted_families(record: Mapping[str, Any]) -> dict[str, Fitted]:
    """Fit all families to the record, :data:`BASE` first; those that it lacks get its weights."""
    base = fitted(record[BASE], BASE)
    others = [family for family in FABRICS if family != BASE]
    return {BASE: base} | {
        family: fitted(record.get(family, {}), family, base.weights) for family in others
    }


@click.command()
@click.option("--cells", is_flag=True, help="Print the error of each kind of cell, too.")
def main(cells: bool) -> None:
    """Fit, print and write."""
    record = json.loads(RECORD.read_text())
    console = Console()
    result: dict[str, Any] = {"made by": "python -m benchmarks.cost_fit", "yosys": record["yosys"]}
    for family, found in fitted_families(record["families"]).items():
        table = Table("configuration", "LUT", "model", "%", "FF %", "BRAM", "DSP", title=family)
        for name, seen, guess, truth in found.rows:
            table.add_row(
                name if seen else f"held out: {name}",
                f"{truth.luts:.0f}",
                f"{guess.luts:.0f}",
                f"{error(guess.luts, truth.luts):+.1f}",
                f"{error(guess.ffs, truth.ffs):+.1f}",
                f"{truth.brams:g} / {guess.brams:g}",
                f"{truth.dsps:g} / {guess.dsps:g}",
                style="" if seen else "bold",
            )
        console.print(table)
        if cells:
            for kind, errors in sorted(found.by_kind.items()):
                console.print(f"{kind}: {len(errors)} cells, {summary(errors)}")
        console.print(family, found.errors)
        result[family] = {**found.weights, "errors": found.errors}
    write_atomically(CONSTANTS, f"{json.dumps(result, indent=1)}\n".encode())


if __name__ == "__main__":
    main()
