"""Are two netlists the same circuit?  A canonical order of cells and wires decides."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

Netlist = Mapping[str, Any]
"""A module as yosys' ``write_json`` tells it."""


def canonical(module: Netlist) -> dict[str, Any]:
    """The module with cells and wires named and ordered by the circuit alone.

    Names and orders that only the way of writing it gave are gone: of two modules that give equal
    results, one is the other with cells and wires renamed.  (The converse holds but for circuits
    with symmetries that are none of the whole.)
    """
    cells = _cells(module)
    colours = _refined(module, cells, [0] * len(cells))
    while len(set(colours)) < len(cells):  # twins: any of them may come first
        twin = min(colour for colour, count in Counter(colours).items() if count > 1)
        first = colours.index(twin)
        colours = _refined(module, cells, [c + (i == first) for i, c in enumerate(colours)])
    return _renamed(module, [cells[i] for i in sorted(range(len(cells)), key=colours.__getitem__)])


def reordered(module: Netlist, seed: int) -> dict[str, Any]:
    """The same circuit with cells and wires in a random order."""
    cells = _cells(module)
    random.Random(seed).shuffle(cells)
    return _renamed(module, cells)


def _cells(module: Netlist) -> list[dict[str, Any]]:
    return [cell for cell in module["cells"].values() if cell["type"] != "$scopeinfo"]


def _refined(module: Netlist, cells: Sequence[Netlist], given: Sequence[int]) -> list[int]:
    """Colours of the cells, refined by those of their wires until no class of equals splits."""
    ends: dict[int, Hashable] = {
        bit: (name, place)
        for name, port in module["ports"].items()
        for place, bit in enumerate(port["bits"])
        if isinstance(bit, int)
    }
    fixed = [(c["type"], tuple(sorted(c["parameters"].items()))) for c in cells]
    colours = [_digest(*each) for each in zip(fixed, given, strict=True)]
    wires: dict[int, int] = {}
    classes = 0
    while len(set(colours)) > classes:
        classes = len(set(colours))
        pins = defaultdict(list)
        for colour, cell in zip(colours, cells, strict=True):
            for port, bits in cell["connections"].items():
                for place, bit in enumerate(bits):
                    pins[bit].append((colour, port, place))
        wires = {bit: _digest(ends.get(bit), sorted(found)) for bit, found in pins.items()}
        colours = [
            _digest(
                colour,
                [
                    (port, [wires[bit] if isinstance(bit, int) else bit for bit in bits])
                    for port, bits in sorted(cell["connections"].items())
                ],
            )
            for colour, cell in zip(colours, cells, strict=True)
        ]
    return colours


def _digest(*what: Hashable | list[Any]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=8).digest(), "big")


def _renamed(module: Netlist, cells: Sequence[Netlist]) -> dict[str, Any]:
    """Its cells in this order, wires numbered as they come; attributes, which are places, go."""
    numbers: dict[int, int] = {}

    def renumbered(bits: Sequence[int | str]) -> list[int | str]:
        return [
            numbers.setdefault(bit, len(numbers) + 2) if isinstance(bit, int) else bit
            for bit in bits
        ]

    ports = {
        name: {**port, "bits": renumbered(port["bits"])}
        for name, port in sorted(module["ports"].items())
    }
    return {
        "ports": ports,
        "cells": {
            f"c{place}": {
                "type": cell["type"],
                "parameters": dict(sorted(cell["parameters"].items())),
                "port_directions": dict(sorted(cell["port_directions"].items())),
                "connections": {
                    port: renumbered(bits) for port, bits in sorted(cell["connections"].items())
                },
            }
            for place, cell in enumerate(cells)
        },
        "netnames": {},
    }
