"""What a netlist of yosys computes: look-up tables, carry chains, registers, many samples at once.

A net's values over all samples are the bits of one Python integer, so a gate is one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from vecq_hw.formats import IntArray

Net = int | str | tuple[str, int]
"""A net of the netlist, a constant, or the carry out of a place in a CARRY4."""
Gate = tuple[int, Sequence[Net]]
"""A truth table, bit i for the inputs that spell i, and the inputs, the lowest first."""

_REGISTERS = ("FDRE", "FDSE", "SRL16E")
_XOR, _CARRY = 0b0110, 0b11001010
"""Of (S, carry in); of (DI, carry in, S): carry in where S, else DI."""


def packed(values: IntArray, widths: Sequence[int]) -> list[int]:
    """Each row as one vector: two's complement of the widths, the first element lowest.

    Examples
    --------
    >>> packed(np.array([[1, -1], [2, 0]]), (3, 2))
    [25, 2]
    """
    places = [0, *accumulate(widths)]
    return [
        sum((v % (1 << w)) << p for v, w, p in zip(row, widths, places, strict=False))
        for row in values.tolist()
    ]


def evaluate(module: Mapping[str, Any], words: Sequence[int]) -> list[int]:
    """The only output of a module without flip-flops, for each word of its only input.

    Parameters
    ----------
    module : mapping
        Of ``write_json``, after ``synth_xilinx`` without memories.
    words : sequence of int
        One for each sample, unsigned.

    Returns
    -------
    list of int
        The output vectors, unsigned.
    """
    gates = dict(_gates(module["cells"]))
    (source,) = (p["bits"] for p in module["ports"].values() if p["direction"] == "input")
    values = _values(source, words)
    return _outputs(module, gates, values, len(words))


def clocked(module: Mapping[str, Any], cycles: Iterable[Sequence[int]]) -> Iterator[list[int]]:
    """What :func:`evaluate` gives in each cycle of a module with one clock and registers of 0.

    Parameters
    ----------
    module : mapping
        Beside its clock, which no look-up table reads, it has one input.
    cycles : iterable of sequence of int
        The word of each sample in this cycle, as many samples in each.
    """
    cells = module["cells"].items()
    registers = [cell for _, cell in cells if cell["type"] in _REGISTERS]
    gates = dict(_gates({name: c for name, c in cells if c["type"] not in (*_REGISTERS, "BUFG")}))
    inputs = [p["bits"] for p in module["ports"].values() if p["direction"] == "input"]
    source = max(inputs, key=len)
    kept = [[0] * 16 for _ in registers]  # the newest first; a flip-flop is the first of them
    for words in cycles:
        values, everywhere = _values(source, words), (1 << len(words)) - 1
        for register, bits in zip(registers, kept, strict=True):
            values[register["connections"]["Q"][0]] = bits[_tap(register)]
        yield _outputs(module, gates, values, len(words))
        for register, bits in zip(registers, kept, strict=True):
            wires = {pin: nets[0] for pin, nets in register["connections"].items() if pin != "C"}
            pins = [pin for pin in ("D", "CE", "R", "S") if pin in wires]
            for pin in pins:
                _settle(wires[pin], gates, values, everywhere)
            data, enable = values[wires["D"]], values[wires["CE"]]
            clear, put = (values[wires[pin]] if pin in wires else 0 for pin in ("R", "S"))
            shifted = [
                enable & new | ~enable & old for new, old in zip([data, *bits], bits, strict=False)
            ]
            bits[:] = [(bit & ~clear | put) & everywhere for bit in shifted]


def _tap(register: Mapping[str, Any]) -> int:
    """The place in a shift register that is read."""
    wires = register["connections"]
    return sum(int(wires[f"A{i}"][0]) << i for i in range(4)) if "A0" in wires else 0


def _values(source: Sequence[Net], words: Sequence[int]) -> dict[Net, int]:
    """The values of the constants, and of the nets that an input drives."""
    # An x may be read as 0: what depends on it must not matter.
    values: dict[Net, int] = {"0": 0, "1": (1 << len(words)) - 1, "x": 0}
    return values | dict(zip(source, _turned(words, len(source)), strict=True))


def _outputs(
    module: Mapping[str, Any], gates: Mapping[Net, Gate], values: dict[Net, int], samples: int
) -> list[int]:
    """The word of each sample at the only output."""
    (target,) = (p["bits"] for p in module["ports"].values() if p["direction"] == "output")
    for net in target:
        _settle(net, gates, values, (1 << samples) - 1)
    return _turned([values[net] for net in target], samples)


def _turned(rows: Sequence[int], bits: int) -> list[int]:
    """The bit matrix with rows and columns exchanged; each row has so many bits."""
    size = -(-bits // 8)
    data = np.frombuffer(b"".join(row.to_bytes(size, "little") for row in rows), np.uint8)
    matrix = np.unpackbits(data.reshape(-1, size), axis=1, bitorder="little", count=bits)
    columns = np.packbits(matrix.T, axis=1, bitorder="little")
    return [int.from_bytes(column.tobytes(), "little") for column in columns]


def _gates(cells: Mapping[str, Any]) -> Iterator[tuple[Net, Gate]]:
    """Each net that a cell drives, with its gate."""
    for name, cell in cells.items():
        wires, kind = cell["connections"], cell["type"]
        if kind.startswith("LUT"):
            places = range(int(kind[3:]))
            yield (
                wires["O"][0],
                (int(cell["parameters"]["INIT"], 2), [wires[f"I{i}"][0] for i in places]),
            )
        elif kind == "INV":
            yield wires["O"][0], (0b01, wires["I"])
        elif kind in ("MUXF7", "MUXF8", "MUXF9"):
            yield wires["O"][0], (_CARRY, [wires[pin][0] for pin in ("I0", "I1", "S")])
        elif kind == "CARRY4":
            yield (name, -1), (0b1110, [wires["CI"][0], wires["CYINIT"][0]])
            for place, (s, d) in enumerate(zip(wires["S"], wires["DI"], strict=True)):
                carry, out = (name, place - 1), (name, place)
                yield out, (_CARRY, [d, carry, s])
                for net in wires.get("O", ())[place : place + 1]:
                    yield net, (_XOR, [s, carry])
                for net in wires.get("CO", ())[place : place + 1]:
                    yield net, (0b10, [out])
        elif kind != "$scopeinfo":
            raise ValueError(f"cell '{name}' is a {kind}; LUTs, inverters and carries are wanted")


def _settle(net: Net, gates: Mapping[Net, Gate], values: dict[Net, int], everywhere: int) -> None:
    """Compute ``net`` and what it depends on."""
    stack = [net]
    while stack:
        table, operands = gates[stack[-1]] if stack[-1] not in values else (0, ())
        missing = [operand for operand in operands if operand not in values]
        if missing:
            stack += missing
            continue
        top = stack.pop()
        if top not in values:
            values[top] = _look_up(table, [values[o] for o in operands], everywhere)


def _look_up(table: int, inputs: Sequence[int], everywhere: int) -> int:
    """The output of a truth table, by halves of it."""
    size = 1 << len(inputs)
    if table == 0:
        return 0
    if table == (1 << size) - 1:
        return everywhere
    *rest, last = inputs
    half = size >> 1
    low = _look_up(table & ((1 << half) - 1), rest, everywhere)
    high = _look_up(table >> half, rest, everywhere)
    return low if low == high else low ^ (last & (low ^ high))
