"""The cells of a streaming accelerator, each of which works for a layer, and the whole plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import assert_never

from vecq_hw.accelerator.orders import Order
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.accelerator.units import Unit
from vecq_hw.accelerator.unrolled.adder_graph import AdderGraph
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.formats import IntFormat
from vecq_hw.layers import (
    ArgMax,
    CodeLayer,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    GatherSum,
    JoinLayer,
    MacLayer,
    MaxPool2d,
    OrderLayer,
    Permute,
    RecurrentLayer,
    Rescale,
    SumPool2d,
    Take,
    TopK,
    Upsample2d,
)
from vecq_hw.network import Network
from vecq_hw.schedule import Fold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elementwise:
    """A Rescale, Threshold or Lookup: a word per cycle.

    Attributes
    ----------
    depth : int
        Stages of its pipeline.
    room : int
        Words that the stream register behind them holds; 0 where there is none.
    dsp : bool
        Whether a Rescale multiplies in DSP blocks.
    """

    layer: CodeLayer
    source: Stream
    target: Stream
    depth: int
    room: int = 0
    dsp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """An ArgMax: a word out for the words of a vector or pixel."""

    layer: ArgMax
    source: Stream
    target: Stream
    depth: int

    @property
    def period(self) -> int:
        """Words that come in for one that goes out."""
        return self.source.words // self.target.words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """A TopK: the indices of a vector or pixel go out while the next one comes in."""

    layer: TopK
    source: Stream
    target: Stream

    @property
    def period(self) -> int:
        """Words that come in for those that go out of a vector or pixel."""
        return self.source.words * self.layer.count // self.target.words

    @property
    def cycles(self) -> int:
        """Cycles of a frame: the last word of a position waits for the indices before it."""
        return self.source.words // self.period * max(self.period, self.layer.count + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SerialRescale:
    """A Rescale that works on a word for so many cycles; a word per period.

    Attributes
    ----------
    turns : int
        Lanes that one of its units works on, one after the other.
    """

    layer: Rescale
    source: Stream
    target: Stream
    turns: int
    unit: Unit
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Join:
    """A word of all sources at once, or for a Concat of one after the other.

    Attributes
    ----------
    turns : sequence of sequences of Stream
        From which sources the next word takes, again and again.
    kept : Stream or None
        The source of which a frame is kept and used at each position: it is in no turn.
    lead : Stream or None
        Where constants come first, the source that must have a word before the first turn takes
        one.
    dsp : bool
        Whether a Multiply multiplies in DSP blocks.
    """

    layer: JoinLayer
    sources: Sequence[Stream]
    turns: Sequence[Sequence[Stream]]
    target: Stream
    depth: int
    kept: Stream | None = None
    lead: Stream | None = None
    dsp: bool = False

    @property
    def positions(self) -> int:
        """How often the frame that is kept is used; 1 where none is."""
        return 1 if self.kept is None else self.target.words // self.kept.words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A Constant: the words of a memory again and again, for one reader.

    Where it is the same at all positions of what its reader joins it with, its stream has as many
    words as that.
    """

    layer: Constant
    target: Stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """The sliding window before a convolution; a frame per period."""

    layer: Conv2d
    source: Stream
    target: Stream
    unit: Unit
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatrixVector:
    """The multiplications of a Dense or Conv2d; a vector or window per period."""

    layer: MacLayer
    fold: Fold
    source: Stream
    target: Stream
    unit: Unit
    periods: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Unrolled:
    """A Dense as a circuit of additions, with the Rescale that alone reads it: a frame per cycle.

    Attributes
    ----------
    activations : IntFormat
        Of the inputs.
    """

    layer: Dense
    fold: Fold
    activations: IntFormat
    rescale: Rescale | None
    source: Stream
    target: Stream
    depth: int
    room: int = 0

    @cached_property
    def circuit(self) -> AdderGraph:
        """Its additions; searched for when first asked for, as cycles do not depend on them."""
        return circuit(self.layer, self.activations, self.rescale)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """A MaxPool2d or SumPool2d with its window; a frame per period."""

    layer: MaxPool2d | SumPool2d
    source: Stream
    target: Stream
    unit: Unit
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upsampling:
    """An Upsample2d; a row that comes in a period."""

    layer: Upsample2d
    source: Stream
    target: Stream
    unit: Unit
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """An Embedding's table, read word by word; an index per period."""

    layer: Embedding
    source: Stream
    target: Stream
    unit: Unit
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recurrence:
    """An Lstm or Gru: gates and states one by one, a step or a frame per period."""

    layer: RecurrentLayer
    fold: Fold
    source: Stream
    target: Stream
    unit: Unit
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathering:
    """A GatherSum; a frame per period."""

    layer: GatherSum
    source: Stream
    target: Stream
    unit: Unit
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reordering:
    """A Take or Permute; a frame per period."""

    layer: OrderLayer
    order: Order
    source: Stream
    target: Stream
    unit: Unit
    periods: int = 1

    @property
    def code(self) -> int:
        """What fills the places at which nothing is taken."""
        match self.layer:
            case Take():
                return self.layer.code
            case Permute():
                return 0
            case _:
                assert_never(self.layer)


Cell = (
    Link
    | Reframe
    | Fork
    | Elementwise
    | Comparison
    | Ranking
    | SerialRescale
    | Join
    | Source
    | Windows
    | MatrixVector
    | Unrolled
    | Pool
    | Upsampling
    | Rows
    | Recurrence
    | Gathering
    | Reordering
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """All cells that the outputs of a network depend on, in the order of its layers.

    Attributes
    ----------
    inputs, outputs : mapping of str to Stream
        The ends; outputs are called ``output``, or ``output 0`` and so on.  An input that no output
        depends on has no stream.
    cells : sequence of Cell
    """

    network: Network
    inputs: MappingProxyType[str, Stream]
    outputs: MappingProxyType[str, Stream]
    cells: Sequence[Cell]

    @property
    def links(self) -> dict[str, Link]:
        """By name, ``producer→reader``."""
        return {cell.name: cell for cell in self.cells if isinstance(cell, Link)}

    @property
    def busy(self) -> dict[str, int]:
        """Cycles per frame that the busiest cell of each layer works, without stalls."""
        result: dict[str, int] = {}
        for cell in self.cells:
            match cell:
                case Elementwise() | Join() | Source() | Unrolled():
                    result[cell.layer.name] = cell.target.words
                case Comparison():
                    result[cell.layer.name] = cell.source.words
                case Ranking():
                    result[cell.layer.name] = cell.cycles
                case (
                    SerialRescale()
                    | Windows()
                    | MatrixVector()
                    | Pool()
                    | Upsampling()
                    | Rows()
                    | Recurrence()
                    | Gathering()
                    | Reordering()
                ):
                    cycles = cell.unit.cycles * cell.periods
                    result[cell.layer.name] = max(cycles, result.get(cell.layer.name, 0))
                case Link() | Reframe() | Fork():
                    pass
                case _:
                    assert_never(cell)
        return result
