"""Two-valued simulation of a netlist, 64 independent runs to a machine word, in NumPy.

Parts of one kind that nothing more stands before are one operation on arrays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.netlist.circuit import Circuit, Memory, Product, Read, Register, Select, Table, Write
from vecq_hw.netlist.model import Bit, Netlist
from vecq_hw.netlist.order import Part, in_order

Words = npt.NDArray[np.uint64]
"""Values of nets, (nets, words): each bit of a word is a run."""
RUNS = 64
"""To a word."""
_CACHED = 1 << 13
"""Words of an operand that stay in the processor's cache with what is made of them."""
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_CONSTANTS: tuple[Bit, ...] = ("0", "1")


def integers(values: Words) -> IntArray:
    """The numbers that nets spell: int64 (..., runs) of values (bits, ..., words), lowest first."""
    bits = np.unpackbits(values.view(np.uint8), axis=-1, bitorder="little")
    parts = np.packbits(bits, axis=0, bitorder="little")
    result: IntArray = parts[0].astype(np.int64)
    for place in range(1, len(parts)):
        result |= parts[place].astype(np.int64) << 8 * place
    return result


def spelled(numbers: IntArray, bits: int) -> Words:
    """The nets that spell numbers, (bits, ..., words) of (..., runs); the inverse of integers."""
    parts = np.stack([(numbers >> place).astype(np.uint8) for place in range(0, bits, 8)])
    rows = np.unpackbits(parts, axis=0, bitorder="little", count=bits)
    return np.packbits(rows, axis=-1, bitorder="little").view(np.uint64)


