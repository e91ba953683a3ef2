"""Choices of a schedule that take more of a device than anybody would want."""

from __future__ import annotations

from collections.abc import Iterator

from vecq_hw.accelerator.cells import Elementwise
from vecq_hw.accelerator.plan import plan
from vecq_hw.cost.estimate import Estimate
from vecq_hw.layers import Rescale
from vecq_hw.network import Network
from vecq_hw.schedule import FoldKind, Schedule

LARGE = 0.5
"""The share of a device's look-up tables from which on a network is large."""


def warnings(network: Network, schedule: Schedule, found: Estimate) -> Iterator[str]:
    """A sentence for each choice that costs more than half of the look-up tables of the device.

    A kind of unit, its lanes, or multipliers of tables where DSP blocks would do.

    Parameters
    ----------
    found : Estimate
        What ``network`` takes under ``schedule``, on a device; there are no warnings without one.
    """
    device = found.device
    if device is None:
        return
    sizes = {layer.name: layer.resources.luts for layer in found.layers}
    multiplied = [
        cell.layer.name
        for cell in plan(network, schedule).cells
        if isinstance(cell, Elementwise) and isinstance(cell.layer, Rescale) and not cell.dsp
    ]
    limit = LARGE * device.luts
    taken = sum(sizes[name] for name in multiplied)
    if taken > limit:
        yield (
            f"the multipliers of {_named(multiplied)} in look-up tables take about {taken:,.0f} of"
            f' the {device.luts:,} of {device.name}; set "dsp": true in the folds before them, or'
            " fold so that they become serial"
        )
    for name, fold in schedule.folds.items():
        size = sizes.get(name, 0)
        if size <= limit:
            continue
        advice = (
            'another kind, such as "streaming", is smaller'
            if fold.kind is FoldKind.UNROLLED
            else "fewer lanes are smaller"
        )
        yield (
            f"layer '{name}' with {fold} lanes takes about {size:,.0f} of the {device.luts:,}"
            f" look-up tables of {device.name}; {advice}"
        )


def _named(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
