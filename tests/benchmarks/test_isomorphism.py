"""The decision whether two netlists are one circuit."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.isomorphism import canonical, reordered


def ring(*lengths: int) -> dict[str, Any]:
    """Rings of alike buffers, so that each cell has twins, and a gate between ports."""
    cells, net = {}, 10
    for length in lengths:
        for place in range(length):
            wires = {"I": [net + place], "O": [net + (place + 1) % length]}
            cells[f"b{net}_{place}"] = cell("BUF", wires)
        net += length
    cells["gate"] = cell("AND", {"A": [2], "B": [3, "0"], "Y": [4]})
    ports = {
        "x": {"direction": "input", "bits": [2, 3]},
        "y": {"direction": "output", "bits": [4]},
    }
    return {"ports": ports, "cells": cells}


def cell(kind: str, wires: dict[str, list[int | str]]) -> dict[str, Any]:
    ways = {name: "output" if name in "OY" else "input" for name in wires}
    return {"type": kind, "parameters": {}, "port_directions": ways, "connections": wires}


@pytest.mark.parametrize("seed", range(4))
def test_names_and_orders_do_not_matter(seed: int) -> None:
    assert canonical(reordered(ring(4, 4), seed)) == canonical(ring(4, 4))
    assert reordered(ring(4, 4), seed) != reordered(ring(4, 4), seed + 1)


def test_wires_types_parameters_and_ports_matter() -> None:
    found = canonical(ring(4, 4))
    assert canonical(ring(3, 5)) != found  # as many cells of each type, each with the same around
    for key, value in (("type", "OR"), ("parameters", {"INIT": "1"})):
        other = ring(4, 4)
        other["cells"]["gate"] = {**other["cells"]["gate"], key: value}
        assert canonical(other) != found
    other = ring(4, 4)
    other["cells"]["gate"]["connections"] = {"A": [3], "B": [2, "0"], "Y": [4]}
    assert canonical(other) != found
