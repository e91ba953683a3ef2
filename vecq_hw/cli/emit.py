"""``vecq emit``: hls, hls4ml, rtl, onnx, qonnx."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.data import Samples, samples_options
from vecq_hw.cli.names import Choice
from vecq_hw.cli.output import echo
from vecq_hw.cli.outputs import OutputFolder, folder, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, schedule_options
from vecq_hw.errors import VecqError


@command()
@click.argument("target", type=Choice(["hls", "hls4ml", "rtl", "onnx", "qonnx"]), metavar="TARGET")
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--out", type=OutputFolder(), help="Folder to write into.  [default: TARGET]")
@click.option("--layer", metavar="NAME", help="Only this layer, with the rescale behind it.")
@click.option(
    "--zero-point-half",
    is_flag=True,
    help="qonnx: VecQ's weights with the zero point -1/2, which qonnx alone reads rightly.",
)
@schedule_options
@samples_options
def emit(
    target: str,
    network: Path,
    out: Path | None,
    layer: str | None,
    zero_point_half: bool,
    choice: ScheduleChoice,
    samples: Samples,
    json_file: Path | None,
) -> None:
    """Write an HLS C++, hls4ml, SystemVerilog, ONNX or QONNX project with a test of its own.

    TARGET is hls, hls4ml, rtl, onnx or qonnx.  The test compares with the simulator on the corner
    vectors and on the samples of --data, else on random codes.

    Examples
    --------
    vecq emit hls network.npz --out accelerator
    vecq emit rtl network.npz --schedule schedule.json --fabric ecp5 --out accelerator_rtl
    vecq emit onnx network.npz --data digits --samples 100 --out model_onnx
    """
    from vecq_hw import storage
    from vecq_hw.emit import qonnx
    from vecq_hw.emit.project import Vectors
    from vecq_hw.passes.select import layer_network
    from vecq_hw.simulate import simulate
    from vecq_hw.verify.targets import TARGETS

    emitter = next(t for t in TARGETS if t.name == target)
    if choice.fabric is not None and not emitter.takes_fabric:
        raise click.UsageError(f"--fabric chooses circuits of rtl; leave it out with {target}")
    if choice.axis_bits is not None and not emitter.takes_axis_bits:
        raise click.UsageError(f"--axis-bits widens AXI4-Streams; leave it out with {target}")
    if zero_point_half:
        if target != "qonnx":
            raise click.UsageError(f"--zero-point-half is of qonnx; leave it out with {target}")
        emitter = replace(emitter, emit=partial(qonnx.emit, zero_point_half=True))
    net = storage.load(network)
    if layer is not None:
        if samples.data is not None or samples.reals is not None:
            raise click.UsageError(
                "--data and --reals feed a whole network; with --layer, --inputs"
            )
        net = layer_network(net, layer)
    reason = emitter.unsupported(net)
    if reason is not None:
        raise VecqError(f"target '{target}' cannot take this network yet: {reason}")
    inputs = samples.vectors(net)
    count = len(inputs[net.inputs[0].name])
    with activity(f"simulating {count} vectors") as progress:
        vectors = Vectors(inputs=inputs, outputs=simulate(net, inputs, taps=net.outputs))
        progress(f"writing down {net.name} for {target}")
        project = emitter.emit(net, choice.schedule(net), vectors)
    with folder(out or Path(target)) as place:
        project.write_into(place)
    tree = {
        "name": net.name,
        "digest": storage.digest(net),
        "target": target,
        "folder": str(place.path),
        "files": sorted(project.files),
        "vectors": count,
    }
    command = f"make -C {quote(str(place.path))}"
    echo(f"{len(project.files)} files in {place.path}; run its test with: {command}")
    write_json(json_file, tree)
