"""The cells that stand for a network and its schedule, and the streams between them.

Between two layers stands a *link*, a buffer that also changes the lanes where they differ: before
every Dense, Conv2d, pool, Upsample2d and output, and before each operand of an Add or Concat.  A
Rescale or Threshold sits on the stream that it reads; Flatten is no hardware.  Where several layers
read one tensor, a fork stands behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from vecq_hw.network import (
    Add,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MaxPool2d,
    Network,
    Rescale,
    SumPool2d,
    Threshold,
    Upsample2d,
    layer_inputs,
)
from vecq_hw.schedule import Schedule, divisors
from vecq_hw.simulate.dataflow import patterns
from vecq_hw.simulate.dataflow.cells import (
    UNLIMITED,
    Buffer,
    Pipeline,
    Room,
    Unit,
    fork,
    join,
    sink,
    source,
)
from vecq_hw.simulate.dataflow.times import Channel, Process

RESCALE_DEPTH = 5
"""Stages of ``vecq_rescale.sv``."""
JOIN_DEPTH = 1
"""Stages of a Concat, and of each level of an Add's tree."""
OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """Frames of ``elements``, ``lanes`` of them a word."""

    channel: Channel = field(default_factory=Channel)
    elements: int
    lanes: int
    raw: bool = False
    """Whether it is an input of the network with nothing in between."""

    @property
    def words(self) -> int:
        """Of a frame."""
        return self.elements // self.lanes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """The buffer between a tensor and a layer that reads it.

    Attributes
    ----------
    base : int
        Groups that it holds without a FIFO: the register or width converter of ``rtl/``.
    """

    tensor: str
    reader: str
    buffer: Buffer
    base: int

    @property
    def least(self) -> int:
        """Its smallest depth: whole words of the producer that the base holds."""
        return self.base // self.buffer.room.groups_in

    def set_depth(self, depth: int | None) -> None:
        """Make room for so many words of the producer; None is without limit."""
        room = self.buffer.room
        room.capacity = UNLIMITED if depth is None else max(self.base, depth * room.groups_in)

    def stored(self) -> int:
        """The smallest depth with which all words would have moved as they did.

        A word that goes out in a cycle still takes its place in it.
        """
        room = self.buffer.room
        come = np.asarray(self.buffer.origin.takes)
        gone = np.searchsorted(np.asarray(self.buffer.target.takes), come)
        most = int((np.arange(1, come.size + 1) * room.groups_in - gone * room.groups_out).max())
        return self.least if most <= self.base else -(-most // room.groups_in)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activity:
    """Where a layer's words come in and go out, and how long its busiest cell works on a frame."""

    entry: Stream
    exit: Stream
    busy: int


