"""Numbers on the command line, and the options that several commands have in the same words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

FLOAT = "float"
"""In the place of a number of bits."""
_Command = TypeVar("_Command", bound=Callable[..., Any])
_MOST = (1 << 31) - 1
"""The largest number where an option has no limit of its own: no array holds more."""


class Whole(click.IntRange):
    """A whole number from ``least`` to ``most``."""

    name = "whole number"

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        super().__init__(min=least, max=most)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """``1..16``, or ``N`` where there is no end."""
        return "N" if self.max is None else f"{self.min}..{self.max}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """An int."""
        number: int = super().convert(value, param, ctx)
        if self.max is None and number > _MOST:
            self.fail(f"{value} is more than {_MOST:,}", param, ctx)
        return number


class Real(click.FloatRange):
    """A finite number."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """A float."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


class Widths(click.ParamType[Any]):
    """Widths such as ``1,2,4`` or ``1..8``."""

    name = "bits"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        """A tuple of int."""
        if isinstance(value, tuple):
            return value
        found: list[int] = []
        try:
            for part in str(value).split(","):
                first, dots, last = part.partition("..")
                low, high = int(first), int(last if dots else first)
                if not 1 <= low <= high <= 16:
                    raise ValueError
                found += range(low, high + 1)
        except ValueError:
            self.fail(
                f"'{value}' is no list of widths of 1 to 16 bits, such as 1,2,4 or 1..8",
                parameter,
                context,
            )
        return tuple(dict.fromkeys(found))


class Keep(click.ParamType[Any]):
    """``LAYER=BITS``."""

    name = "keep"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, int]:
        """The layer and its bits."""
        if isinstance(value, tuple):
            return value
        layer, equals, bits = str(value).rpartition("=")
        if not equals or not layer or not bits.strip().isdecimal():
            self.fail(f"'{value}' is no LAYER=BITS such as conv1=8", parameter, context)
        return layer.strip(), int(bits)


class Bits(click.ParamType[Any]):
    """1..16, or 'float'."""

    name = "bits"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int | str:
        """An int, or 'float'."""
        if value == FLOAT:
            return FLOAT
        return Whole(1, 16).convert(value, parameter, context)


class Milestones(click.ParamType[Any]):
    """Numbers of epochs with commas between them."""

    name = "epochs"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        """A tuple of int."""
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is no list of epochs such as 35,50", parameter, context)


def positive() -> Real:
    """A finite number above zero."""
    return Real(min=0, min_open=True)


def width_options(
    kind: click.ParamType[Any], metavar: str | None
) -> Callable[[_Command], _Command]:
    """``--weight-bits`` and ``--activation-bits``, of ``kind``; 2 and 8 where they are left out."""

    def decorate(command: _Command) -> _Command:
        for what, bits in (("activation", 8), ("weight", 2)):
            command = click.option(
                f"--{what}-bits",
                type=kind,
                metavar=metavar,
                default=str(bits),
                show_default=True,
                help=f"Bits of each {what}.",
            )(command)
        return command

    return decorate


def seed_option(what: str, *, default: int | None = 0) -> Callable[[_Command], _Command]:
    """``--seed``, of the random numbers that ``what`` draws."""
    said = "" if default is not None else "  [default: 0]"
    return click.option(
        "--seed",
        type=Whole(0, (1 << 32) - 1),  # what NumPy and torch both take
        default=default,
        show_default=default is not None,
        help=f"Seed of the random numbers of {what}: the same seed, the same result.{said}",
    )


def seeds_option(default: int) -> Callable[[_Command], _Command]:
    """``--seeds``, of place and route."""
    return click.option(
        "--seeds",
        type=Whole(),
        default=default,
        show_default=True,
        help="Placements that are tried; the clock is the median.",
    )


def clock_option(what: str, *, default: float | None = None) -> Callable[[_Command], _Command]:
    """``--clock-mhz``, with ``what`` behind "The clock"."""
    said = "" if default is not None else "  [default: the device's]"
    return click.option(
        "--clock-mhz",
        type=positive(),
        metavar="MHZ",
        default=default,
        show_default=default is not None,
        help=f"The clock {what}.{said}",
    )
