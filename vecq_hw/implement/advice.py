"""What would help: choices of the schedule that cost too much, and schedules that would fit."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.accelerator.dsps import with_dsps
from vecq_hw.cost import estimate
from vecq_hw.cost.fabric import FABRICS
from vecq_hw.cost.warnings import warnings
from vecq_hw.devices import Device
from vecq_hw.implement.report import Report
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, default_schedule

_ROOM = 0.85
"""The share of a device's LUTs that an estimate may take: packing and the few-pin top add to it."""


def advice(network: Network, schedule: Schedule, report: Report) -> list[str]:
    """All that is worth saying of the schedule, by the cost model; it knows not every family."""
    device = report.device
    if device.family.name not in FABRICS:
        return []
    found = estimate(network, schedule, device.family, device)
    said = list(warnings(network, schedule, found))
    if not report.fits:
        said.append(_smaller(network, schedule, device))
    return said


def _smaller(network: Network, schedule: Schedule, device: Device) -> str:
    """Which schedule with fewer lanes fits, in a sentence."""
    most = max(max(fold.pe, fold.simd) for fold in schedule.folds.values())
    lanes = 1 << max(most - 1, 1).bit_length()
    while lanes > 1:
        lanes //= 2
        fewer = replace(default_schedule(network, lanes), fabric=device.family.fabric)
        if device.family.dsp:
            fewer = with_dsps(network, fewer)
        found = estimate(network, fewer, device.family, device)
        needed = found.total
        if (
            needed.luts <= _ROOM * device.luts
            and needed.brams <= device.block_rams
            and needed.dsps <= device.dsps
        ):
            return (
                f"at most {lanes} lanes a layer (--lanes {lanes}) would fit, with about"
                f" {needed.luts:,.0f} of {device.luts:,} LUTs and a frame every"
                f" {found.cycles:,g} cycles"
            )
    return f"no number of lanes makes it fit {device.name}; a larger device or fewer bits would"
