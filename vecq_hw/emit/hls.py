"""HLS C++ from a network: parameters, a dataflow top that wires ``hls/include/vecq``, a test."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np
import numpy.typing as npt

from vecq_hw import __version__, assets
from vecq_hw import schedule as schedules
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.literals import (
    cpp_array,
    cpp_integer,
    cpp_words,
    one_line,
    signed_bits,
)
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.network import (
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MacLayer,
    MaxPool2d,
    Network,
    Rescale,
    Tensor,
)
from vecq_hw.schedule import Fold, Schedule
from vecq_hw.storage import digest

WORD_BITS = 32
"""Widest ROM word; ``vecq::Packing`` says why."""

MAX_STREAM_BITS = 4096
"""Widest AXI4-Stream word; ``AP_INT_MAX_W`` in the headers."""

_SUFFIXES = tuple(
    "_stream _resized _format _window _parameters _weights _bias _mantissa _offset"
    " _input _output _test".split()
)
"""Of every generated name but the top's."""


_SUPPORTED = (Dense, Conv2d, Rescale, MaxPool2d, Flatten)


def unsupported(network: Network) -> str | None:
    """Why ``network`` cannot be emitted, or None: it must be one chain of layers."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        return f"{len(network.inputs)} inputs and {len(network.outputs)} outputs (one of each)"
    previous = network.inputs[0].name
    for layer in network.layers:
        if not isinstance(layer, _SUPPORTED):
            return f"layer '{layer.name}' ({type(layer).__name__})"
        if isinstance(layer, Conv2d) and (layer.groups != 1 or layer.dilation != (1, 1)):
            return f"layer '{layer.name}' (Conv2d with groups or dilation)"
        if layer.input != previous:
            return f"layer '{layer.name}' (reads '{layer.input}', not the layer before it)"
        previous = layer.name
    if network.outputs[0] != previous:
        return f"output '{network.outputs[0]}' (not the last layer)"
    return None


def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
    """A project that stands alone: sources, headers, vectors, a test that compares, scripts.

    Parameters
    ----------
    network : Network, one chain of layers
    schedule : Schedule with the lanes of each Dense and Conv2d
    vectors : Vectors that the project's own test runs and compares with

    Raises
    ------
    VecqError
        The network is no chain, the schedule does not fit it, a stream word would be too wide, or
        the vectors have other shapes.
    """
    reason = unsupported(network)
    if reason is not None:
        raise VecqError(f"network '{network.name}': HLS C++ cannot express {reason}")
    schedules.check(network, schedule)
    _check_vectors(network, vectors)
    design = _Design(network, schedule)
    files = {
        f"include/vecq/{header.name}": header.read_text()
        for header in sorted((assets.hls_include() / "vecq").glob("*.hpp"))
    }
    for template, name in (
        ("top.hpp", f"src/{design.top}.hpp"),
        ("top.cpp", f"src/{design.top}.cpp"),
        ("test.cpp", f"test/{design.top}_test.cpp"),
        ("Makefile", "Makefile"),
        ("vitis_hls.tcl", "vitis_hls.tcl"),
        ("hls.yml", ".github/workflows/hls.yml"),
        ("README.md", "README.md"),
    ):
        files[name] = _render(template, design)
    for name, arrays in design.parameters.items():
        files[f"src/{name}_parameters.hpp"] = _render("parameters.hpp", design, arrays=arrays)
    return Project({**files, **vectors.files()})


def _check_vectors(network: Network, vectors: Vectors) -> None:
    for what, given, name in (
        ("inputs", vectors.inputs, network.inputs[0].name),
        ("outputs", vectors.outputs, network.outputs[0]),
    ):
        wanted = network.tensors[name].shape
        if given.shape[1:] != wanted or not len(given):
            raise VecqError(
                f"network '{network.name}': the vectors' {what} have the shape {given.shape};"
                f" (N, {', '.join(map(str, wanted))}) with at least one vector is wanted"
            )
    if len(vectors.inputs) != len(vectors.outputs):
        raise VecqError(
            f"network '{network.name}': {len(vectors.inputs)} input vectors and"
            f" {len(vectors.outputs)} output vectors; equal numbers are wanted"
        )


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stream and the call that fills it."""

    comment: str
    stream: str
    kind: str
    call: str


