"""Where a figure comes from: what every file of results begins with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PLACES = ("--out", "--work")
"""Options that say where files lie, which changes no figure."""


def origin() -> dict[str, str]:
    """The command that runs, its commit and its machine."""
    return {"command": command(), "commit": commit(), "machine": machine()}


def command() -> str:
    """As ``python -m`` takes it, without the places of files."""
    spec = sys.modules["__main__"].__spec__
    words = ["python", *(["-m", spec.name] if spec else sys.argv[:1])]
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        if argument in _PLACES:
            next(arguments, None)
        elif not argument.startswith(tuple(f"{place}=" for place in _PLACES)):
            words.append(argument)
    return " ".join(words)


def commit() -> str:
    """The commit that runs, with '+' where the package, the cells or the headers differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    differs = git("status", "--porcelain", "--", "vecq_hw", "rtl", "hls", "benchmarks")
    return git("rev-parse", "--short=12", "HEAD") + "+" * bool(differs)


def machine() -> str:
    """The processor in words, and how many of it there are."""
    return f"{processor()}, {os.cpu_count()} processors"


def processor() -> str:
    """Its model, as the system names it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [line for line in information.read_text().splitlines() if "model name" in line]
        if models:
            return models[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()
