"""About which clock does a netlist reach on ECP5?  The longest path, before any placement.

Delays of cells are those of nextpnr's speed grade 6; a wire is as long as its number of loads
suggests.  An estimate in a second, for the choice between structures; place and route is the judge.
``python -m benchmarks.static_timing netlist.json`` prints the longest paths of what ``write_json``
wrote.
"""

from __future__ import annotations

import argparse
import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vecq_hw.netlist.model import Cell, Netlist, read_json

WIRES = ((1, 0.75), (3, 1.0), (20, 1.2), (100, 1.6), (300, 2.0))
"""Delay of a wire, ns, of up to so many loads."""
LONGEST_WIRE = 2.4
CLOCK_TO_Q, LUT, MUX, CARRY_IN, CARRY, CARRY_OUT = 0.52, 0.24, 0.2, 0.45, 0.07, 0.44
BLOCK_RAM, BLOCK_RAM_REGISTERED, MEMORY_SETUP = 5.83, 0.97, 0.2
MULTIPLY, MULTIPLY_REGISTERED = 3.9, 0.97
_MUXES = ("PFUMX", "L6MUX21")
_CONTROL = ("CLK", "CLKA", "CLKB", "WCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPath:
    """From a register to a register or port.

    Attributes
    ----------
    delay : float
        In ns.
    points : sequence of (float, str, str)
        When a signal arrives at the output of a cell, the cell's type, the net's name.
    """

    delay: float
    points: tuple[tuple[float, str, str], ...]

    @property
    def mhz(self) -> float:
        """The clock that has this period."""
        return 1000 / self.delay


@dataclass(frozen=True, slots=True)
class _Arc:
    """From one bit of a netlist to another through a cell."""

    origin: int
    delay: float
    wired: bool
    kind: str


def wire(loads: int) -> float:
    """Delay of a wire, ns."""
    return next((delay for most, delay in WIRES if loads <= most), LONGEST_WIRE)


def longest_paths(netlist: Netlist, count: int = 1) -> list[TimedPath]:
    """The longest paths of a mapped module, one for each of as many ends, the longest first."""
    names: dict[int, str] = {}
    for name, net in sorted(netlist.names.items(), key=lambda item: item[1]["hide_name"]):
        for place, bit in enumerate(net["bits"]):
            if isinstance(bit, int):
                names.setdefault(bit, f"{name}[{place}]" if len(net["bits"]) > 1 else name)
    loads: dict[int, int] = defaultdict(int)
    starts: dict[int, tuple[float, str]] = {}
    arcs: dict[int, list[_Arc]] = defaultdict(list)
    ends: list[tuple[int, float, bool, str]] = []
    for cell in netlist.cells.values():
        for port, bits in cell.pins.items():
            if cell.directions[port] == "input":
                for bit in bits:
                    if isinstance(bit, int):
                        loads[bit] += 1
        for origin, delay, target, kind, wired in _cell_arcs(cell):
            if target is None:
                assert origin is not None
                ends.append((origin, delay, wired, kind))
            elif origin is None:
                starts[target] = delay, kind
            else:
                arcs[target].append(_Arc(origin, delay, wired, kind))
    arrival: dict[int, tuple[float, _Arc | None]] = {}

    def come(arc: _Arc) -> float:
        return arrival[arc.origin][0] + (wire(loads[arc.origin]) if arc.wired else 0) + arc.delay

    def back(bit: int) -> list[tuple[float, str, str]]:
        when, arc = arrival[bit]
        kind = arc.kind if arc else starts.get(bit, (0, "port"))[1]
        before = back(arc.origin) if arc else []
        return [*before, (when, kind, names.get(bit, str(bit)))]

    for end, *_ in ends:
        stack = [end]
        while stack:
            bit = stack[-1]
            if bit in arrival:
                stack.pop()
                continue
            missing = [arc.origin for arc in arcs[bit] if arc.origin not in arrival]
            if missing:
                stack.extend(missing)
                continue
            last = max(arcs[bit], key=come, default=None)
            arrival[bit] = (starts.get(bit, (0.0, ""))[0], None) if last is None else (
                come(last), last
            )  # fmt: skip
            stack.pop()
    found = [
        (arrival[bit][0] + (wire(loads[bit]) if wired else 0) + delay, number)
        for number, (bit, delay, wired, _) in enumerate(ends)
        if not (arrival[bit][1] is None and bit not in starts)  # ports and constants
    ]
    return [
        TimedPath(delay=delay, points=(*back(ends[number][0]), (delay, ends[number][3], "")))
        for delay, number in heapq.nlargest(count, found)
    ]


def _cell_arcs(
    cell: Cell,
) -> Iterator[tuple[int | None, float, int | None, str, bool]]:
    """The arcs of a cell: from and to (None: a register), delay, kind, whether a wire follows."""
    kind, wires, ways = cell.type, cell.pins, cell.directions

    def bits(port: str) -> list[int]:
        return [bit for bit in wires.get(port, ()) if isinstance(bit, int)]

    inputs = [p for p, way in ways.items() if way == "input" and p not in _CONTROL]
    outputs = [p for p, way in ways.items() if way == "output"]
    registered = False
    match kind:
        case "LUT4" | "PFUMX" | "L6MUX21":
            delay = LUT if kind == "LUT4" else MUX
            for port in inputs:
                for target in bits("Z"):
                    # The tables in front of a multiplexer lie beside it.
                    wired = kind == "LUT4" or port in ("C0", "SD")
                    yield from ((bit, delay, target, kind, wired) for bit in bits(port))
            return
        case "CCU2C":
            for place in "01":
                tables = [bit for name in "ABCD" for bit in bits(f"{name}{place}")]
                for target in bits("COUT"):
                    yield from ((bit, CARRY_IN, target, kind, True) for bit in tables)
                for later in "01"[int(place) :]:
                    delay = LUT if later == place else CARRY_IN + CARRY_OUT
                    for target in bits(f"S{later}"):
                        yield from ((bit, delay, target, kind, True) for bit in tables)
            for target in bits("COUT"):
                yield from ((bit, CARRY, target, kind, False) for bit in bits("CIN"))
            for port in ("S0", "S1"):
                for target in bits(port):
                    yield from ((bit, CARRY_OUT, target, kind, False) for bit in bits("CIN"))
            return
        case "TRELLIS_DPR16X4":
            for target in bits("DO"):
                yield from ((bit, LUT, target, kind, True) for bit in bits("RAD"))
                yield None, CLOCK_TO_Q + LUT, target, kind, False
            inputs = [port for port in inputs if port != "RAD"]
            delay, setup, registered = 0.0, 0.0, True
            outputs = []
        case "DP16KD":
            registered = True
            modes = (cell.parameters.get(f"REGMODE_{side}") for side in "AB")
            delay = BLOCK_RAM_REGISTERED if "OUTREG" in modes else BLOCK_RAM
            setup = MEMORY_SETUP
        case "MULT18X18D":
            parameters = cell.parameters
            registered = parameters.get("REG_OUTPUT_CLK", "NONE") != "NONE"
            entry = parameters.get("REG_INPUTA_CLK", "NONE") != "NONE"
            setup = 0.3 if entry else MULTIPLY if registered else 0.0
            delay = MULTIPLY_REGISTERED if registered else MULTIPLY
            if not registered and not entry:
                for port in outputs:
                    for target in bits(port):
                        for name in inputs:
                            yield from ((bit, MULTIPLY, target, kind, True) for bit in bits(name))
                return
            registered = True
        case _:
            delay, setup, registered = CLOCK_TO_Q, 0.0, True
    assert registered
    for port in outputs:
        yield from ((None, delay, target, kind, False) for target in bits(port))
    for port in inputs:
        # A flip-flop lies beside the table or carry cell that it stores.
        wired = kind != "TRELLIS_FF" or port != "DI"
        needed = 0.3 if kind == "MULT18X18D" and port.startswith(("CE", "RST")) else setup
        yield from ((bit, needed, None, kind, wired) for bit in bits(port))


def main() -> None:
    """Print the longest paths of a file."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("netlist", type=Path)
    parser.add_argument("--paths", type=int, default=1)
    given = parser.parse_args()
    for path in longest_paths(read_json(given.netlist.read_text()), given.paths):
        print(f"{path.delay:.2f} ns, {path.mhz:.1f} MHz")
        for when, kind, name in path.points:
            print(f"  {when:6.2f} {kind:12} {name}")


if __name__ == "__main__":
    main()
