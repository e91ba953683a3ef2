"""The dataflow top of a network: streams, and one stage a layer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import assert_never

import numpy as np

from vecq_hw.emit.hls import streams as needs
from vecq_hw.emit.hls.packing import Grouping, packed_words, stored
from vecq_hw.emit.hls.streams import Counts, Port, Stage, Stream
from vecq_hw.emit.literals import cpp_array, cpp_integer, cpp_words, one_line, signed_bits
from vecq_hw.errors import VecqError
from vecq_hw.layers import WindowLayer, layer_inputs
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
)
from vecq_hw.schedule import Schedule

MAX_STREAM_BITS = 4096
"""Widest AXI4-Stream word; ``AP_INT_MAX_W`` in the headers."""

_HEADERS = {
    Dense: "dense",
    Conv2d: "conv2d",
    Rescale: "rescale",
    Threshold: "threshold",
    MaxPool2d: "max_pool2d",
    SumPool2d: "sum_pool2d",
    Upsample2d: "upsample2d",
    Add: "join",
    Concat: "join",
}

Loops = tuple[Callable[[], Counts], ...]


@dataclass(slots=True)
class Design:
    """What the templates read; built once from network and schedule.

    Attributes
    ----------
    names : identifier of the network, of its input and of every layer
    """

    network: Network
    schedule: Schedule
    names: dict[str, str]
    top: str
    head: str
    formats: list[str] = field(init=False, default_factory=list)
    shapes: list[str] = field(init=False, default_factory=list)
    stages: list[Stage] = field(init=False, default_factory=list)
    parameters: dict[str, list[str]] = field(init=False, default_factory=dict)
    headers: set[str] = field(init=False, default_factory=set)
    ports: list[Port] = field(init=False, default_factory=list)
    depths: dict[str, int] = field(init=False)
    _stored: dict[str, str] = field(init=False, default_factory=dict)
    """In which tensor's stream a flattened one travels."""
    _open: dict[str, list[Stream]] = field(init=False, default_factory=dict)
    """The streams of a tensor that nothing reads yet, by its name; the next reader's is last."""

    def __post_init__(self) -> None:
        network, source = self.network, self.network.inputs[0]
        layers = _needed_layers(network)
        read = [network.outputs[0]]
        for layer in layers:
            if isinstance(layer, Flatten):
                self._stored[layer.name] = self._stored.get(layer.input, layer.input)
            else:
                read += layer_inputs(layer)
        readers = Counter(self._stored.get(name, name) for name in read)
        stream = self._stream(source.name, self._input_lanes(layers))
        self._add_port("s_axis", source.name, stream)
        call = f"vecq::read_axis<{self.top}_input>(s_axis, {stream.variable})"
        self._write(source.name, Stage("AXI4-Stream in", call, (), (stream,)), readers)
        for layer in layers:
            if not isinstance(layer, Flatten):  # its order is that of the stream already
                self._write(layer.name, self._stage(layer), readers)
        stream = self._read(network.outputs[0])
        self._add_port("m_axis", network.outputs[0], stream)
        call = f"vecq::write_axis<{self.top}_output>({stream.variable}, m_axis)"
        self.stages.append(Stage("AXI4-Stream out", call, ((stream, _word_by_word(stream)),), ()))
        self.depths = needs.stream_depths(self.stages)

    def _input_lanes(self, layers: Iterable[Layer]) -> int:
        """As many as the first Dense or Conv2d takes, if they divide the channels."""
        channels = self.network.inputs[0].shape[-1]
        for layer in layers:
            if isinstance(layer, Dense | Conv2d):
                lanes = Grouping.of(layer, self.schedule.folds[layer.name]).lanes
                return math.gcd(lanes, channels)
        return 1

    def _add_port(self, name: str, tensor: str, stream: Stream) -> None:
        port = Port(name, self.network.tensors[tensor], stream)
        if port.bits > MAX_STREAM_BITS:
            raise VecqError(
                f"network '{self.network.name}': {stream.lanes} lanes of {stream.format.bits} bits"
                f" make a word of {port.bits} bits on {name}; at most {MAX_STREAM_BITS} are wanted"
            )
        self.ports.append(port)

    def _stream(self, tensor: str, lanes: int) -> Stream:
        """The stream that a tensor's layer writes; its format joins those of the top."""
        name, described = self.names[tensor], self.network.tensors[tensor]
        fmt = described.format
        signed = "true" if fmt.signed else "false"
        self.formats.append(
            f"using {name}_format = vecq::IntFormat<{fmt.bits}, {signed}, {cpp_integer(fmt.lo)},"
            f" {cpp_integer(fmt.hi)}>;"
        )
        words = math.prod(described.shape) // lanes
        return Stream(f"{name}_stream", f"{name}_format", fmt, lanes, words)

    def _write(self, tensor: str, stage: Stage, readers: Counter[str]) -> None:
        """Add the stage that makes ``tensor``, and a fork where it has several readers."""
        self.stages.append(stage)
        (stream,) = stage.writes
        count = readers[tensor]
        if count == 1:
            self._open[tensor] = [stream]
            return
        copies = [
            replace(stream, variable=f"{self.names[tensor]}_fork{index}") for index in range(count)
        ]
        call = f"vecq::fork<{stream.words}>({', '.join(s.variable for s in (stream, *copies))})"
        comment = f"{one_line(tensor)} to {count} readers"
        reads = ((stream, _word_by_word(stream)),)
        self.stages.append(Stage(comment, call, reads, tuple(copies)))
        self._open[tensor] = copies[::-1]

    def _read(self, tensor: str) -> Stream:
        return self._open[self._stored.get(tensor, tensor)].pop()

    def _resized(self, stream: Stream, lanes: int, variable: str) -> Stream:
        if stream.lanes == lanes:
            return stream
        elements = stream.words * stream.lanes
        result = replace(stream, variable=variable, lanes=lanes, words=elements // lanes)
        call = (
            f"vecq::resize_lanes<{stream.format_name}, {stream.lanes}, {lanes}, {elements}>"
            f"({stream.variable}, {variable})"
        )
        loops = (partial(needs.resized, stream, result),)
        comment = f"{stream.lanes} lanes to {lanes}"
        self.stages.append(Stage(comment, call, ((stream, loops),), (result,)))
        return result

    def _stage(self, layer: Layer) -> Stage:
        """The stage of a layer, behind those that resize what it reads."""
        self.headers.add(_HEADERS[type(layer)])
        match layer:
            case Dense() | Conv2d():
                return self._mac(layer)
            case Rescale():
                return self._rescale(layer)
            case Threshold():
                return self._threshold(layer)
            case MaxPool2d() | SumPool2d():
                return self._pool(layer)
            case Upsample2d():
                return self._upsample(layer)
            case Add():
                return self._add(layer)
            case Concat():
                return self._concat(layer)
            case Flatten():
                raise AssertionError("a Flatten has no stage")
            case _:
                assert_never(layer)

    def _mac(self, layer: MacLayer) -> Stage:
        name, fold = self.names[layer.name], self.schedule.folds[layer.name]
        grouping = Grouping.of(layer, fold)
        stream = self._resized(self._read(layer.input), grouping.lanes, f"{name}_resized")
        result = self._stream(layer.name, fold.pe)
        kind, bits, codes = stored(layer.weights)
        outputs = len(codes)
        codes = codes.reshape(outputs, -1)
        bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
        words, word_bits = packed_words(codes, bits, fold)
        self.parameters[name] = [
            cpp_words(f"{name}_weights", words, word_bits),
            cpp_array(f"{name}_bias", bias),
        ]
        positions = result.words * fold.pe // outputs
        cells = codes.shape[1] // layer.weights.codes.shape[-1]
        channels = self.network.tensors[layer.input].shape[-1]
        block_words = cells * channels // (grouping.blocks * grouping.lanes)
        loops: Loops = (
            partial(
                needs.folded,
                positions * grouping.blocks,
                block_words,
                grouping.block_outputs // fold.pe,
            ),
        )
        arguments = f"{stream.variable}, {result.variable}, {name}_weights, {name}_bias"
        formats = f"{stream.format_name}, {result.format_name}, vecq::{kind}<{bits}>"
        if isinstance(layer, Dense):
            call = f"vecq::dense<{formats}, {codes.shape[1]}, {outputs}, {fold.pe}, {fold.simd}>"
        else:
            self._add_window(layer)
            self.shapes.append(
                f"using {name}_grouping = vecq::Grouping<{channels // layer.groups}, {outputs},"
                f" {layer.groups}, {fold.pe}, {fold.simd}>;"
            )
            call = f"vecq::conv2d<{formats}, {name}_window, {name}_grouping>"
            if not _is_identity(layer):
                loops = (self._windows(layer, stream), *loops)
        return self._made(layer, f"{call}({arguments})", ((stream, loops),), result)

    def _cells(self, tensor: str) -> int:
        """Pixels of an image; 1 of a vector."""
        return math.prod(self.network.tensors[tensor].shape[:-1])

    def _rescale(self, layer: Rescale) -> Stage:
        name, stream = self.names[layer.name], self._read(layer.input)
        result = self._stream(layer.name, stream.lanes)
        mantissa_bits = signed_bits(layer.mantissa)
        self.parameters[name] = [
            cpp_array(f"{name}_mantissa", layer.mantissa),
            cpp_array(f"{name}_offset", layer.offset),
        ]
        shift, arguments = f"{layer.shift}, ", f"{name}_mantissa, {name}_offset"
        if not isinstance(layer.shift, int):
            self.parameters[name].append(cpp_array(f"{name}_shift", layer.shift))
            shift, arguments = "", f"{arguments}, {name}_shift"
        call = (
            f"vecq::rescale<{stream.format_name}, {result.format_name},"
            f" {self._cells(layer.name)}, {len(layer.mantissa)}, {stream.lanes}, {shift}"
            f"{mantissa_bits}>({stream.variable}, {result.variable}, {arguments})"
        )
        return self._made(layer, call, ((stream, _word_by_word(stream)),), result)

    def _threshold(self, layer: Threshold) -> Stage:
        channels, levels = layer.thresholds.shape
        if levels == 0:  # C++ has no empty arrays; where there is one output, the clamp makes it
            zeros = np.zeros(channels, np.int64)
            self.headers.add("rescale")
            return self._rescale(
                Rescale(
                    name=layer.name,
                    input=layer.input,
                    mantissa=zeros,
                    offset=zeros,
                    shift=1,
                    format=layer.format,
                )
            )
        name, stream = self.names[layer.name], self._read(layer.input)
        result = self._stream(layer.name, stream.lanes)
        self.parameters[name] = [
            cpp_array(f"{name}_thresholds", layer.thresholds),
            cpp_array(f"{name}_falling", layer.falling),
        ]
        call = (
            f"vecq::threshold<{stream.format_name}, {result.format_name},"
            f" {self._cells(layer.name)}, {channels}, {levels}, {stream.lanes}>"
            f"({stream.variable}, {result.variable}, {name}_thresholds, {name}_falling)"
        )
        return self._made(layer, call, ((stream, _word_by_word(stream)),), result)

    def _pool(self, layer: MaxPool2d | SumPool2d) -> Stage:
        name, stream = self.names[layer.name], self._read(layer.input)
        result = self._stream(layer.name, stream.lanes)
        self._add_window(layer)
        maximum = isinstance(layer, MaxPool2d)
        formats = result.format_name if maximum else f"{stream.format_name}, {result.format_name}"
        call = (
            f"vecq::{'max' if maximum else 'sum'}_pool2d<{formats}, {name}_window, {stream.lanes}>"
            f"({stream.variable}, {result.variable})"
        )
        positions = self._cells(layer.name)
        folds = result.words // positions
        pooled = partial(needs.pooled, positions, math.prod(layer.kernel), folds)
        return self._made(layer, call, ((stream, (self._windows(layer, stream), pooled)),), result)

    def _upsample(self, layer: Upsample2d) -> Stage:
        stream = self._read(layer.input)
        result = self._stream(layer.name, stream.lanes)
        image = self.network.tensors[layer.input].shape
        down, across = layer.factor
        call = (
            f"vecq::upsample2d<{result.format_name}, {_sizes('Image', image)}, {down}, {across},"
            f" {stream.lanes}>({stream.variable}, {result.variable})"
        )
        loops = (partial(needs.repeated, image, layer.factor, image[2] // stream.lanes),)
        return self._made(layer, call, ((stream, loops),), result)

    def _add(self, layer: Add) -> Stage:
        operands = self._operands(layer, max)
        result = self._stream(layer.name, operands[0].lanes)
        variables = ", ".join(stream.variable for stream in (result, *operands))
        call = f"vecq::add<{result.format_name}, {result.words}>({variables})"
        reads = tuple((stream, _word_by_word(stream)) for stream in operands)
        return self._made(layer, call, reads, result)

    def _concat(self, layer: Concat) -> Stage:
        operands = self._operands(layer, math.gcd)
        result = self._stream(layer.name, operands[0].lanes)
        positions = self._cells(layer.name)
        words = [stream.words // positions for stream in operands]
        variables = ", ".join(stream.variable for stream in (result, *operands))
        counts = ", ".join(map(str, words))
        call = f"vecq::concat<{result.format_name}, {positions}, {counts}>({variables})"
        reads = tuple(
            (stream, (partial(needs.joined, positions, words, operand),))
            for operand, stream in enumerate(operands)
        )
        return self._made(layer, call, reads, result)

    def _operands(self, layer: Add | Concat, lanes_of: Callable[..., int]) -> list[Stream]:
        """What the layer reads, all of as many lanes."""
        given = [self._read(name) for name in layer.inputs]
        lanes = lanes_of(*(stream.lanes for stream in given)) if len(given) > 1 else given[0].lanes
        name = self.names[layer.name]
        return [
            self._resized(stream, lanes, f"{name}_resized{index}")
            for index, stream in enumerate(given)
        ]

    def _add_window(self, layer: WindowLayer) -> None:
        parts = [
            _sizes("Image", self.network.tensors[layer.input].shape),
            _sizes("Kernel", layer.kernel),
            _sizes("Stride", layer.stride),
            _sizes("Padding", layer.padding),
        ]
        if _dilation(layer) != (1, 1):
            parts.append(_sizes("Dilation", _dilation(layer)))
        self.shapes.append(
            f"using {self.names[layer.name]}_window = vecq::Window<{', '.join(parts)}>;"
        )

    def _windows(self, layer: WindowLayer, stream: Stream) -> Callable[[], Counts]:
        image = self.network.tensors[layer.input].shape
        return partial(needs.windowed, layer, _dilation(layer), image, stream.words // image[0])

    def _made(
        self, layer: Layer, call: str, reads: tuple[tuple[Stream, Loops], ...], result: Stream
    ) -> Stage:
        return Stage(f"{type(layer).__name__} {one_line(layer.name)}", call, reads, (result,))


def _word_by_word(stream: Stream) -> Loops:
    return (partial(needs.word_by_word, stream.words),)


def _sizes(what: str, sizes: Iterable[int]) -> str:
    return f"vecq::{what}<{', '.join(map(str, sizes))}>"


def _dilation(layer: WindowLayer) -> tuple[int, int]:
    return layer.dilation if isinstance(layer, Conv2d) else (1, 1)


def _is_identity(layer: Conv2d) -> bool:
    """``vecq::Window::is_identity``."""
    return layer.kernel == (1, 1) and layer.stride == (1, 1) and layer.padding == (0, 0)


def _needed_layers(network: Network) -> list[Layer]:
    """The layers that the output depends on."""
    needed = set(network.outputs)
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed.update(layer_inputs(layer))
    return [layer for layer in network.layers if layer.name in needed]
