"""What stands where: the cells of a network under a schedule, and the streams between them.

The one source of that truth: the cycle model times these cells and ``emit.systemverilog`` writes
them down.  Between two layers stands a *link*, a buffer that also changes the lanes where they
differ: before every Dense, Conv2d, pool, Upsample2d and output, and before each operand of an Add
or Concat.  A Rescale or Threshold sits on the stream that it reads; Flatten is no hardware.  Where
several layers read one tensor, a fork stands behind it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import assert_never

from vecq_hw.network import (
    Add,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MacLayer,
    MaxPool2d,
    Network,
    Rescale,
    SumPool2d,
    Threshold,
    Upsample2d,
    layer_inputs,
)
from vecq_hw.schedule import Fold, Schedule, divisors
from vecq_hw.simulate.dataflow import patterns
from vecq_hw.simulate.dataflow.cells import Unit

RESCALE_DEPTH = 5
"""Stages of ``vecq_rescale.sv``."""
JOIN_DEPTH = 1
"""Stages of a Concat, and of each level of an Add's tree."""
OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """Frames of ``elements`` of a tensor, ``lanes`` of them a word.

    The windows of a convolution are a stream of the tensor that it reads, with more elements.
    """

    tensor: str
    elements: int
    lanes: int

    @property
    def words(self) -> int:
        """Of a frame."""
        return self.elements // self.lanes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """A buffer before ``reader``: a register stage, a width converter, or a FIFO."""

    name: str
    reader: str
    source: Stream
    target: Stream

    @property
    def groups(self) -> tuple[int, int]:
        """Groups in a word that comes in and in one that goes out; elements move in groups."""
        group = math.gcd(self.source.lanes, self.target.lanes)
        return self.source.lanes // group, self.target.lanes // group

    @property
    def base(self) -> int:
        """Groups that ``vecq_stream_width``, for equal lanes ``vecq_stream_register``, holds."""
        come, go = self.groups
        return come + go + min(come, go) - 1

    def capacity(self, depth: int) -> int:
        """Groups that it holds with a depth of so many words of its producer."""
        return max(self.base, depth * self.groups[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fork:
    """Every word goes to each of the targets."""

    source: Stream
    targets: Sequence[Stream]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drain:
    """Takes the words of a tensor that nobody reads."""

    source: Stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Elementwise:
    """A Rescale or Threshold: a word a cycle."""

    layer: Rescale | Threshold
    source: Stream
    target: Stream
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SerialRescale:
    """A Rescale that works on a word for so many cycles; a word a period.

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
    """An Add, which takes a word of all sources at once, or a Concat, of one after the other.

    Attributes
    ----------
    turns : sequence of sequences of Stream
        From which sources the next word takes, again and again.
    """

    layer: Add | Concat
    sources: Sequence[Stream]
    turns: Sequence[Sequence[Stream]]
    target: Stream
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """The sliding window before a convolution; a frame a period."""

    layer: Conv2d
    source: Stream
    target: Stream
    unit: Unit
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MatrixVector:
    """The multiplications of a Dense or Conv2d; a vector or window a period."""

    layer: MacLayer
    fold: Fold
    source: Stream
    target: Stream
    unit: Unit
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool:
    """A MaxPool2d or SumPool2d with its window; a frame a period."""

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


Cell = (
    Link
    | Fork
    | Drain
    | Elementwise
    | SerialRescale
    | Join
    | Windows
    | MatrixVector
    | Pool
    | Upsampling
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """All cells of a network, in the order of its layers.

    Attributes
    ----------
    inputs, outputs : mapping of str to Stream
        The ends; outputs are called ``output``, or ``output 0`` and so on.
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
        """Cycles a frame that the busiest cell of each layer works, without stalls."""
        result: dict[str, int] = {}
        for cell in self.cells:
            match cell:
                case Elementwise() | Join():
                    result[cell.layer.name] = cell.target.words
                case SerialRescale() | Windows() | MatrixVector() | Pool() | Upsampling():
                    cycles = cell.unit.cycles * cell.periods
                    result[cell.layer.name] = max(cycles, result.get(cell.layer.name, 0))
                case _:
                    pass
        return result


def plan(network: Network, schedule: Schedule) -> Plan:
    """The cells that ``schedule``, which must fit, makes of ``network``."""
    return _Planner(network, schedule).result()


class _Planner:
    """Goes from layer to layer and keeps the streams that are still to be read."""

    def __init__(self, network: Network, schedule: Schedule) -> None:
        self._network, self._schedule = network, schedule
        self._cells: list[Cell] = []
        self._inputs: dict[str, Stream] = {}
        self._branches: dict[str, list[Stream]] = {}

    def result(self) -> Plan:
        network = self._network
        for entry in network.inputs:
            stream = self._stream(entry.name, self._input_lanes(entry.shape))
            self._inputs[entry.name] = stream
            self._publish(entry.name, stream)
        for layer in network.layers:
            self._publish(layer.name, self._layer(layer))
        outputs = {}
        for number, name in enumerate(network.outputs):
            end = OUTPUT + (f" {number}" if len(network.outputs) > 1 else "")
            stream = self._read(name)
            outputs[end] = self._link(name, end, stream, stream.lanes)
        return Plan(
            network=network,
            inputs=MappingProxyType(self._inputs),
            outputs=MappingProxyType(outputs),
            cells=tuple(self._cells),
        )

    def _stream(self, tensor: str, lanes: int) -> Stream:
        elements = math.prod(self._network.tensors[tensor].shape)
        return Stream(tensor=tensor, elements=elements, lanes=lanes)

    def _shape(self, tensor: str) -> tuple[int, ...]:
        return self._network.tensors[tensor].shape

    def _input_lanes(self, shape: tuple[int, ...]) -> int:
        """The lanes of the first Dense or Conv2d, as far as the channels allow."""
        for layer in self._network.layers:
            if isinstance(layer, Dense | Conv2d):
                _, lanes = patterns.matrix_vector(layer, self._schedule.folds[layer.name])
                return math.gcd(lanes, shape[-1])
        return 1

    def _publish(self, tensor: str, stream: Stream) -> None:
        """Hand the stream to those who read the tensor, through a fork if they are several."""
        readers = sum(layer_inputs(layer).count(tensor) for layer in self._network.layers)
        readers += self._network.outputs.count(tensor)
        if not readers:
            self._cells.append(Drain(source=stream))
        elif readers == 1:
            self._branches[tensor] = [stream]
        else:
            copies = [self._stream(tensor, stream.lanes) for _ in range(readers)]
            self._cells.append(Fork(source=stream, targets=tuple(copies)))
            self._branches[tensor] = copies

    def _read(self, tensor: str) -> Stream:
        return self._branches[tensor].pop(0)

    def _link(self, tensor: str, reader: str, source: Stream, lanes: int) -> Stream:
        target = self._stream(tensor, lanes)
        name = f"{tensor}→{reader}"
        links = {cell.name for cell in self._cells if isinstance(cell, Link)}
        count = 1
        while (unique := name if count == 1 else f"{name} {count}") in links:
            count += 1
        self._cells.append(Link(name=unique, reader=reader, source=source, target=target))
        return target

    def _elementwise(self, layer: Rescale | Threshold, source: Stream, target: Stream) -> Cell:
        """A word a cycle, unless the folds before leave a Rescale the cycles for its bits."""
        if isinstance(layer, Threshold):
            # Its input, a comparison for each bit of the count, its output.
            depth = 2 + (layer.format.hi - layer.format.lo).bit_length()
            return Elementwise(layer=layer, source=source, target=target, depth=depth)
        for cell in self._cells:
            if isinstance(cell, MatrixVector) and cell.target is source:
                interval = cell.unit.cycles // cell.unit.outputs
                if turns := patterns.rescale_turns(layer, source.lanes, interval):
                    return SerialRescale(
                        layer=layer,
                        source=source,
                        target=target,
                        turns=turns,
                        unit=patterns.serial_rescale(layer, turns),
                        periods=source.words,
                    )
        return Elementwise(layer=layer, source=source, target=target, depth=RESCALE_DEPTH)

    def _entry(self, layer: Layer, tensor: str, lanes: int | None = None) -> Stream:
        """The stream that a buffered unit reads; an input of the network needs no link."""
        stream = self._read(tensor)
        lanes = stream.lanes if lanes is None else lanes
        if stream.lanes == lanes and any(stream is raw for raw in self._inputs.values()):
            return stream
        return self._link(tensor, layer.name, stream, lanes)

    def _layer(self, layer: Layer) -> Stream:
        match layer:
            case Dense() | Conv2d():
                return self._matrix_vector(layer)
            case Rescale() | Threshold():
                source = self._read(layer.input)
                target = self._stream(layer.name, source.lanes)
                self._cells.append(self._elementwise(layer, source, target))
                return target
            case MaxPool2d() | SumPool2d():
                source = self._entry(layer, layer.input)
                target = self._stream(layer.name, source.lanes)
                unit = patterns.sliding_window(layer, self._shape(layer.input), source.lanes)
                self._cells.append(Pool(layer=layer, source=source, target=target, unit=unit))
                return target
            case Upsample2d():
                shape = self._shape(layer.input)
                source = self._entry(layer, layer.input)
                target = self._stream(layer.name, source.lanes)
                unit = patterns.upsampling(layer, shape, source.lanes)
                self._cells.append(
                    Upsampling(
                        layer=layer, source=source, target=target, unit=unit, periods=shape[0]
                    )
                )
                return target
            case Flatten():
                return self._read(layer.input)
            case Add() | Concat():
                return self._join(layer)
            case _:
                assert_never(layer)

    def _join(self, layer: Add | Concat) -> Stream:
        streams = [self._read(name) for name in layer.inputs]
        lanes = max(stream.lanes for stream in streams)
        if isinstance(layer, Concat):
            common = math.gcd(*(self._shape(name)[-1] for name in layer.inputs))
            lanes = max(d for d in divisors(common) if d <= lanes)
        sources = [
            self._link(name, layer.name, stream, lanes)
            for name, stream in zip(layer.inputs, streams, strict=True)
        ]
        target = self._stream(layer.name, lanes)
        turns: list[Sequence[Stream]] = [sources]
        depth = max((len(sources) - 1).bit_length(), 1) * JOIN_DEPTH
        if isinstance(layer, Concat):
            depth = JOIN_DEPTH
            turns = [
                [source]
                for source in sources
                for _ in range(self._shape(source.tensor)[-1] // lanes)
            ]
        self._cells.append(
            Join(layer=layer, sources=sources, turns=turns, target=target, depth=depth)
        )
        return target

    def _matrix_vector(self, layer: MacLayer) -> Stream:
        fold = self._schedule.folds[layer.name]
        unit, lanes = patterns.matrix_vector(layer, fold)
        source = self._entry(layer, layer.input, lanes)
        if isinstance(layer, Conv2d) and not patterns.is_identity(layer):
            windows = patterns.sliding_window(layer, self._shape(layer.input), lanes)
            target = Stream(tensor=layer.input, elements=windows.outputs * lanes, lanes=lanes)
            self._cells.append(Windows(layer=layer, source=source, target=target, unit=windows))
            source = target
        target = self._stream(layer.name, fold.pe)
        self._cells.append(
            MatrixVector(
                layer=layer,
                fold=fold,
                source=source,
                target=target,
                unit=unit,
                periods=math.prod(self._shape(layer.name)[:-1]),
            )
        )
        return target
