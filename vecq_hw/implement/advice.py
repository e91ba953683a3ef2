"""What would help: choices of the schedule that cost too much, and schedules that would fit."""

from __future__ import annotations

from vecq_hw.accelerator.cells import Elementwise
from vecq_hw.accelerator.plan import plan
from vecq_hw.implement.report import Report
from vecq_hw.layers import Rescale
from vecq_hw.network import Network
from vecq_hw.schedule import FoldKind, Schedule


def expensive(network: Network, schedule: Schedule, report: Report) -> list[str]:
    """The choices that cost more than half of the device's LUTs, each with what would be less."""
    half = report.device.luts / 2
    costs = {name: counts.positions for name, counts in report.layers.items()}
    found = []
    rescales = [
        cell.layer.name
        for cell in plan(network, schedule).cells
        if isinstance(cell, Elementwise) and isinstance(cell.layer, Rescale) and not cell.dsp
    ]
    spent = sum(costs.get(name, 0) for name in rescales)
    if spent > half:
        found.append(
            f"{', '.join(rescales)} multiply in {spent:,} LUTs, more than half of"
            f' {report.device.name}: let them use DSPs ("dsp": true), or give the layers in'
            " front fewer lanes of inputs, so that they take their mantissas bit by bit"
        )
    for name, fold in schedule.folds.items():
        if costs.get(name, 0) > half:
            other = "streaming" if fold.kind is FoldKind.UNROLLED else "fewer"
            found.append(
                f"{name} takes {costs[name]:,} LUTs as {fold}, more than half of"
                f" {report.device.name}: {other} lanes take less"
            )
    return found


def advice(network: Network, schedule: Schedule, report: Report) -> list[str]:
    """All that is worth saying of the schedule."""
    return expensive(network, schedule, report)
