"""``vecq schedule``: the lanes of each layer for a frame rate."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import click

from vecq_hw.cli.output import activity, echo, percent, print_table
from vecq_hw.cli.outputs import OutputFile, report_options, write, write_json


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--target-fps",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Frames a second.",
)
@click.option(
    "--clock-mhz",
    type=click.FloatRange(min=0, min_open=True),
    default=100,
    show_default=True,
    help="The clock that the hardware is to reach; nothing here proves that it does.",
)
@click.option("--out", type=OutputFile("schedule"), help="Write the schedule as JSON.")
@report_options
def schedule(
    network: Path, target_fps: float, clock_mhz: float, out: Path | None, json_file: Path | None
) -> None:
    """Balance the layers of NETWORK: as few lanes as reach the frame rate.

    The file of --out is what --schedule of the other commands takes; it can be edited by hand.
    """
    from vecq_hw import storage
    from vecq_hw.accelerator import balance, plan
    from vecq_hw.errors import VecqError
    from vecq_hw.schedule import to_json

    net = storage.load(network)
    asked = math.floor(clock_mhz * 1e6 / target_fps)
    if asked < 1:
        raise VecqError(
            f"{target_fps:g} frames a second are more than the {clock_mhz * 1e6:g} cycles of a"
            f" second at {clock_mhz:g} MHz"
        )
    with activity(f"balancing {net.name}"):
        folds = replace(balance(net, asked), clock_mhz=clock_mhz)
    planned = plan(net, folds)
    busy = planned.busy
    ends = [stream.words for stream in (*planned.inputs.values(), *planned.outputs.values())]
    interval = max([*busy.values(), *ends])
    if out is not None:
        write(out, f"{to_json(folds)}\n".encode())
    layers = [
        {
            "layer": name,
            "pe": folds.folds[name].pe,
            "simd": folds.folds[name].simd,
            "lanes": folds.folds[name].pe * folds.folds[name].simd,
            "busy_cycles": busy[name],
            "utilisation": busy[name] / interval,
        }
        for name in folds.folds
    ]
    fps = clock_mhz * 1e6 / interval
    tree = {"name": net.name, "interval": interval, "fps": fps, "layers": layers}
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
        f"{net.name}: {lanes} lanes, a frame every {interval} cycles, {fps:,.0f} frames a second at"
        f" {clock_mhz:g} MHz"
    )
    if out is not None:
        echo(f"schedule in {out}")
    write_json(json_file, tree)
