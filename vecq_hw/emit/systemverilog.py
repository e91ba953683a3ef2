"""SystemVerilog of a network: a top that wires the cells of rtl/, memories, and a cocotb bench.

Supported: a chain of Dense, Rescale and Flatten of a vector.  Between the layers run streams of
``pe`` or ``simd`` elements a word; a width converter or a register stage stands before each Dense
and before the output.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import jinja2
import numpy as np

from vecq_hw import __version__, assets
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.emit.words import pack_rows, padded_bits
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.network import Dense, Flatten, Layer, Network, Rescale, Tensor
from vecq_hw.schedule import Fold, Schedule, check
from vecq_hw.simulate.dataflow import simulate_frames
from vecq_hw.storage import digest

# Each cell with the cells that it instantiates.
_CELLS = {
    "vecq_frame_end": (),
    "vecq_stream_register": (),
    "vecq_stream_width": (),
    "vecq_rescale": ("vecq_rom",),
    "vecq_matrix_vector": ("vecq_rom", "vecq_adder_tree", "vecq_replay_buffer"),
}
PACE_FRAMES = 4
"""After so many frames the interval has settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream between two cells: frames of ``elements``, ``lanes`` of them a word."""

    name: str
    elements: int
    lanes: int
    bits: int
    signed: bool

    @property
    def word(self) -> int:
        """Bits of a word."""
        return self.lanes * self.bits

    @property
    def padded(self) -> int:
        """Bits of a word at the ports of the top."""
        return padded_bits(self.lanes, self.bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """An instance of a cell between two streams; values are SystemVerilog text."""

    module: str
    source: Stream
    target: Stream
    parameters: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFold:
    """A row of the table of layers in a project's README."""

    name: str
    outputs: int
    inputs: int
    pe: int
    simd: int

    @property
    def cycles(self) -> int:
        """Cycles that a frame takes in this layer."""
        return self.outputs // self.pe * (self.inputs // self.simd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that the templates see.

    Attributes
    ----------
    latency : int
        Cycles from the first input word taken to the first output word valid.
    interval : int
        Cycles from frame to frame.  Both hold while neither stream pauses.
    """

    head: str
    title: str
    version: str
    top: str
    streams: tuple[Stream, ...]
    units: tuple[Unit, ...]
    folds: tuple[LayerFold, ...]
    latency: int
    interval: int

    @property
    def source(self) -> Stream:
        """The stream that comes in."""
        return self.streams[0]

    @property
    def target(self) -> Stream:
        """The stream that goes out."""
        return self.streams[-1]


def unsupported(network: Network) -> str | None:
    """What of the network cannot be emitted, or None."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        return f"{len(network.inputs)} inputs and {len(network.outputs)} outputs"
    previous = network.inputs[0].name
    for layer in network.layers:
        if not isinstance(layer, Dense | Rescale | Flatten):
            return f"layer '{layer.name}' ({type(layer).__name__})"
        if len(network.tensors[layer.input].shape) != 1:
            return f"layer '{layer.name}' ({type(layer).__name__} of an image)"
        if isinstance(layer, Dense) and not isinstance(layer.weights.grid, MidRise):
            return f"layer '{layer.name}' (weights on a {type(layer.weights.grid).__name__} grid)"
        if layer.input != previous:
            return f"layer '{layer.name}', which does not read the layer before it"
        previous = layer.name
    if network.outputs[0] != previous:
        return f"output '{network.outputs[0]}', which is not the last layer"
    if len(network.tensors[previous].shape) != 1:
        return f"input '{previous}' of shape {network.tensors[previous].shape}"
    return None


