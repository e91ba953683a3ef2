"""Where the commands write: the options that name files and folders, and ``--force``.

A name is refused when the command line is read, before any work is done.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vecq_hw import files
from vecq_hw.errors import VecqError

STANDARD_OUTPUT = Path("-")

_FORCE, _JSON, _KINDS = "vecq.force", "vecq.json", "vecq.kinds"
_COMMAND_LINE = "vecq.command"


class OutputFile(click.ParamType[Path]):
    """A file that the command will write, or ``-`` where ``standard_output`` allows it."""

    name = "file"

    def __init__(self, kind: str, *, suffix: str = "", standard_output: bool = False) -> None:
        self._kind = kind
        self._suffix = suffix
        self._standard_output = standard_output

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """The path; refused if it is empty, or if there is a file that is not ours."""
        if not str(value):
            self.fail("an empty name is given; the name of a file is wanted", parameter, context)
        path = Path(value)
        if path == STANDARD_OUTPUT and self._standard_output:
            return path
        if self._suffix and path.suffix.lower() != self._suffix:
            raise VecqError(f"'{path}': plots are written as {self._suffix} files")
        files.check_file(path, self._kind, force=is_forced())
        kinds = click.get_current_context().meta.setdefault(_KINDS, {})
        if path.resolve() in kinds:
            raise VecqError(f"'{path}' is given for two outputs; a name for each is wanted")
        kinds[path.resolve()] = self._kind
        return path


class OutputFolder(click.ParamType[Path]):
    """A folder that the command will write into."""

    name = "folder"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """The path; refused if it is empty, a file, or closed to writing."""
        if not str(value):
            self.fail("an empty name is given; the name of a folder is wanted", parameter, context)
        path = Path(value)
        files.check_folder(path)
        return path


def _keep(key: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        context.meta[key] = value
        return value

    return callback


FORCE = click.Option(
    ["--force"],
    is_flag=True,
    is_eager=True,  # the types above ask for it
    expose_value=False,
    callback=_keep(_FORCE),
    help="Replace files that vecq did not write or that were changed since.",
)
JSON = click.Option(
    ["--json", "json_file"],
    type=OutputFile("report", standard_output=True),
    metavar="FILE",
    callback=_keep(_JSON),
    help="Write the result as JSON; with '-' to standard output, and all else to standard error.",
)


def json_to_standard_output() -> bool:
    """Whether standard output is for JSON alone."""
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.get(_JSON) == STANDARD_OUTPUT


def write_json(file: Path | None, tree: Any) -> None:
    """Write ``tree`` where ``--json`` says, if it was given; ASCII, whatever the terminal takes."""
    if file is None:
        return
    text = json.dumps(tree, indent=2)
    if file == STANDARD_OUTPUT:
        click.echo(text)
    else:
        write(file, f"{text}\n".encode())


def write(path: Path, content: bytes) -> None:
    """Write the file that an :class:`OutputFile` of this command names."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def replacing(path: Path) -> contextlib.AbstractContextManager[Path]:
    """A temporary path whose file becomes ``path``, which an :class:`OutputFile` names."""
    kind = click.get_current_context().meta[_KINDS][path.resolve()]
    return files.replacing(path, kind, force=is_forced())


def folder(path: Path) -> files.Folder:
    """A folder of the command line; as a context manager it keeps other writers out."""
    return files.Folder(path, force=is_forced())


def keep_command_line(context: click.Context, arguments: Sequence[str]) -> None:
    """Remember what was typed behind ``vecq``."""
    context.meta[_COMMAND_LINE] = shlex.join(["vecq", *arguments])


def command_line() -> str | None:
    """The command that runs, as it was typed; None where Python called it without a shell."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(_COMMAND_LINE)


def is_forced() -> bool:
    """Whether ``--force`` was given."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_FORCE))
