"""``vecq verify``: every target against the simulator."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import click

from vecq_hw.cli.data import data_option, samples_option, vectors_for
from vecq_hw.cli.emit import lanes_option, schedule_for, schedule_option
from vecq_hw.cli.output import print_report, spinner


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--targets", metavar="NAME,…", help="Which targets, comma-separated; all if left out."
)
@data_option
@samples_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random codes.")
@schedule_option
@lanes_option
@click.option("--out", type=click.Path(path_type=Path), help="Keep the projects in this folder.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the rows as JSON."
)
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML for a CI.")
def verify(
    network: Path,
    targets: str | None,
    data: str | None,
    samples: int | None,
    seed: int,
    schedule_file: Path | None,
    lanes: int,
    out: Path | None,
    json_file: Path | None,
    junit: Path | None,
) -> int:
    """Build and run every target of NETWORK and compare each output with the simulator.

    Inputs are test samples of --data, else seeded random codes, and the corner vectors.  Exits with
    1 on any mismatch.
    """
    from vecq_hw import storage
    from vecq_hw.verify.compare import verify as run
    from vecq_hw.verify.junit import junit_xml
    from vecq_hw.verify.targets import choose

    chosen = choose(targets.split(",") if targets is not None else None)
    net = storage.load(network)
    folds = schedule_for(net, schedule_file, lanes)
    inputs = vectors_for(net, data, samples, seed)
    folder = Path(tempfile.mkdtemp(prefix="vecq-verify-")) if out is None else out
    report = None
    try:
        with spinner(f"verifying {', '.join(t.name for t in chosen)} on {len(inputs)} vectors"):
            report = run(net, inputs, targets=chosen, folder=folder, schedule=folds)
    finally:  # a failing project stays to be looked at; Ctrl-C leaves nothing
        if out is None and (report is None or report.passed):
            shutil.rmtree(folder, ignore_errors=True)
    print_report(report)
    if json_file is not None:
        storage.write_atomically(
            json_file, (json.dumps(report.to_json(), indent=2) + "\n").encode()
        )
    if junit is not None:
        storage.write_atomically(junit, junit_xml(report, net.name).encode())
    if not report.passed:
        click.echo(f"verification failed; the projects are in {folder}", err=True)
    return 0 if report.passed else 1
