"""The ``vecq`` command.  Heavy packages are imported inside the commands that use them."""

from __future__ import annotations

import sys

import click

from vecq_hw import __version__
from vecq_hw.cli.array import array
from vecq_hw.cli.cycles import cycles
from vecq_hw.cli.demo import demo
from vecq_hw.cli.doctor import doctor
from vecq_hw.cli.emit import emit
from vecq_hw.cli.networks import lower, show, simulate
from vecq_hw.cli.schedule import schedule
from vecq_hw.cli.train import train
from vecq_hw.cli.verify import verify
from vecq_hw.errors import VecqError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vecq")
def vecq() -> None:
    """Low-bit networks for hardware, the same integers from PyTorch to RTL.

    Start with 'vecq demo'; 'vecq doctor' says what is missing.
    """


for command in (demo, doctor, train, lower, show, simulate, emit, verify, array, cycles, schedule):
    vecq.add_command(command)


def main() -> None:
    """Run the command line; exit 2 and one sentence for what the user gave wrongly."""
    try:
        status = vecq.main(standalone_mode=False)
    except click.exceptions.Abort:  # Ctrl-C
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except VecqError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
