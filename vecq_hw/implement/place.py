"""Place and route by nextpnr: the commands of each family, and what the reports say."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecq_hw.devices import Device
from vecq_hw.implement.stages import LOG, StageError
from vecq_hw.interrupts import temporary_folder
from vecq_hw.processes import run_process
from vecq_hw.toolchain import wheel_program

TIMEOUT = 6 * 3600.0
"""Seconds that a run may take."""
REPORT, PLACES, CONFIG = "timing.json", "places.json", "configuration"
_DESIGN, _ROUTED, _PINS = "netlist.json", "routed.json", "pins"
_LOCATION = re.compile(r"X(\d+)/?Y(\d+)")
_USED = re.compile(r"Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%")
_ERROR = re.compile(r"^ERROR: (.*)", re.MULTILINE)
# How nextpnr says that there is no place left, for the block it names or for all of them.
_FULL = re.compile(
    r"unable to (?:place cell|find (?:legal )?placement)|failed to (?:place|expand region)"
    r"|no (?:more )?bels|unable to find a placement location|out of bounds|does not fit",
    re.IGNORECASE,
)


_ROUTED_ARCS = re.compile(r"Info:\s+(\d+) \|\s+\d+\s+(\d+) \|")
"""How many arcs nextpnr's first router has routed, and how many of them freely."""
_CIRCLE = 50_000
"""So many arcs in a row that all displace others are a circle: such routing never ends."""


class FullError(StageError):
    """The design has more blocks than the device."""


class CircleError(Exception):
    """nextpnr's first router displaces the same arcs again and again."""


class Circles:
    """Is given each line of nextpnr's output, and ends a routing that goes round in circles.

    Raises
    ------
    CircleError
        Each of the last 50,000 arcs that were routed displaced another one.
    """

    def __init__(self) -> None:
        self.free, self.since = -1, 0

    def __call__(self, line: str) -> None:
        """See a line."""
        found = _ROUTED_ARCS.match(line)
        if found is None:
            return
        arcs, free = int(found[1]), int(found[2])
        if free != self.free:
            self.free, self.since = free, arcs
        elif arcs - self.since >= _CIRCLE:
            raise CircleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A cell on a path, and the wire behind it.

    Attributes
    ----------
    cell : str
        Name in the netlist.
    source : str
        ``file:line`` of what it was made from, empty where synthesis forgot it.
    logic_ns, wire_ns : float
        Through the cell, and along the wire to the next.
    """

    cell: str
    source: str
    logic_ns: float
    wire_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one seed reached.

    Attributes
    ----------
    path : tuple of Step
        The longest between two registers.
    used : mapping of str to (int, int)
        Of each kind of block how many are used, and how many there are.
    """

    fmax_mhz: float
    path: tuple[Step, ...]
    used: Mapping[str, tuple[int, int]]


def place_and_route(
    design: bytes,
    device: Device,
    *,
    clock_mhz: float,
    seed: int,
    pins: str,
    constraints: str | None = None,
    route: bool = True,
) -> dict[str, bytes]:
    """Place and route a netlist: report, places of the cells, configuration and log by file name.

    Parameters
    ----------
    design : bytes
        The netlist as yosys writes JSON.
    pins : str
        The file of constraints in the family's own language; empty where any pin will do.
    route : bool
        Without it the cells are placed alone: the log says which clock wires of their distances
        would allow, and the report nothing.

    Raises
    ------
    MissingToolError
        The family's tool is not installed.
    FullError
        The design does not fit.
    StageError
        The tool ended with another error.
    """
    family = device.family
    assert family.place_and_route is not None
    program = wheel_program(family.place_and_route, family.wheels)
    with temporary_folder("vecq-place-") as folder:
        (folder / _DESIGN).write_bytes(design)
        (folder / _PINS).write_text(pins)
        options = [*device.options, *_FILES[family.name], *_pin_options(device, pins)]
        # A frequency that is missed is a result, not an error.
        command = [str(program), *options, "--json", _DESIGN, "--report", REPORT]
        command += ["--write", _ROUTED, "--seed", str(seed), "--freq", f"{clock_mhz:g}"]
        command += ["--timing-allow-fail", *([] if route else ["--no-route"])]
        try:
            log = run_tool(command, folder, Circles())
        except CircleError:
            log = "nextpnr's first router went round in circles; this is its second one:\n"
            log += run_tool([*command, "--router", "router2"], folder)
        report = (folder / REPORT).read_bytes()
        routed = (folder / _ROUTED).read_bytes()
        made = {REPORT: report, PLACES: _places(json.loads(routed)), LOG: log.encode()}
        configuration = folder / CONFIG
        made[CONFIG] = configuration.read_bytes() if configuration.exists() else routed
        return made


_FILES = {
    "ecp5": ("--textcfg", CONFIG),
    "ice40": ("--asc", CONFIG),
    "gowin": (),  # its packer reads the routed netlist
    "gatemate": ("--vopt", f"out={CONFIG}"),
}


def _pin_options(device: Device, pins: str) -> Sequence[str]:
    """What names the file of pins, or has nextpnr choose them."""
    match device.family.name:
        case "ecp5":
            return ("--lpf", _PINS) if pins else ("--lpf-allow-unconstrained",)
        case "ice40":
            return ("--pcf", _PINS) if pins else ("--pcf-allow-unconstrained",)
        case "gowin":
            return ("--vopt", f"cst={_PINS}")
        case "gatemate":
            return ("--vopt", f"ccf={_PINS}") if pins else ("--vopt", "allow-unconstrained")
    raise AssertionError(device.family.name)


