"""What the commands print: results, tables, warnings."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.outputs import json_to_standard_output
from vecq_hw.errors import HostWarning, VecqError
from vecq_hw.terminal import Loudness, is_animated, loudness

if TYPE_CHECKING:
    from vecq_hw.train import Epoch
    from vecq_hw.verify.compare import Report


def echo(text: str = "") -> None:
    """Print a result for people: on standard output, unless that is for JSON; not if quiet.

    Raises
    ------
    VecqError
        It cannot be written, for instance to a full disk.
    """
    if loudness() is Loudness.QUIET:
        return
    try:
        click.echo(text, err=json_to_standard_output())
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise VecqError(f"standard output cannot be written: {error.strerror}") from None


def say(sentence: str) -> None:
    """Say on standard error how it ended, quiet or not."""
    click.echo(sentence, err=True)


def warn(sentence: str) -> None:
    """Say on standard error what the user should know before trusting a result; quiet or not."""
    click.echo(f"warning: {sentence}", err=True)


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


@contextmanager
def host_words() -> Iterator[None]:
    """Say what is left to the host, each once, when the work is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", HostWarning)
        yield
    for sentence in dict.fromkeys(str(w.message) for w in caught if w.category is HostWarning):
        warn(sentence)
    for other in caught:
        if other.category is not HostWarning:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


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
        warn(warning)


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
