"""What the commands print: tables, and what is under way while something takes its time."""

from __future__ import annotations

import errno
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.outputs import json_to_standard_output
from vecq_hw.errors import HostWarning, VecqError
from vecq_hw.terminal import is_animated

if TYPE_CHECKING:
    from vecq_hw.train import Epoch
    from vecq_hw.verify.compare import Report

_WORTH_SAYING_SECONDS = 2.0


def echo(text: str = "") -> None:
    """Print for people: on standard output, unless that is for JSON.

    Raises
    ------
    VecqError
        It cannot be written, for instance to a full disk.
    """
    try:
        click.echo(text, err=json_to_standard_output())
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise VecqError(f"standard output cannot be written: {error.strerror}") from None


def print_epoch(epoch: Epoch, total: int) -> None:
    """A line for a log: where there is no bar to see, or standard output is kept in a file."""
    if not (is_animated() and sys.stdout is not None and sys.stdout.isatty()):
        right = epoch.validation
        validated = "" if right is None else f", {percent(right)} right of those for validation"
        echo(
            f"epoch {epoch.number} of {total}: loss {epoch.loss:.4f},"
            f" {percent(epoch.accuracy)} right, {epoch.seconds:.1f} s"
            f"{validated}"
        )


def slow_lines() -> Callable[[str], None]:
    """A function that prints a line for a log, where there is no bar to see, every two seconds."""
    said = time.monotonic()

    def tell(text: str) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said > _WORTH_SAYING_SECONDS and not is_animated():
            click.echo(text, err=True)
            said = now

    return tell


@contextmanager
def host_words() -> Iterator[None]:
    """Say what is left to the host, each once, when the work is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HostWarning)
        yield
    for sentence in dict.fromkeys(str(w.message) for w in caught if w.category is HostWarning):
        click.echo(f"warning: {sentence}", err=True)
    for other in caught:
        if other.category is not HostWarning:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


@contextmanager
def activity(text: str) -> Iterator[Callable[[str], None]]:
    """Show that ``text`` is under way and for how long; the yielded function says what is next.

    On a terminal something moves; a log gets a line for each step, and how long it took.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    animated = is_animated()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not animated) as progress:
        begin, current = time.monotonic(), text
        task = progress.add_task(escape(text))

        def end() -> None:
            seconds = time.monotonic() - begin
            if animated:
                progress.console.print(f"{current}: {seconds:.1f} s", markup=False, highlight=False)
            elif seconds >= _WORTH_SAYING_SECONDS:
                click.echo(f"{current}: took {seconds:.1f} s", err=True)

        def go_on(text: str) -> None:
            nonlocal begin, current
            end()
            begin, current = time.monotonic(), text
            progress.reset(task, description=escape(text))
            if not animated:
                click.echo(text, err=True)

        if not animated:
            click.echo(text, err=True)
        yield go_on
        end()


@contextmanager
def progress_bar(total: int, text: str) -> Iterator[Callable[[int], None]]:
    """A bar that the yielded function moves on; on a terminal, after two seconds."""
    from rich.console import Console
    from rich.progress import Progress

    animated = is_animated()
    begin = time.monotonic()
    with Progress(
        console=Console(stderr=True), auto_refresh=False, transient=True, disable=not animated
    ) as progress:
        task = progress.add_task(text, total=total, visible=False)

        def move(done: int) -> None:
            shown = animated and time.monotonic() - begin > _WORTH_SAYING_SECONDS
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
            echo(f"{row.name}: {row.message}")
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

    echo(line(titles))
    for cells in rows:
        echo(line(cells))


def percent(fraction: float) -> str:
    """Two decimals."""
    return f"{100 * fraction:.2f} %"
