"""The top function of HLS C++: a variable for each stream of the plan, a call for each cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from vecq_hw.accelerator.base_passes import base_passes
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
from vecq_hw.accelerator.units import is_identity
from vecq_hw.accelerator.untimed import LEAST_DEPTH, stream_depths
from vecq_hw.bench.words import slot_bits
from vecq_hw.emit.hls.orders import order_type
from vecq_hw.emit.hls.packing import book_definition, packed_words, stored
from vecq_hw.emit.identifiers import end_suffixes
from vecq_hw.emit.literals import cpp_array, cpp_integer, cpp_words, one_line, signed_bits
from vecq_hw.emit.words import padded_bits
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import (
    Add,
    BinaryBases,
    CodeLayer,
    Concat,
    Conv2d,
    Dense,
    Gru,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    ProductWeights,
    Rescale,
    Subtract,
    SumPool2d,
    Tensor,
    Threshold,
    Weights,
    WindowLayer,
)
from vecq_hw.schedule import Fold, FoldKind

MAX_STREAM_BITS = 4096
"""Widest AXI4-Stream word; ``AP_INT_MAX_W`` in the headers."""


@dataclass(frozen=True, slots=True)
class StreamVariable:
    """A variable of the top function: ``words`` words per frame, ``lanes`` elements each."""

    name: str
    format_name: str
    format: IntFormat
    lanes: int
    words: int
    depth: int

    @property
    def kind(self) -> str:
        """The C++ type."""
        return f"vecq::Stream<{self.format_name}, {self.lanes}>"


@dataclass(frozen=True, slots=True)
class AxisPort:
    """An AXI4-Stream of the top function and the tensor that it carries.

    Attributes
    ----------
    name : str
        Of the argument: ``s_axis`` or ``m_axis``, with ``suffix`` behind it, which is empty where
        there is one.
    type_name : str
        Of the C++ type of its frames.
    """

    name: str
    suffix: str
    type_name: str
    tensor: Tensor
    stream: StreamVariable
    lanes: int
    slot: int
    keep: bool

    @property
    def local(self) -> str:
        """Its type's name in a file that holds no other top."""
        kind, place = ("Input" if self.name.startswith("s") else "Output"), self.type_name
        return kind + place[len(place.rstrip("0123456789")) :] if self.suffix else kind

    @property
    def bits(self) -> int:
        """Bits of a word, in whole bytes."""
        return padded_bits(self.lanes, self.slot)

    @property
    def words(self) -> int:
        """Words in a frame."""
        return -(-self.elements // self.lanes)

    @property
    def elements(self) -> int:
        """Elements in a frame."""
        return math.prod(self.tensor.shape)

    @property
    def frame(self) -> str:
        """The C++ type."""
        width = f", {self.slot}, true" if self.keep else ""
        return f"vecq::Frame<{self.stream.format_name}, {self.elements}, {self.lanes}{width}>"


@dataclass(frozen=True, slots=True)
class Call:
    """A process of the dataflow region: a call behind the variables that it writes."""

    comment: str
    text: str
    writes: tuple[StreamVariable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopFunction:
    """What the templates read.

    Attributes
    ----------
    formats, shapes : sequence of str
        C++ types of tensors, of windows and of groupings.
    parameters : mapping
        The C++ arrays of each layer that has any, by the layer's identifier.
    headers : set of str
        Of ``hls/include/vecq``, without their suffix.
    inputs, outputs : sequence of AxisPort
        Where frames come in and go out, in the network's order.
    """

    name: str
    head: str
    formats: Sequence[str]
    shapes: Sequence[str]
    calls: Sequence[Call]
    parameters: Mapping[str, Sequence[str]]
    headers: set[str]
    inputs: Sequence[AxisPort]
    outputs: Sequence[AxisPort]

    @property
    def ports(self) -> list[AxisPort]:
        """The arguments in their order."""
        return [*self.inputs, *self.outputs]

    @property
    def alone(self) -> bool:
        """Whether there are one input and one output."""
        return len(self.inputs) == len(self.outputs) == 1


def top_function(plan: Plan, names: Mapping[str, str], name: str, head: str) -> TopFunction:
    """The top function of a plan.

    Parameters
    ----------
    plan : Plan
    names : mapping
        The identifier of every input and layer.
    name : str
        Identifier of the function.
    head : str
        The first line of every file.

    Raises
    ------
    VecqError
        A word at the ports would be too wide.
    """
    return _Builder(plan, names, name, head).result()


class _Builder:
    """Goes over the cells of the plan; variables are made by what writes them."""

    def __init__(self, plan: Plan, names: Mapping[str, str], name: str, head: str) -> None:
        self._plan, self._network, self._names = plan, plan.network, names
        self._name, self._head = name, head
        self._depths = stream_depths(plan)
        self._variables: dict[Stream, StreamVariable] = {}
        self._windows: dict[Stream, Windows] = {}
        ends = {*plan.inputs.values(), *plan.outputs.values()}
        self._reframed = ends & {
            stream
            for cell in plan.cells
            if isinstance(cell, Reframe)
            for stream in (cell.source, cell.target)
        }
        self._operands = {
            source: f"{names[cell.layer.name]}_resized{index}"
            for cell in plan.cells
            if isinstance(cell, Join)
            for index, source in enumerate(cell.sources)
        }
        self._formats: list[str] = []
        self._shapes: list[str] = []
        self._calls: list[Call] = []
        self._parameters: dict[str, list[str]] = {}
        self._headers: set[str] = set()

    def result(self) -> TopFunction:
        suffixes = end_suffixes(self._plan.inputs)
        inputs = []
        for place, (tensor, entry) in enumerate(self._plan.inputs.items()):
            stream = self._tensor_stream(entry)
            port = self._port("input", place, suffixes[tensor], entry, stream)
            text = f"read_axis<{port.type_name}>({port.name}, {stream.name})"
            self._call(f"AXI4-Stream in{self._of(tensor, suffixes)}", text, stream)
            inputs.append(port)
        for cell in self._plan.cells:
            self._add(cell)
        suffixes = end_suffixes(end.tensor for end in self._plan.outputs.values())
        outputs = []
        for place, end in enumerate(self._plan.outputs.values()):
            stream = self._variables[end]
            port = self._port("output", place, suffixes[end.tensor], end, stream)
            text = f"write_axis<{port.type_name}>({stream.name}, {port.name})"
            self._call(f"AXI4-Stream out{self._of(end.tensor, suffixes)}", text)
            outputs.append(port)
        variables = {stream.name for call in self._calls for stream in call.writes}
        for port in (*inputs, *outputs):
            if port.name in variables:
                raise VecqError(
                    f"network '{self._network.name}': '{port.name}' would name an AXI4-Stream and"
                    " a stream inside; give the input or output another name"
                )
        return TopFunction(
            name=self._name,
            head=self._head,
            formats=self._formats,
            shapes=self._shapes,
            calls=self._calls,
            parameters=self._parameters,
            headers=self._headers,
            inputs=inputs,
            outputs=outputs,
        )

    @staticmethod
    def _of(tensor: str, suffixes: Mapping[str, str]) -> str:
        return f": {one_line(tensor)}" if len(suffixes) > 1 else ""

    def _port(
        self, what: str, place: int, suffix: str, end: Stream, stream: StreamVariable
    ) -> AxisPort:
        name = f"{'s' if what == 'input' else 'm'}_axis{suffix}"
        # No name of a layer or of what lies between two ends in a number behind these words.
        type_name = f"{self._name}_{what}{place if suffix else ''}"
        keep = end in self._reframed
        slot = slot_bits(stream.format.bits) if keep else stream.format.bits
        tensor = self._network.tensors[end.tensor]
        port = AxisPort(name, suffix, type_name, tensor, stream, end.lanes, slot, keep)
        if port.bits > MAX_STREAM_BITS:
            raise VecqError(
                f"network '{self._network.name}': {port.lanes} lanes of {stream.format.bits} bits"
                f" make a word of {port.bits} bits on {name}; at most {MAX_STREAM_BITS} are wanted"
            )
        return port

    def _call(self, comment: str, text: str, *writes: StreamVariable) -> None:
        self._calls.append(Call(comment, f"vecq::{text}", writes))

    def _layer_call(self, layer: Layer, text: str, result: StreamVariable) -> None:
        self._call(f"{type(layer).__name__} {one_line(layer.name)}", text, result)

    def _tensor_stream(self, stream: Stream) -> StreamVariable:
        """The variable that a layer or the input writes."""
        lanes = self._group(stream) if stream in self._reframed else stream.lanes
        result = self._tensor_variable(stream.tensor, lanes, self._depths[stream])
        self._variables[stream] = result
        return result

    def _tensor_variable(self, tensor: str, lanes: int, depth: int) -> StreamVariable:
        """A variable of all elements of a tensor; its format joins those of the top."""
        name, described = self._names[tensor], self._network.tensors[tensor]
        fmt = described.format
        signed = "true" if fmt.signed else "false"
        self._formats.append(
            f"using {name}_format = vecq::IntFormat<{fmt.bits}, {signed}, {cpp_integer(fmt.lo)},"
            f" {cpp_integer(fmt.hi)}>;"
        )
        words = math.prod(described.shape) // lanes
        return StreamVariable(f"{name}_stream", f"{name}_format", fmt, lanes, words, depth)

    def _copy(self, stream: Stream, source: StreamVariable, name: str) -> StreamVariable:
        """The variable of a stream that holds the elements of ``source``."""
        self._variables[stream] = StreamVariable(
            name,
            source.format_name,
            source.format,
            stream.lanes,
            stream.words,
            self._depths[stream],
        )
        return self._variables[stream]

    def _add(self, cell: Cell) -> None:
        match cell:
            case Link():
                self._link(cell)
            case Reframe():
                self._reframe(cell)
            case Fork():
                self._fork(cell)
            case Elementwise() | SerialRescale():
                source, layer = self._variables[cell.source], cell.layer
                self._elementwise(layer, source, self._tensor_stream(cell.target))
            case Comparison():
                self._argmax(cell)
            case Ranking():
                self._topk(cell)
            case Join():
                self._join(cell)
            case Source():
                self._constant(cell)
            case Windows():
                self._windows[cell.target] = cell
            case MatrixVector():
                self._matrix_vector(cell)
            case Unrolled():
                self._unrolled(cell)
            case Pool():
                self._pool(cell)
            case Upsampling():
                self._upsampling(cell)
            case Rows():
                self._rows(cell)
            case Recurrence():
                self._recurrence(cell)
            case Gathering():
                self._gathering(cell)
            case Reordering():
                self._reordering(cell)
            case _:
                assert_never(cell)

    def _reframe(self, cell: Reframe) -> None:
        """The ends of the top move as many elements at once as make up words and frames."""
        source, inwards = self._variables[cell.source], cell.source in self._reframed
        lanes = cell.target.lanes if inwards else self._group(cell.target)
        if lanes == source.lanes:
            self._variables[cell.target] = source
            return
        name = f"{self._names[cell.source.tensor]}_reframed_{'in' if inwards else 'out'}"
        words, depth = cell.source.elements // lanes, self._depths[cell.target]
        target = replace(source, name=name, lanes=lanes, words=words, depth=depth)
        self._variables[cell.target] = target
        self._call(
            f"{source.lanes} lanes to {lanes}",
            f"resize_lanes<{source.format_name}, {source.lanes}, {lanes},"
            f" {cell.source.elements}>({source.name}, {name})",
            target,
        )

    def _group(self, stream: Stream) -> int:
        """Lanes of the variable at an end of the top."""
        return math.gcd(stream.lanes, stream.elements)

    def _link(self, cell: Link) -> None:
        source = self._variables[cell.source]
        if cell.is_plain:  # a stream is a FIFO already
            self._variables[cell.target] = source
            return
        name = self._operands.get(cell.target) or f"{self._names[cell.reader]}_resized"
        target = self._copy(cell.target, source, name)
        self._call(
            f"{source.lanes} lanes to {target.lanes}",
            f"resize_lanes<{source.format_name}, {source.lanes}, {target.lanes},"
            f" {cell.source.elements}>({source.name}, {target.name})",
            target,
        )

    def _fork(self, cell: Fork) -> None:
        source, name = self._variables[cell.source], self._names[cell.source.tensor]
        targets = [
            self._copy(stream, source, f"{name}_fork{index}")
            for index, stream in enumerate(cell.targets)
        ]
        self._call(
            f"{one_line(cell.source.tensor)} to {len(targets)} readers",
            f"fork<{source.words}>({', '.join(s.name for s in (source, *targets))})",
            *targets,
        )

    def _elementwise(
        self, layer: CodeLayer, source: StreamVariable, result: StreamVariable
    ) -> None:
        match layer:
            case Rescale():
                self._rescale(layer, source, result)
            case Threshold():
                self._threshold(layer, source, result)
            case Lookup():
                self._lookup(layer, source, result)
            case _:
                assert_never(layer)

    def _argmax(self, cell: Comparison) -> None:
        source, result = self._variables[cell.source], self._tensor_stream(cell.target)
        self._headers.add("argmax")
        channels = cell.period * source.lanes
        text = (
            f"argmax<{source.format_name}, {result.format_name}, {channels}, {result.words},"
            f" {source.lanes}>({source.name}, {result.name})"
        )
        self._layer_call(cell.layer, text, result)

    def _topk(self, cell: Ranking) -> None:
        source, result = self._variables[cell.source], self._tensor_stream(cell.target)
        self._headers.add("topk")
        text = (
            f"topk<{source.format_name}, {result.format_name}, {cell.period}, {cell.layer.count},"
            f" {self._pixels(cell.layer.name)}>({source.name}, {result.name})"
        )
        self._layer_call(cell.layer, text, result)

    def _rescale(self, layer: Rescale, source: StreamVariable, result: StreamVariable) -> None:
        name = self._names[layer.name]
        self._headers.add("rescale")
        self._parameters[name] = [
            cpp_array(f"{name}_mantissa", layer.mantissa.ravel()),
            cpp_array(f"{name}_offset", layer.offset.ravel()),
        ]
        shift, arguments = f"{layer.shift}, ", f"{name}_mantissa, {name}_offset"
        if not isinstance(layer.shift, int):
            self._parameters[name].append(cpp_array(f"{name}_shift", layer.shift))
            shift, arguments = "", f"{arguments}, {name}_shift"
        function = "rescale"
        if layer.rows is not None:
            self._parameters[name].append(cpp_array(f"{name}_rows", layer.rows))
            function, arguments = "rescale_rows", f"{arguments}, {name}_rows"
        text = (
            f"{function}<{source.format_name}, {result.format_name},"
            f" {self._pixels(layer.name)}, {layer.channels}, {source.lanes}, {shift}"
            f"{signed_bits(layer.mantissa)}>({source.name}, {result.name}, {arguments})"
        )
        self._layer_call(layer, text, result)

    def _threshold(self, layer: Threshold, source: StreamVariable, result: StreamVariable) -> None:
        channels, levels = layer.thresholds.shape
        if levels == 0:  # C++ has no empty arrays; where there is one output, the clamp makes it
            zeros = np.zeros(channels, np.int64)
            constant = Rescale(
                name=layer.name,
                input=layer.input,
                mantissa=zeros,
                offset=zeros,
                shift=1,
                format=layer.format,
            )
            self._rescale(constant, source, result)
            return
        name = self._names[layer.name]
        self._headers.add("threshold")
        self._parameters[name] = [
            cpp_array(f"{name}_thresholds", layer.thresholds),
            cpp_array(f"{name}_falling", layer.falling),
        ]
        text = (
            f"threshold<{source.format_name}, {result.format_name},"
            f" {self._pixels(layer.name)}, {channels}, {levels}, {source.lanes}>"
            f"({source.name}, {result.name}, {name}_thresholds, {name}_falling)"
        )
        self._layer_call(layer, text, result)

    def _lookup(self, layer: Lookup, source: StreamVariable, result: StreamVariable) -> None:
        name = self._names[layer.name]
        self._headers.add("lookup")
        self._parameters[name] = [cpp_array(f"{name}_table", layer.table)]
        tables, entries = layer.table.shape
        channels = self._network.tensors[layer.input].channels
        text = (
            f"lookup<{source.format_name}, {result.format_name},"
            f" {self._pixels(layer.name)}, {channels}, {source.lanes}, {tables}, {entries}>"
            f"({source.name}, {result.name}, {name}_table)"
        )
        self._layer_call(layer, text, result)

    def _join(self, cell: Join) -> None:
        sources = [self._variables[stream] for stream in cell.sources]
        result = self._tensor_stream(cell.target)
        self._headers.add("join")
        variables = ", ".join(stream.name for stream in (result, *sources))
        match cell.layer:
            case Add():
                text = f"add<{result.format_name}, {result.words}>({variables})"
            case Subtract():
                text = f"subtract<{result.format_name}, {result.words}>({variables})"
            case Multiply() if cell.kept is not None:
                counts = f"{cell.positions}, {cell.kept.words}"
                text = f"multiply_kept<{result.format_name}, {counts}>({variables})"
            case Multiply():
                text = f"multiply<{result.format_name}, {result.words}>({variables})"
            case Concat():
                positions = self._pixels(cell.layer.name)
                counts = ", ".join(str(stream.words // positions) for stream in sources)
                text = f"concat<{result.format_name}, {positions}, {counts}>({variables})"
            case _:
                assert_never(cell.layer)
        self._layer_call(cell.layer, text, result)

    def _constant(self, cell: Source) -> None:
        """A memory for each reader, so that each is cut up as its reader has lanes."""
        layer, target = cell.layer, cell.target
        name = self._names[layer.name]
        arrays = self._parameters.setdefault(name, [])
        number = str(len(arrays) + 1) if arrays else ""
        if arrays:
            first = next(v for s, v in self._variables.items() if s.tensor == layer.name)
            result = self._copy(target, first, f"{name}_stream{number}")
        else:
            made = self._tensor_variable(layer.name, target.lanes, self._depths[target])
            result = self._variables[target] = replace(made, words=target.words)
        self._headers.add("constant")
        arrays.append(cpp_array(f"{name}_values{number}", layer.values.ravel()))
        words = layer.values.size // target.lanes
        text = (
            f"constant<{result.format_name}, {target.words // words}, {words}, {target.lanes}>"
            f"({result.name}, {name}_values{number})"
        )
        self._layer_call(layer, text, result)

    def _matrix_vector(self, cell: MatrixVector) -> None:
        windows = self._windows.get(cell.source)
        source = self._variables[cell.source if windows is None else windows.source]
        self._sums(cell.layer, cell.fold, source, self._tensor_stream(cell.target))

    def _unrolled(self, cell: Unrolled) -> None:
        """A fold onto all lanes; the Rescale that belongs to the cell is a call of its own."""
        source, target = self._variables[cell.source], cell.target
        if cell.rescale is None:
            self._sums(cell.layer, cell.fold, source, self._tensor_stream(target))
            return
        sums = self._tensor_variable(cell.layer.name, target.lanes, LEAST_DEPTH)
        self._sums(cell.layer, cell.fold, source, sums)
        self._rescale(cell.rescale, sums, self._tensor_stream(target))

    def _sums(
        self, layer: MacLayer, fold: Fold, source: StreamVariable, result: StreamVariable
    ) -> None:
        """The call of a Dense or Conv2d, with its weights and biases."""
        name = self._names[layer.name]
        outputs, inputs = layer.outputs, layer.inputs_of_one_output
        bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
        match layer.weights:
            case BinaryBases() if fold.kind is FoldKind.BASE_SERIAL:
                self._base_serial(layer, layer.weights, fold, source, result)
                return
            case ProductWeights() if fold.kind is FoldKind.CODE_BOOK:
                kind, bits = "TwosComplement", layer.weights.book_planes.bits
                folds = outputs // fold.pe * inputs // fold.simd
                rom = book_definition(f"{name}_weights", layer.weights, fold, folds)
            case Weights() | ProductWeights() | BinaryBases():
                kind, bits, codes = stored(layer.weights)
                words, word_bits = packed_words(codes.reshape(outputs, inputs), bits, fold)
                rom = cpp_words(f"{name}_weights", words, word_bits)
            case _:
                assert_never(layer.weights)
        self._parameters[name] = [rom, cpp_array(f"{name}_bias", bias)]
        arguments = f"{source.name}, {result.name}, {name}_weights, {name}_bias"
        formats = f"{source.format_name}, {result.format_name}, vecq::{kind}<{bits}>"
        match layer:
            case Dense():
                self._headers.add("dense")
                text = f"dense<{formats}, {inputs}, {outputs}, {fold.pe}, {fold.simd}>"
            case Conv2d():
                self._headers.add("conv2d")
                self._add_window(layer)
                self._shapes.append(
                    f"using {name}_grouping = vecq::Grouping<{layer.group_channels}, {outputs},"
                    f" {layer.groups}, {fold.pe}, {fold.simd}>;"
                )
                pad = f", {layer.pad_code}" * (any(layer.padding) and layer.pad_code != 0)
                text = f"conv2d<{formats}, {name}_window, {name}_grouping{pad}>"
            case _:
                assert_never(layer)
        self._layer_call(layer, f"{text}({arguments})", result)

    def _base_serial(
        self,
        layer: MacLayer,
        weights: BinaryBases,
        fold: Fold,
        source: StreamVariable,
        result: StreamVariable,
    ) -> None:
        """The call of a layer whose weights are sums of binary bases."""
        name, passes = self._names[layer.name], base_passes(layer, weights, fold)
        codes = passes.bases.astype(np.int64).reshape(-1, weights.group) - 1
        words, word_bits = packed_words(codes, 1, fold)
        bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias
        self._headers.add("base_serial")
        self._parameters[name] = [
            cpp_words(f"{name}_bases", words, word_bits),
            cpp_array(f"{name}_coordinates", passes.coordinates),
            cpp_array(f"{name}_addresses", passes.addresses),
            cpp_array(f"{name}_ends", passes.last.astype(np.int64)),
            cpp_array(f"{name}_bias", bias),
        ]
        frame = layer.inputs_of_one_output * layer.groups // fold.simd
        self._shapes.append(
            f"using {name}_passes = vecq::BasePasses<{frame}, {weights.group // fold.simd},"
            f" {passes.last.size}, {fold.pe}, {fold.simd}>;"
        )
        arrays = ("bases", "coordinates", "addresses", "ends", "bias")
        arguments = ", ".join([source.name, result.name, *(f"{name}_{array}" for array in arrays)])
        formats = f"{source.format_name}, {result.format_name}"
        positions = self._pixels(layer.name)
        text = f"base_serial<{formats}, {positions}, {name}_passes>"
        if isinstance(layer, Conv2d) and not is_identity(layer):
            self._add_window(layer)
            pad = f", {layer.pad_code}" * (any(layer.padding) and layer.pad_code != 0)
            text = f"windows_by_bases<{formats}, {name}_window, {name}_passes{pad}>"
        self._layer_call(layer, f"{text}({arguments})", result)

    def _pool(self, cell: Pool) -> None:
        layer, source = cell.layer, self._variables[cell.source]
        result = self._tensor_stream(cell.target)
        self._add_window(layer)
        match layer:
            case MaxPool2d():
                header, formats = "max_pool2d", result.format_name
            case SumPool2d():
                header, formats = "sum_pool2d", f"{source.format_name}, {result.format_name}"
            case _:
                assert_never(layer)
        self._headers.add(header)
        text = (
            f"{header}<{formats}, {self._names[layer.name]}_window, {source.lanes}>"
            f"({source.name}, {result.name})"
        )
        self._layer_call(layer, text, result)

    def _upsampling(self, cell: Upsampling) -> None:
        layer, source = cell.layer, self._variables[cell.source]
        result = self._tensor_stream(cell.target)
        self._headers.add("upsample2d")
        image = _sizes("Image", self._network.tensors[layer.input].shape)
        down, across = layer.factor
        text = (
            f"upsample2d<{result.format_name}, {image}, {down}, {across}, {source.lanes}>"
            f"({source.name}, {result.name})"
        )
        self._layer_call(layer, text, result)

    def _rows(self, cell: Rows) -> None:
        layer, source = cell.layer, self._variables[cell.source]
        result, name = self._tensor_stream(cell.target), self._names[cell.layer.name]
        values = layer.weights.values
        rows, channels = values.shape
        self._headers.add("embedding")
        self._parameters[name] = [cpp_array(f"{name}_table", values)]
        text = (
            f"embedding<{source.format_name}, {result.format_name}, {source.words}, {channels},"
            f" {result.lanes}, {rows}>({source.name}, {result.name}, {name}_table)"
        )
        self._layer_call(layer, text, result)

    def _recurrence(self, cell: Recurrence) -> None:
        layer, fold, source = cell.layer, cell.fold, self._variables[cell.source]
        result, name = self._tensor_stream(cell.target), self._names[layer.name]
        kind, bits, codes = stored(layer.weights)
        words, word_bits = packed_words(codes, bits, fold)
        constants = {
            "mantissa_x": layer.mantissa_x,
            "mantissa_h": layer.mantissa_h,
            "offset": layer.offset,
        }
        match layer:
            case Lstm():
                function = "lstm"
            case Gru():
                function = "gru"
                constants["part_offset"] = layer.state_offset
            case _:
                assert_never(layer)
        self._headers.add("recurrent")
        self._parameters[name] = [
            cpp_words(f"{name}_weights", words, word_bits),
            *(cpp_array(f"{name}_{what}", values) for what, values in constants.items()),
        ]
        _, length, _ = self._network.tensors[layer.input].shape
        sequence = "true" if layer.sequence else "false"
        self._shapes.append(
            f"using {name}_recurrence = vecq::Recurrence<{layer.gates}, {layer.elements}, {length},"
            f" {sequence}, {fold.pe}, {fold.simd}, {layer.shift}>;"
        )
        arguments = [source.name, result.name, f"{name}_weights"]
        arguments += [f"{name}_{what}" for what in constants]
        text = (
            f"{function}<{source.format_name}, {result.format_name},"
            f" vecq::IntFormat<{layer.state_sums.bits}, true>, vecq::{kind}<{bits}>,"
            f" {name}_recurrence>({', '.join(arguments)})"
        )
        self._layer_call(layer, text, result)

    def _gathering(self, cell: Gathering) -> None:
        layer, source = cell.layer, self._variables[cell.source]
        result, name = self._tensor_stream(cell.target), self._names[cell.layer.name]
        described = self._network.tensors[layer.input]
        entries = layer.entries
        self._headers.add("gather_sum")
        self._parameters[name] = [
            cpp_array(f"{name}_positions", entries.positions),
            cpp_array(f"{name}_shifts", entries.shifts),
            cpp_array(f"{name}_ends", entries.last.astype(np.int64)),
        ]
        text = (
            f"gather_sum<{source.format_name}, {result.format_name}, {described.positions},"
            f" {described.channels}, {entries.last.size}, {source.lanes}>({source.name},"
            f" {result.name}, {name}_positions, {name}_shifts, {name}_ends)"
        )
        self._layer_call(layer, text, result)

    def _reordering(self, cell: Reordering) -> None:
        layer, source, name = cell.layer, self._variables[cell.source], self._names[cell.layer.name]
        result = self._tensor_stream(cell.target)
        self._headers.add("reorder")
        order, tables = order_type(cell.order, name)
        self._shapes.append(order)
        if tables:
            self._parameters[name] = tables
        text = (
            f"reorder<{source.format_name}, {result.format_name}, {name}_order,"
            f" {cpp_integer(cell.code)}>({source.name}, {result.name})"
        )
        self._layer_call(layer, text, result)

    def _pixels(self, tensor: str) -> int:
        """Of an image; 1 of a vector."""
        return math.prod(self._network.tensors[tensor].shape[:-1])

    def _add_window(self, layer: WindowLayer) -> None:
        is_even = layer.padding[:2] == layer.padding[2:]
        parts = [
            _sizes("Image", self._network.tensors[layer.input].shape),
            _sizes("Kernel", layer.kernel),
            _sizes("Stride", layer.stride),
            _sizes("Padding", layer.padding[:2] if is_even else layer.padding),
        ]
        if layer.dilation != (1, 1):
            parts.append(_sizes("Dilation", layer.dilation))
        self._shapes.append(
            f"using {self._names[layer.name]}_window = vecq::Window<{', '.join(parts)}>;"
        )


def _sizes(what: str, sizes: Iterable[int]) -> str:
    return f"vecq::{what}<{', '.join(map(str, sizes))}>"
