"""``vecq emit hls``, ``vecq emit hls4ml`` and ``vecq emit rtl``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.data import Samples, samples_options
from vecq_hw.cli.output import activity, echo
from vecq_hw.cli.outputs import OutputFolder, folder, report_options, write_json
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.network import Network
    from vecq_hw.schedule import Schedule

lanes_option = click.option(
    "--lanes",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Lanes a layer at most, where no schedule is given.",
)
schedule_option = click.option(
    "--schedule",
    "schedule_file",
    type=click.Path(path_type=Path),
    help='Lanes by layer as JSON: {"fc1": {"pe": 8, "simd": 16}, ...}.',
)


def schedule_for(network: Network, file: Path | None, lanes: int) -> Schedule:
    """The schedule of ``file``, else the default one."""
    from vecq_hw import schedule

    return schedule.default_schedule(network, lanes) if file is None else schedule.load(file)


@click.command()
@click.argument("target", type=click.Choice(["hls", "hls4ml", "rtl"]))
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=OutputFolder(), help="Folder; the target's name if left out.")
@click.option("--layer", help="Only this layer, with the rescale behind it.")
@schedule_option
@lanes_option
@click.option(
    "--fabric",
    type=click.Choice(["lut6", "ecp5"]),
    default="lut6",
    show_default=True,
    help="Of the device; rtl only. The circuits differ, what they compute does not.",
)
@click.option(
    "--axis-bits",
    type=int,
    metavar="N",
    help="Width of both AXI4-Streams, 8, 16, 32, ... 1024, with TKEEP; rtl only.  As wide as the"
    " lanes at either end if left out.",
)
@samples_options
@report_options
def emit(
    target: str,
    network: Path,
    out: Path | None,
    layer: str | None,
    schedule_file: Path | None,
    lanes: int,
    fabric: str,
    axis_bits: int | None,
    samples: Samples,
    json_file: Path | None,
) -> None:
    """Write an HLS C++, hls4ml or SystemVerilog project with a test bench of its own.

    The bench compares with the simulator on the corner vectors and on the samples of --data, else
    on random codes.
    """
    from vecq_hw import storage
    from vecq_hw.emit.project import Vectors
    from vecq_hw.passes.select import layer_network
    from vecq_hw.schedule import Fabric
    from vecq_hw.simulate import simulate
    from vecq_hw.verify.targets import TARGETS

    if target != "rtl" and fabric != "lut6":
        raise click.UsageError(f"--fabric chooses circuits of rtl; leave it out with {target}")
    if target != "rtl" and axis_bits is not None:
        raise click.UsageError(f"--axis-bits widens the streams of rtl; leave it out with {target}")
    net = storage.load(network)
    if layer is not None:
        if samples.data is not None or samples.reals is not None:
            raise click.UsageError(
                "--data and --reals feed a whole network; with --layer, --inputs"
            )
        net = layer_network(net, layer)
    folds = replace(
        schedule_for(net, schedule_file, lanes), fabric=Fabric(fabric), axis_bits=axis_bits
    )
    emitter = next(t for t in TARGETS if t.name == target)
    reason = emitter.unsupported(net)
    if reason is not None:
        raise VecqError(f"target '{target}' cannot take this network yet: {reason}")
    inputs = samples.vectors(net)
    vectors = Vectors(inputs=inputs, outputs=simulate(net, inputs))
    with activity(f"writing down {net.name} for {target}"):
        project = emitter.emit(net, folds, vectors)
    with folder(out or Path(target)) as place:
        project.write_into(place)
    tree = {
        "name": net.name,
        "digest": storage.digest(net),
        "target": target,
        "folder": str(place.path),
        "files": sorted(project.files),
        "vectors": len(inputs),
    }
    echo(f"{len(project.files)} files in {place.path}; run its test with: make -C {place.path}")
    write_json(json_file, tree)
