"""``vecq schedule``: folds for a frame rate, or the fastest that a device holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.options import clock_option, positive
from vecq_hw.cli.output import echo, percent, print_table
from vecq_hw.cli.outputs import OutputFile, write, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import device_option
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.devices import Device
    from vecq_hw.network import Network
    from vecq_hw.schedule import Schedule


@command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--target-fps",
    type=positive(),
    metavar="FPS",
    help="Frames per second, at least; with --device by the fewest look-up tables, not lanes.",
)
@device_option()
@clock_option("that the hardware is to reach; nothing here proves that it does", default=100)
@click.option("--out", type=OutputFile("schedule"), help="File to write the schedule to.")
def schedule(
    network: Path,
    target_fps: float | None,
    device: str | None,
    clock_mhz: float,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Balance the layers of NETWORK: as few lanes as reach the frame rate.

    With --device, as few look-up tables as reach it; with --device alone, the fastest schedule that
    the device holds, by the estimates of vecq cost.

    The file of --out is what --schedule of the other commands takes; it can be edited by hand.

    Examples
    --------
    vecq schedule network.npz --target-fps 10000 --clock-mhz 200 --out schedule.json
    vecq schedule network.npz --device ecp5-25k --out schedule.json
    """
    from vecq_hw import devices, storage
    from vecq_hw.accelerator import plan
    from vecq_hw.cost import resources_of
    from vecq_hw.schedule import to_json

    chosen = None if device is None else devices.device(device)
    if target_fps is None and chosen is None:
        raise VecqError("neither a frame rate nor a device was given; use --target-fps or --device")
    net = storage.load(network)
    interval = None if target_fps is None else _cycles(target_fps, clock_mhz)
    with activity(f"balancing {net.name}") as told:
        folds = replace(_schedule(net, interval, chosen, told), clock_mhz=clock_mhz)
    planned = plan(net, folds)
    busy = planned.busy
    ends = [stream.words for stream in (*planned.inputs.values(), *planned.outputs.values())]
    reached = max([*busy.values(), *ends])
    if out is not None:
        write(out, f"{to_json(folds)}\n".encode())
    layers = [
        {
            "layer": name,
            "pe": folds.folds[name].pe,
            "simd": folds.folds[name].simd,
            "lanes": folds.folds[name].pe * folds.folds[name].simd,
            "busy_cycles": busy[name],
            "utilisation": busy[name] / reached,
        }
        for name in folds.folds
    ]
    fps = clock_mhz * 1e6 / reached
    tree = {"name": net.name, "interval": reached, "fps": fps, "layers": layers}
    rows = [
        (
            str(row["layer"]),
            *(str(row[key]) for key in ("pe", "simd", "lanes", "busy_cycles")),
            percent(float(str(row["utilisation"]))),
        )
        for row in layers
    ]
    print_table(("layer", "PE", "SIMD", "lanes", "busy cycles", "utilisation"), rows)
    lanes = sum(fold.pe * fold.simd for fold in folds.folds.values())
    echo(
        f"{net.name}: {lanes} lanes, a frame every {reached} cycles, {fps:,.0f} frames a second at"
        f" {clock_mhz:g} MHz"
    )
    if chosen is not None:
        taken = resources_of(net, folds, chosen.family)
        tree |= {"device": chosen.name, **taken.tree()}
        echo(
            f"{chosen.name}: about {taken.luts:,.0f} of {chosen.luts:,} look-up tables,"
            f" {taken.brams:g} of {chosen.block_rams} block RAMs, {taken.dsps:g} of"
            f" {chosen.dsps} DSPs"
        )
    if out is not None:
        echo(f"schedule in {out}")
    write_json(json_file, tree)


def _cycles(target_fps: float, clock_mhz: float) -> int:
    """Cycles of a frame."""
    asked = math.floor(clock_mhz * 1e6 / target_fps)
    if asked < 1:
        raise VecqError(
            f"{target_fps:g} frames a second are more than the {clock_mhz * 1e6:g} cycles of a"
            f" second at {clock_mhz:g} MHz"
        )
    return asked


def _schedule(
    network: Network, interval: int | None, device: Device | None, told: Callable[[str], None]
) -> Schedule:
    """By lanes, by look-up tables, or the fastest of a device."""
    from vecq_hw.accelerator import balance
    from vecq_hw.cost import fastest, fewest_luts

    if device is None:
        assert interval is not None
        return balance(network, interval)
    if interval is None:
        return fastest(network, device, told)
    return fewest_luts(network, interval, device.family, told, device.dsps)
