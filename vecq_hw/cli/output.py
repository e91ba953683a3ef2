"""What the commands print: tables, and a spinner while something takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vecq_hw.verify.compare import Report


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show that ``text`` is under way, on a terminal only; a log gets the line once."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        click.echo(text, err=True)
        yield


@contextmanager
def progress_bar(total: int, text: str) -> Iterator[Callable[[int], None]]:
    """A bar that the yielded function moves on; on a terminal, after two seconds."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    begin = time.monotonic()
    with Progress(
        console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(text, total=total, visible=False)

        def move(done: int) -> None:
            shown = console.is_terminal and time.monotonic() - begin > 2
            progress.update(task, completed=done, visible=shown, refresh=shown)

        yield move


def print_report(report: Report) -> None:
    """One line a target, then the messages and warnings."""
    titles = ("target", "status", "vectors", "outputs", "mismatches", "distinct", "saturated", "s")
    rows = [
        (
            row.name,
            row.status.value,
            str(row.vectors),
            str(row.outputs),
            str(row.mismatches),
            str(row.distinct_outputs),
            str(row.saturated),
            f"{row.seconds:.1f}",
        )
        for row in report.rows
    ]
    print_table(titles, rows, left=2)
    for row in report.rows:
        if row.message:
            click.echo(f"{row.name}: {row.message}")
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Columns as wide as needed; the first ``left`` ones flush left, numbers flush right."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    click.echo(line(titles))
    for cells in rows:
        click.echo(line(cells))


def percent(fraction: float) -> str:
    """Two decimals."""
    return f"{100 * fraction:.2f} %"
