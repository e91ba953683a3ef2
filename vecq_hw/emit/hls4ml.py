"""hls4ml from a network: a ModelGraph whose every integer is the simulator's, and its project.

hls4ml is imported where it is used; it takes a second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from vecq_hw import assets
from vecq_hw.arguments import meant
from vecq_hw.bench.environment import INSTALL
from vecq_hw.emit.hls4ml_design import Design
from vecq_hw.emit.hls4ml_nodes import is_depthwise, nodes
from vecq_hw.emit.hls4ml_reasons import unsupported
from vecq_hw.emit.hls4ml_types import Node, integer
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.ports import MANIFEST, Ports, manifest_text, ports_text
from vecq_hw.emit.project import Project, Vectors, checked_vectors
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.interrupts import temporary_folder
from vecq_hw.layers import Input, Lookup
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.toolchain import AP_TYPES, require

if TYPE_CHECKING:
    from hls4ml.model import ModelGraph

__all__ = ["convert", "emit", "natural_io_type", "node_names", "quiet", "unsupported"]

BACKENDS = ("Vitis", "Vivado", "Quartus", "Catapult")
IO_TYPES = ("io_parallel", "io_stream")
# Seen: without a word, every output differed.
_NO_DEPTHWISE = (
    ("Quartus", "io_parallel"),
    ("Quartus", "io_stream"),
    ("Catapult", "io_parallel"),
)
# Seen: Catapult's headers do not compile; distributed arithmetic computes with 0 instead of -1.
_NO_BINARY = ("Catapult",)
# Seen: an index of one of their own types does not compile.
_NO_LOOKUP = ("Quartus", "Catapult")
STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")

# Names that hls4ml gives to files, types and variables beside a top, and to nodes that it inserts.
_TAKEN_TOPS = re.compile(r"([wbs]|config|layer|weight|bias|input)\d.*|.*_t|nnet|parameters|defines")
_TAKEN_NODES = re.compile(r"(zp2d|clone|repack|pointwise)_.*|.*_(cpy|part|padding|codes)\d*")


def convert(
    network: Network,
    *,
    output_dir: str | Path,
    io_type: str | None = None,
    backend: str = "Vitis",
    strategy: str = "Latency",
    trace: bool = False,
) -> ModelGraph:
    """``network`` as a model of hls4ml, every precision set so that no integer differs.

    hls4ml's own tools work from there: ``compile``, ``predict`` on float64 codes, ``build``,
    profiling, plots.

    Parameters
    ----------
    output_dir : path
        Where hls4ml writes its project; ``compile`` and ``write`` do, this function does not.
    io_type : {"io_parallel", "io_stream"}, optional
        :func:`natural_io_type` if left out.
    backend : {"Vitis", "Vivado", "Quartus", "Catapult"}
    strategy : {"Latency", "Resource", "distributed_arithmetic"}
    trace : bool
        Let ``ModelGraph.trace`` give every node; it costs nothing until that is called.

    Raises
    ------
    VecqError
        hls4ml cannot express the network exactly, or its back end refuses it.
    MissingToolError
        hls4ml is not installed.
    """
    io_type = io_type or natural_io_type(network)
    for what, given, known in (
        ("back end", backend, BACKENDS),
        ("io_type", io_type, IO_TYPES),
        ("strategy", strategy, STRATEGIES),
    ):
        if given not in known:
            raise VecqError(
                f"hls4ml has no {what} '{given}' here; there are {', '.join(known)}"
                f"{meant(given, known)}"
            )
    reason = unsupported(network, io_type)
    if reason is not None:
        raise VecqError(f"network '{network.name}': hls4ml cannot express {reason}")
    require(AP_TYPES)
    if strategy == "distributed_arithmetic" and importlib.util.find_spec("da4ml") is None:
        raise MissingToolError(
            "da4ml is missing (strategy distributed_arithmetic);"
            ' run: pip install "hls4ml[da]==1.3.0"'
        )
    with quiet():
        try:
            from hls4ml.model import ModelGraph
            from hls4ml.utils.config import create_config
        except ImportError as error:
            raise MissingToolError(
                f"hls4ml is not whole ({error}); run: {AP_TYPES.install}"
            ) from None
        names = node_names(network)
        listed = [_input(source, names) for source in network.inputs]
        binary = backend not in _NO_BINARY and strategy != "distributed_arithmetic"
        for layer in network.layers:
            listed += nodes(layer, network, names, binary=binary)
        config = create_config(
            output_dir=str(output_dir),
            project_name=_top(network),
            backend=backend,
            io_type=io_type,
        )
        tables = [layer.name for layer in network.layers if isinstance(layer, Lookup)]
        if tables and backend in _NO_LOOKUP:
            raise VecqError(
                f"network '{network.name}': hls4ml's back end {backend} does not compile the table"
                f" '{tables[0]}'; use another back end"
            )
        depthwise = [node.attributes["name"] for node in listed if is_depthwise(node)]
        if depthwise and (backend, io_type) in _NO_DEPTHWISE:
            raise VecqError(
                f"network '{network.name}': hls4ml's back end {backend} with {io_type} computes"
                f" '{depthwise[0]}' wrongly, a depthwise convolution or a sum of windows; use"
                " another back end"
            )
        model = {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1, "Strategy": strategy}
        by_name: dict[str, dict[str, Any]] = {
            node.attributes["name"]: {"Precision": dict(node.precision), "Trace": trace}
            for node in listed
        }
        for name in depthwise:  # hls4ml has no other strategy for these
            by_name[name]["Strategy"] = "Latency"
        config["HLSConfig"] = {"Model": model, "LayerName": by_name}
        try:
            graph = ModelGraph.from_layer_list(
                config,
                [dict(node.attributes) for node in listed],
                inputs=[names[source.name] for source in network.inputs],
                outputs=[names[name] for name in network.outputs],
            )
        except Exception as error:  # hls4ml raises plain Exception for what a back end lacks
            raise VecqError(
                f"network '{network.name}': hls4ml's back end {backend} with {io_type} and the"
                f" strategy {strategy} refuses it: {error}"
            ) from error
    _leave_windows_unoptimized(graph)
    return graph


# Vendors' HLS compilers are clang, and see nothing of this.
_UNOPTIMIZED = """
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O0")
#endif
{code}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""


