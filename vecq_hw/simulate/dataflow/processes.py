"""The cells of a plan as processes that run: which recurrence stands for which cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np

from vecq_hw.accelerator import cells, streams
from vecq_hw.accelerator.cells import (
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
from vecq_hw.accelerator.streams import Fork, Reframe, Stream
from vecq_hw.layers import Layer
from vecq_hw.simulate.dataflow.buffers import Buffer, FrameRoom, PositionRoom, Room
from vecq_hw.simulate.dataflow.recurrences import (
    UNLIMITED,
    Pipeline,
    fork,
    join,
    join_kept,
    sink,
    source,
    unit_process,
)
from vecq_hw.simulate.dataflow.times import Channel, Process

AFTER_RESET = (True,)
"""``vecq_constant.sv`` has its first word at its register one cycle after the reset."""
Pauses = Sequence[bool] | Mapping[str, Sequence[bool]]
"""Cycles in which all ends pause, or each by its name in the plan."""


def _pauses_of(name: str, given: Pauses) -> Sequence[bool]:
    return given.get(name, ()) if isinstance(given, Mapping) else given


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkBuffer:
    """The buffer of a link of the plan."""

    planned: streams.Link
    buffer: Buffer

    @property
    def least(self) -> int:
        """Its smallest depth: whole words of the producer that it holds without a FIFO."""
        return self.planned.base // self.buffer.room.groups_in

    def set_depth(self, depth: int | None) -> None:
        """Make room for so many words of the producer; None is without limit."""
        self.buffer.room.capacity = UNLIMITED if depth is None else self.planned.capacity(depth)

    def stored(self) -> int:
        """The smallest depth with which all words would have moved as they did.

        A word that goes out in a cycle still takes its place in it.
        """
        room = self.buffer.room
        come = np.asarray(self.buffer.origin.takes)
        gone = np.searchsorted(np.asarray(self.buffer.target.takes), come)
        most = int((np.arange(1, come.size + 1) * room.groups_in - gone * room.groups_out).max())
        return self.least if most <= self.planned.base else -(-most // room.groups_in)


@dataclass(slots=True, eq=False)
class Graph:
    """All cells of a plan for some frames; :func:`vecq_hw.simulate.dataflow.times.run` runs it.

    Attributes
    ----------
    input_pauses, output_pauses : sequence of bool, or mapping of them
        In which cycles an input begins no word and an output takes none: all of them, or each by
        its name in the plan.
    deadlines : mapping
        For each output, cycles at which its words must be taken at the latest.
    worst_case : bool
        Whether every pipeline has one stage.  A pipeline that stands still takes no word into its
        bubbles, so that, if words come late enough, it holds no more than the one at its end and
        those in the register behind.  A graph that runs to its end with one stage each does so
        whatever the pauses are; one that does not stands still under some pauses.
    """

    plan: Plan
    frames: int
    input_pauses: Pauses = ()
    output_pauses: Pauses = ()
    deadlines: Mapping[str, Sequence[int]] = field(default_factory=dict)
    worst_case: bool = False
    processes: list[Process] = field(init=False, default_factory=list)
    links: dict[str, LinkBuffer] = field(init=False, default_factory=dict)
    spans: dict[str, tuple[Stream, Stream]] = field(init=False, default_factory=dict)
    """For each layer, where its words come in and go out."""
    _channels: dict[Stream, Channel] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, stream in self.plan.inputs.items():
            words = self.frames * stream.words
            paused = _pauses_of(name, self.input_pauses)
            self.processes.append(source(self.channel(stream), words, paused))
        for cell in self.plan.cells:
            self._add(cell)
        for name, stream in self.plan.outputs.items():
            paused = _pauses_of(name, self.output_pauses)
            self._drain(stream, paused, self.deadlines.get(name, ()))

    def channel(self, stream: Stream) -> Channel:
        """The cycles of a stream's words."""
        return self._channels.setdefault(stream, Channel())

    def _drain(
        self, stream: Stream, pauses: Sequence[bool] = (), deadlines: Sequence[int] = ()
    ) -> None:
        words = self.frames * stream.words
        self.processes.append(sink(self.channel(stream), words, pauses, deadlines))

    def _stages(self, depth: int) -> int:
        return 1 if self.worst_case else depth

    def _add(self, cell: cells.Cell) -> None:
        channel = self.channel
        match cell:
            case streams.Link():
                target = channel(cell.target)
                room = Room(target.takes, cell.base, *cell.groups)
                buffer = Buffer(channel(cell.source), target, room)
                self.processes.append(buffer.process(self.frames * cell.target.words))
                self.links[cell.name] = LinkBuffer(planned=cell, buffer=buffer)
            case Reframe():
                target = channel(cell.target)
                come, go, frame = cell.groups
                frame_room = FrameRoom(target.takes, cell.capacity, come, go, frame)
                frame_buffer = Buffer(channel(cell.source), target, frame_room)
                self.processes.append(frame_buffer.process(self.frames * cell.target.words))
            case Fork():
                targets = [channel(stream) for stream in cell.targets]
                words = self.frames * cell.source.words
                self.processes.append(fork(channel(cell.source), targets, words))
            case Elementwise() | Unrolled():
                channel(cell.source).receiver = Pipeline(
                    channel(cell.target), self._stages(cell.depth), cell.room
                )
                self._span(cell.layer, cell.source, cell.target)
            case Comparison():
                stages, period = self._stages(cell.depth), cell.period
                pipeline = Pipeline(channel(cell.target), stages, period=period)
                channel(cell.source).receiver = pipeline
                self._span(cell.layer, cell.source, cell.target)
            case Ranking():
                target = channel(cell.target)
                position_room = PositionRoom(target.takes, 1, cell.period, cell.layer.count)
                ranking = Buffer(channel(cell.source), target, position_room)
                self.processes.append(ranking.process(self.frames * cell.target.words))
                self._span(cell.layer, cell.source, cell.target)
            case Join():
                turns = [[channel(stream) for stream in turn] for turn in cell.turns]
                words = self.frames * cell.target.words
                depth = self._stages(cell.depth)
                if cell.kept is None:
                    lead = None if cell.lead is None else channel(cell.lead)
                    self.processes.append(join(turns, channel(cell.target), depth, words, lead))
                else:
                    ((left,),) = turns
                    kept, uses = channel(cell.kept), (cell.kept.words, cell.positions)
                    end = channel(cell.target)
                    self.processes.append(join_kept(left, kept, end, depth, words, uses))
                self._span(cell.layer, cell.sources[0], cell.target)
            case Source():
                words = self.frames * cell.target.words
                self.processes.append(source(channel(cell.target), words, AFTER_RESET))
                self._span(cell.layer, cell.target, cell.target)
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
                ends = channel(cell.source), channel(cell.target)
                unit = replace(cell.unit, depth=self._stages(cell.unit.depth))
                self.processes.append(unit_process(unit, *ends, self.frames * cell.periods))
                self._span(cell.layer, cell.source, cell.target)
            case _:
                assert_never(cell)

    def _span(self, layer: Layer, entry: Stream, end: Stream) -> None:
        """Note the ends of a cell; a convolution has two, one behind the other."""
        entry, _ = self.spans.get(layer.name, (entry, end))
        self.spans[layer.name] = entry, end
