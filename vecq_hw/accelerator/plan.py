"""What stands where: the cells of a network under a schedule, and the streams between them.

The one source of that truth: the cycle model times these cells and ``emit.systemverilog`` writes
them down.  Between two layers stands a *link*, a buffer that also changes the lanes where they
differ: before every Dense, Conv2d, pool, Upsample2d, Take, Permute, GatherSum, TopK and output,
and before each operand of a layer that joins tensors.  A Rescale, Threshold or Lookup sits on the
stream that it reads; behind an unrolled Dense a Rescale is a part of that cell, if nothing else
reads the sums.  Flatten is no hardware, and neither is a Take or Permute that leaves the order as
it is.  Where several layers read one tensor, a fork stands behind it; of a Constant each reader has
a memory of its own, which needs no link.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import assert_never

from vecq_hw.accelerator import units
from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Fork,
    Gathering,
    Join,
    Link,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reframe,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Stream,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.orders import word_order
from vecq_hw.bench.words import slot_bits
from vecq_hw.layers import (
    Add,
    ArgMax,
    CodeLayer,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Input,
    JoinLayer,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    OrderLayer,
    Permute,
    RecurrentLayer,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Threshold,
    TopK,
    Upsample2d,
    as_mac_layer,
    is_broadcast,
)
from vecq_hw.network import Network, needed_layers
from vecq_hw.schedule import FoldKind, Schedule, divisors

RESCALE_DEPTH = 5
"""Stages of ``vecq_rescale.sv``."""
LOOKUP_DEPTH = 1
"""Stages of ``vecq_lookup.sv``."""
JOIN_DEPTH = 1
"""Stages of a Concat, and of each level of an Add's tree."""
MULTIPLY_DEPTH = 2
"""Stages of ``vecq_multiply.sv``."""
OUTPUT = "output"


def plan(network: Network, schedule: Schedule) -> Plan:
    """The cells that ``schedule``, which must fit, makes of ``network``."""
    return _Planner(network, schedule).result()


def first_mac_behind(network: Network, tensor: str) -> MacLayer | None:
    """The first Dense or Conv2d that depends on a tensor, of those that an output depends on."""
    behind = {tensor}
    for layer in needed_layers(network):
        if behind.intersection(layer.inputs):
            behind.add(layer.name)
            if (mac := as_mac_layer(layer)) is not None:
                return mac
    return None


