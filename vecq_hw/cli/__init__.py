"""The ``vecq`` command.  Heavy packages are imported inside the commands that use them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys

import click

from vecq_hw import __version__
from vecq_hw.cli.array import array
from vecq_hw.cli.board import board
from vecq_hw.cli.cost import cost
from vecq_hw.cli.cycles import cycles
from vecq_hw.cli.demo import demo
from vecq_hw.cli.doctor import doctor
from vecq_hw.cli.emit import emit
from vecq_hw.cli.implement import implement
from vecq_hw.cli.imports import import_
from vecq_hw.cli.networks import lower, show, simulate
from vecq_hw.cli.outputs import keep_command_line
from vecq_hw.cli.quantization import lambda_, methods
from vecq_hw.cli.report import compare, report
from vecq_hw.cli.schedule import schedule
from vecq_hw.cli.search import search, sensitivity
from vecq_hw.cli.train import train
from vecq_hw.cli.verify import verify
from vecq_hw.errors import VecqError
from vecq_hw.processes import interrupt_on_signals, signal_received
from vecq_hw.toolchain import missing_package


class _Recorded(click.Group):
    """Keeps what was typed, for the results that say how they were made."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        keep_command_line(context, args)
        return super().parse_args(context, args)


@click.group(cls=_Recorded, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vecq")
def vecq() -> None:
    """Low-bit networks for hardware, the same integers from PyTorch to RTL.

    Start with 'vecq demo'; 'vecq doctor' says what is missing.
    """


for command in (
    *(
        demo,
        doctor,
        train,
        methods,
        lambda_,
        lower,
        import_,
        show,
        simulate,
        emit,
        verify,
        array,
        cycles,
        cost,
        schedule,
        implement,
        board,
        search,
        sensitivity,
        report,
        compare,
    ),
):
    vecq.add_command(command)


def main() -> None:
    """Run the command line.

    Exits with 2 and one sentence for what the user gave wrongly and for what the machine refuses,
    with 128 and the signal's number after a signal, and with 141 where the reader of a pipe went.
    """
    interrupt_on_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="replace")
    status, message = _run()
    if signal_received() is not None:  # whatever came of it, such as a terminal that is gone
        status, message = _stopped(), "stopped"
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
        status = said if signal_received() is None else status
    except KeyboardInterrupt:
        status = _stopped()
    sys.exit(status)


def _run() -> tuple[int, str]:
    """Exit status, and what is to be said of a failure."""
    try:
        status = vecq.main(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):  # Ctrl-D
        return _stopped(), "stopped"
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        return error.exit_code, text.getvalue().rstrip()
    except VecqError as error:
        return 2, f"error: {error}"
    except ImportError as error:
        if (error.name or "").startswith("vecq_hw"):  # a fault of ours, which must be seen
            raise
        if isinstance(error, ModuleNotFoundError):
            return 2, f"error: {missing_package(error.name)}"
        return 2, f"error: '{error.name}' is installed but cannot be imported: {error}"
    except MemoryError:
        return 2, "error: there is not enough memory"
    except OSError as error:
        where = "the output" if error.filename is None else f"'{error.filename}'"
        return 2, f"error: {where}: {error.strerror or error}"
    except SystemExit:  # click's answer to a pipe that nobody reads
        return _no_output(BrokenPipeError(errno.EPIPE, "Broken pipe")), ""
    return status if isinstance(status, int) else 0, ""


def _stopped() -> int:
    return 128 + (signal_received() or signal.SIGINT)


def _no_output(error: OSError) -> int:
    """Exit status where standard output takes nothing, of which standard error is told."""
    # What is left in the buffers would be tried, and fail, once more at the end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    if error.errno == errno.EPIPE:
        os.dup2(nowhere, 2)
        return 128 + signal.SIGPIPE
    with contextlib.suppress(OSError):
        click.echo(f"error: standard output cannot be written: {error.strerror}", err=True)
    return 2
