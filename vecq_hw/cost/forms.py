"""Closed forms: what each cell of a plan is made of, counted from its text in ``rtl/``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, assert_never

from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.cost import circuits, elements, multipliers, positions, products, states
from vecq_hw.cost.structure import Structure, bits_of
from vecq_hw.layers import Add, Concat, Multiply, Subtract, Tensor
from vecq_hw.schedule import Fabric

LARGEST_TABLE = 7
"""Inputs of the largest function that the multiplexers behind tables make up."""
ENABLE_INPUTS = 7
"""Inputs of what enables a place of a width converter: its state, and both handshakes."""
FLAT_ENABLES = range(7, 13)
"""Groups in a word that goes out, with which these are no trees: their counts have four bits."""
MANY_WAYS = 2.75
"""Tables for each way beyond the first of a place with more than a table can choose from."""


class ReadsOne(Protocol):
    """A layer with one input."""

    @property
    def input(self) -> str:
        """The tensor's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a cell's text depends on besides the cell.

    Attributes
    ----------
    depths : mapping of str to int
        Words of its producer that a link holds.
    """

    plan: Plan
    depths: Mapping[str, int]
    fabric: Fabric

    @property
    def unrolled(self) -> int:
        """How many layers are circuits of additions."""
        return sum(isinstance(cell, Unrolled) for cell in self.plan.cells)

    def tensor(self, stream: Stream) -> Tensor:
        """The tensor that a stream carries."""
        return self.plan.network.tensors[stream.tensor]

    def read(self, layer: ReadsOne) -> Tensor:
        """The tensor that a layer reads: its stream may carry it under another name and shape."""
        return self.plan.network.tensors[layer.input]

    def bits(self, stream: Stream) -> int:
        """The bits of an element of a stream."""
        return self.tensor(stream).format.bits

    def word(self, stream: Stream) -> int:
        """Bits of a word of a stream."""
        return stream.lanes * self.bits(stream)


def structure(cell: Cell, context: Context) -> Structure:
    """The parts of a cell."""
    match cell:
        case Link():
            return _link(cell, context)
        case Reframe():
            return _reframe(cell, context)
        case Fork():
            made = Structure("fork")
            made.control += len(cell.targets)
            return made
        case Elementwise():
            return elements.elementwise(cell, context.read(cell.layer))
        case SerialRescale():
            return elements.serial_rescale(cell, context.read(cell.layer), context.fabric)
        case Comparison():
            return elements.argmax(cell, context.bits(cell.source))
        case Ranking():
            return elements.topk(cell, context.bits(cell.source))
        case Join():
            return _join(cell, context)
        case Source():
            made = Structure("constant")
            words = cell.layer.values.size // cell.target.lanes
            made.rom(words, context.word(cell.target))
            made.count(words)
            return made
        case Windows():
            return positions.windows(cell, context.read(cell.layer))
        case Pool():
            return positions.pool(cell, context.read(cell.layer), context.bits(cell.target))
        case MatrixVector():
            return products.matrix_vector(
                cell, context.tensor(cell.source).format, context.bits(cell.target), context.fabric
            )
        case Unrolled():
            return circuits.unrolled(cell, context.bits(cell.target), context.unrolled)
        case Upsampling():
            return positions.upsampling(cell, context.word(cell.source))
        case Rows():
            made = Structure("embedding")
            rows, channels = cell.layer.weights.shape
            folds = channels // cell.target.lanes
            made.rom(rows * folds, context.word(cell.target))
            made.register(2 * context.bits(cell.source))
            made.table(4, context.bits(cell.source))
            made.count(folds)
            return made
        case Recurrence():
            return states.recurrent(cell, context.tensor(cell.source).format)
        case Gathering():
            return positions.gathering(cell, context.read(cell.layer), context.bits(cell.target))
        case Reordering():
            return positions.reordering(cell, context.word(cell.source))
        case _:
            assert_never(cell)


def ends(context: Context, axis_bits: int | None) -> Structure:
    """What guards the frames at the ends of a top, and counts them."""
    made = Structure("ends")
    for stream in context.plan.inputs.values():
        made.count(stream.words + 1)
        made.control += 3
    for stream in context.plan.outputs.values():
        made.count(stream.words + 1)
        if axis_bits is not None and stream.elements % stream.lanes:
            made.table(2, axis_bits // 8)
    return made


def _link(cell: Link, context: Context) -> Structure:
    """A register stage or width converter; a FIFO where that holds too little."""
    source, target = cell.source, cell.target
    bits = context.bits(source)
    capacity = cell.capacity(context.depths.get(cell.name, 0))
    if capacity > cell.base:
        return _fifo(cell, bits, capacity)
    if cell.is_plain:
        made = Structure("stream register")
        word = source.lanes * bits
        made.register(2 * word)
        made.table(3, word)
        made.control += 2
        return made
    made = Structure("stream width")
    come, go = cell.groups
    group_bits = math.gcd(source.lanes, target.lanes) * bits
    shift_in(made, come, go, cell.base, group_bits)
    return made


def shift_in(made: Structure, come: int, go: int, capacity: int, group_bits: int) -> None:
    """Groups that move down as they go out, new ones behind them.

    A place with one source takes it when its register is enabled, without a table for each bit.
    """
    made.register(capacity * group_bits)
    made.count(capacity + 1)
    made.control += 2
    for place in range(capacity):
        news = min(place, capacity - come) - max(place - come + 1, 0) + 1
        olds = 1 + (place + go < capacity)
        ways = olds + min(news, come)
        if ways > 2 and come == 1:
            made.flat[_of_the_only_shift(go)] += group_bits
        elif 2 * ways - 1 > LARGEST_TABLE:
            made.spend(MANY_WAYS * (ways - 1) * group_bits)
        elif ways > 2:
            made.flat[2 * ways - 1] += group_bits
        elif come == 1 and go in FLAT_ENABLES:
            made.flat[ENABLE_INPUTS - 1] += 1
            made.table(4, 1)
        else:
            made.table(ENABLE_INPUTS, 1)


def _of_the_only_shift(go: int) -> int:
    """Inputs of a bit of the place to which groups move, where they come one by one.

    It reads the count itself where one table can hold that, of which one bit says whether four
    groups are there; else two signals choose, but not where synthesis prefers large tables.
    """
    if go == 4:
        return LARGEST_TABLE - 1
    inputs = 4 + bits_of(go + 2)
    if inputs <= LARGEST_TABLE:
        return inputs
    return LARGEST_TABLE if go in (8, 12) else 3


def _fifo(cell: Link, bits: int, capacity: int) -> Structure:
    made = Structure("fifo")
    come, go = cell.groups
    word = cell.source.lanes * bits
    rows = (capacity + 2 * come * go - go - 1) // (come * go)
    made.register(word)
    for _ in range(go):
        made.ram(rows, word, checked=True)
    made.table(3, go * word)
    if come > 1:
        made.choose(come, cell.target.lanes * bits)
    made.control += 2 * bits_of(rows) + bits_of(capacity + 1)
    made.add(bits_of(capacity + 1), 2)
    made.count(go)
    made.count(come)
    made.control += go
    return made


def _reframe(cell: Reframe, context: Context) -> Structure:
    made = Structure("frame width")
    come, go, frame = cell.groups
    bits = context.bits(cell.source)
    group = math.gcd(cell.source.lanes, cell.target.lanes, cell.source.elements)
    shift_in(made, come, go, cell.capacity, group * bits)
    rest = frame % go
    if rest:
        made.table(2, (go - rest) * group * bits)
        made.table(3, cell.capacity * group * bits)
    made.count(-(-frame // come) + 1)
    made.count(-(-frame // go) + 1)
    return made


def _join(cell: Join, context: Context) -> Structure:
    """A sum, a difference, a product or a concatenation."""
    sources = [context.tensor(source).format for source in cell.sources]
    lanes, target = cell.target.lanes, context.bits(cell.target)
    match cell.layer:
        case Add() | Subtract():
            made = Structure("add")
            signed = any(fmt.signed for fmt in sources)
            bits = max(fmt.bits + (signed and not fmt.signed) for fmt in sources)
            terms, level = max(len(sources), 2), 1
            while terms > 1:
                sums = -(-terms // 2)
                width = min(bits + level, target) if sums == 1 else bits + level
                made.add(width, lanes * (terms // 2))
                made.register(lanes * sums * width)
                terms, level = sums, level + 1
            made.control += cell.depth + len(sources)
            return made
        case Multiply():
            left, right = sources
            made = Structure("multiply")
            made.register(lanes * left.bits)
            first, second = (fmt.bits + (not fmt.signed) for fmt in sources)
            if cell.dsp:
                made.multiply(first, second, lanes, dsp=True)
            else:
                multipliers.of_any(made, first, second, lanes)
            made.register(lanes * target)
            if cell.kept is None:
                made.register(lanes * right.bits)
            else:
                positions.replay(made, cell.kept.words, cell.positions, lanes * right.bits)
                made.count(cell.positions)
                made.count(cell.kept.words)
            made.control += 3
            return made
        case Concat():
            made = Structure("concat")
            word = context.word(cell.target)
            made.register(word)
            made.choose(len(sources), word)
            most = max(sum(turn[0] is stream for turn in cell.turns) for stream in cell.sources)
            made.count(len(sources))
            made.count(most)
            made.control += 1 + len(sources)
            return made
        case _:
            assert_never(cell.layer)
