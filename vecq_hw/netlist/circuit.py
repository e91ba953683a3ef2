"""A netlist taken apart into few kinds of parts, whatever the family: what the simulator runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.netlist.model import Bit, Cell, Netlist

TABLE_INPUTS = 4
"""The inputs of a part; larger tables become several of them and multiplexers."""
_SELECT = 0b11001010
"""The truth table of a multiplexer over (low, high, select)."""


@dataclass(frozen=True, slots=True)
class Table:
    """``output = truth[inputs]``: bit i of ``truth`` for inputs that spell i, the lowest first."""

    output: Bit
    truth: int
    inputs: tuple[Bit, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """``output = high if select else low``."""

    output: Bit
    low: Bit
    high: Bit
    select: Bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A flip-flop of the clock.

    Attributes
    ----------
    enable, clear : Bit
        It takes ``data`` where enabled; where cleared, it takes ``value`` instead, enabled or not.
    value, begins : bool
        What it holds where it was cleared, and at first.
    """

    output: Bit
    data: Bit
    enable: Bit = "1"
    clear: Bit = "0"
    value: bool = False
    begins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """``data`` are the units from ``address`` on, without a clock; the lowest bits first."""

    address: tuple[Bit, ...]
    data: tuple[Bit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """At the clock, each unit from ``address`` on that is enabled takes its part of ``data``."""

    address: tuple[Bit, ...]
    data: tuple[Bit, ...]
    enables: tuple[Bit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Words of one or several units each.

    Attributes
    ----------
    unit_bits : int
    content : int array of shape (units,)
        What it holds at first.
    reads, writes : tuple
        Their addresses count units; a word of several lies at a multiple of so many.
    """

    unit_bits: int
    content: IntArray
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """``output = left * right``, modulo its bits; the operands may be in two's complement."""

    left: tuple[Bit, ...]
    right: tuple[Bit, ...]
    left_signed: bool
    right_signed: bool
    output: tuple[Bit, ...]


@dataclass(slots=True)
class Circuit:
    """Parts that a netlist is made of; cells of a family add theirs.

    Attributes
    ----------
    clocks : set of Bit
        The nets that clock something.
    """

    tables: list[Table] = field(default_factory=list)
    selects: list[Select] = field(default_factory=list)
    registers: list[Register] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    clocks: set[Bit] = field(default_factory=set)
    _inner: int = 0

    def net(self) -> Bit:
        """A new net inside a cell."""
        self._inner -= 1
        return self._inner

    def table(self, output: Bit, truth: int, inputs: Sequence[Bit]) -> None:
        """Add a table of any number of inputs; what it need not read is left out of it."""
        if isinstance(output, str):  # not connected
            return
        truth, inputs = reduced(truth, inputs)
        if len(inputs) <= TABLE_INPUTS:
            self.tables.append(Table(output, truth, inputs))
            return
        *rest, last = inputs
        half = 1 << len(rest)
        low, high = self.net(), self.net()
        self.table(low, truth & ((1 << half) - 1), rest)
        self.table(high, truth >> half, rest)
        self.selects.append(Select(output, low, high, last))

    def inverted(self, net: Bit) -> Bit:
        """A net with the other value."""
        if net in ("0", "1"):
            return "1" if net == "0" else "0"
        output = self.net()
        self.table(output, 0b01, [net])
        return output

    def all_of(self, *nets: Bit) -> Bit:
        """A net that is 1 where all of them are."""
        left = [net for net in nets if net != "1"]
        if len(left) < 2:
            return left[0] if left else "1"
        output = self.net()
        self.table(output, 1 << ((1 << len(left)) - 1), left)
        return output

    def select(self, output: Bit, low: Bit, high: Bit, select: Bit) -> None:
        """Add a multiplexer."""
        if isinstance(output, str):
            return
        if any(isinstance(net, str) for net in (low, high, select)):
            self.table(output, _SELECT, (low, high, select))
        else:
            self.selects.append(Select(output, low, high, select))

    def register(self, output: Bit, data: Bit, **how: Any) -> None:
        """Add a flip-flop, if anything could read it."""
        if not isinstance(output, str):
            self.registers.append(Register(output=output, data=data, **how))


def reduced(truth: int, inputs: Sequence[Bit]) -> tuple[int, tuple[Bit, ...]]:
    """The same table without constant inputs, doubled ones, and those that change nothing.

    An x may be read as 0: what depends on it must not matter.

    Examples
    --------
    >>> reduced(0b1000, ("1", 7)), reduced(0b1100, (5, 7)), reduced(0b1000, (7, 7))
    ((2, (7,)), (2, (7,)), (2, (7,)))
    """
    inputs = list(inputs)
    place = len(inputs) - 1
    while place >= 0:
        net, before = inputs[place], inputs.index(inputs[place])
        low, high = (_cofactor(truth, len(inputs), place, value) for value in (0, 1))
        if isinstance(net, str):
            truth = high if net == "1" else low
        elif before < place:
            # Where both are 1 the table is high's, else low's.
            size = len(inputs) - 1
            truth = sum(
                ((high if word >> before & 1 else low) >> word & 1) << word
                for word in range(1 << size)
            )
        elif low == high:
            truth = low
        else:
            place -= 1
            continue
        del inputs[place]
        place -= 1
    return truth, tuple(inputs)


def _cofactor(truth: int, inputs: int, place: int, value: int) -> int:
    """The table over the other inputs where that one has the value."""
    result, step = 0, 1 << place
    for word in range(1 << (inputs - 1)):
        whole = (word // step * 2 + value) * step + word % step
        result |= (truth >> whole & 1) << word
    return result


CellMaker = Callable[[Circuit, Cell], None]
"""Adds the parts of a cell."""


def circuit_of(netlist: Netlist, makers: Mapping[str, CellMaker]) -> Circuit:
    """Take a netlist apart.

    Raises
    ------
    VecqError
        A cell is of a type that the makers do not know.
    """
    circuit = Circuit()
    for name, cell in netlist.cells.items():
        if cell.type == "$scopeinfo":
            continue
        maker = makers.get(cell.type)
        if maker is None:
            raise VecqError(
                f"netlist of '{netlist.top}': there is no model of cell '{name}', a {cell.type}, so"
                " it cannot be simulated"
            )
        maker(circuit, cell)
    return circuit


def number(cell: Cell, parameter: str, default: str = "0") -> int:
    """A parameter as a number: binary digits, or hexadecimal ones behind 0x.

    Digits that are x or z are read as 0.
    """
    text = cell.parameters.get(parameter, default)
    if text.startswith("0x"):
        return int(text, 16)
    return int(text.translate(str.maketrans("xzXZ", "0000")) or "0", 2)


def text(cell: Cell, parameter: str, default: str) -> str:
    """A parameter that is a text: yosys puts a blank behind what could be taken for a number."""
    return cell.parameters.get(parameter, default).rstrip(" ")


def refuse(cell: Cell, why: str) -> VecqError:
    """A cell that is used in a way that its model does not have."""
    return VecqError(f"netlist: cell '{cell.name}', a {cell.type}, {why}")


def pin(cell: Cell, name: str, default: Bit = "0") -> Bit:
    """The net at a pin of one bit; what is not connected has its default."""
    bits = cell.pins.get(name, ())
    return bits[0] if bits and bits[0] not in ("x", "z") else default


def pins(cell: Cell, name: str, count: int, default: Bit = "0") -> tuple[Bit, ...]:
    """The nets at pins that are numbered one by one, such as A0 to A17."""
    return tuple(pin(cell, f"{name}{place}", default) for place in range(count))


def bits_of(content: int, width: int, words: int) -> IntArray:
    """A long number as words, the lowest first: int64 of shape (words,)."""
    mask = (1 << width) - 1
    return np.array([content >> width * place & mask for place in range(words)], np.int64)
