"""The boards: which device, and which pins are clock, serial line and lamp.

Pins come from amaranth-boards; a board that it lacks has a small platform of the same kind here.
None of them was tried with the hardware at hand when this was written.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vecq_hw.arguments import nearest
from vecq_hw.devices import Device
from vecq_hw.devices import device as device_named
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.toolchain import missing_package


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board.

    Attributes
    ----------
    platform : str
        The class of amaranth-boards as ``module:class``; empty where ours is meant.
    loader : str
        What openFPGALoader calls it.
    baud : int
        The fastest usual rate that its bridge to USB takes.
    """

    name: str
    title: str
    device: str
    platform: str
    loader: str
    baud: int


def _ulx3s(size: int) -> Board:
    return Board(
        name=f"ulx3s-{size}f",
        title=f"Radiona ULX3S with LFE5U-{size}F",
        device=f"ecp5-{size}k",
        platform=f"ulx3s:ULX3S_{size}F_Platform",
        loader="ulx3s",
        baud=3_000_000,
    )


_ICEBREAKER = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker",
    device="ice40-up5k",
    platform="icebreaker:ICEBreakerPlatform",
    loader="ice40_generic",
    baud=3_000_000,
)
_TANG_NANO_9K = Board(
    name="tang-nano-9k",
    title="Sipeed Tang Nano 9K",
    device="gw1nr-9c",
    platform="tang_nano_9k:TangNano9kPlatform",
    loader="tangnano9k",
    baud=1_000_000,
)
_COLORLIGHT_I5 = Board(
    name="colorlight-i5",
    title="Colorlight i5 7.0 on its extension board",
    device="ecp5-25k",
    platform="",
    loader="colorlight-i5",
    baud=1_000_000,
)
BOARDS: Mapping[str, Board] = MappingProxyType(
    {
        "ulx3s": _ulx3s(85),
        **{f"ulx3s-{size}f": _ulx3s(size) for size in (12, 25, 45, 85)},
        **{board.name: board for board in (_COLORLIGHT_I5, _ICEBREAKER, _TANG_NANO_9K)},
    }
)
"""Every board by its name; ``ulx3s`` alone is that of the largest device."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin of the device and how it is driven; ``attributes`` are of the family's constraints."""

    site: str
    inverted: bool
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the link needs of a board; ``clock_mhz`` is that of its oscillator."""

    clock: Pin
    clock_mhz: float
    rx: Pin
    tx: Pin
    led: Pin


def board(name: str) -> Board:
    """The board of that name.

    Raises
    ------
    VecqError
        There is none; the message says which one may be meant.

    Examples
    --------
    >>> board("icebraker")
    Traceback (most recent call last):
    vecq_hw.errors.VecqError: there is no board 'icebraker'; did you mean 'icebreaker'?
    """
    found = BOARDS.get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise VecqError(f"there is no board {name!r}; {nearest(name, BOARDS)}")
    return found


def pins(chosen: Board) -> Pins:
    """The pins of a board, by its definition in amaranth-boards or here."""
    try:
        platform = _platform(chosen)
    except ModuleNotFoundError as error:
        raise MissingToolError(missing_package(error.name)) from None
    resources = {(each.name, each.number): each for each in platform.resources}
    clock = resources[platform.default_clk, 0]
    uart = resources["uart", 0]
    lines = {each.name: each for each in uart.ios if hasattr(each, "name")}
    return Pins(
        clock=_pin(clock),
        clock_mhz=1e-6 / clock.clock.period,
        rx=_pin(lines["rx"], uart.attrs),
        tx=_pin(lines["tx"], uart.attrs),
        led=_pin(resources["led", 0]),
    )


def device_of(chosen: Board) -> Device:
    """The board's device, by the table of devices."""
    return device_named(chosen.device)


def _pin(resource: Any, more: Mapping[str, object] = MappingProxyType({})) -> Pin:
    (site,) = (each for each in resource.ios if hasattr(each, "names"))
    return Pin(site.names[0], bool(site.invert), {**dict(more), **dict(resource.attrs)})


def _platform(chosen: Board) -> Any:
    if not chosen.platform:
        return _colorlight_i5()
    module, _, name = chosen.platform.partition(":")
    return getattr(importlib.import_module(f"amaranth_boards.{module}"), name)


def _colorlight_i5() -> Any:
    """The board as litex-boards and the vendor's constraints describe it."""
    from amaranth.build import Attrs, Clock, Resource
    from amaranth.build import Pins as Sites
    from amaranth_boards.resources import LEDResources, UARTResource

    def resources() -> Iterator[Any]:
        attributes = Attrs(IO_TYPE="LVCMOS33")
        yield Resource("clk25", 0, Sites("P3", dir="i"), Clock(25e6), attributes)
        yield from LEDResources(pins="U16", invert=True, attrs=attributes)
        yield UARTResource(0, rx="H18", tx="J17", attrs=attributes)

    class Platform:
        default_clk = "clk25"

    Platform.resources = list(resources())  # type: ignore[attr-defined]
    return Platform


def constraints(found: Pins, family: str) -> str:
    """Where the pins lie, in the language of the family's place and route tool.

    Raises
    ------
    VecqError
        There is no board with a device of this family.
    """
    ports = {"clk_i": found.clock, "rx_i": found.rx, "tx_o": found.tx, "led_o": found.led}
    lines = []
    for port, pin in ports.items():
        match family:
            case "ecp5":
                given = " ".join(f"{key}={value}" for key, value in pin.attributes.items())
                lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
                lines.append(f'IOBUF PORT "{port}" {given};')
            case "ice40":
                up = " -pullup yes" if pin.attributes.get("PULLUP") else ""
                lines.append(f"set_io{up} {port} {pin.site}")
            case "gowin":
                given = " ".join(f"{key}={value}" for key, value in pin.attributes.items())
                lines.append(f'IO_LOC "{port}" {pin.site};')
                lines.append(f'IO_PORT "{port}" {given};')
            case _:
                raise VecqError(f"there is no board with a device of the family '{family}'")
    if family == "ecp5":
        lines.append(f'FREQUENCY PORT "clk_i" {found.clock_mhz:g} MHZ;')
    return "\n".join([*lines, ""])