def any_pins(device: Device, ports: Sequence[str]) -> str:
    """Constraints by which each port has some pin, where the tool does not choose pins itself."""
    if not device.pins:
        return ""
    if len(ports) > len(device.pins):
        raise StageError(f"{len(ports)} pins are more than the {len(device.pins)} there are", "")
    return "".join(
        f'IO_LOC "{port}" {pin};\n' for port, pin in zip(ports, device.pins, strict=False)
    )


def bitstream(configuration: bytes, device: Device) -> dict[str, bytes]:
    """Make the bitstream of what was routed: the file and the log, by name."""
    family = device.family
    assert family.bitstream is not None
    program = str(wheel_program(family.bitstream, family.wheels))
    result = BITSTREAMS[family.name]
    with temporary_folder("vecq-bitstream-") as folder:
        (folder / CONFIG).write_bytes(configuration)
        if family.name == "gowin":
            named = device.options[-1].partition("=")[2]
            command = [program, "-d", named, "-o", result, CONFIG]
        else:
            command = [program, CONFIG, result]
        log = run_tool(command, folder)
        return {result: (folder / result).read_bytes(), LOG: log.encode()}


BITSTREAMS = {
    "ecp5": "design.bit",
    "ice40": "design.bin",
    "gowin": "design.fs",
    "gatemate": "design.bit",
}
"""The file that each family's programmer takes."""


def run_tool(
    command: Sequence[str], folder: Path, on_line: Callable[[str], object] = lambda line: None
) -> str:
    """Run a tool of a wheel in ``folder``: all that it said.

    ``on_line`` is given each line as it comes; what it raises ends the tool.

    Raises
    ------
    StageError
        It failed; :class:`FullError` where the device has too few blocks.
    """
    try:
        status, log = run_process(command, folder, os.environ, TIMEOUT, on_line)
    except subprocess.TimeoutExpired:
        raise StageError(f"{Path(command[0]).name} took over {TIMEOUT:g} seconds", "") from None
    if status == 0:
        return log
    errors = _ERROR.findall(log) or log.strip().splitlines()[-1:] or ["it said nothing"]
    kind = FullError if any(_FULL.search(error) for error in errors) else StageError
    raise kind(f"{Path(command[0]).name}: {errors[-1]} (exit status {status})", log)


def used_blocks(log: str) -> dict[str, tuple[int, int]]:
    """How many blocks of each kind are used and how many there are, by nextpnr's log."""
    return {kind: (int(used), int(there)) for kind, used, there in _USED.findall(log)}


def _places(routed: Any) -> bytes:
    """Where the cells lie, as JSON: name to column and row."""
    found = {}
    for module in routed["modules"].values():
        for name, cell in module["cells"].items():
            place = _LOCATION.search(cell["attributes"].get("NEXTPNR_BEL", ""))
            if place:
                found[name] = [int(place[1]), int(place[2])]
    return json.dumps(found).encode()


def read_timing(report: bytes, sources: Mapping[str, str]) -> Timing:
    """What nextpnr's report says of one seed.

    Parameters
    ----------
    sources : mapping
        ``file:line`` by the names of cells, for where the report has none.
    """
    tree = json.loads(report)
    clocks = [entry["achieved"] for entry in tree["fmax"].values()]
    paths: list[Mapping[str, Any]] = [
        path
        for path in tree["critical_paths"]
        if path["from"] == path["to"] and path["from"] != "<async>"
    ]
    longest = max(paths, key=_length)["path"] if paths else []
    used = {
        kind: (entry["used"], entry["available"])
        for kind, entry in sorted(tree["utilization"].items())
        if entry["used"]
    }
    return Timing(
        fmax_mhz=min(clocks, default=math.nan),
        path=_steps(longest, sources),
        used=used,
    )


def _length(path: Mapping[str, Any]) -> float:
    return float(sum(part["delay"] for part in path["path"]))


def _steps(parts: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> tuple[Step, ...]:
    """The cells of a path in order; the last is the register where it ends."""
    steps: list[Step] = []
    for part in parts:
        delay = float(part["delay"])
        if part["type"] == "routing":
            last = steps[-1]
            source = last.source or _line(part.get("sources", ()))
            steps[-1] = Step(
                cell=last.cell, source=source, logic_ns=last.logic_ns, wire_ns=last.wire_ns + delay
            )
        else:
            cell = part["from"]["cell"]
            steps.append(Step(cell=cell, source=sources.get(cell, ""), logic_ns=delay, wire_ns=0.0))
    return tuple(steps)


def _line(sources: Sequence[str]) -> str:
    return source_line("|".join(sources))


def source_line(text: str) -> str:
    """``file:line`` of the first of our own files in an attribute ``src``.

    Examples
    --------
    >>> source_line("rtl/vecq_rom.sv:33.1-40.6|/usr/share/yosys/techmap.v:12.1-12.9")
    'rtl/vecq_rom.sv:33'
    """
    for part in text.split("|"):
        place, _, rest = part.rpartition(":")
        if place and not place.startswith("/"):
            return f"{place}:{rest.partition('.')[0]}"
    return ""
