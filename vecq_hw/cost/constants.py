"""The constants that ``benchmarks/cost_fit.py`` found: from the parts of a cell to its size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from vecq_hw.cost.fabric import FABRICS, Raw

FILE = "constants.json"


@dataclass(frozen=True, slots=True)
class Resources:
    """What something takes.

    Attributes
    ----------
    luts : float
        Positions of look-up tables, those that carry cells and memories of tables take included.
    carries : float
        Carry cells among them: of two bits on ECP5, of four on Xilinx, else of one.
    """

    luts: float = 0.0
    carries: float = 0.0
    ffs: float = 0.0
    brams: float = 0.0
    dsps: float = 0.0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.luts + other.luts,
            self.carries + other.carries,
            self.ffs + other.ffs,
            self.brams + other.brams,
            self.dsps + other.dsps,
        )

    def tree(self) -> dict[str, float]:
        """For a file in JSON, in whole cells; halves of block RAMs and parts of DSPs are told."""
        cells = {name: round(getattr(self, name)) for name in ("luts", "carries", "ffs")}
        blocks = {name: getattr(self, name) for name in ("brams", "dsps")}
        return cells | {name: round(x) if x == round(x) else x for name, x in blocks.items()}


def features(parts: Raw) -> dict[str, tuple[float, ...]]:
    """What tables, carry cells and flip-flops are weighted sums of."""
    return {
        "tables": (parts.tables, parts.control, 1.0),
        "carries": (parts.carries, parts.control, 1.0),
        "ffs": (parts.registers, parts.control, 1.0),
    }


@cache
def _constants() -> Mapping[str, Any]:
    text = (resources.files("vecq_hw.cost") / FILE).read_text()
    found: Mapping[str, Any] = json.loads(text)
    return found


def errors(family: str) -> Mapping[str, Any]:
    """How far the model was from yosys on what it was not fitted to, in percent."""
    found: Mapping[str, Any] = _constants()[family]["errors"]
    return found


def size(parts: Raw, family: str) -> Resources:
    """The size of a cell."""
    known = _constants()[family]
    weights: Mapping[str, Sequence[float]] = known["kinds"].get(parts.kind, known["all"])
    return weighted(parts, weights, family)


def weighted(parts: Raw, weights: Mapping[str, Sequence[float]], family: str) -> Resources:
    """The size of a cell by given weights."""
    sums = {
        what: max(sum(w * f for w, f in zip(weights[what], row, strict=True)), 0.0)
        for what, row in features(parts).items()
    }
    fabric = FABRICS[family]
    luts = sums["tables"] + parts.memory_tables + fabric.carry_positions * sums["carries"]
    return Resources(luts, sums["carries"], sums["ffs"], parts.brams, parts.dsps)
