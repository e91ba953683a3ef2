"""What the cells of Lattice ECP5 compute, as ``synth_ecp5`` makes them."""

from __future__ import annotations

from functools import partial

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.netlist.circuit import (
    CellMaker,
    Circuit,
    Memory,
    Product,
    Read,
    Write,
    bits_of,
    number,
    pin,
    pins,
    refuse,
    text,
)
from vecq_hw.netlist.model import Bit, Cell

_XOR = 0b0110
UNIT_BITS = 9
"""The unit of a DP16KD: a byte and its parity bit, which ports of at least 9 bits reach."""
_LOWEST = {1: 0, 2: 1, 4: 2, 9: 3, 18: 4, 36: 5}
"""The lowest pin that is part of the address of a port of so many bits."""


def _lut4(circuit: Circuit, cell: Cell) -> None:
    inputs = [pin(cell, name) for name in "ABCD"]
    circuit.table(pin(cell, "Z"), number(cell, "INIT"), inputs)


def _inverter(circuit: Circuit, cell: Cell) -> None:
    circuit.table(pin(cell, "Z"), 0b01, [pin(cell, "A")])


def _select(circuit: Circuit, cell: Cell, low: str, high: str, select: str) -> None:
    circuit.select(pin(cell, "Z"), pin(cell, low), pin(cell, high), pin(cell, select))


def _ccu2c(circuit: Circuit, cell: Cell) -> None:
    """Two places of a carry chain: a table chooses between the carry in and a smaller table."""
    carry = pin(cell, "CIN")
    for half in "01":
        truth, inputs = number(cell, f"INIT{half}"), [pin(cell, f"{n}{half}") for n in "ABCD"]
        carried = text(cell, f"INJECT1_{half}", "YES") != "YES"
        out = circuit.net() if half == "0" else pin(cell, "COUT", circuit.net())
        carry = carry_place(circuit, pin(cell, f"S{half}"), out, truth, inputs, carry, carried)


def carry_place(
    circuit: Circuit,
    total: Bit,
    out: Bit,
    truth: int,
    inputs: list[Bit],
    carry: Bit,
    carried: bool,
) -> Bit:
    """One place of a chain, whose carry goes into the sum only where ``carried``: the carry out."""
    table = circuit.net()
    circuit.table(table, truth, inputs)
    made: Bit = "0"
    if carried:
        made = circuit.net()
        circuit.table(made, truth & 0xF, inputs[:2])
    if not isinstance(total, str):
        circuit.table(total, _XOR, (table, carry if carried else "0"))
    circuit.select(out, made, carry, table)
    return out


def _flip_flop(circuit: Circuit, cell: Cell) -> None:
    clear, mode = pin(cell, "LSR"), text(cell, "SRMODE", "LSR_OVER_CE")
    if text(cell, "LSRMUX", "LSR") == "INV":
        clear = circuit.inverted(clear)
    if text(cell, "CLKMUX", "CLK") != "CLK":
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    if clear != "0" and (mode == "ASYNC" or text(cell, "LSRMODE", "LSR") != "LSR"):
        raise refuse(cell, "is set or reset without the clock or loaded, which has no model")
    circuit.clocks.add(pin(cell, "CLK"))
    value = text(cell, "REGSET", "RESET") == "SET"
    circuit.register(
        pin(cell, "Q"),
        pin(cell, "DI"),
        enable=_chosen(circuit, cell, "CEMUX", "CE", "1"),
        clear=clear,
        value=value,
        begins=value,
    )


def _chosen(circuit: Circuit, cell: Cell, parameter: str, name: str, default: str) -> Bit:
    """A pin behind a choice of itself, its inverse, or a constant."""
    match text(cell, parameter, default):
        case "0" | "1" as constant:
            return constant
        case "INV":
            return circuit.inverted(pin(cell, name))
        case _:
            return pin(cell, name)


def _lut_memory(circuit: Circuit, cell: Cell) -> None:
    """16 words of 4 bits, read without a clock."""
    if text(cell, "WCKMUX", "WCK") != "WCK":
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    circuit.clocks.add(pin(cell, "WCK"))
    read = Read(address=cell.pins["RAD"], data=cell.pins["DO"])
    enable = _chosen(circuit, cell, "WREMUX", "WRE", "WRE")
    write = Write(address=cell.pins["WAD"], data=cell.pins["DI"], enables=(enable,))
    content = bits_of(number(cell, "INITVAL"), 4, 16)
    circuit.memories.append(Memory(unit_bits=4, content=content, reads=(read,), writes=(write,)))


