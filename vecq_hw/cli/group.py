"""The commands of ``vecq``, each imported when it is asked for: a start takes half the time."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from vecq_hw.cli import status
from vecq_hw.cli.outputs import keep_command_line

MODULES = {
    "demo": "demo",
    "doctor": "doctor",
    "completion": "completion",
    "train": "train",
    "methods": "quantization",
    "lambda": "quantization",
    "search": "search",
    "sensitivity": "search",
    "lower": "networks",
    "import": "imports",
    "show": "networks",
    "simulate": "networks",
    "emit": "emit",
    "verify": "verify",
    "array": "array",
    "cycles": "cycles",
    "cost": "cost",
    "schedule": "schedule",
    "implement": "implement",
    "board": "board",
    "report": "report",
    "compare": "report",
}
"""The module of each command, in the order of the help."""


class Commands(click.Group):
    """The commands, and below them the exit statuses; what was typed is kept for results."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, in the order of the help."""
        return [*MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or give None where there is none of such a name."""
        if cmd_name in MODULES and cmd_name not in self.commands:
            module = importlib.import_module(f"vecq_hw.cli.{MODULES[cmd_name]}")
            # A word of Python's own has an underscore behind it there.
            found = getattr(module, cmd_name, None) or getattr(module, f"{cmd_name}_")
            self.add_command(found, cmd_name)
        return self.commands.get(cmd_name)

    def all_commands(self) -> Mapping[str, click.Command]:
        """Import every command; by its name, in the order of the help."""
        context = click.Context(self)
        for name in MODULES:
            self.get_command(context, name)
        return {name: self.commands[name] for name in MODULES}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed, for the results that say how they were made."""
        keep_command_line(ctx, args)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does, to the end of the sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, each.get_short_help_str(1000))
                    for name, each in self.all_commands().items()
                ]
            )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the exit statuses say."""
        with formatter.section("Exit status"):
            formatter.write_dl([*status.MEANINGS.items()])
