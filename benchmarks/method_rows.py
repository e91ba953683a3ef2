"""What the runs of a method came to: accuracy over the seeds, stored bits, look-up tables."""

from __future__ import annotations

import functools
import itertools
import json
import math
import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.origin import ROOT
from benchmarks.results import accuracy, command, queued, result

AREAS = ROOT / "docs" / "results" / "rtl_area_methods.json"
MOST_BITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry of the queue and the results there are of it.

    Attributes
    ----------
    name : str
        Without its folder.
    method : str
        As of ``vecq train --method``, or 'float'.
    bits : int
        Those of ``--weight-bits``; 32 for float.
    settings : dict[str, str]
        Of ``--method-options``.
    queued : int
        How many seeds the queue asks for.
    runs : tuple
        The results.
    command : str
        Without a seed.
    """

    name: str
    method: str
    bits: int
    settings: dict[str, str]
    queued: int
    runs: tuple[dict[str, Any], ...]
    command: str

    @property
    def accuracies(self) -> list[float]:
        """In per cent, of each seed."""
        return [accuracy(run) for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean accuracy, in per cent."""
        return statistics.mean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the seeds, where there are two."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def error(self) -> float:
        """The standard error of the mean: over the seeds, or of one by its test samples alone."""
        if self.deviation is not None:
            return self.deviation / math.sqrt(len(self.runs))
        right = self.mean / 100
        return 100 * math.sqrt(right * (1 - right) / self.runs[0]["test_samples"])

    @property
    def stored_bits(self) -> float:
        """For each weight, books and coordinates counted; the mean over the seeds."""
        return statistics.mean(
            run.get("stored_bits_per_weight") or run["weight_bits"] or 32 for run in self.runs
        )


def rows(folder: str) -> list[Row]:
    """The entries of a folder of the queue, in order."""
    found = []
    for entry, names in queued(f"{folder}/").items():
        words = command(names[0]).split()
        options = dict(itertools.pairwise(words))
        bits, settings = options["--weight-bits"], options.get("--method-options", "")
        found.append(
            Row(
                name=entry.removeprefix(f"{folder}/"),
                method="float" if bits == "float" else options.get("--method", "vecq"),
                bits=32 if bits == "float" else int(bits),
                settings=dict(item.split("=") for item in settings.split(",") if item),
                queued=len(names),
                runs=tuple(run for run in map(result, names) if run is not None),
                command=command(names[0]),
            )
        )
    return found


def difference(one: Row, other: Row) -> tuple[float, float]:
    """How far the mean of ``one`` lies above that of ``other``, and its standard error."""
    return one.mean - other.mean, math.hypot(one.error, other.error)


def vecq_beside(row: Row, others: list[Row]) -> Row | None:
    """VecQ of the fewest bits that are not below those stored, else of the most there are."""
    vecq = sorted((r for r in others if r.method == "vecq" and r.runs), key=lambda r: r.bits)
    if row.method in ("vecq", "float") or not row.runs or not vecq:
        return None
    return next((r for r in vecq if r.bits >= row.stored_bits - 0.005), vecq[-1])


BOOKS = {
    "digits": {1: "block=4,words=16", 2: "block=2,words=16", 3: "block=2,words=64",
               4: "block=1,words=16"},
    "methods-mnist": {2: "block=4,words=256"},
}  # fmt: skip
"""The book of the largest layer by the default settings of pq: for a folder and its weight bits."""


@functools.cache
def _areas() -> list[dict[str, Any]]:
    if not AREAS.exists():
        return []
    content: list[dict[str, Any]] = json.loads(AREAS.read_text())["rows"]
    return content


def _area(method: str, bits: int, settings: str = "") -> tuple[float, str] | None:
    """LUTs for a multiply-accumulate of a unit, and its name."""
    for area in _areas():
        if (area["method"], area["weight_bits"], area["settings"]) == (method, bits, settings):
            return float(area["luts_per_mac"]), str(area["unit"])
    return None


def luts(row: Row, folder: str) -> tuple[float, str] | None:
    """LUTs for a multiply-accumulate of the complete unit, and which unit that is.

    For layers that take several passes, or have several widths, it is the mean over the weights.
    None where it was not measured.
    """
    if not row.runs:
        return None
    match row.method:
        case "float":
            return None
        case "sq":
            base = row.settings.get("base", "vecq")
            return _area("sq", row.bits, "" if base == "vecq" else f"base={base}")
        case "esb":
            if "--activation-method esb" in row.command:
                return None
            return _area("esb", row.bits)
        case "pq":
            book = BOOKS.get(folder, {}).get(row.bits, "")
            if "block" in row.settings:
                # Of 128 words: least_blocks bounds those of the digits, whose setting is 256.
                book = f"block={row.settings['block']},words=128"
            return _area("pq", row.bits, book)
        case "alq":
            return _base_serial(row)
        case "dropbits":
            return _mixed_widths(row)
        case method:
            return _area(method, row.bits)


def _base_serial(row: Row) -> tuple[float, str] | None:
    one = _area("alq", 1, "part=128")
    passes = mean_passes(row)
    if one is None or passes is None:
        return None
    return one[0] * passes[1], f"{passes[1]:.2f} passes of: {one[1]}"


def mean_passes(row: Row) -> tuple[float, float] | None:
    """How many bases a group has and how many passes 16 outputs take; the mean over the weights."""
    means = []
    for run in row.runs:
        layers = list(run.get("bases", {}).values())
        weights = sum(layer["weights"] for layer in layers)
        if not weights:
            return None
        means.append(
            [
                sum(layer["weights"] * layer[of] for layer in layers) / weights
                for of in ("mean", "passes")
            ]
        )
    bases, passes = (statistics.mean(column) for column in zip(*means, strict=True))
    return bases, passes


def _mixed_widths(row: Row) -> tuple[float, str] | None:
    """Between the units of the widths beside the mean one."""
    bits = row.stored_bits
    low = min(math.floor(bits), 3)
    ends = _area("srq", low), _area("srq", low + 1)
    if ends[0] is None or ends[1] is None:
        return None
    share = bits - low
    return (1 - share) * ends[0][0] + share * ends[1][0], f"two's complement, {bits:.2f} bits"