class _Planner:
    """Goes from layer to layer and keeps the streams that are still to be read."""

    def __init__(self, network: Network, schedule: Schedule) -> None:
        self._network, self._schedule = network, schedule
        self._layers = needed_layers(network)
        self._cells: list[Cell] = []
        self._inputs: dict[str, Stream] = {}
        self._entries: list[Stream] = []
        self._branches: dict[str, list[Stream]] = {}
        self._constants: dict[str, Constant] = {}

    def result(self) -> Plan:
        network = self._network
        for entry in network.inputs:
            stream = self._stream(entry.name, self._entry_lanes(entry))
            self._entries.append(stream)
            self._inputs[entry.name] = stream
            if self._schedule.axis_bits is not None:
                outside = self._axis_stream(entry.name, self._schedule.axis_bits)
                self._inputs[entry.name] = outside
                self._cells.append(Reframe(source=outside, target=stream))
            self._publish(entry.name, stream)
        for layer in self._layers:
            if isinstance(layer, Constant):  # each reader has a memory of its own
                self._constants[layer.name] = layer
            else:
                self._publish(layer.name, self._layer(layer))
        outputs = {}
        for number, name in enumerate(network.outputs):
            end = OUTPUT + (f" {number}" if len(network.outputs) > 1 else "")
            stream = self._read(name)
            if self._schedule.axis_bits is None:
                outputs[end] = self._link(name, end, stream, stream.lanes)
            else:
                outputs[end] = self._axis_stream(name, self._schedule.axis_bits)
                self._cells.append(Reframe(source=stream, target=outputs[end]))
        return Plan(
            network=network,
            inputs=MappingProxyType(self._inputs),
            outputs=MappingProxyType(outputs),
            cells=tuple(self._cells),
        )

    def _stream(self, tensor: str, lanes: int) -> Stream:
        elements = math.prod(self._network.tensors[tensor].shape)
        return Stream(tensor=tensor, elements=elements, lanes=lanes)

    def _axis_stream(self, tensor: str, axis_bits: int) -> Stream:
        bits = self._network.tensors[tensor].format.bits
        return self._stream(tensor, axis_bits // slot_bits(bits))

    def _shape(self, tensor: str) -> tuple[int, ...]:
        return self._network.tensors[tensor].shape

    def _entry_lanes(self, entry: Input) -> int:
        """Those of the first layer with weights; indices come one by one."""
        readers = [layer for layer in self._layers if entry.name in layer.inputs]
        indices = any(isinstance(layer, Embedding) for layer in readers)
        return 1 if indices else self._lanes_behind(entry.name, entry.shape)

    def _lanes_behind(self, tensor: str, shape: tuple[int, ...]) -> int:
        """The lanes of the first Dense or Conv2d behind it, as far as the channels allow."""
        mac = first_mac_behind(self._network, tensor)
        if mac is None:
            return 1
        return math.gcd(units.input_lanes(mac, self._schedule.folds[mac.name]), shape[-1])

    def _publish(self, tensor: str, stream: Stream) -> None:
        """Hand the stream to those who read the tensor, through a fork if they are several."""
        readers = self._readers(tensor)
        if readers == 1:
            self._branches[tensor] = [stream]
        else:
            copies = [self._stream(tensor, stream.lanes) for _ in range(readers)]
            self._cells.append(Fork(source=stream, targets=tuple(copies)))
            self._branches[tensor] = copies

    def _readers(self, tensor: str) -> int:
        readers = sum(layer.inputs.count(tensor) for layer in self._layers)
        return readers + self._network.outputs.count(tensor)

    def _read(self, tensor: str) -> Stream:
        return self._branches[tensor].pop(0)

    def _read_constant(self, tensor: str, lanes: int, elements: int) -> Stream:
        """A frame of ``elements``, for which the constant is repeated where it has fewer."""
        target = Stream(tensor=tensor, elements=elements, lanes=lanes)
        self._cells.append(Source(layer=self._constants[tensor], target=target))
        return target

    def _link(self, tensor: str, reader: str, source: Stream, lanes: int) -> Stream:
        target = self._stream(tensor, lanes)
        name = f"{tensor}→{reader}"
        links = {cell.name for cell in self._cells if isinstance(cell, Link)}
        count = 1
        while (unique := name if count == 1 else f"{name} {count}") in links:
            count += 1
        self._cells.append(Link(name=unique, reader=reader, source=source, target=target))
        return target

    def _elementwise(self, layer: CodeLayer, source: Stream, target: Stream) -> Cell:
        match layer:
            case Rescale():
                return self._rescale(layer, source, target)
            case Threshold():
                # Its input, a comparison for each bit of the count, its output.
                depth = 2 + (layer.format.hi - layer.format.lo).bit_length()
                return Elementwise(layer=layer, source=source, target=target, depth=depth)
            case Lookup():
                return Elementwise(layer=layer, source=source, target=target, depth=LOOKUP_DEPTH)
            case _:
                assert_never(layer)

    def _rescale(self, layer: Rescale, source: Stream, target: Stream) -> Cell:
        """A word per cycle, unless the folds before leave the cycles for its bits."""
        dsp = False
        for cell in self._cells:
            if isinstance(cell, MatrixVector) and cell.target is source:
                dsp = cell.fold.dsp
                interval = cell.unit.cycles // cell.unit.outputs
                turns = units.rescale_turns(layer, source.lanes, interval)
                if turns and not dsp:
                    return SerialRescale(
                        layer=layer,
                        source=source,
                        target=target,
                        turns=turns,
                        unit=units.serial_rescale(layer, turns),
                        periods=source.words,
                    )
        depth = RESCALE_DEPTH + (layer.classes > 1)
        return Elementwise(layer=layer, source=source, target=target, depth=depth, dsp=dsp)

    def _entry(self, layer: Layer, tensor: str, lanes: int | None = None) -> Stream:
        """The stream that a buffered unit reads; an input of the network needs no link."""
        stream = self._read(tensor)
        lanes = stream.lanes if lanes is None else lanes
        if stream.lanes == lanes and any(stream is raw for raw in self._entries):
            return stream
        return self._link(tensor, layer.name, stream, lanes)

    def _layer(self, layer: Layer) -> Stream:
        match layer:
            case Dense() if self._schedule.folds[layer.name].kind is FoldKind.UNROLLED:
                return self._unrolled(layer)
            case Dense() | Conv2d():
                return self._matrix_vector(layer)
            case Rescale() | Threshold() | Lookup():
                source = self._read(layer.input)
                if source.tensor == layer.name:  # the unrolled Dense before it gives its outputs
                    return source
                target = self._stream(layer.name, source.lanes)
                self._cells.append(self._elementwise(layer, source, target))
                return target
            case MaxPool2d() | SumPool2d():
                source = self._entry(layer, layer.input)
                target = self._stream(layer.name, source.lanes)
                unit = units.sliding_window(layer, self._shape(layer.input), source.lanes)
                self._cells.append(Pool(layer=layer, source=source, target=target, unit=unit))
                return target
            case Upsample2d():
                shape = self._shape(layer.input)
                source = self._entry(layer, layer.input)
                target = self._stream(layer.name, source.lanes)
                unit = units.upsampling(layer, shape, source.lanes)
                self._cells.append(
                    Upsampling(
                        layer=layer, source=source, target=target, unit=unit, periods=shape[0]
                    )
                )
                return target
            case GatherSum():
                source = self._entry(layer, layer.input)
                target = self._stream(layer.name, source.lanes)
                unit = units.gather_sum(layer, self._shape(layer.input), source.lanes)
                self._cells.append(Gathering(layer=layer, source=source, target=target, unit=unit))
                return target
            case Flatten():
                return self._read(layer.input)
            case Take() | Permute():
                return self._reordered(layer)
            case Add() | Subtract() | Multiply() | Concat():
                return self._join(layer)
            case Constant():
                raise AssertionError(f"{layer!r} has no stream of its own")
            case ArgMax():
                source, target = self._read(layer.input), self._stream(layer.name, 1)
                depth = 1 + (source.lanes - 1).bit_length()
                self._cells.append(
                    Comparison(layer=layer, source=source, target=target, depth=depth)
                )
                return target
            case TopK():  # its list takes an element at a time
                source, target = self._entry(layer, layer.input, 1), self._stream(layer.name, 1)
                self._cells.append(Ranking(layer=layer, source=source, target=target))
                return target
            case Embedding():
                return self._rows(layer)
            case Lstm() | Gru():
                return self._recurrence(layer)
            case _:
                assert_never(layer)

    def _reordered(self, layer: OrderLayer) -> Stream:
        """A Take or Permute; one that changes no order is no more than a change of lanes."""
        shape, channels = self._shape(layer.input), self._shape(layer.name)[-1]
        come = self._branches[layer.input][0].lanes
        order, lanes = word_order(layer, shape, come, channels)
        if order.is_identity and lanes == come:
            return self._read(layer.input)
        source = self._entry(layer, layer.input, lanes)
        if order.is_identity:
            return source
        target = self._stream(layer.name, lanes)
        unit = units.reordering(order)
        self._cells.append(
            Reordering(layer=layer, order=order, source=source, target=target, unit=unit)
        )
        return target

    def _join(self, layer: JoinLayer) -> Stream:
        names = layer.inputs
        given = {
            index: self._read(name)
            for index, name in enumerate(names)
            if name not in self._constants
        }
        kept = isinstance(layer, Multiply) and is_broadcast(
            *(self._network.tensors[name] for name in names)
        )
        paced = [stream for index, stream in given.items() if index == 0 or not kept]
        lanes = max(stream.lanes for stream in paced or given.values())
        match layer:
            case Add() | Subtract() | Multiply():
                pass
            case Concat():
                common = math.gcd(*(self._shape(name)[-1] for name in names))
                lanes = max(d for d in divisors(common) if d <= lanes)
            case _:
                assert_never(layer)
        target = self._stream(layer.name, lanes)
        sources = []
        for index, name in enumerate(names):
            if index in given:
                sources.append(self._link(name, layer.name, given[index], lanes))
            else:
                elements = target.elements if kept else math.prod(self._shape(name))
                sources.append(self._read_constant(name, lanes, elements))
        turns: list[Sequence[Stream]] = [sources]
        held = None
        match layer:
            case Add() | Subtract():
                depth = max((len(sources) - 1).bit_length(), 1) * JOIN_DEPTH
            case Multiply():
                depth = MULTIPLY_DEPTH
                if kept and 1 in given:
                    turns, held = [sources[:1]], sources[1]
            case Concat():
                depth = JOIN_DEPTH
                turns = [
                    [source]
                    for source in sources
                    for _ in range(self._shape(source.tensor)[-1] // lanes)
                ]
            case _:
                assert_never(layer)
        self._cells.append(
            Join(
                layer=layer,
                sources=sources,
                turns=turns,
                target=target,
                depth=depth,
                kept=held,
                dsp=isinstance(layer, Multiply) and self._in_dsp(names[0]),
            )
        )
        return target

    def _in_dsp(self, tensor: str) -> bool:
        """Whether the layer with weights that a tensor comes from has its multipliers in DSPs."""
        layers = {layer.name: layer for layer in self._layers}
        while (layer := layers.get(tensor)) is not None and layer.inputs:
            if (mac := as_mac_layer(layer)) is not None:
                return self._schedule.folds[mac.name].dsp
            tensor = layer.inputs[0]
        return False

    def _matrix_vector(self, layer: MacLayer) -> Stream:
        fold = self._schedule.folds[layer.name]
        unit, lanes = units.matrix_vector(layer, fold)
        source = self._entry(layer, layer.input, lanes)
        match layer:
            case Dense():
                pass
            case Conv2d():
                if not units.is_identity(layer):
                    source = self._windows(layer, source)
            case _:
                assert_never(layer)
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

    def _rows(self, layer: Embedding) -> Stream:
        source = self._entry(layer, layer.input, 1)
        target = self._stream(layer.name, self._lanes_behind(layer.name, self._shape(layer.name)))
        folds = self._shape(layer.name)[-1] // target.lanes
        unit, periods = units.rows(folds), source.elements
        self._cells.append(
            Rows(layer=layer, source=source, target=target, unit=unit, periods=periods)
        )
        return target

    def _recurrence(self, layer: RecurrentLayer) -> Stream:
        fold = self._schedule.folds[layer.name]
        source = self._entry(layer, layer.input, 1)
        target = self._stream(layer.name, 1)
        _, length, _ = self._shape(layer.input)
        self._cells.append(
            Recurrence(
                layer=layer,
                fold=fold,
                source=source,
                target=target,
                unit=units.recurrent(layer, fold, length),
                periods=length if layer.sequence else 1,
            )
        )
        return target

    def _windows(self, layer: Conv2d, source: Stream) -> Stream:
        lanes = source.lanes
        windows = units.sliding_window(layer, self._shape(layer.input), lanes)
        target = Stream(tensor=layer.input, elements=windows.outputs * lanes, lanes=lanes)
        self._cells.append(Windows(layer=layer, source=source, target=target, unit=windows))
        return target

    def _unrolled(self, layer: Dense) -> Stream:
        rescales = [
            reader
            for reader in self._layers
            if isinstance(reader, Rescale) and reader.input == layer.name and reader.rows is None
        ]
        rescale = rescales[0] if rescales and self._readers(layer.name) == 1 else None
        source = self._entry(layer, layer.input, layer.inputs_of_one_output)
        target = self._stream(layer.name if rescale is None else rescale.name, layer.outputs)
        depth = units.unrolled_depth(layer, rescale)
        self._cells.append(
            Unrolled(
                layer=layer,
                fold=self._schedule.folds[layer.name],
                activations=self._network.tensors[layer.input].format,
                rescale=rescale,
                source=source,
                target=target,
                depth=depth,
            )
        )
        return target
