"""``vecq completion``: what makes a shell complete commands, options and names."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from vecq_hw.cli.command import command
from vecq_hw.cli.names import Choice
from vecq_hw.cli.outputs import json_to_standard_output, write_json

VARIABLE = "_VECQ_COMPLETE"
"""By which a shell asks vecq for completions."""
_ZSH_COMPLETES = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
"""A zsh that has not loaded its completions knows no ``compdef``."""


@command()
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def completion(context: click.Context, /, shell: str, json_file: Path | None) -> None:
    """Print the lines that make SHELL complete the command line of vecq.

    SHELL is bash (4.4 or newer), zsh or fish.  It completes commands, options and files, and the
    names of presets, devices, boards, methods and targets.

    Examples
    --------
    echo 'eval "$(vecq completion bash)"' >> ~/.bashrc
    echo 'eval "$(vecq completion zsh)"' >> ~/.zshrc
    vecq completion fish > ~/.config/fish/completions/vecq.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "vecq", VARIABLE).source()
    if shell == "zsh":
        head, _, body = script.partition("\n")
        script = f"{head}\n{_ZSH_COMPLETES}\n{body}"
    click.echo(script, err=json_to_standard_output())  # it is the result: also if quiet
    write_json(json_file, {"shell": shell, "script": script})
