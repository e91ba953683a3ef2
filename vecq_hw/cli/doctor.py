"""``vecq doctor``: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

from vecq_hw.cli import status
from vecq_hw.cli.command import command
from vecq_hw.cli.output import echo
from vecq_hw.cli.outputs import write_json


@command()
def doctor(json_file: Path | None) -> int:
    """Say which tools are there and how to install what is missing.

    Exits with 1 if something is missing that is not optional.

    Examples
    --------
    vecq doctor
    vecq doctor --quiet --json tools.json
    """
    from vecq_hw.toolchain import OPTIONAL_TOOLS, TOOLS

    found = [(tool, tool.find()) for tool in (*TOOLS, *OPTIONAL_TOOLS)]
    echo(f"Python {sys.version.split()[0]}")
    for tool, place in found:
        state = "ok     " if place else "absent " if tool.optional else "MISSING"
        rest = "" if place else f"; run: {tool.install}"
        echo(f"{state} {tool.name:13} {tool.purpose}{rest}")
    rows = [
        {
            "name": tool.name,
            "purpose": tool.purpose,
            "path": str(place) if place else None,
            "install": tool.install,
            "optional": tool.optional,
        }
        for tool, place in found
    ]
    write_json(json_file, rows)
    whole = all(place or tool.optional for tool, place in found)
    return status.DONE if whole else status.BAD_RESULT
