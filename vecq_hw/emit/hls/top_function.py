"""The top function of HLS C++: a variable for each stream of the plan, a call for each cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

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
from vecq_hw.accelerator.untimed import LEAST_DEPTH, stream_depths
from vecq_hw.bench.words import slot_bits
from vecq_hw.emit.hls import elements, products
from vecq_hw.emit.hls.axis_ports import MAX_STREAM_BITS, AxisPort
from vecq_hw.emit.hls.calls import LayerCall, Site, StreamVariable
from vecq_hw.emit.hls.one_stream import one_stream_call
from vecq_hw.emit.identifiers import end_suffixes
from vecq_hw.emit.literals import cpp_array, cpp_integer, one_line
from vecq_hw.errors import VecqError
from vecq_hw.layers import Layer


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

    def _layer_call(self, made: LayerCall, result: StreamVariable) -> None:
        layer = made.layer
        self._headers.add(made.header)
        if made.parameters:
            self._parameters.setdefault(self._names[layer.name], []).extend(made.parameters)
        self._shapes.extend(made.shapes)
        self._call(f"{type(layer).__name__} {one_line(layer.name)}", made.text, result)

    def _site(self, layer: Layer, source: Stream, target: Stream) -> Site:
        """Where a layer stands that reads one stream; makes the variable that it writes."""
        return self._site_of(layer, self._variables[source], self._tensor_stream(target))

    def _site_of(self, layer: Layer, source: StreamVariable, result: StreamVariable) -> Site:
        return Site(
            name=self._names[layer.name],
            source=source,
            result=result,
            read=self._network.tensors[layer.inputs[0]],
            made=self._network.tensors[layer.name],
        )

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
            case (
                Elementwise()
                | SerialRescale()
                | Comparison()
                | Ranking()
                | Pool()
                | Upsampling()
                | Rows()
                | Recurrence()
                | Gathering()
                | Reordering()
            ):
                site = self._site(cell.layer, cell.source, cell.target)
                self._layer_call(one_stream_call(cell, site), site.result)
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

    def _join(self, cell: Join) -> None:
        sources = [self._variables[stream] for stream in cell.sources]
        result = self._tensor_stream(cell.target)
        made = self._network.tensors[cell.layer.name]
        self._layer_call(elements.join(cell, sources, result, made), result)

    def _constant(self, cell: Source) -> None:
        """A memory for each reader, so that each is cut up as its reader has lanes."""
        layer, target = cell.layer, cell.target
        name = self._names[layer.name]
        arrays = self._parameters.get(name)
        number = str(len(arrays) + 1) if arrays else ""
        if arrays:
            first = next(v for s, v in self._variables.items() if s.tensor == layer.name)
            result = self._copy(target, first, f"{name}_stream{number}")
        else:
            made = self._tensor_variable(layer.name, target.lanes, self._depths[target])
            result = self._variables[target] = replace(made, words=target.words)
        values = cpp_array(f"{name}_values{number}", layer.values.ravel())
        words = layer.values.size // target.lanes
        text = (
            f"constant<{result.format_name}, {target.words // words}, {words}, {target.lanes}>"
            f"({result.name}, {name}_values{number})"
        )
        self._layer_call(LayerCall(layer, "constant", text, [values]), result)

    def _matrix_vector(self, cell: MatrixVector) -> None:
        windows = self._windows.get(cell.source)
        source = cell.source if windows is None else windows.source
        site = self._site(cell.layer, source, cell.target)
        self._layer_call(products.sums(cell.layer, cell.fold, site), site.result)

    def _unrolled(self, cell: Unrolled) -> None:
        """A fold onto all lanes; the Rescale that belongs to the cell is a call of its own."""
        source, target = self._variables[cell.source], cell.target
        if cell.rescale is None:
            result = self._tensor_stream(target)
        else:
            result = self._tensor_variable(cell.layer.name, target.lanes, LEAST_DEPTH)
        site = self._site_of(cell.layer, source, result)
        self._layer_call(products.sums(cell.layer, cell.fold, site), result)
        if cell.rescale is not None:
            site = self._site_of(cell.rescale, result, self._tensor_stream(target))
            self._layer_call(elements.rescale(cell.rescale, site), site.result)
