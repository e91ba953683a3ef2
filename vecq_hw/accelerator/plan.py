"""What stands where: the cells of a network under a schedule, and the streams between them.

The one source of that truth: the cycle model times these cells and ``emit.systemverilog`` writes
them down.  Between two layers stands a *link*, a buffer that also changes the lanes where they
differ: before every Dense, Conv2d, pool, Upsample2d, Take, Permute, GatherSum, TopK and output,
and before each operand of a layer that joins tensors; but not before the only output where the cell
of its layer ends in a register of its own.  A Rescale, Threshold or Lookup sits on the
stream that it reads; behind an unrolled Dense a Rescale is a part of that cell, if nothing else
reads the sums.  Flatten is no hardware, and neither is a Take or Permute that leaves the order as
it is.  Where several layers read one tensor, a fork stands behind it; of a Constant each reader has
a memory of its own, which needs no link.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import assert_never

from vecq_hw.accelerator import buffered_units, units
from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Gathering,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.joins import join
from vecq_hw.accelerator.orders import word_order
from vecq_hw.accelerator.rescale import rescale_turns, serial_rescale
from vecq_hw.accelerator.streams import Reframe, Stream
from vecq_hw.accelerator.wiring import Wiring
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
)
from vecq_hw.network import Network, needed_layers
from vecq_hw.schedule import FoldKind, Schedule

RESCALE_DEPTH = 6
"""Stages of ``vecq_rescale.sv``, before the stream register at its end."""
LOOKUP_DEPTH = 1
"""Stages of ``vecq_lookup.sv``."""
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
    """Goes from layer to layer; what they give and read goes through the wiring."""

    def __init__(self, network: Network, schedule: Schedule) -> None:
        self._network, self._schedule = network, schedule
        self._layers = needed_layers(network)
        self._wiring = Wiring(network, self._layers)
        self._inputs: dict[str, Stream] = {}

    def result(self) -> Plan:
        network = self._network
        for entry in network.inputs:
            stream = self._wiring.stream(entry.name, self._entry_lanes(entry))
            self._wiring.entries.append(stream)
            self._inputs[entry.name] = stream
            if self._schedule.axis_bits is not None:
                outside = self._axis_stream(entry.name, self._schedule.axis_bits)
                self._inputs[entry.name] = outside
                self._wiring.cells.append(Reframe(source=outside, target=stream))
            self._wiring.publish(entry.name, stream)
        for layer in self._layers:
            if isinstance(layer, Constant):  # each reader has a memory of its own
                self._wiring.constants[layer.name] = layer
            else:
                self._wiring.publish(layer.name, self._layer(layer))
        outputs = {}
        for number, name in enumerate(network.outputs):
            end = OUTPUT + (f" {number}" if len(network.outputs) > 1 else "")
            if self._schedule.axis_bits is None:
                outputs[end] = self._wiring.exit(name, end)
            else:
                stream = self._wiring.read(name)
                outputs[end] = self._axis_stream(name, self._schedule.axis_bits)
                self._wiring.cells.append(Reframe(source=stream, target=outputs[end]))
        return Plan(
            network=network,
            inputs=MappingProxyType(self._inputs),
            outputs=MappingProxyType(outputs),
            cells=tuple(self._wiring.cells),
        )

    def _shape(self, tensor: str) -> tuple[int, ...]:
        return self._network.tensors[tensor].shape

    def _axis_stream(self, tensor: str, axis_bits: int) -> Stream:
        bits = self._network.tensors[tensor].format.bits
        return self._wiring.stream(tensor, axis_bits // slot_bits(bits))

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

    def _elementwise(self, layer: CodeLayer, source: Stream, target: Stream) -> Cell:
        match layer:
            case Rescale():
                return self._rescale(layer.of_used_classes(), source, target)
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
        dsp, room = self._in_dsp(layer.input), units.ROOM
        for cell in self._wiring.cells:
            if isinstance(cell, MatrixVector) and cell.target is source:
                interval = cell.unit.cycles // cell.unit.outputs
                in_turns = cell.fold.kind is FoldKind.PARTIAL_SUMS and cell.unit.outputs > 1
                if interval > 1 and not in_turns:
                    room = units.ROOM_OF_SPACED
                accumulators = self._network.tensors[layer.input].format
                turns = rescale_turns(layer, accumulators, source.lanes, interval)
                if turns and not dsp:
                    if in_turns:
                        # The words of a frame come one behind the other.
                        source = self._wiring.link(layer.input, layer.name, source, source.lanes)
                    return SerialRescale(
                        layer=layer,
                        source=source,
                        target=target,
                        turns=turns,
                        unit=serial_rescale(layer, turns),
                        periods=source.words,
                    )
        depth = RESCALE_DEPTH + (layer.classes > 1)
        return Elementwise(
            layer=layer, source=source, target=target, depth=depth, room=room, dsp=dsp
        )

    def _layer(self, layer: Layer) -> Stream:
        match layer:
            case Dense() if self._schedule.folds[layer.name].kind is FoldKind.UNROLLED:
                return self._unrolled(layer)
            case Dense() | Conv2d():
                return self._matrix_vector(layer)
            case Rescale() | Threshold() | Lookup():
                source = self._wiring.read(layer.input)
                if source.tensor == layer.name:  # the unrolled Dense before it gives its outputs
                    return source
                target = self._wiring.stream(layer.name, source.lanes)
                self._wiring.cells.append(self._elementwise(layer, source, target))
                return target
            case MaxPool2d() | SumPool2d():
                source = self._wiring.entry(layer, layer.input)
                target = self._wiring.stream(layer.name, source.lanes)
                unit = buffered_units.sliding_window(layer, self._shape(layer.input), source.lanes)
                self._wiring.cells.append(
                    Pool(layer=layer, source=source, target=target, unit=unit)
                )
                return target
            case Upsample2d():
                shape = self._shape(layer.input)
                source = self._wiring.entry(layer, layer.input)
                target = self._wiring.stream(layer.name, source.lanes)
                unit = buffered_units.upsampling(layer, shape, source.lanes)
                self._wiring.cells.append(
                    Upsampling(
                        layer=layer, source=source, target=target, unit=unit, periods=shape[0]
                    )
                )
                return target
            case GatherSum():
                source = self._wiring.entry(layer, layer.input)
                target = self._wiring.stream(layer.name, source.lanes)
                unit = buffered_units.gather_sum(layer, self._shape(layer.input), source.lanes)
                self._wiring.cells.append(
                    Gathering(layer=layer, source=source, target=target, unit=unit)
                )
                return target
            case Flatten():
                return self._wiring.read(layer.input)
            case Take() | Permute():
                return self._reordered(layer)
            case Add() | Subtract() | Multiply() | Concat():
                dsp = isinstance(layer, Multiply) and self._in_dsp(layer.inputs[0])
                return join(layer, self._network, self._wiring, dsp=dsp)
            case Constant():
                raise AssertionError(f"{layer!r} has no stream of its own")
            case ArgMax():
                source, target = self._wiring.read(layer.input), self._wiring.stream(layer.name, 1)
                depth = 1 + (source.lanes - 1).bit_length()
                self._wiring.cells.append(
                    Comparison(layer=layer, source=source, target=target, depth=depth)
                )
                return target
            case TopK():  # its list takes an element at a time
                source, target = (
                    self._wiring.entry(layer, layer.input, 1),
                    self._wiring.stream(layer.name, 1),
                )
                self._wiring.cells.append(Ranking(layer=layer, source=source, target=target))
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
        come = self._wiring.lanes(layer.input)
        order, lanes = word_order(layer, shape, come, channels)
        if order.is_identity and lanes == come:
            return self._wiring.read(layer.input)
        source = self._wiring.entry(layer, layer.input, lanes)
        if order.is_identity:
            return source
        target = self._wiring.stream(layer.name, lanes)
        unit = buffered_units.reordering(order)
        self._wiring.cells.append(
            Reordering(layer=layer, order=order, source=source, target=target, unit=unit)
        )
        return target

    def _in_dsp(self, tensor: str) -> bool:
        """Whether the layer with weights that a tensor comes from has its multipliers in DSPs."""
        mac = self._network.mac_before(tensor)
        return mac is not None and self._schedule.folds[mac.name].dsp

    def _matrix_vector(self, layer: MacLayer) -> Stream:
        fold = self._schedule.folds[layer.name]
        unit, lanes = units.matrix_vector(layer, fold, self._schedule.fabric)
        source = self._wiring.entry(layer, layer.input, lanes)
        match layer:
            case Dense():
                pass
            case Conv2d():
                if not buffered_units.is_identity(layer):
                    source = self._windows(layer, source)
            case _:
                assert_never(layer)
        target = self._wiring.stream(layer.name, fold.pe)
        self._wiring.cells.append(
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
        source = self._wiring.entry(layer, layer.input, 1)
        target = self._wiring.stream(
            layer.name, self._lanes_behind(layer.name, self._shape(layer.name))
        )
        folds = self._shape(layer.name)[-1] // target.lanes
        unit, periods = units.rows(folds), source.elements
        self._wiring.cells.append(
            Rows(layer=layer, source=source, target=target, unit=unit, periods=periods)
        )
        return target

    def _recurrence(self, layer: RecurrentLayer) -> Stream:
        fold = self._schedule.folds[layer.name]
        source = self._wiring.entry(layer, layer.input, 1)
        target = self._wiring.stream(layer.name, 1)
        _, length, _ = self._shape(layer.input)
        self._wiring.cells.append(
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
        windows = buffered_units.sliding_window(layer, self._shape(layer.input), lanes)
        target = Stream(tensor=layer.input, elements=windows.outputs * lanes, lanes=lanes)
        self._wiring.cells.append(Windows(layer=layer, source=source, target=target, unit=windows))
        return target

    def _unrolled(self, layer: Dense) -> Stream:
        rescales = [
            reader
            for reader in self._layers
            if isinstance(reader, Rescale) and reader.input == layer.name and reader.rows is None
        ]
        rescale = rescales[0] if rescales and self._wiring.readers(layer.name) == 1 else None
        source = self._wiring.entry(layer, layer.input, layer.inputs_of_one_output)
        target = self._wiring.stream(layer.name if rescale is None else rescale.name, layer.outputs)
        depth = units.unrolled_depth(layer, rescale)
        self._wiring.cells.append(
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