@dataclass(slots=True)
class _Design:
    """What the templates read; built once from network and schedule."""

    network: Network
    schedule: Schedule
    top: str = field(init=False)
    head: str = field(init=False)
    formats: list[str] = field(init=False, default_factory=list)
    windows: list[str] = field(init=False, default_factory=list)
    stages: list[_Stage] = field(init=False, default_factory=list)
    parameters: dict[str, list[str]] = field(init=False, default_factory=dict)
    input_frame: str = field(init=False)
    output_frame: str = field(init=False)
    first: _Stream = field(init=False)
    last: _Stream = field(init=False)
    ports: list[dict[str, object]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        network = self.network
        names = [network.name, network.inputs[0].name, *(la.name for la in network.layers)]
        ids = identifiers(dict.fromkeys(names))
        self.top = ids[network.name]
        if self.top.endswith(_SUFFIXES):
            self.top += "_top"
        self.head = (
            f"Generated by vecq-hw {__version__} from network '{one_line(network.name)}',"
            f" digest {digest(network)}. Do not edit."
        )
        source = network.inputs[0]
        stream = _Stream(ids[source.name], source.format, self._input_lanes())
        self.first = stream
        self.formats.append(_format(stream))
        self.input_frame = self._frame("s_axis", stream, network.tensors[source.name])
        for layer in network.layers:
            stream = self._add(layer, ids[layer.name], stream)
        self.output_frame = self._frame("m_axis", stream, network.tensors[network.outputs[0]])
        self.last = stream

    def _input_lanes(self) -> int:
        """As many as the first Dense or Conv2d takes, if they divide the channels."""
        channels = self.network.tensors[self.network.inputs[0].name].shape[-1]
        for layer in self.network.layers:
            if isinstance(layer, Dense | Conv2d):
                return math.gcd(self.schedule.folds[layer.name].simd, channels)
        return 1

    def _frame(self, port: str, stream: _Stream, tensor: Tensor) -> str:
        elements, bits = math.prod(tensor.shape), stream.lanes * stream.format.bits
        width = (bits + 7) // 8 * 8
        if width > MAX_STREAM_BITS:
            raise VecqError(
                f"network '{self.network.name}': {stream.lanes} lanes of {stream.format.bits} bits"
                f" make a word of {width} bits on {port}; at most {MAX_STREAM_BITS} are wanted"
            )
        self.ports.append(
            {
                "name": port,
                "shape": " × ".join(map(str, tensor.shape)),
                "format": repr(stream.format),
                "lanes": stream.lanes,
                "bits": width,
                "words": elements // stream.lanes,
            }
        )
        return f"vecq::Frame<{stream.format_name}, {elements}, {stream.lanes}>"

    def _add(self, layer: Layer, name: str, stream: _Stream) -> _Stream:
        """The stages of a layer that reads ``stream``; the stream that it makes."""
        tensor = self.network.tensors[layer.name]
        match layer:
            case Dense() | Conv2d():
                fold = self.schedule.folds[layer.name]
                stream = self._resized(layer, name, stream, fold.simd)
                result = _Stream(name, tensor.format, fold.pe)
                self._add_mac(layer, name, fold, stream, result)
            case Rescale():
                result = _Stream(name, tensor.format, stream.lanes)
                self._add_rescale(layer, name, stream, result)
            case MaxPool2d():
                result = _Stream(name, tensor.format, stream.lanes)
                self._add_window(layer, name)
                call = (
                    f"vecq::max_pool2d<{stream.format_name}, {name}_window, {stream.lanes}>"
                    f"({stream.variable}, {result.variable})"
                )
                self._add_stage(layer, result, call)
            case Flatten():
                return stream  # the order is that of the stream already
            case _:
                raise AssertionError(f"unsupported() let {layer!r} through")
        self.formats.append(_format(result))
        return result

    def _resized(self, layer: MacLayer, name: str, stream: _Stream, lanes: int) -> _Stream:
        if stream.lanes == lanes:
            return stream
        result = _Stream(name, stream.format, lanes, stream.format_name, f"{name}_resized")
        elements = math.prod(self.network.tensors[layer.input].shape)
        call = (
            f"vecq::resize_lanes<{stream.format_name}, {stream.lanes}, {lanes}, {elements}>"
            f"({stream.variable}, {result.variable})"
        )
        comment = f"{stream.lanes} lanes to {lanes}"
        self.stages.append(_Stage(comment, result.variable, result.kind, call))
        return result

    def _add_mac(
        self, layer: MacLayer, name: str, fold: Fold, stream: _Stream, result: _Stream
    ) -> None:
        codes = layer.weights.codes.reshape(len(layer.weights.codes), -1)
        bits, outputs = layer.weights.grid.bits, len(codes)
        bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
        words, word_bits = packed_words(codes, bits, fold)
        self.parameters[name] = [
            cpp_words(f"{name}_weights", words, word_bits),
            cpp_array(f"{name}_bias", bias),
        ]
        kind, shape = "dense", f"{codes.shape[1]}"
        if isinstance(layer, Conv2d):
            kind, shape = "conv2d", f"{name}_window"
            self._add_window(layer, name)
        call = (
            f"vecq::{kind}<{stream.format_name}, {result.format_name}, {bits}, {shape}, {outputs},"
            f" {fold.pe}, {fold.simd}>"
            f"({stream.variable}, {result.variable}, {name}_weights, {name}_bias)"
        )
        self._add_stage(layer, result, call)

    def _add_rescale(self, layer: Rescale, name: str, stream: _Stream, result: _Stream) -> None:
        shape = self.network.tensors[layer.name].shape
        mantissa_bits = signed_bits(layer.mantissa)
        self.parameters[name] = [
            cpp_array(f"{name}_mantissa", layer.mantissa),
            cpp_array(f"{name}_offset", layer.offset),
        ]
        call = (
            f"vecq::rescale<{stream.format_name}, {result.format_name},"
            f" {math.prod(shape[:-1])}, {shape[-1]}, {stream.lanes}, {layer.shift},"
            f" {mantissa_bits}>"
            f"({stream.variable}, {result.variable}, {name}_mantissa, {name}_offset)"
        )
        self._add_stage(layer, result, call)

    def _add_window(self, layer: Conv2d | MaxPool2d, name: str) -> None:
        image = self.network.tensors[layer.input].shape
        parts = (
            ("Image", image),
            ("Kernel", layer.kernel),
            ("Stride", layer.stride),
            ("Padding", layer.padding),
        )
        shapes = ", ".join(f"vecq::{what}<{', '.join(map(str, size))}>" for what, size in parts)
        self.windows.append(f"using {name}_window = vecq::Window<{shapes}>;")

    def _add_stage(self, layer: Layer, result: _Stream, call: str) -> None:
        comment = f"{type(layer).__name__} {one_line(layer.name)}"
        self.stages.append(_Stage(comment, result.variable, result.kind, call))


@dataclass(frozen=True, slots=True)
class _Stream:
    """A tensor on its way: ``name`` made it, ``lanes`` elements a word."""

    name: str
    format: IntFormat
    lanes: int
    shared_format: str = ""
    shared_variable: str = ""

    @property
    def format_name(self) -> str:
        return self.shared_format or f"{self.name}_format"

    @property
    def variable(self) -> str:
        return self.shared_variable or f"{self.name}_stream"

    @property
    def kind(self) -> str:
        return f"vecq::Stream<{self.format_name}, {self.lanes}>"


def _format(stream: _Stream) -> str:
    fmt = stream.format
    signed = "true" if fmt.signed else "false"
    return (
        f"using {stream.format_name} = vecq::IntFormat<{fmt.bits}, {signed},"
        f" {cpp_integer(fmt.lo)}, {cpp_integer(fmt.hi)}>;"
    )


def packed_words(
    codes: npt.NDArray[np.integer], bits: int, fold: Fold
) -> tuple[npt.NDArray[np.uint32], int]:
    """Weight codes as the words of ``vecq::Packing``, and how many bits a word has.

    Parameters
    ----------
    codes : int array of shape (O, inputs)
    bits : int
        Of one code.

    Returns
    -------
    uint32 array of shape (O / pe * inputs / simd, words)
        Row ``o * (inputs / simd) + i`` is one fold; its word ``part * pe + p`` holds the codes of
        output ``o * pe + p`` and inputs ``i * simd + part * codes_per_word ...``, lowest first.
    """
    outputs, inputs = codes.shape
    per_word = min(fold.simd, WORD_BITS // bits)
    parts = -(-fold.simd // per_word)
    folded = codes.reshape(outputs // fold.pe, fold.pe, inputs // fold.simd, fold.simd)
    folded = folded.transpose(0, 2, 1, 3)
    padded = np.zeros((*folded.shape[:3], parts * per_word), np.uint32)
    padded[..., : fold.simd] = folded.astype(np.uint32) & np.uint32((1 << bits) - 1)
    lanes = padded.reshape(*folded.shape[:3], parts, per_word)
    words = np.zeros(lanes.shape[:-1], np.uint32)
    for lane in range(per_word):
        words |= lanes[..., lane] << np.uint32(lane * bits)
    return words.transpose(0, 1, 3, 2).reshape(-1, parts * fold.pe), per_word * bits


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates" / "hls"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _render(template: str, design: _Design, **more: object) -> str:
    return _templates().get_template(f"{template}.j2").render(design=design, **more)
