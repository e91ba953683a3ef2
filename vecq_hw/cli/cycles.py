"""``vecq cycles``: what a frame takes in the streaming accelerator, and the FIFOs that it needs."""

from __future__ import annotations

from pathlib import Path

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.output import echo, percent, print_table
from vecq_hw.cli.outputs import OutputFile, replacing, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, schedule_options


@command()
@click.argument("network", type=click.Path(path_type=Path))
@schedule_options
@click.option(
    "--plot", type=OutputFile("plot", suffix=".png"), help="Draw the timeline to this .png file."
)
def cycles(
    network: Path,
    choice: ScheduleChoice,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """Print interval, latency, utilisation and FIFO depths of NETWORK as a streaming accelerator.

    Depths that the schedule does not have are found: the smallest that never stop the network, and
    with which no word comes later than with FIFOs without limit.

    Examples
    --------
    vecq cycles network.npz
    vecq cycles network.npz --schedule schedule.json --plot timeline.png
    """
    from vecq_hw import storage
    from vecq_hw.simulate.dataflow import fifo_depths, simulate_pace

    net = storage.load(network)
    folds = choice.schedule(net)
    with activity(f"simulating {net.name}"):
        depths = folds.fifo_depths
        if depths is None:
            depths = fifo_depths(net, folds)
        run = simulate_pace(net, folds, depths)
    frames = len(run.frame_ends)
    if plot is not None:
        from vecq_hw.simulate.dataflow.plots import plot_timeline

        with replacing(plot) as temporary:
            plot_timeline(run, temporary, f"{net.name}: a frame every {run.interval:g} cycles")
    layers = [
        {
            "layer": name,
            "busy_cycles": busy,
            "utilisation": run.utilisation[name],
            "first_cycle": run.spans[name][0][0],
            "last_cycle": run.spans[name][0][1] - 1,
        }
        for name, busy in run.busy.items()
    ]
    tree = {
        "name": net.name,
        "interval": run.interval,
        "first_output": run.first_output,
        "frames": frames,
        "total_cycles": run.total_cycles,
        "layers": layers,
        "depths": dict(depths),
    }
    echo(
        f"{net.name}: a frame every {run.interval:g} cycles, the first output word after"
        f" {run.first_output}, {frames} frames in {run.total_cycles}"
    )
    rows = [
        (name, str(busy), percent(run.utilisation[name]), *(str(c) for c in run.spans[name][0]))
        for name, busy in run.busy.items()
    ]
    print_table(("layer", "busy cycles", "utilisation", "first frame from", "to"), rows)
    echo()
    print_table(("stream", "depth in words"), [(n, str(depth)) for n, depth in depths.items()])
    write_json(json_file, tree)
