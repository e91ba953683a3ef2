"""``vecq report`` and ``vecq compare``: a page of HTML about what folders hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.output import echo
from vecq_hw.cli.outputs import OutputFile, write, write_json
from vecq_hw.cli.progress import activity

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _out(default: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--out",
        type=OutputFile("page"),
        default=default,
        show_default=True,
        help="File to write, which needs no network.",
    )


@command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@_out("report.html")
def report(folder: Path, out: Path, json_file: Path | None) -> None:
    """Write a page about what DIR holds: a training, a verification, an implementation, a search.

    DIR is what vecq train, vecq verify --out, vecq implement or vecq search wrote.

    Examples
    --------
    vecq report trained
    vecq report projects --out verified.html
    """
    from vecq_hw.report import report as run

    with activity(f"reading {folder}") as progress:
        page = run(folder, progress)
    write(out, page.html.encode())
    echo(f"page: {out}")
    write_json(json_file, {"page": str(out), **page.summary})


@command()
@click.argument("folders", type=click.Path(path_type=Path), metavar="DIR DIR...", nargs=-1)
@_out("compare.html")
def compare(folders: tuple[Path, ...], out: Path, json_file: Path | None) -> None:
    """Write a page that puts what several folders hold side by side, with a Pareto plot.

    Examples
    --------
    vecq compare trained_w1 trained_w2 trained_w4
    vecq compare trained_w1 trained_w2 --out widths.html
    """
    from vecq_hw.report import compare as run

    with activity(f"comparing {len(folders)} folders") as progress:
        page = run(folders, progress)
    write(out, page.html.encode())
    echo(f"page: {out}")
    write_json(json_file, {"page": str(out), **page.summary})
