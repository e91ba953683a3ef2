"""The ``vecq`` command.  Heavy packages are imported inside the commands that use them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import traceback

import click

from vecq_hw import __version__
from vecq_hw.cli import status
from vecq_hw.cli.command import loudness_options
from vecq_hw.cli.completion import VARIABLE
from vecq_hw.cli.group import Commands
from vecq_hw.errors import VecqError
from vecq_hw.interrupts import interrupt_on_signals, signal_received
from vecq_hw.toolchain import missing_package


@click.group(
    cls=Commands,
    params=loudness_options(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="vecq")
def vecq() -> None:
    """Low-bit networks for hardware, the same integers from PyTorch to RTL.

    Start with 'vecq demo'; 'vecq doctor' says what is missing; 'vecq COMMAND --help' has examples.
    """


def main() -> None:
    """Run the command line.

    Exits with a status of :mod:`vecq_hw.cli.status`; errors are one sentence on standard error.
    """
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="replace")
    code, message = _run()
    if signal_received() is not None:  # whatever came of it, such as a terminal that is gone
        code, message = _stopped(), "stopped"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the end takes no time
    try:
        if message:
            click.echo(message, err=True)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError as error:
        said = _no_output(error)
        code = said if signal_received() is None else code
    except KeyboardInterrupt:
        code = _stopped()
    sys.exit(code)


def _run() -> tuple[int, str]:
    """Exit status, and what is to be said of a failure."""
    try:
        code = vecq.main(prog_name="vecq", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):  # Ctrl-D
        return _stopped(), "stopped"
    except click.exceptions.NoArgsIsHelpError as error:
        return status.REFUSED, error.format_message()
    except click.UsageError as error:
        path = "vecq" if error.ctx is None else error.ctx.command_path
        return status.REFUSED, f"error: {error.format_message()}\n'{path} --help' says more"
    except click.ClickException as error:
        return status.REFUSED, f"error: {error.format_message()}"
    except VecqError as error:
        return status.REFUSED, f"error: {error}"
    except ImportError as error:
        if (error.name or "").startswith("vecq_hw"):
            return _own_fault()
        if isinstance(error, ModuleNotFoundError):
            return status.REFUSED, f"error: {missing_package(error.name)}"
        return (
            status.REFUSED,
            f"error: '{error.name}' is installed but cannot be imported: {error}",
        )
    except MemoryError:
        return status.REFUSED, "error: there is not enough memory"
    except OSError as error:
        where = "the output" if error.filename is None else f"'{error.filename}'"
        return status.REFUSED, f"error: {where}: {error.strerror or error}"
    except SystemExit as stop:
        if VARIABLE in os.environ:  # click has answered a shell
            return int(stop.code or 0), ""
        return _no_output(BrokenPipeError(errno.EPIPE, "Broken pipe")), ""  # nobody reads a pipe
    except Exception:
        return _own_fault()
    return code if isinstance(code, int) else status.DONE, ""


def _own_fault() -> tuple[int, str]:
    """What no user can have done: here a traceback is what helps."""
    return status.OWN_FAULT, (
        f"{traceback.format_exc()}error: this is a fault of vecq {__version__}, not yours; please"
        " report it with the lines above"
    )


def _stopped() -> int:
    return status.SIGNAL + (signal_received() or signal.SIGINT)


def _no_output(error: OSError) -> int:
    """Exit status where standard output takes nothing, of which standard error is told."""
    # What is left in the buffers would be tried, and fail, once more at the end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    if error.errno == errno.EPIPE:
        os.dup2(nowhere, 2)
        return status.SIGNAL + signal.SIGPIPE
    with contextlib.suppress(OSError):
        click.echo(f"error: standard output cannot be written: {error.strerror}", err=True)
    return status.REFUSED
