"""SystemVerilog of a network: a top that wires the cells of rtl/, memories, and a cocotb bench.

Every lowered network: vectors and images, branches that part and meet again.  What stands where is
the plan of :mod:`vecq_hw.accelerator.plan`, so that what is emitted is what is timed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import jinja2

from vecq_hw import __version__, assets
from vecq_hw.accelerator import buffered_units
from vecq_hw.accelerator.cells import Plan
from vecq_hw.accelerator.plan import plan
from vecq_hw.bench.environment import INSTALL
from vecq_hw.bench.ports import Port
from vecq_hw.bench.words import slot_bits
from vecq_hw.cost.constants import Resources
from vecq_hw.cost.estimate import sizes_by_layer
from vecq_hw.devices import ECP5, ICE40, XCUP
from vecq_hw.emit.identifiers import end_suffixes, identifiers
from vecq_hw.emit.ports import MANIFEST, Ports, manifest_text, port, ports_text
from vecq_hw.emit.project import Project, Vectors, checked_vectors
from vecq_hw.emit.systemverilog.packaging import packaging_files
from vecq_hw.emit.systemverilog.streams import NamedStream
from vecq_hw.emit.systemverilog.top_module import Instance, TopModule, top_module
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Schedule, check
from vecq_hw.simulate.dataflow import DataflowRun, check_depths, simulate_pace
from vecq_hw.storage import digest

_FAMILIES = {Fabric.ECP5: ECP5, Fabric.LUT4: ICE40, Fabric.LUT6: XCUP}
"""For whose devices the sizes in a README are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """A row of the table of layers in a project's README.

    Attributes
    ----------
    lanes : str
        PE × SIMD of a Dense or Conv2d, else empty.
    cycles : int
        That its busiest cell works on a frame.
    """

    name: str
    kind: str
    shape: str
    lanes: str
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRow:
    """A row of the table of sizes in a project's README, in whole cells."""

    name: str
    luts: int
    ffs: int
    brams: int
    dsps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopEnd:
    """An input or output of the top.

    Attributes
    ----------
    axis : str
        The AXI4-Stream: ``s_axis`` or ``m_axis``, with a suffix where there are several.
    suffix : str
        What tells its cells from those of others; empty where there is one.
    """

    axis: str
    suffix: str
    stream: NamedStream
    port: Port
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that the templates see.

    Attributes
    ----------
    sizes : tuple of SizeRow
        By layer and in total, as ``vecq cost`` estimates them for ``family``.
    latency : int
        Cycles from the first input word taken to the first output word valid.
    timing : DataflowRun
        Of frames back to back, while neither stream pauses.
    """

    head: str
    title: str
    top: str
    streams: tuple[NamedStream, ...]
    instances: tuple[Instance, ...]
    inputs: tuple[TopEnd, ...]
    outputs: tuple[TopEnd, ...]
    keep: bool
    ports_text: str
    layers: tuple[LayerRow, ...]
    sizes: tuple[SizeRow, ...]
    family: str
    latency: int
    timing: DataflowRun


def unsupported(network: Network) -> str | None:
    """What of the network cannot be emitted, or None."""
    for layer in network.mac_layers:
        match layer:
            case Dense():
                pass
            case Conv2d():
                if not buffered_units.reaches_image(layer, network.tensors[layer.input].shape):
                    return f"layer '{layer.name}' (no window of it reaches the image)"
            case _:
                assert_never(layer)
    return None


def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
    """A project that builds and tests the network's RTL by itself; equal inputs, equal bytes.

    Parameters
    ----------
    schedule : Schedule
        With FIFO depths.
    vectors : Vectors
        Inputs of shape (N, C) or (N, H, W, C) and the outputs that the project's bench expects, N
        at least 1; of several ends by their names.

    Raises
    ------
    VecqError
        The network is not supported, the schedule does not fit or its FIFOs could stop the network
        for ever, or the vectors do not fit.
    """
    if (reason := unsupported(network)) is not None:
        raise VecqError(f"network '{network.name}': SystemVerilog cannot be emitted for {reason}")
    check(network, schedule)
    vectors = checked_vectors(network, vectors)
    network_digest = digest(network)
    head = f"vecq-hw {__version__}, network {network_digest}"
    depths = schedule.fifo_depths
    if depths is None:
        raise VecqError(
            f"network '{network.name}': the schedule has no FIFO depths, which SystemVerilog takes"
            " from it; vecq_hw.simulate.dataflow.with_fifo_depths finds them"
        )
    planned = plan(network, schedule)
    check_depths(planned, depths)
    made = top_module(planned, depths, schedule.fabric)
    timing = simulate_pace(network, schedule, depths)
    context = _context(network, schedule, made, timing, head, planned)
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
    variables = {name: getattr(context, name) for name in context.__dataclass_fields__}
    variables["install"] = INSTALL
    variables["clock_mhz"] = schedule.clock_mhz
    files = {name: templates.get_template(text).render(variables) for name, text in texts.items()}
    files |= {name: f"// {head}\n{content}" for name, content in made.contents.items()}
    files |= vectors.files() | assets.bench()
    for name in made.cells:
        files[f"rtl/{name}.sv"] = (assets.rtl() / f"{name}.sv").read_text()
    files["rtl/vecq.vlt"] = (assets.rtl() / "vecq.vlt").read_text()
    files |= packaging_files(templates, variables, files)
    pace = {
        "latency": context.latency,
        "interval": context.timing.interval,
        "period": context.timing.period,
        "frame_ends": list(context.timing.frame_ends),
    }
    ports = _ports(context.inputs, context.outputs)
    files[MANIFEST] = manifest_text(network, top, files, ports, pace)
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


def _context(
    network: Network,
    schedule: Schedule,
    made: TopModule,
    timing: DataflowRun,
    head: str,
    planned: Plan,
) -> Context:
    cells = sorted(path.stem for path in assets.rtl().glob("*.sv"))
    rows = []
    for layer in network.layers:
        if layer.name not in timing.busy:
            continue  # Flatten is no hardware
        fold = schedule.folds.get(layer.name)
        rows.append(
            LayerRow(
                name=made.names[layer.name],
                kind=type(layer).__name__,
                shape=_shape(network, layer.name),
                lanes="" if fold is None else str(fold),
                cycles=timing.busy[layer.name],
            )
        )
    inputs = _ends(network, "s_axis", made.sources, schedule)
    outputs = _ends(network, "m_axis", made.targets, schedule)
    return Context(
        head=head,
        title=json.dumps(network.name[:60]),
        top=identifiers([*cells, *made.modules, network.name])[network.name],
        streams=tuple(made.streams),
        instances=tuple(made.instances),
        inputs=inputs,
        outputs=outputs,
        keep=schedule.axis_bits is not None,
        ports_text=ports_text(_ports(inputs, outputs), assets.BENCH),
        layers=tuple(rows),
        sizes=_sizes(planned, schedule, made.names),
        family=_FAMILIES[schedule.fabric].name,
        latency=timing.first_output,
        timing=timing,
    )


def _sizes(planned: Plan, schedule: Schedule, names: Mapping[str, str]) -> tuple[SizeRow, ...]:
    """What the layers and all of it take."""
    found, _ = sizes_by_layer(planned, schedule, _FAMILIES[schedule.fabric])
    named = {names.get(name, name): size for name, size in found.items()}
    rows = {**named, "all": sum(found.values(), Resources())}
    return tuple(
        SizeRow(
            name=name,
            luts=round(size.luts),
            ffs=round(size.ffs),
            brams=round(size.brams),
            dsps=round(size.dsps),
        )
        for name, size in rows.items()
    )


def _ends(
    network: Network, axis: str, streams: Mapping[str, NamedStream], schedule: Schedule
) -> tuple[TopEnd, ...]:
    suffixes = end_suffixes(streams)
    return tuple(
        TopEnd(
            axis=f"{axis}{suffixes[tensor]}",
            suffix=suffixes[tensor],
            stream=stream,
            port=_port(network, tensor, f"{axis}{suffixes[tensor]}", stream.lanes, schedule),
            shape=_shape(network, tensor),
        )
        for tensor, stream in streams.items()
    )


def _ports(inputs: Sequence[TopEnd], outputs: Sequence[TopEnd]) -> Ports:
    return Ports(inputs=[end.port for end in inputs], outputs=[end.port for end in outputs])


def _port(network: Network, tensor: str, stream: str, lanes: int, schedule: Schedule) -> Port:
    if schedule.axis_bits is None:
        return port(network, tensor, stream, lanes=lanes)
    slot = slot_bits(network.tensors[tensor].format.bits)
    width = schedule.axis_bits
    return port(network, tensor, stream, lanes=lanes, slot_bits=slot, word_bits=width, keep=True)


def _shape(network: Network, tensor: str) -> str:
    return " × ".join(map(str, network.tensors[tensor].shape))
