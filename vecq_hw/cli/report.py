"""``vecq report`` and ``vecq compare``: a page of HTML about what folders hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vecq_hw.cli.output import activity, echo
from vecq_hw.cli.outputs import OutputFile, report_options, write, write_json

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _out(default: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--out",
        type=OutputFile("page"),
        default=default,
        show_default=True,
        help="One file that needs no network.",
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@_out("report.html")
@report_options
def report(folder: Path, out: Path, json_file: Path | None) -> None:
    """Write a page about what DIR holds: a training, a verification, an implementation, a search.

    DIR is what vecq train, vecq verify --out, vecq implement or vecq search wrote.
    """
    from vecq_hw.report import report as run

    with activity(f"reading {folder}") as progress:
        page = run(folder, progress)
    write(out, page.html.encode())
    echo(f"page: {out}")
    write_json(json_file, {"page": str(out), **page.summary})


@click.command()
@click.argument("folders", type=click.Path(path_type=Path), metavar="DIR DIR...", nargs=-1)
@_out("compare.html")
@report_options
def compare(folders: tuple[Path, ...], out: Path, json_file: Path | None) -> None:
    """Write a page that puts what several folders hold side by side, with a Pareto plot."""
    from vecq_hw.report import compare as run

    with activity(f"comparing {len(folders)} folders") as progress:
        page = run(folders, progress)
    write(out, page.html.encode())
    echo(f"page: {out}")
    write_json(json_file, {"page": str(out), **page.summary})
