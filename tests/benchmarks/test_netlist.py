"""The evaluation of netlists that the area benchmarks check both sides with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.netlist import evaluate, packed


def adder(bits: int) -> dict[str, Any]:
    """``a + b`` of two inputs of up to 4 bits, a below b, by LUT2 and CARRY4, carry out on top."""
    net = iter(range(2, 100))
    a, b = [[next(net) for _ in range(bits)] for _ in range(2)]
    s, o, co = [[next(net) for _ in range(4)] for _ in range(3)]
    rest = ["x"] * (4 - bits)
    cells = {
        f"lut{i}": {
            "type": "LUT2",
            "parameters": {"INIT": "0110"},
            "connections": {"I0": [a[i]], "I1": [b[i]], "O": [s[i]]},
        }
        for i in range(bits)
    }
    wires = {"CI": ["0"], "CYINIT": ["0"], "DI": [*a, *rest], "S": [*s[:bits], *rest]}
    carry = {"type": "CARRY4", "connections": {**wires, "O": o, "CO": co}}
    ports = {
        "x_i": {"direction": "input", "bits": [*a, *b]},
        "y_o": {"direction": "output", "bits": [*o[:bits], co[bits - 1]]},
    }
    return {"ports": ports, "cells": {**cells, "carry": carry}}


@pytest.mark.parametrize("bits", [1, 3, 4])
def test_an_adder_adds_all_pairs(bits: int) -> None:
    pairs = np.stack(np.divmod(np.arange(1 << 2 * bits), 1 << bits), axis=1)
    assert evaluate(adder(bits), packed(pairs, (bits, bits))) == pairs.sum(axis=1).tolist()


def test_every_truth_table_of_six_inputs_reads_its_bits_in_order() -> None:
    table = int.from_bytes(np.random.default_rng(0).bytes(8), "little")
    wires = {f"I{i}": [2 + i] for i in range(6)}
    lut = {
        "type": "LUT6",
        "parameters": {"INIT": f"{table:064b}"},
        "connections": {**wires, "O": [8]},
    }
    inverter = {"type": "INV", "connections": {"I": [8], "O": [9]}}
    ports = {
        "x_i": {"direction": "input", "bits": [2, 3, 4, 5, 6, 7]},
        "y_o": {"direction": "output", "bits": [8, 9]},
    }
    found = evaluate({"ports": ports, "cells": {"lut": lut, "inverter": inverter}}, range(64))
    assert found == [1 if table >> word & 1 else 2 for word in range(64)]


def test_flip_flops_are_refused() -> None:
    register = {"type": "FDRE", "connections": {"D": [2], "Q": [3]}}
    ports = {
        "x_i": {"direction": "input", "bits": [2]},
        "y_o": {"direction": "output", "bits": [3]},
    }
    with pytest.raises(ValueError, match="'register' is a FDRE"):
        evaluate({"ports": ports, "cells": {"register": register}}, [0, 1])
