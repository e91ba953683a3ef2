"""``vecq verify``: every target against the simulator."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli import status
from vecq_hw.cli.command import command
from vecq_hw.cli.data import Samples, samples_options
from vecq_hw.cli.names import Name
from vecq_hw.cli.names import targets as targets_there_are
from vecq_hw.cli.options import seed_option
from vecq_hw.cli.output import echo, print_report, say
from vecq_hw.cli.outputs import (
    OutputFile,
    OutputFolder,
    command_line,
    folder,
    is_forced,
    write,
    write_json,
)
from vecq_hw.cli.progress import activity
from vecq_hw.cli.schedules import ScheduleChoice, schedule_options
from vecq_hw.interrupts import uninterrupted

if TYPE_CHECKING:
    from vecq_hw.formats import IntArray
    from vecq_hw.network import Network
    from vecq_hw.verify.target import Target


@command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--targets",
    type=Name(targets_there_are, separator=","),
    metavar="NAME,…",
    help="Which targets, comma-separated; all if left out, but netlist, which synthesizes.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file that NETWORK was imported from: its own executor is one more target.",
)
@samples_options
@seed_option("inputs where no samples are given")
@schedule_options
@click.option("--out", type=OutputFolder(), help="Folder to write into, where the projects stay.")
@click.option(
    "--junit", type=OutputFile("report"), metavar="FILE", help="File to write JUnit XML to."
)
def verify(
    network: Path,
    targets: str | None,
    source: Path | None,
    samples: Samples,
    seed: int,
    choice: ScheduleChoice,
    out: Path | None,
    json_file: Path | None,
    junit: Path | None,
) -> int:
    """Build and run every target of NETWORK and compare each output with the simulator.

    Inputs are the samples of --data, --inputs or --reals, else seeded random codes, and the corner
    vectors.  Exits with 0 if every target that took the network agreed, with 1 on any mismatch or
    error, and with 3 if there was no target that could take the network.  With --source the
    executor of an imported file is one more target, called source.

    Examples
    --------
    vecq verify network.npz --data digits --junit report.xml
    vecq verify network.npz --targets rtl,netlist --samples 20 --out projects
    vecq verify imported/network.npz --source model.onnx --reals samples.npy
    """
    from vecq_hw import storage
    from vecq_hw.interop.reals import rule_beside
    from vecq_hw.verify.compare import verify as run
    from vecq_hw.verify.files import record
    from vecq_hw.verify.junit import junit_xml

    net = storage.load(network)
    found: dict[str, IntArray] = {}
    chosen = _chosen(targets, source, network, net, found)
    inputs = samples.vectors(net, seed, rule_beside(network, storage.digest(net)))
    count = len(inputs[net.inputs[0].name])
    schedule = choice.schedule(net)
    report = None
    with contextlib.ExitStack() as stack:
        place = None if out is None else stack.enter_context(folder(out)).path
        try:
            if place is None:
                with uninterrupted():  # not a temporary_folder, which never stays
                    place = Path(tempfile.mkdtemp(prefix="vecq-verify-"))  # noqa: TID251
            progress = stack.enter_context(activity(f"verifying on {count} vectors"))
            report = run(
                net,
                inputs,
                targets=chosen,
                folder=place,
                schedule=schedule,
                progress=progress,
                force=is_forced(),
            )
            tree = {
                "name": net.name,
                "digest": storage.digest(net),
                "command": command_line(),
                **report.to_json(),
            }
            if report.compared:
                kept = record(net, schedule, tree)
                with folder(place) as target:
                    for name, (kind, content) in kept.items():
                        target.write(name, content, kind)
        finally:  # a failing project stays to be looked at; Ctrl-C leaves nothing
            failed = report is not None and report.compared and not report.passed
            if out is None and place is not None and not failed:
                try:
                    with uninterrupted():
                        shutil.rmtree(place, ignore_errors=True)
                except KeyboardInterrupt:
                    shutil.rmtree(place, ignore_errors=True)
                    raise
    print_report(report)
    if found:
        from vecq_hw.simulate import simulate
        from vecq_hw.verify.source import difference

        for sentence in difference(net, simulate(net, inputs, taps=net.outputs), found):
            echo(sentence)
    if junit is not None:
        write(junit, junit_xml(report, net.name).encode())
    write_json(json_file, tree)
    if failed:
        say(f"verification failed; the projects are in {place}")
    if not report.compared:
        say("no target could take the network, so nothing was compared")
        return status.NOTHING_COMPARED
    return status.DONE if report.passed else status.BAD_RESULT


def _chosen(
    targets: str | None,
    source: Path | None,
    file: Path,
    network: Network,
    found: dict[str, IntArray],
) -> tuple[Target, ...]:
    """The targets, behind them the source's executor, which leaves in ``found`` what it gave."""
    from vecq_hw.simulate.ends import output_arrays
    from vecq_hw.verify.source import source_target
    from vecq_hw.verify.targets import choose

    names = targets.split(",") if targets is not None else None
    if source is None:
        return choose(names)
    judge = source_target(source, network, file)

    def run(folder: Path) -> IntArray | dict[str, IntArray]:
        given = judge.run(folder)
        found.update(output_arrays(network, given))
        return given

    # Its name may stand among the others, also alone.
    others = None if names is None else [name for name in names if name != judge.name]
    return (*choose(others), replace(judge, run=run))