def _leave_windows_unoptimized(graph: ModelGraph) -> None:
    """Let g++ compile what only copies as it stands.

    In io_parallel hls4ml writes down each element of each window of a convolution as an assignment,
    176,400 of them for LeNet5 on 28 × 28 pixels.  Optimizing that takes longer than anybody waits.
    """
    for node in graph.get_layers():
        source = node.get_attr("line_buffer_codegen")
        if source is not None:
            source.code = _UNOPTIMIZED.format(code=source.code)


def natural_io_type(network: Network) -> str:
    """io_stream for images, io_parallel for vectors.

    In io_parallel a convolution has an assignment for each element of each of its windows: g++
    takes a minute for LeNet5.  A stream takes the same few seconds whatever the size.  Vectors
    have no pixels, and in parallel they need no control at all.  Images whose max pools overlap,
    or whose windows are one row high and skip rows, have no stream.
    """
    images = any(tensor.is_image for tensor in network.tensors.values())
    return "io_stream" if images and unsupported(network, "io_stream") is None else "io_parallel"


def node_names(network: Network) -> dict[str, str]:
    """What each input and each layer are called in hls4ml."""
    inputs = [source.name for source in network.inputs]
    plain = identifiers([*inputs, *(layer.name for layer in network.layers)])
    names = {
        name: f"{node}_layer" if _TAKEN_NODES.fullmatch(node) else node
        for name, node in plain.items()
    }
    # An input's name is that of a port, among names such as w2 and layer2_out.
    return names | {name: f"{plain[name]}_codes" for name in inputs}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what hls4ml prints and warns of to itself."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def emit(
    network: Network, schedule: Schedule, vectors: Vectors, *, io_type: str | None = None
) -> Project:
    """hls4ml's Vitis project, a test that compares, and a cocotb bench of its C++ by DPI-C.

    Parameters
    ----------
    network : Network
    schedule : Schedule
        Not used: hls4ml folds by a reuse factor, which is 1 here.
    vectors : Vectors that the project's own tests run and compare with
    io_type : {"io_parallel", "io_stream"}, optional
        :func:`natural_io_type` if left out.

    Raises
    ------
    VecqError, MissingToolError
        As :func:`convert`; or the vectors have other shapes.
    """
    vectors = checked_vectors(network, vectors)
    io_type = io_type or natural_io_type(network)
    with temporary_folder("vecq-hls4ml-") as folder:
        model = convert(network, output_dir=folder, io_type=io_type)
        # model.write() would draw a stamp first, and projects are to be equal.
        model.config.config["Stamp"] = "vecq"
        with quiet():
            model.config.backend.write_hls(model)
        files = _movable(folder)
    design = Design.of(network, model, io_type, _top(network))
    top = design.top
    ports = Ports(
        inputs=[
            end.described(network, source.name, end.lanes)
            for end, source in zip(design.sources, network.inputs, strict=True)
        ],
        # In io_parallel each output has a port of its own.
        outputs=[
            end.described(network, name, end.lanes if design.stream else 1)
            for end, name in zip(design.targets, network.outputs, strict=True)
        ],
    )
    several = "" if ports.alone else "_several"
    for template, name in (
        (f"vecq_test{several}.cpp", "vecq_test.cpp"),
        ("Makefile", "Makefile"),
        ("README.md", "README.md"),
        ("hls4ml.yml", ".github/workflows/hls4ml.yml"),
        (f"dpi{several}.cpp", "cosim/dpi.cpp"),
        (f"top{several}.sv", f"rtl/{top}.sv"),
        ("bench.py", f"bench_{top}.py"),
        ("run.py", "run.py"),
    ):
        files[name] = (
            _templates()
            .get_template(f"{template}.j2")
            .render(design=design, install=INSTALL, ports_text=ports_text(ports, assets.BENCH))
        )
    stored = vectors.files()
    # What hls4ml's own bench reads: all inputs on a line, and all outputs.
    for name, what in (("input_features", "inputs"), ("output_predictions", "outputs")):
        texts = [text.splitlines() for file, text in stored.items() if f"/{what}" in file]
        lines = [" ".join(parts) + "\n" for parts in zip(*texts, strict=True)]
        files[f"tb_data/tb_{name}.dat"] = "".join(lines)
    files |= assets.bench() | stored
    files[MANIFEST] = manifest_text(network, top, files, ports)
    return Project(files)


def _movable(folder: Path) -> dict[str, str]:
    """The files of ``folder`` without its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_text().replace(str(folder), ".")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _top(network: Network) -> str:
    plain = identifiers([network.name])[network.name]
    names = node_names(network).values()
    return f"{plain}_top" if _TAKEN_TOPS.fullmatch(plain) or plain in names else plain


def _input(source: Input, names: dict[str, str]) -> Node:
    attributes = {
        "class_name": "InputLayer",
        "name": names[source.name],
        "input_shape": list(source.shape),
    }
    return Node(attributes, {"result": integer(source.format)})


def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates" / "hls4ml"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