def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
    """A project that builds and tests the network's RTL by itself; equal inputs, equal bytes.

    Parameters
    ----------
    vectors : Vectors
        Inputs of shape (N, C) and the outputs that the project's bench expects, N at least 1.

    Raises
    ------
    VecqError
        The network is not supported, the schedule does not fit, or there are no vectors.
    """
    if (reason := unsupported(network)) is not None:
        raise VecqError(f"network '{network.name}': SystemVerilog cannot be emitted for {reason}")
    check(network, schedule)
    if not len(vectors.inputs) or len(vectors.inputs) != len(vectors.outputs):
        raise VecqError(
            f"network '{network.name}': {len(vectors.inputs)} input and {len(vectors.outputs)}"
            " output vectors were given; as many of both, and at least one, are wanted"
        )
    network_digest = digest(network)
    head = f"vecq-hw {__version__}, network {network_digest}"
    context, memories = _context(network, schedule, head)
    templates = _templates()
    top = context.top
    texts = {
        f"rtl/{top}.sv": "top.sv.j2",
        f"bench_{top}.py": "bench.py.j2",
        "run.py": "run.py.j2",
        "Makefile": "Makefile.j2",
        "README.md": "README.md.j2",
        ".github/workflows/rtl.yml": "rtl.yml.j2",
    }
    files = {
        name: templates.get_template(text).render(_variables(context))
        for name, text in texts.items()
    }
    files |= {name: f"// {head}\n{content}" for name, content in memories.items()}
    files |= vectors.files()
    for name in sorted(_cells(unit.module for unit in context.units)):
        files[f"rtl/{name}.sv"] = (assets.rtl() / f"{name}.sv").read_text()
    files["rtl/vecq.vlt"] = (assets.rtl() / "vecq.vlt").read_text()
    manifest = {
        "tool": "vecq-hw",
        "version": __version__,
        "network": network_digest,
        "top": top,
        "files": sorted([*files, "manifest.json"]),
    }
    files["manifest.json"] = json.dumps(manifest, indent=2) + "\n"
    return Project(files)


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("vecq_hw.emit", "templates/rtl"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _variables(context: Context) -> dict[str, object]:
    """The context's fields and properties by name."""
    names = [name for name in dir(context) if not name.startswith("_")]
    return {name: getattr(context, name) for name in names}


def _cells(modules: Iterable[str]) -> set[str]:
    """The cells of these modules, with those that they instantiate and that of the top itself."""
    used = {"vecq_frame_end", *modules}
    return used.union(*(_CELLS[module] for module in used))


class _Chain:
    """Grows from the input stream, cell by cell."""

    def __init__(self, network: Network, lanes: int) -> None:
        layers = [layer.name for layer in network.layers]
        source = network.inputs[0].name
        self.names = identifiers([source, *layers])
        # Identifiers hold no blank, so that no layer has the name of a link.
        links = [f"{name} stream" for name in self.names.values()]
        unique = identifiers([*self.names.values(), *links])
        self._links = {name: unique[f"{plain} stream"] for name, plain in self.names.items()}
        self.names = {name: unique[plain] for name, plain in self.names.items()}
        tensor = network.tensors[source]
        self.streams = [self._stream(source, tensor, lanes)]
        self.units: list[Unit] = []
        self.memories: dict[str, str] = {}

    def _stream(self, name: str, tensor: Tensor, lanes: int) -> Stream:
        return Stream(
            name=self.names[name],
            elements=tensor.shape[0],
            lanes=lanes,
            bits=tensor.format.bits,
            signed=tensor.format.signed,
        )

    def _append(self, module: str, target: Stream, **parameters: object) -> None:
        unit = Unit(
            module=module,
            source=self.streams[-1],
            target=target,
            parameters=tuple(parameters.items()),
        )
        self.units.append(unit)
        self.streams.append(target)

    def link(self, name: str, lanes: int) -> None:
        """End the combinational paths of the stream after layer ``name``; change its lanes."""
        source = self.streams[-1]
        target = replace(source, name=self._links[name], lanes=lanes)
        if lanes == source.lanes:
            self._append("vecq_stream_register", target, DataBits=source.word)
        else:
            self._append(
                "vecq_stream_width",
                target,
                LanesIn=source.lanes,
                LanesOut=lanes,
                ElementBits=source.bits,
            )

    def matrix_vector(self, layer: Dense, tensor: Tensor, fold: Fold) -> None:
        source, codes = self.streams[-1], layer.weights.codes
        outputs, inputs = codes.shape
        bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
        steps = codes.reshape(outputs // fold.pe, fold.pe, inputs // fold.simd, fold.simd)
        bits = layer.weights.grid.bits
        self._append(
            "vecq_matrix_vector",
            self._stream(layer.name, tensor, fold.pe),
            Inputs=inputs,
            Outputs=outputs,
            Pe=fold.pe,
            Simd=fold.simd,
            WeightBits=bits,
            InputBits=source.bits,
            InputSigned=_bit(source.signed),
            AccumulatorBits=tensor.format.bits,
            WeightsFile=self._memory(
                layer, "weights", steps.swapaxes(1, 2), fold.pe * fold.simd, bits
            ),
            BiasFile=self._memory(layer, "bias", bias, fold.pe, tensor.format.bits),
        )

    def rescale(self, layer: Rescale, tensor: Tensor) -> None:
        source = self.streams[-1]
        mantissa_bits, offset_bits = _signed_bits(layer.mantissa), _signed_bits(layer.offset)
        self._append(
            "vecq_rescale",
            self._stream(layer.name, tensor, source.lanes),
            Channels=source.elements,
            Lanes=source.lanes,
            AccumulatorBits=source.bits,
            InputSigned=_bit(source.signed),
            MantissaBits=mantissa_bits,
            OffsetBits=offset_bits,
            Shift=layer.shift,
            OutputBits=layer.format.bits,
            Lo=_signed_literal(layer.format.lo),
            Hi=_signed_literal(layer.format.hi),
            MantissaFile=self._memory(
                layer, "mantissa", layer.mantissa, source.lanes, mantissa_bits
            ),
            OffsetFile=self._memory(layer, "offset", layer.offset, source.lanes, offset_bits),
        )

    def _memory(self, layer: Layer, what: str, values: IntArray, lanes: int, bits: int) -> str:
        """Add a memory of ``lanes`` values a word; its file name as SystemVerilog text."""
        name = f"rtl/{self.names[layer.name]}_{what}.mem"
        digits = -(-lanes * bits // 4)
        self.memories[name] = "".join(
            f"{word:0{digits}x}\n" for word in pack_rows(values, lanes, bits)
        )
        return f'"{name}"'


def _context(network: Network, schedule: Schedule, head: str) -> tuple[Context, dict[str, str]]:
    """What the templates see, and the memories by file name."""
    dense = [layer for layer in network.layers if isinstance(layer, Dense)]
    folds = {layer.name: schedule.folds[layer.name] for layer in dense}
    chain = _Chain(network, folds[dense[0].name].simd if dense else 1)
    for layer in network.layers:
        tensor = network.tensors[layer.name]
        match layer:
            case Dense():
                lanes = folds[layer.name].simd
                if chain.units:
                    chain.link(layer.input, lanes)
                chain.matrix_vector(layer, tensor, folds[layer.name])
            case Rescale():
                chain.rescale(layer, tensor)
            case _:
                pass  # Flatten of a vector; the rest is unsupported
    chain.link(network.outputs[0], chain.streams[-1].lanes)
    timing = simulate_frames(network, schedule, frames=PACE_FRAMES)
    cells = sorted(path.stem for path in assets.rtl().glob("*.sv"))
    context = Context(
        head=head,
        title=json.dumps(network.name[:60]),
        version=__version__,
        top=identifiers([*cells, network.name])[network.name],
        streams=tuple(chain.streams),
        units=tuple(chain.units),
        folds=tuple(
            LayerFold(
                name=chain.names[layer.name],
                outputs=layer.weights.codes.shape[0],
                inputs=layer.weights.codes.shape[1],
                pe=folds[layer.name].pe,
                simd=folds[layer.name].simd,
            )
            for layer in dense
        ),
        latency=timing.first_output,
        interval=timing.interval,
    )
    return context, chain.memories


def _signed_bits(values: IntArray) -> int:
    """Bits of the narrowest two's complement that holds all values."""
    return 1 + max(int(values.max()), -int(values.min()) - 1, 0).bit_length()


def _signed_literal(value: int) -> str:
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"


def _bit(value: bool) -> str:
    return f"1'b{int(value)}"