def _multiplier(circuit: Circuit, cell: Cell) -> None:
    """18 times 18 bits, with registers before, between and behind as it is told."""
    for port in ("SOURCEA", "SOURCEB"):
        if pin(cell, port) != "0":
            raise refuse(cell, "is one of a cascade, which has no model")
    signs = [pin(cell, f"SIGNED{side}") for side in "AB"]
    if not all(isinstance(sign, str) for sign in signs):
        raise refuse(cell, "has signs that change, which has no model")
    left, right = (
        _registered(circuit, cell, f"REG_INPUT{side}", pins(cell, side, 18)) for side in "AB"
    )
    product: tuple[Bit, ...] = tuple(circuit.net() for _ in range(36))
    circuit.products.append(
        Product(
            left=left,
            right=right,
            left_signed=signs[0] == "1",
            right_signed=signs[1] == "1",
            output=product,
        )
    )
    product = _registered(circuit, cell, "REG_PIPELINE", product)
    product = _registered(circuit, cell, "REG_OUTPUT", product)
    for net, made in zip(pins(cell, "P", 36), product, strict=True):
        _wire(circuit, net, made)


def _wire(circuit: Circuit, output: Bit, source: Bit) -> None:
    """A net that is another's equal."""
    if not isinstance(output, str):
        circuit.table(output, 0b10, (source,))


def _registered(circuit: Circuit, cell: Cell, stage: str, data: tuple[Bit, ...]) -> tuple[Bit, ...]:
    """The nets behind a stage of registers in a block, if it is used."""
    clock = text(cell, f"{stage}_CLK", "NONE")
    if clock == "NONE":
        return data
    enable = pin(cell, cell.parameters.get(f"{stage}_CE", "CE0"))
    clear = pin(cell, cell.parameters.get(f"{stage}_RST", "RST0"))
    if clear != "0" and text(cell, "RESETMODE", "SYNC") != "SYNC":
        raise refuse(cell, "is reset without the clock, which has no model")
    circuit.clocks.add(pin(cell, clock))
    outputs = tuple(circuit.net() for _ in data)
    for output, net in zip(outputs, data, strict=True):
        circuit.register(output, net, enable=enable, clear=clear)
    return outputs


def _block_ram(circuit: Circuit, cell: Cell) -> None:
    """Two ports of up to 18 bits, or one to write and one to read 36."""
    used = [side for side in "AB" if _enable(circuit, cell, side) != "0"]
    widths = {side: _plain(cell, f"DATA_WIDTH_{side}") for side in used}
    unit = min(UNIT_BITS, *widths.values(), UNIT_BITS)
    if unit < UNIT_BITS <= max(widths.values(), default=0):
        raise refuse(cell, f"has ports of {widths['A']} and {widths['B']} bits, which has no model")
    reads, writes = [], []
    for side in used:
        if pin(cell, f"CLK{side}") == "0":
            continue
        place = _address(cell, side, widths[side], unit)
        write = _clocked_write(circuit, cell, side, widths[side], place)
        # A port of 36 bits takes the pins of both: A writes, and B reads.
        alone = 36 not in widths.values()
        outputs = pins(cell, f"DO{side}", 18, "x") if alone or side == "B" else ()
        if widths[side] == 36 and side == "B":
            outputs = (*pins(cell, "DOA", 18, "x"), *outputs)
        outputs = outputs[: widths[side]]
        if not all(isinstance(net, str) for net in outputs):
            reads.append(_clocked_read(circuit, cell, side, place, outputs))
        if write is not None:
            writes.append(write)
    circuit.memories.append(
        Memory(
            unit_bits=unit,
            content=_content(cell, unit),
            reads=tuple(reads),
            writes=tuple(writes),
        )
    )


def _plain(cell: Cell, parameter: str) -> int:
    """A parameter that yosys writes in binary digits, nextpnr in decimal ones."""
    text = cell.parameters.get(parameter, "18")
    return int(text, 2) if len(text) > 4 else int(text)


