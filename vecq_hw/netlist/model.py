"""A flat netlist as yosys' JSON tells it, as immutable data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

Bit = int | str
"""A net by its number, or the constant "0", "1", "x" or "z"."""
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """A block of the device, or of yosys' library, and what it is connected to.

    Attributes
    ----------
    parameters, attributes : mapping of str to str
        A number is a string of binary digits, the highest first; other texts are as they are.
    directions : mapping of str to str
        "input", "output" or "inout" for each port.
    pins : mapping of str to tuple of Bit
        The nets at each port, the lowest bit first.
    """

    name: str
    type: str
    parameters: Mapping[str, str]
    attributes: Mapping[str, str]
    directions: Mapping[str, str]
    pins: Mapping[str, tuple[Bit, ...]]

    def inputs(self) -> Iterable[tuple[str, tuple[Bit, ...]]]:
        """Ports that the cell reads, with their nets."""
        return ((p, bits) for p, bits in self.pins.items() if self.directions[p] != "output")

    def outputs(self) -> Iterable[tuple[str, tuple[Bit, ...]]]:
        """Ports that the cell drives, with their nets."""
        return ((p, bits) for p, bits in self.pins.items() if self.directions[p] != "input")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Port:
    """A port of the module: its direction and nets, the lowest bit first."""

    name: str
    direction: str
    bits: tuple[Bit, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Netlist:
    """A module without instances of other modules of the design.

    Attributes
    ----------
    top : str
        The module's name.
    ports, cells : mapping
        By their names, in the order in which they stand in the file.
    names : mapping of str to mapping
        ``netnames`` of the JSON: for each wire its ``bits`` and attributes.
    attributes : mapping
        Of the module.
    creator : str
        The program and its version.
    """

    top: str
    ports: Mapping[str, Port]
    cells: Mapping[str, Cell]
    names: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    creator: str = ""

    @cached_property
    def types(self) -> Mapping[str, int]:
        """How many cells there are of each type, by name; yosys' notes on scopes are left out."""
        types = Counter(cell.type for cell in self.cells.values() if cell.type != "$scopeinfo")
        return MappingProxyType(dict(sorted(types.items())))

    @cached_property
    def readers(self) -> Mapping[Bit, int]:
        """How many pins and ports of the module read each net."""
        read: Counter[Bit] = Counter()
        for port in self.ports.values():
            if port.direction != "input":
                read.update(port.bits)
        for cell in self.cells.values():
            for _, bits in cell.inputs():
                read.update(bits)
        return MappingProxyType(read)

    def to_json(self) -> str:
        """The file that ``read_json`` of yosys and ``--json`` of nextpnr take."""
        module = {
            "attributes": dict(self.attributes),
            "ports": {
                name: {"direction": port.direction, "bits": list(port.bits)}
                for name, port in self.ports.items()
            },
            "cells": {
                name: {
                    "hide_name": int(name.startswith("$")),
                    "type": cell.type,
                    "parameters": dict(cell.parameters),
                    "attributes": dict(cell.attributes),
                    "port_directions": dict(cell.directions),
                    "connections": {port: list(bits) for port, bits in cell.pins.items()},
                }
                for name, cell in self.cells.items()
            },
            "netnames": {name: dict(wire) for name, wire in self.names.items()},
        }
        return json.dumps({"creator": self.creator, "modules": {self.top: module}})


def read_json(text: str, top: str | None = None) -> Netlist:
    """Read a netlist of ``write_json``, or of nextpnr's ``--write``.

    Parameters
    ----------
    top : str, optional
        The module that is meant; without it the one that is marked as the top, or the only one.

    Raises
    ------
    ValueError
        The text is no netlist, or holds no such module.
    """
    tree = json.loads(text)
    modules = tree["modules"]
    if top is None:
        marked = [n for n, m in modules.items() if int(m["attributes"].get("top", "0"), 2)]
        top = marked[0] if marked else next(iter(modules))
    if top not in modules:
        raise ValueError(f"the netlist has no module '{top}'; it has {', '.join(modules)}")
    return from_module(top, modules[top], tree.get("creator", ""))


def from_module(top: str, module: Mapping[str, Any], creator: str = "") -> Netlist:
    """A netlist from one module of the JSON's tree."""
    ports = {
        name: Port(name=name, direction=port["direction"], bits=tuple(port["bits"]))
        for name, port in module["ports"].items()
    }
    cells = {
        name: Cell(
            name=name,
            type=cell["type"],
            parameters=MappingProxyType(_texts(cell.get("parameters", {}))),
            attributes=MappingProxyType(_texts(cell.get("attributes", {}))),
            directions=MappingProxyType(cell["port_directions"]),
            pins=MappingProxyType({p: tuple(bits) for p, bits in cell["connections"].items()}),
        )
        for name, cell in module["cells"].items()
    }
    names = {name: MappingProxyType(wire) for name, wire in module.get("netnames", {}).items()}
    return Netlist(
        top=top,
        ports=MappingProxyType(ports),
        cells=MappingProxyType(cells),
        names=MappingProxyType(names),
        attributes=MappingProxyType(module.get("attributes", {})),
        creator=creator,
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as texts; a number that was not written as text becomes 32 binary digits."""
    return {
        key: value if isinstance(value, str) else f"{value & 0xFFFFFFFF:032b}"
        for key, value in values.items()
    }