@dataclass(slots=True, eq=False)
class Graph:
    """All cells of a network for some frames; :func:`vecq_hw.simulate.dataflow.times.run` runs it.

    Attributes
    ----------
    input_pauses, output_pauses : sequence of bool
        In which cycles every input begins no word and every output takes none.
    deadlines : mapping
        For each output, cycles at which its words must be taken at the latest.
    """

    network: Network
    schedule: Schedule
    frames: int
    input_pauses: Sequence[bool] = ()
    output_pauses: Sequence[bool] = ()
    deadlines: Mapping[str, Sequence[int]] = field(default_factory=dict)
    processes: list[Process] = field(init=False, default_factory=list)
    links: dict[str, Link] = field(init=False, default_factory=dict)
    inputs: dict[str, Stream] = field(init=False, default_factory=dict)
    outputs: dict[str, Stream] = field(init=False, default_factory=dict)
    layers: dict[str, Activity] = field(init=False, default_factory=dict)
    _branches: dict[str, list[Stream]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        network = self.network
        for entry in network.inputs:
            stream = self._new(entry.name, self._input_lanes(entry.shape), raw=True)
            self.inputs[entry.name] = stream
            words = self.frames * stream.words
            self.processes.append(source(stream.channel, words, self.input_pauses))
            self._publish(entry.name, stream)
        for layer in network.layers:
            self._publish(layer.name, self._layer(layer))
        for number, name in enumerate(network.outputs):
            stream = self._read(name)
            suffix = f" {number}" if len(network.outputs) > 1 else ""
            stream = self._link(name, OUTPUT + suffix, stream, stream.lanes)
            self.outputs[OUTPUT + suffix] = stream
            self._drain(stream, self.output_pauses, self.deadlines.get(OUTPUT + suffix, ()))

    def _new(self, tensor: str, lanes: int, *, raw: bool = False) -> Stream:
        elements = math.prod(self.network.tensors[tensor].shape)
        return Stream(elements=elements, lanes=lanes, raw=raw)

    def _input_lanes(self, shape: tuple[int, ...]) -> int:
        """The lanes of the first Dense or Conv2d, as far as the channels allow."""
        for layer in self.network.layers:
            if isinstance(layer, Dense | Conv2d):
                _, lanes = patterns.matrix_vector(layer, self.schedule.folds[layer.name])
                return math.gcd(lanes, shape[-1])
        return 1

    def _drain(
        self, stream: Stream, pauses: Sequence[bool] = (), deadlines: Sequence[int] = ()
    ) -> None:
        words = self.frames * stream.words
        self.processes.append(sink(stream.channel, words, pauses, deadlines))

    def _publish(self, tensor: str, stream: Stream) -> None:
        """Hand the stream to those who read the tensor, through a fork if they are several."""
        readers = sum(layer_inputs(layer).count(tensor) for layer in self.network.layers)
        readers += self.network.outputs.count(tensor)
        if not readers:
            self._drain(stream)
        elif readers == 1:
            self._branches[tensor] = [stream]
        else:
            copies = [Stream(elements=stream.elements, lanes=stream.lanes) for _ in range(readers)]
            words = self.frames * stream.words
            targets = [copy.channel for copy in copies]
            self.processes.append(fork(stream.channel, targets, words))
            self._branches[tensor] = copies

    def _read(self, tensor: str) -> Stream:
        return self._branches[tensor].pop(0)

    def _link(self, tensor: str, reader: str, origin: Stream, lanes: int) -> Stream:
        target = Stream(elements=origin.elements, lanes=lanes)
        group = math.gcd(origin.lanes, lanes)
        groups_in, groups_out = origin.lanes // group, lanes // group
        # What vecq_stream_width and, for equal lanes, vecq_stream_register hold.
        capacity = groups_in + groups_out + min(groups_in, groups_out) - 1
        room = Room(target.channel.takes, capacity, groups_in, groups_out)
        buffer = Buffer(origin.channel, target.channel, room)
        self.processes.append(buffer.process(self.frames * target.words))
        name = f"{tensor}→{reader}"
        count = sum(link.tensor == tensor and link.reader == reader for link in self.links.values())
        self.links[name if not count else f"{name} {count + 1}"] = Link(
            tensor=tensor,
            reader=reader,
            buffer=buffer,
            base=capacity,
        )
        return target

    def _layer(self, layer: Layer) -> Stream:
        match layer:
            case Dense() | Conv2d():
                return self._matrix_vector(layer)
            case Rescale() | Threshold():
                # A Threshold: a memory, the comparators, a tree that counts them.
                levels = layer.format.hi - layer.format.lo
                depth = RESCALE_DEPTH if isinstance(layer, Rescale) else 2 + levels.bit_length()
                origin = self._read(layer.input)
                target = self._new(layer.name, origin.lanes)
                origin.channel.receiver = Pipeline(target.channel, depth)
                return self._active(layer, origin, target, target.words)
            case MaxPool2d() | SumPool2d():
                shape = self.network.tensors[layer.input].shape
                origin = self._entry(layer, layer.input, self._branches[layer.input][0].lanes)
                unit = patterns.sliding_window(layer, shape, origin.lanes)
                return self._unit(layer, origin, unit, 1)
            case Upsample2d():
                shape = self.network.tensors[layer.input].shape
                origin = self._entry(layer, layer.input, self._branches[layer.input][0].lanes)
                unit = patterns.upsampling(layer, shape, origin.lanes)
                return self._unit(layer, origin, unit, shape[0])
            case Flatten():
                origin = self._read(layer.input)
                return origin
            case Add():
                streams = [self._read(name) for name in layer.inputs]
                lanes = max(stream.lanes for stream in streams)
                target = self._new(layer.name, lanes)
                operands = self._operands(layer, streams, lanes)
                levels = (len(operands) - 1).bit_length()
                return self._join(layer, [operands], target, max(levels, 1) * JOIN_DEPTH)
            case Concat():
                streams = [self._read(name) for name in layer.inputs]
                channels = [self.network.tensors[name].shape[-1] for name in layer.inputs]
                most = max(stream.lanes for stream in streams)
                lanes = max(d for d in divisors(math.gcd(*channels)) if d <= most)
                target = self._new(layer.name, lanes)
                operands = self._operands(layer, streams, lanes)
                turns = [
                    [operand]
                    for operand, count in zip(operands, channels, strict=True)
                    for _ in range(count // lanes)
                ]
                return self._join(layer, turns, target, JOIN_DEPTH)
            case _:
                assert_never(layer)

    def _entry(self, layer: Layer, tensor: str, lanes: int) -> Stream:
        """The stream that a buffered unit reads; an input of the network needs no link."""
        stream = self._read(tensor)
        if stream.raw and stream.lanes == lanes:
            return stream
        return self._link(tensor, layer.name, stream, lanes)

    def _operands(self, layer: Add | Concat, streams: Sequence[Stream], lanes: int) -> list[Stream]:
        return [
            self._link(name, layer.name, stream, lanes)
            for name, stream in zip(layer.inputs, streams, strict=True)
        ]

    def _join(
        self, layer: Layer, turns: Sequence[Sequence[Stream]], target: Stream, depth: int
    ) -> Stream:
        channels = [[stream.channel for stream in turn] for turn in turns]
        words = self.frames * target.words
        self.processes.append(join(channels, target.channel, depth, words))
        return self._active(layer, turns[0][0], target, target.words)

    def _unit(self, layer: Layer, origin: Stream, unit: Unit, periods: int) -> Stream:
        target = self._new(layer.name, origin.lanes)
        periods_all = self.frames * periods
        self.processes.append(unit.process(origin.channel, target.channel, periods_all))
        return self._active(layer, origin, target, unit.cycles * periods)

    def _active(self, layer: Layer, entry: Stream, end: Stream, busy: int) -> Stream:
        self.layers[layer.name] = Activity(entry=entry, exit=end, busy=busy)
        return end

    def _matrix_vector(self, layer: Dense | Conv2d) -> Stream:
        fold = self.schedule.folds[layer.name]
        unit, lanes = patterns.matrix_vector(layer, fold)
        entry = origin = self._entry(layer, layer.input, lanes)
        positions, busy = 1, 0
        if isinstance(layer, Conv2d):
            positions = math.prod(self.network.tensors[layer.name].shape[:2])
            if not patterns.is_identity(layer):
                shape = self.network.tensors[layer.input].shape
                windows = patterns.sliding_window(layer, shape, lanes)
                origin = Stream(elements=windows.outputs * lanes, lanes=lanes)
                process = windows.process(entry.channel, origin.channel, self.frames)
                self.processes.append(process)
                busy = windows.cycles
        target = self._new(layer.name, fold.pe)
        periods = self.frames * positions
        self.processes.append(unit.process(origin.channel, target.channel, periods))
        return self._active(layer, entry, target, max(busy, unit.cycles * positions))
