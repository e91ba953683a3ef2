"""What every command of vecq has: its common options, its examples, and how loud it is."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import click

from vecq_hw.cli.outputs import FORCE, JSON
from vecq_hw.cli.progress import note, tools_shown
from vecq_hw.terminal import Loudness, speaking

_LOUDNESS = "vecq.loudness"
_EXAMPLES = "\n\nExamples\n--------\n"
COMMON = ("json_file", "force", "quiet", "verbose")
"""Names of the options of every command."""


def _loud(chosen: Loudness) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value and context.meta.setdefault(_LOUDNESS, chosen) is not chosen:
            raise click.UsageError("--quiet and --verbose exclude each other; give one of them")
        return value

    return callback


def loudness_options() -> list[click.Parameter]:
    """``--quiet`` and ``--verbose``, of every command and of ``vecq`` itself."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_loud(Loudness.QUIET),
            help="Print warnings and errors alone.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_loud(Loudness.VERBOSE),
            help="Print also the commands of tools, what they say, and how long each step takes.",
        ),
    ]


class Command(click.Command):
    """A command of vecq.

    Its docstring may end with a section ``Examples``, of one command a line, which the help shows
    below the options.  Options that every command has are added here.

    Attributes
    ----------
    examples : tuple of str
        Command lines.
    """

    def __init__(self, name: str | None, **attributes: Any) -> None:
        text, _, examples = inspect.cleandoc(attributes.pop("help", "") or "").partition(_EXAMPLES)
        attributes["params"] = [*(attributes.get("params") or []), FORCE, JSON, *loudness_options()]
        super().__init__(name, help=text, **attributes)
        self.examples = tuple(examples.splitlines())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse empty words, which a shell makes of a variable that is not set."""
        for before, word in zip(["", *args], args, strict=False):
            option = word.removesuffix("=") if word.startswith("--") and word[-1] == "=" else ""
            if not word or option:
                name = option or (before if before.startswith("-") else "vecq " + str(self.name))
                raise click.UsageError(
                    f"an empty name is given behind {name}; a value is wanted", ctx
                )
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are: somebody copies them."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run it as loudly as the user wants."""
        chosen, begin = ctx.meta.get(_LOUDNESS, Loudness.NORMAL), time.monotonic()
        with speaking(chosen), tools_shown():
            status = super().invoke(ctx)
            if chosen is Loudness.VERBOSE:
                note(f"vecq {self.name} took {time.monotonic() - begin:.1f} s")
            return status


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Decorate a function that is a command of vecq."""
    return click.command(name, cls=Command)
