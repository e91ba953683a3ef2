"""``vecq cost``: what a network takes of a device, and how fast it is, without any tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.output import echo, percent, print_table, warn
from vecq_hw.cli.outputs import write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, device_option, schedule_options

if TYPE_CHECKING:
    from vecq_hw.cost import Estimate


@command()
@click.argument("network", type=click.Path(path_type=Path))
@schedule_options
@device_option(default="ecp5-85k")
def cost(network: Path, choice: ScheduleChoice, device: str, json_file: Path | None) -> None:
    """Estimate what NETWORK takes of a device, its clock and frames per second.

    Closed forms of each cell, fitted to what yosys made of other networks; no tool is run.

    Examples
    --------
    vecq cost network.npz
    vecq cost network.npz --schedule schedule.json --device ice40-up5k --json cost.json
    """
    from vecq_hw import cost as model
    from vecq_hw import devices, storage

    chosen = devices.device(device)
    net = storage.load(network)
    schedule = choice.schedule(net, chosen.family)
    with activity(f"adding up {net.name}"):
        estimate = model.estimate(net, schedule, chosen.family, chosen)
        warned = [*model.warnings(net, schedule, estimate)]
    _print(estimate)
    for warning in warned:
        warn(warning)
    write_json(json_file, {**estimate.tree(), "warnings": warned})


def _print(estimate: Estimate) -> None:
    rows = [
        (
            layer.name,
            layer.lanes,
            *map(_number, layer.resources.tree().values()),
            f"{layer.cycles}",
            f"{layer.clock_mhz:.0f}",
        )
        for layer in estimate.layers
    ]
    total = map(_number, estimate.total.tree().values())
    rows.append(("all", "", *total, f"{estimate.cycles:g}", f"{estimate.clock_mhz:.0f}"))
    titles = ("layer", "PE × SIMD", "LUT", "carry", "FF", "BRAM", "DSP", "cycles", "MHz")
    print_table(titles, rows, left=2)
    device = estimate.device
    if device is not None:
        shares = ", ".join(
            f"{percent(share)} of {what}"
            for what, share in zip(
                ("LUT", "FF", "BRAM", "DSP"), estimate.shares.values(), strict=True
            )
        )
        echo(f"{device.name}: {shares}{'' if estimate.fits else '; it does not fit'}")
    about = "" if estimate.exact_cycles else "about "
    echo(
        f"{about}{estimate.latency_cycles} cycles to the first output, a frame every"
        f" {estimate.cycles:g}; {estimate.frames_per_second:,.0f} frames a second at an estimated"
        f" {estimate.clock_mhz:.0f} MHz ({estimate.slowest} is slowest), {estimate.gops:.2f} GOPS,"
        f" {estimate.gops_per_1000_luts:.2f} for each 1,000 LUTs"
    )
    if not estimate.sized:
        echo(
            "FIFOs of branches are not counted: the schedule has no depths (vecq cycles finds them)"
        )
    luts = estimate.errors["luts"]
    echo(
        f"LUTs are {luts['median']} % off in the median and {luts['worst']} % at worst on"
        f" {estimate.errors['configurations']} configurations outside the fit"
    )


def _number(value: float) -> str:
    return f"{value:,}"
