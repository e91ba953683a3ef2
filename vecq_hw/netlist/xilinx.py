"""What the cells of AMD's 7 series and UltraScale+ compute, as ``synth_xilinx`` makes them.

Look-up tables, carry chains, flip-flops, and memories and shift registers of look-up tables; block
RAM and DSP blocks have no model.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vecq_hw.netlist.circuit import (
    CellMaker,
    Circuit,
    Memory,
    Read,
    Write,
    bits_of,
    number,
    pin,
    pins,
    refuse,
)
from vecq_hw.netlist.model import Bit, Cell

_XOR, _SAME, _EITHER = 0b0110, 0b10, 0b1110


def _lut(circuit: Circuit, cell: Cell, inputs: int) -> None:
    circuit.table(pin(cell, "O"), number(cell, "INIT"), pins(cell, "I", inputs))


def _inverter(circuit: Circuit, cell: Cell) -> None:
    circuit.table(pin(cell, "O"), 0b01, [pin(cell, "I")])


def _wire(circuit: Circuit, cell: Cell) -> None:
    """A buffer."""
    circuit.table(pin(cell, "O"), _SAME, [pin(cell, "I")])


def _mux(circuit: Circuit, cell: Cell) -> None:
    circuit.select(pin(cell, "O"), pin(cell, "I0"), pin(cell, "I1"), pin(cell, "S"))


def _carry4(circuit: Circuit, cell: Cell) -> None:
    first = circuit.net()
    circuit.table(first, _EITHER, (pin(cell, "CI"), pin(cell, "CYINIT")))
    _chain(circuit, cell, first)


def _carry8(circuit: Circuit, cell: Cell) -> None:
    if cell.parameters.get("CARRY_TYPE", "SINGLE_CY8") != "SINGLE_CY8":
        raise refuse(cell, "is two chains, which has no model")
    _chain(circuit, cell, pin(cell, "CI"))


def _chain(circuit: Circuit, cell: Cell, carry: Bit) -> None:
    """A place's carry is that of the place below where S, else DI."""
    sums, carries = (cell.pins.get(name, ()) for name in ("O", "CO"))
    for place, (s, d) in enumerate(zip(cell.pins["S"], cell.pins["DI"], strict=True)):
        for net in sums[place : place + 1]:
            circuit.table(net, _XOR, (s, carry))
        given = carries[place : place + 1]
        out = given[0] if given and not isinstance(given[0], str) else circuit.net()
        circuit.select(out, d, carry, s)
        carry = out


def _flip_flop(circuit: Circuit, cell: Cell, value: bool) -> None:
    for name in ("C", "D", "R", "S"):
        if number(cell, f"IS_{name}_INVERTED"):
            raise refuse(cell, f"has its pin {name} inverted, which has no model")
    circuit.clocks.add(pin(cell, "C"))
    circuit.register(
        pin(cell, "Q"),
        pin(cell, "D"),
        enable=pin(cell, "CE", "1"),
        clear=pin(cell, "S" if value else "R"),
        value=value,
        begins=bool(number(cell, "INIT", "01"[value])),
    )


def _shift_register(circuit: Circuit, cell: Cell, address: tuple[Bit, ...], last: str) -> None:
    """Flip-flops in a row, of which the address chooses the one that is read."""
    clock = pin(cell, "CLK")
    if number(cell, "IS_CLK_INVERTED"):
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    circuit.clocks.add(clock)
    kept: list[Bit] = []
    data, content = pin(cell, "D"), number(cell, "INIT")
    for place in range(1 << len(address)):
        kept.append(circuit.net())
        begins = bool(content >> place & 1)
        circuit.register(kept[-1], data, enable=pin(cell, "CE", "1"), begins=begins)
        data = kept[-1]
    if last in cell.pins:
        circuit.table(pin(cell, last), _SAME, (kept[-1],))
    for net in address:
        if isinstance(net, str):
            kept = kept[net == "1" :: 2]
            continue
        outputs = [circuit.net() for _ in kept[::2]]
        for out, low, high in zip(outputs, kept[::2], kept[1::2], strict=True):
            circuit.select(out, low, high, net)
        kept = outputs
    circuit.table(pin(cell, "Q"), _SAME, kept)


def _srl16(circuit: Circuit, cell: Cell) -> None:
    _shift_register(circuit, cell, pins(cell, "A", 4), "Q15")


def _srl32(circuit: Circuit, cell: Cell) -> None:
    _shift_register(circuit, cell, cell.pins["A"], "Q31")


def _lut_memory(circuit: Circuit, cell: Cell, ports: str, bits: int, depth: int) -> None:
    """Memories side by side, written at the address of the last, read each at its own."""
    if number(cell, "IS_WCLK_INVERTED"):
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    circuit.clocks.add(pin(cell, "WCLK"))
    for port in ports:
        data = cell.pins.get(f"DO{port}", ())
        if not data:
            continue
        write = Write(
            address=cell.pins[f"ADDR{ports[-1]}"],
            data=cell.pins[f"DI{port}"],
            enables=(pin(cell, "WE"),),
        )
        circuit.memories.append(
            Memory(
                unit_bits=bits,
                content=bits_of(number(cell, f"INIT_{port}"), bits, depth),
                reads=(Read(address=cell.pins[f"ADDR{port}"], data=data),),
                writes=(write,),
            )
        )


def _dual_port(circuit: Circuit, cell: Cell, inputs: int) -> None:
    """One bit wide, read at the address that is written and at another."""
    if number(cell, "IS_WCLK_INVERTED"):
        raise refuse(cell, "is clocked by the falling edge, which has no model")
    circuit.clocks.add(pin(cell, "WCLK"))
    numbered = "A0" in cell.pins
    own, other = (
        pins(cell, name, inputs) if numbered else cell.pins[name] for name in ("A", "DPRA")
    )
    places = (("SPO", own), ("DPO", other))
    circuit.memories.append(
        Memory(
            unit_bits=1,
            content=np.asarray(bits_of(number(cell, "INIT"), 1, 1 << inputs)),
            reads=tuple(
                Read(address=address, data=cell.pins[name])
                for name, address in places
                if name in cell.pins
            ),
            writes=(Write(address=own, data=cell.pins["D"], enables=(pin(cell, "WE"),)),),
        )
    )


MAKERS: dict[str, CellMaker] = {
    **{f"LUT{inputs}": partial(_lut, inputs=inputs) for inputs in range(1, 7)},
    "INV": _inverter,
    **dict.fromkeys(("BUFG", "BUFGP", "IBUF", "OBUF"), _wire),
    **dict.fromkeys(("MUXF7", "MUXF8", "MUXF9"), _mux),
    "CARRY4": _carry4,
    "CARRY8": _carry8,
    "FDRE": partial(_flip_flop, value=False),
    "FDSE": partial(_flip_flop, value=True),
    "SRL16E": _srl16,
    "SRLC32E": _srl32,
    "RAM32M": partial(_lut_memory, ports="ABCD", bits=2, depth=32),
    "RAM64M": partial(_lut_memory, ports="ABCD", bits=1, depth=64),
    "RAM32M16": partial(_lut_memory, ports="ABCDEFGH", bits=2, depth=32),
    "RAM64M8": partial(_lut_memory, ports="ABCDEFGH", bits=1, depth=64),
    "RAM32X1D": partial(_dual_port, inputs=5),
    "RAM64X1D": partial(_dual_port, inputs=6),
    "RAM128X1D": partial(_dual_port, inputs=7),
}
"""By the type of the cell."""
