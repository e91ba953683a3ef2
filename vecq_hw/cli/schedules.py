"""The options that choose an accelerator, for every command that makes or counts one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from vecq_hw.cli.names import Choice, Name, devices
from vecq_hw.cli.options import Whole

if TYPE_CHECKING:
    from vecq_hw.devices import Family
    from vecq_hw.network import Network
    from vecq_hw.schedule import Schedule

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleChoice:
    """What a user said of the accelerator; options go before what the file says."""

    file: Path | None
    lanes: int
    fabric: str | None
    axis_bits: int | None

    def schedule(self, network: Network, family: Family | None = None) -> Schedule:
        """The schedule of the file, else the default one, with what the options change.

        The default one suits a ``family`` of devices, if one is meant.  On a fabric of tables of
        four inputs its Rescales multiply in DSP blocks where they would take a multiplier of
        tables.
        """
        from vecq_hw import schedule as schedules

        if self.file is None:
            chosen = schedules.default_schedule(network, self.lanes)
            if family is not None:
                chosen = replace(chosen, fabric=family.fabric)
        else:
            chosen = schedules.load(self.file)
        if self.fabric is not None:
            chosen = replace(chosen, fabric=schedules.Fabric(self.fabric))
        if self.file is None:
            wanted = chosen.fabric is schedules.Fabric.ECP5 if family is None else family.dsp
            if wanted:
                from vecq_hw.accelerator.dsps import with_dsps

                schedules.check(network, chosen)
                chosen = with_dsps(network, chosen)
        if self.axis_bits is not None:
            chosen = replace(chosen, axis_bits=self.axis_bits)
        return chosen


def device_option(
    default: str | None = None, *, required: bool = False
) -> Callable[[_Command], _Command]:
    """``--device``, by the names of :data:`vecq_hw.devices.DEVICES`."""
    return click.option(
        "--device",
        type=Name(devices),
        default=default,
        show_default=default is not None,
        required=required,
        metavar="DEVICE",
        help="Such as ecp5-25k, ecp5-85k, ice40-hx8k, gw1nr-9c, gatemate-a1, xc7z020 or xczu3eg.",
    )


def schedule_options(command: _Command) -> _Command:
    """``--schedule``, ``--lanes``, ``--fabric`` and ``--axis-bits``, as ``choice``."""
    options = (
        click.option(
            "--schedule",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Folds, fabric, FIFO depths and clock, as vecq schedule writes them; or the folds"
            ' alone: {"fc1": {"pe": 8, "simd": 16}, ...}.',
        ),
        click.option(
            "--lanes",
            type=Whole(),
            default=8,
            show_default=True,
            help="Lanes of a layer at most, where no schedule is given.",
        ),
        click.option(
            "--fabric",
            type=Choice(["lut6", "lut4", "ecp5"]),
            help="Kind of the device, for rtl. The circuits differ, what they compute does not."
            "  With ecp5 and no schedule, Rescales that need multipliers take DSP blocks.",
        ),
        click.option(
            "--axis-bits",
            type=Whole(),
            help="Width of both AXI4-Streams, 8, 16, 32, ... 1024, with TKEEP, for hls and rtl.  As"
            " wide as the lanes at either end if left out.",
        ),
    )

    @functools.wraps(command)
    def gathered(
        *arguments: Any,
        schedule: Path | None,
        lanes: int,
        fabric: str | None,
        axis_bits: int | None,
        **others: Any,
    ) -> Any:
        choice = ScheduleChoice(file=schedule, lanes=lanes, fabric=fabric, axis_bits=axis_bits)
        return command(*arguments, choice=choice, **others)

    for option in reversed(options):
        gathered = option(gathered)
    return cast(_Command, gathered)