class _Rows:
    """Where the value of each net lies."""

    def __init__(self) -> None:
        self.of: dict[Bit, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
        self.count = 2

    def add(self, nets: Iterable[Bit]) -> slice:
        """Give nets the next rows, in their order; a constant's row is read by nobody."""
        begin = self.count
        for net in nets:
            if not isinstance(net, str):
                self.of[net] = self.count
            self.count += 1
        return slice(begin, self.count)

    def at(self, nets: Sequence[Bit]) -> npt.NDArray[np.intp]:
        return np.array([self.of.get(net, 0) for net in nets], np.intp)


class _Selects:
    """Multiplexers that can be evaluated at once."""

    def __init__(self, parts: Sequence[Select], rows: _Rows) -> None:
        self.inputs = [rows.at([getattr(p, n) for p in parts]) for n in ("low", "high", "select")]
        self.out = rows.add(part.output for part in parts)

    def run(self, values: Words) -> None:
        low, high, select = (values.take(places, axis=0) for places in self.inputs)
        high ^= low
        high &= select
        np.bitwise_xor(high, low, out=values[self.out])


class _Tables:
    """Tables of so many inputs that can be evaluated at once.

    A table is folded input by input: of two values for the two values of an input, one.
    """

    def __init__(self, parts: Sequence[Table], rows: _Rows) -> None:
        self.inputs = [
            rows.at([part.inputs[place] for part in parts]) for place in range(len(parts[0].inputs))
        ]
        size = 1 << len(self.inputs)
        truth = np.array([part.truth for part in parts], np.int64)
        bits = (truth[np.newaxis, :] >> np.arange(size)[:, np.newaxis] & 1).astype(bool)
        masks = np.where(bits, _ALL, np.uint64(0))[:, :, np.newaxis]
        self.low, self.differ = masks[0::2].copy(), masks[0::2] ^ masks[1::2]
        self.out = rows.add(part.output for part in parts)

    def run(self, values: Words) -> None:
        words = values.shape[1]
        step = max(1, _CACHED // words)
        for begin in range(0, len(self.inputs[0]), step):
            part = slice(begin, begin + step)
            first, *rest = (values.take(places[part], axis=0) for places in self.inputs)
            folded = first & self.differ[:, part]
            folded ^= self.low[:, part]
            for operand in rest:
                low, high = folded[0::2], folded[1::2]
                high ^= low
                high &= operand
                low ^= high
                folded = low
            out = values[self.out.start + begin : min(self.out.start + begin + step, self.out.stop)]
            out[:] = folded[0]


class _Store:
    """Memories of one shape: their contents, for each run where anything writes them."""

    def __init__(self, memories: Sequence[Memory], rows: _Rows, runs: int) -> None:
        self.unit_bits = memories[0].unit_bits
        content = np.stack([memory.content for memory in memories]).astype(np.uint16)
        self.written = any(memory.writes for memory in memories)
        self.content = np.repeat(content[:, :, np.newaxis], runs, 2) if self.written else content
        self.runs = np.arange(runs)
        self._writes: list[tuple[int, Write]] = [
            (block, write) for block, memory in enumerate(memories) for write in memory.writes
        ]
        self.rows = rows

    def finish(self) -> None:
        """Find the nets that the writes take, when all have their rows."""
        groups = defaultdict(list)
        for block, write in self._writes:
            groups[len(write.address), len(write.data), len(write.enables)].append((block, write))
        self.writes = [
            (
                np.array([block for block, _ in group], np.intp)[:, np.newaxis],
                *(
                    np.stack([self.rows.at(getattr(write, what)) for _, write in group], axis=1)
                    for what in ("address", "data", "enables")
                ),
            )
            for group in groups.values()
        ]

    def clock(self, values: Words) -> None:
        for blocks, address, data, enables in self.writes:
            enabled = values[enables]
            if not enabled.any():
                continue
            places, words = integers(values[address]), integers(values[data])
            units = np.unpackbits(enabled.view(np.uint8), axis=-1, bitorder="little")
            for unit, taken in enumerate(units.astype(bool)):
                which, run = np.nonzero(taken)
                part = words[which, run] >> self.unit_bits * unit & ((1 << self.unit_bits) - 1)
                self.content[blocks[which, 0], places[which, run] + unit, run] = part


class _Reads:
    """Reads of a store, of words of one size, that can be done at once."""

    def __init__(self, parts: Sequence[tuple[int, Read]], store: _Store, rows: _Rows) -> None:
        self.store = store
        self.blocks = np.array([block for block, _ in parts], np.intp)[:, np.newaxis]
        self.address = np.stack([rows.at(read.address) for _, read in parts], axis=1)
        self.bits = len(parts[0][1].data)
        self.out = rows.add(read.data[bit] for bit in range(self.bits) for _, read in parts)

    def run(self, values: Words) -> None:
        places, store = integers(values[self.address]), self.store
        word = np.zeros(places.shape, np.int64)
        for unit in range(-(-self.bits // store.unit_bits)):
            if store.written:
                part = store.content[self.blocks, places + unit, store.runs]
            else:
                part = store.content[self.blocks, places + unit]
            word |= part.astype(np.int64) << store.unit_bits * unit
        values[self.out] = spelled(word, self.bits).reshape(-1, values.shape[1])


class _Products:
    """Products of one kind that can be computed at once."""

    def __init__(self, parts: Sequence[Product], rows: _Rows) -> None:
        self.left, self.right = (
            np.stack([rows.at(getattr(part, side)) for part in parts], axis=1)
            for side in ("left", "right")
        )
        self.signs = [
            np.array([getattr(part, f"{side}_signed") for part in parts])[:, np.newaxis]
            for side in ("left", "right")
        ]
        self.bits = len(parts[0].output)
        self.out = rows.add(part.output[bit] for bit in range(self.bits) for part in parts)

    def run(self, values: Words) -> None:
        operands = []
        for places, signed in zip((self.left, self.right), self.signs, strict=True):
            number, half = integers(values[places]), 1 << (len(places) - 1)
            operands.append(np.where(signed, (number ^ half) - half, number))
        product = operands[0] * operands[1]
        values[self.out] = spelled(product, self.bits).reshape(-1, values.shape[1])


class _Registers:
    """Flip-flops that are enabled and cleared in one manner, and whose rows lie together."""

    def __init__(self, parts: Sequence[Register], rows: _Rows) -> None:
        self.parts, self.rows = parts, rows
        self.out = rows.add(part.output for part in parts)
        self.value = parts[0].value
        begins = np.array([part.begins for part in parts])[:, np.newaxis]
        self.begins = np.where(begins, _ALL, np.uint64(0))

    def finish(self) -> None:
        """Find the nets that they take, when all have their rows."""
        self.data, self.enable, self.clear = (
            self.rows.at([getattr(part, name) for part in self.parts])
            for name in ("data", "enable", "clear")
        )
        self.enabled = any(part.enable != "1" for part in self.parts)
        self.cleared = any(part.clear != "0" for part in self.parts)

    def next(self, values: Words) -> Words:
        data = values.take(self.data, axis=0)
        if self.enabled:
            before = values[self.out]
            data ^= before
            data &= values.take(self.enable, axis=0)
            data ^= before
        if self.cleared:
            clear = values.take(self.clear, axis=0)
            if self.value:
                data |= clear
            else:
                data &= ~clear
        return data


_Batch = _Selects | _Tables | _Reads | _Products


class Simulator:
    """A netlist at work, in as many independent runs as one asks for.

    Inputs are set, :meth:`settle` computes all that follows from them and from what is stored,
    outputs are read, and :meth:`clock` goes to the next cycle.

    Parameters
    ----------
    circuit : Circuit
        What the netlist is made of.
    words : int
        Of 64 runs each.

    Raises
    ------
    VecqError
        Something in the netlist depends on itself without a register, or there are several clocks.
    """

    def __init__(self, netlist: Netlist, circuit: Circuit, words: int) -> None:
        clocks = {net for net in circuit.clocks if not isinstance(net, str)}
        if len(clocks) > 1:
            raise VecqError(
                f"netlist of '{netlist.top}': there are {len(clocks)} clocks; one is wanted"
            )
        rows = _Rows()
        ports = [port for port in netlist.ports.values() if port.direction == "input"]
        self._inputs = {port.name: rows.add(port.bits) for port in ports}
        manner = defaultdict(list)
        for one in circuit.registers:
            manner[one.enable != "1", one.clear != "0", one.value].append(one)
        self._registers = [_Registers(parts, rows) for parts in manner.values()]
        self._stores, self._batches = _scheduled(netlist.top, circuit, rows, words * RUNS)
        for group in self._registers:
            group.finish()
        for store in self._stores:
            store.finish()
        self._outputs = {
            port.name: rows.at(port.bits)
            for port in netlist.ports.values()
            if port.direction == "output"
        }
        self.values: Words = np.zeros((rows.count, words), np.uint64)
        self.values[1] = _ALL
        for group in self._registers:
            self.values[group.out] = group.begins

    def set(self, port: str, values: Words | int) -> None:
        """Give an input its values, (bits, words), or the same bit everywhere: 0 or 1."""
        if isinstance(values, int):
            self.values[self._inputs[port]] = _ALL if values else 0
        else:
            self.values[self._inputs[port]] = values

    def get(self, port: str) -> Words:
        """The values of an output, (bits, words)."""
        return self.values.take(self._outputs[port], axis=0)

    def has_output(self, port: str) -> bool:
        """Whether there is an output of that name."""
        return port in self._outputs

    def settle(self) -> None:
        """Compute what follows from inputs and stored values."""
        for batch in self._batches:
            batch.run(self.values)

    def clock(self) -> None:
        """Let the clock rise, after everything has settled."""
        after = [group.next(self.values) for group in self._registers]
        for store in self._stores:
            store.clock(self.values)
        for group, data in zip(self._registers, after, strict=True):
            self.values[group.out] = data


def _scheduled(
    top: str, circuit: Circuit, rows: _Rows, runs: int
) -> tuple[list[_Store], list[_Batch]]:
    """Batches in an order in which each has what it needs."""
    shapes = defaultdict(list)
    for memory in circuit.memories:
        shapes[memory.unit_bits, len(memory.content), bool(memory.writes)].append(memory)
    stores = [_Store(group, rows, runs) for group in shapes.values()]
    parts = [Part((0,), p, (p.low, p.high, p.select), (p.output,)) for p in circuit.selects]
    for table in circuit.tables:
        if table.inputs:
            kind: tuple[int, ...] = (1, len(table.inputs))
            parts.append(Part(kind, table, table.inputs, (table.output,)))
        else:
            rows.of[table.output] = table.truth & 1
    for place, group in enumerate(shapes.values()):
        for block, memory in enumerate(group):
            for read in memory.reads:
                kind = 2, place, len(read.address), len(read.data)
                parts.append(Part(kind, (block, read), read.address, read.data))
    for product in circuit.products:
        kind = 3, len(product.left), len(product.right), len(product.output)
        parts.append(Part(kind, product, product.left + product.right, product.output))
    batches: list[_Batch] = []
    for kind, ready in in_order(top, parts, rows.of):
        match kind[0]:
            case 0:
                batches.append(_Selects(ready, rows))
            case 1:
                batches.append(_Tables(ready, rows))
            case 2:
                batches.append(_Reads(ready, stores[kind[1]], rows))
            case _:
                batches.append(_Products(ready, rows))
    return stores, batches