def _enable(circuit: Circuit, cell: Cell, side: str, name: str = "CE") -> Bit:
    return _chosen(circuit, cell, f"{name}{side}MUX", f"{name}{side}", f"{name}{side}")


def _content(cell: Cell, unit: int) -> IntArray:
    """What the block holds at first, in units."""
    words = [bits_of(number(cell, f"INITVAL_{n:02X}"), 20, 16) for n in range(64)]
    bytes_of = np.stack([np.concatenate(words) >> shift & 0x1FF for shift in (0, 9)], axis=1)
    if unit == UNIT_BITS:
        return bytes_of.reshape(-1)
    parts = [bytes_of >> shift & ((1 << unit) - 1) for shift in range(0, 8, unit)]
    return np.stack(parts, axis=-1).reshape(-1)


def _address(cell: Cell, side: str, width: int, unit: int) -> tuple[Bit, ...]:
    """The address of a port in units."""
    for name in (f"CS{side}{place}" for place in range(3)):
        if pin(cell, name) != "0":
            raise refuse(cell, f"is chosen by {name}, which has no model")
    if text(cell, f"CLK{side}MUX", f"CLK{side}") != f"CLK{side}":
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    below = (width // unit).bit_length() - 1
    return (*("0",) * below, *pins(cell, f"AD{side}", 14)[_LOWEST[width] :])


def _clocked_write(
    circuit: Circuit, cell: Cell, side: str, width: int, place: tuple[Bit, ...]
) -> Write | None:
    """What a port writes, if it ever does; the lowest bits of a wide port's address are masks."""
    writing = circuit.all_of(_enable(circuit, cell, side), _enable(circuit, cell, side, "WE"))
    circuit.clocks.add(pin(cell, f"CLK{side}"))
    if writing == "0":
        return None
    data = pins(cell, f"DI{side}", 18)
    if width == 36:
        data = pins(cell, "DIA", 18) + pins(cell, "DIB", 18)
    masks = pins(cell, f"AD{side}", width // UNIT_BITS) if width > UNIT_BITS else ("1",)
    return Write(
        address=place,
        data=data[:width],
        enables=tuple(circuit.all_of(writing, mask) for mask in masks),
    )


def _clocked_read(
    circuit: Circuit, cell: Cell, side: str, place: tuple[Bit, ...], out: tuple[Bit, ...]
) -> Read:
    """The registers behind a memory that is read without a clock."""
    enable, write_enable = (_enable(circuit, cell, side, name) for name in ("CE", "WE"))
    mode = text(cell, f"WRITEMODE_{side}", "NORMAL")
    clear = _enable(circuit, cell, side, "RST")
    if clear != "0" and text(cell, "RESETMODE", "SYNC") != "SYNC":
        raise refuse(cell, "is reset without the clock, which has no model")
    stored = tuple(circuit.net() for _ in out)
    data, taken = stored, enable
    if write_enable != "0":
        if mode == "NORMAL":
            taken = circuit.all_of(enable, circuit.inverted(write_enable))
        elif mode == "WRITETHROUGH":
            if len(out) > UNIT_BITS:
                raise refuse(cell, "reads what it writes in parts, which has no model")
            data = tuple(circuit.net() for _ in out)
            for net, old, new in zip(data, stored, pins(cell, f"DI{side}", 18), strict=False):
                circuit.select(net, old, new, write_enable)
    registered = text(cell, f"REGMODE_{side}", "NOREG") == "OUTREG"
    last = _enable(circuit, cell, side, "OCE")
    for output, net in zip(out, data, strict=True):
        if isinstance(output, str):
            continue
        inner = circuit.net() if registered else output
        circuit.register(inner, net, enable=taken, clear="0" if registered else clear)
        if registered:
            circuit.register(output, inner, enable=last, clear=clear)
    return Read(address=place, data=stored)


MAKERS: dict[str, CellMaker] = {
    "LUT4": _lut4,
    "INV": _inverter,
    "PFUMX": partial(_select, low="BLUT", high="ALUT", select="C0"),
    "L6MUX21": partial(_select, low="D0", high="D1", select="SD"),
    "CCU2C": _ccu2c,
    "TRELLIS_FF": _flip_flop,
    "TRELLIS_DPR16X4": _lut_memory,
    "MULT18X18D": _multiplier,
    "DP16KD": _block_ram,
}
"""By the type of the cell."""
