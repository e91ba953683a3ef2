"""The evaluation of netlists that the area benchmarks check both sides with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.netlist import clocked, evaluate, packed
from vecq_hw.errors import VecqError
from vecq_hw.netlist.model import Netlist, from_module

OUTPUTS = ("O", "CO", "Q")


def netlist(ports: dict[str, Any], cells: dict[str, Any]) -> Netlist:
    for cell in cells.values():
        ways = {pin: "output" if pin in OUTPUTS else "input" for pin in cell["connections"]}
        cell["port_directions"] = ways
    return from_module("made", {"ports": ports, "cells": cells})


def adder(bits: int) -> Netlist:
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
    return netlist(ports, {**cells, "carry": carry})


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
    found = evaluate(netlist(ports, {"lut": lut, "inverter": inverter}), range(64))
    assert found == [1 if table >> word & 1 else 2 for word in range(64)]


def test_words_of_any_width_and_number() -> None:
    """A hundred bits through inverters, in two words of samples and more."""
    cells = {
        f"not{place}": {"type": "INV", "connections": {"I": [2 + place], "O": [200 + place]}}
        for place in range(100)
    }
    ports = {
        "x_i": {"direction": "input", "bits": [*range(2, 102)]},
        "y_o": {"direction": "output", "bits": [*range(200, 300)]},
    }
    words = [int.from_bytes(np.random.default_rng(n).bytes(12), "little") for n in range(130)]
    assert evaluate(netlist(ports, cells), words) == [(1 << 100) - 1 - word for word in words]


def test_what_has_no_model_is_refused() -> None:
    block = {"type": "DSP48E2", "connections": {"A": [2], "O": [3]}}
    ports = {
        "x_i": {"direction": "input", "bits": [2]},
        "y_o": {"direction": "output", "bits": [3]},
    }
    with pytest.raises(VecqError, match="no model of cell 'block', a DSP48E2"):
        evaluate(netlist(ports, {"block": block}), [0, 1])


def test_registers_are_clocked_enabled_cleared_and_put() -> None:
    """From data, enable, clear and put: two flip-flops and a shift register of three places."""
    data, enable, clear, put = 2, 3, 4, 5
    wires = {"C": [9], "CE": [enable], "D": [data]}
    tap = {"A0": ["0"], "A1": ["1"], "A2": ["0"], "A3": ["0"], "CLK": [9]}
    cells = {
        "cleared": {"type": "FDRE", "connections": {**wires, "R": [clear], "Q": [6]}},
        "put": {
            "type": "FDSE",
            "parameters": {"INIT": "0"},
            "connections": {**wires, "S": [put], "Q": [7]},
        },
        "shift": {
            "type": "SRL16E",
            "connections": {**tap, "CE": [enable], "D": [data], "Q": [8]},
        },
    }
    ports = {
        "clk_i": {"direction": "input", "bits": [9]},
        "x_i": {"direction": "input", "bits": [data, enable, clear, put]},
        "y_o": {"direction": "output", "bits": [6, 7, 8]},
    }
    # Two samples a cycle: the second one is never enabled, but cleared and put.
    steps = [0b0011, 0b0011, 0b0010, 0b0001, 0b0111, 0b1010, 0b0000]
    words = [[word, word & ~2] for word in steps]
    outputs = list(clocked(netlist(ports, cells), words))
    assert [row[0] for row in outputs] == [0, 3, 3, 4, 4, 2 | 4, 2]
    assert [row[1] for row in outputs] == [0, 0, 0, 0, 0, 0, 2]
