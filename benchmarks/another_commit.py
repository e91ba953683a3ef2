"""Another commit of the project beside this one, to compare the two."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from benchmarks.origin import ROOT


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The files of ``commit`` in a temporary folder, of which nothing is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="vecq_commit_") as name:
        folder = Path(name)
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, capture_output=True, check=False
        )
        if archive.returncode:
            said = archive.stderr.decode().strip().splitlines()[-1]
            raise click.ClickException(f"commit '{commit}' is none of this repository's: {said}")
        subprocess.run(["tar", "-x", "-C", name], input=archive.stdout, check=True)
        yield folder


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a Python that imports the project from ``folder`` alone."""
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def resolved(commit: str) -> str:
    """The commit's hash, as records name it."""
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", commit], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout.strip() or commit
