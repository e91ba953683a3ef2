"""``vecq doctor``: what is installed, what is missing, and the command that installs it."""

from __future__ import annotations

import json
import sys

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor(as_json: bool) -> int:
    """Say which tools are there and how to install what is missing.

    Exits with 1 if something is missing.
    """
    from vecq_hw.toolchain import TOOLS

    found = [(tool, tool.find()) for tool in TOOLS]
    if as_json:
        rows = [
            {
                "name": tool.name,
                "purpose": tool.purpose,
                "path": str(place) if place else None,
                "install": tool.install,
            }
            for tool, place in found
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo(f"Python {sys.version.split()[0]}")
        for tool, place in found:
            state = "ok     " if place else "MISSING"
            rest = "" if place else f"  →  {tool.install}"
            click.echo(f"{state} {tool.name:13} {tool.purpose}{rest}")
    return 0 if all(place for _, place in found) else 1
