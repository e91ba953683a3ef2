"""``vecq implement``: synthesis, place and route, and a bitstream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli import status
from vecq_hw.cli.command import command
from vecq_hw.cli.options import clock_option, seeds_option
from vecq_hw.cli.output import echo, print_table, warn
from vecq_hw.cli.outputs import OutputFolder, folder, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, device_option, schedule_options

if TYPE_CHECKING:
    from vecq_hw.implement.report import Report


@command()
@click.argument("network", type=click.Path(path_type=Path))
@device_option(required=True)
@click.option("--out", type=OutputFolder(), required=True, help="Folder to write into.")
@clock_option("that place and route is asked for; what is reached is reported")
@seeds_option(5)
@schedule_options
def implement(
    network: Path,
    device: str,
    out: Path,
    clock_mhz: float | None,
    seeds: int,
    choice: ScheduleChoice,
    json_file: Path | None,
) -> int:
    """Take NETWORK to a bitstream of a device: synthesis, place and route, timing, a drawing.

    Writes the SystemVerilog project into the folder --out, and beside it the netlist, what each
    seed gave, the bitstream and floorplan.svg.  Wide streams go through a top of a few pins; vecq
    board makes one with a link to a host.  A step whose input is the same is not run again.  Exits
    with 1 if the device is too small.

    Examples
    --------
    vecq implement network.npz --device ecp5-25k --out built
    vecq implement network.npz --device ice40-hx8k --seeds 1 --clock-mhz 50 --out built
    """
    from vecq_hw import storage
    from vecq_hw.devices import device as device_named
    from vecq_hw.implement.flow import implement as run

    chosen = device_named(device)
    net = storage.load(network)
    schedule = choice.schedule(net, chosen.family)
    if clock_mhz is None and choice.file is not None:
        clock_mhz = schedule.clock_mhz
    with folder(out) as place, activity(f"writing down {net.name}") as progress:
        report = run(
            net, schedule, chosen, place, clock_mhz=clock_mhz, seeds=seeds, progress=progress
        )
    _print(report, out)
    write_json(json_file, report.to_json())
    return status.DONE if report.fits else status.BAD_RESULT


def _print(report: Report, out: Path) -> None:
    """Area by layer, then the clock."""
    rows = [
        (
            name,
            *(
                f"{number:g}"
                for number in (
                    counts.positions,
                    counts.carries,
                    counts.flip_flops,
                    counts.block_rams,
                    counts.dsps,
                )
            ),
        )
        for name, counts in (*report.layers.items(), ("all", report.total))
    ]
    print_table(("layer", "LUTs", "carries", "FFs", "block RAMs", "DSPs"), rows)
    for sentence in report.over:
        echo(f"{report.name} does not fit {report.device.name}: {sentence}")
    for sentence in report.advice:
        warn(sentence)
    if not report.timings:
        if report.fits:
            echo(f"{report.device.name} can be synthesized only: no clock, no bitstream")
        return
    every = ", ".join(f"{fmax:.1f}" for fmax in report.fmax_all)
    fmax, rate = report.fmax_mhz, report.frames_per_second
    assert fmax is not None
    echo(
        f"{report.name} on {report.device.part}: {fmax:.1f} MHz, the median of {every}; best"
        f" {max(report.fmax_all):.1f}, worst {min(report.fmax_all):.1f}; asked for"
        f" {report.clock_mhz:g}, slack {1e3 / report.clock_mhz - 1e3 / fmax:.2f} ns"
    )
    if len(report.timings) == 1:
        warn("seeds differ by up to a third; one says little")
    echo(f"{rate:,.0f} frames a second, one every {report.cycles:g} cycles")
    echo("longest path of that seed, by cell, source, ns in the cell and on the wire behind it:")
    assert report.median_seed is not None
    path = report.timings[report.median_seed].path
    print_table(
        ("cell", "source", "logic", "wire"),
        [(s.cell, s.source, f"{s.logic_ns:.2f}", f"{s.wire_ns:.2f}") for s in path],
        left=2,
    )
    for what, file in report.files.items():
        echo(f"{what}: {out / file}")
