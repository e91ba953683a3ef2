"""The whole way from a network to a bitstream, in steps that are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from vecq_hw import schedule as schedules
from vecq_hw.accelerator.plan import plan
from vecq_hw.bench.ports import load_ends
from vecq_hw.devices import XC7, XCUP, Device
from vecq_hw.emit import systemverilog
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.emit.systemverilog.top_module import top_module
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.implement.advice import advice
from vecq_hw.implement.drawing import floorplan
from vecq_hw.implement.owners import OUTSIDE, Owners, owners
from vecq_hw.implement.pins import NAME, TOPS, pins_text, rendered
from vecq_hw.implement.place import (
    BITSTREAMS,
    CONFIG,
    PLACES,
    REPORT,
    FullError,
    any_pins,
    bitstream,
    place_and_route,
    read_timing,
    source_line,
    used_blocks,
)
from vecq_hw.implement.report import Report
from vecq_hw.implement.stages import LOG, StageError, Stages, Step
from vecq_hw.netlist import ice40, registers, yosys
from vecq_hw.netlist.counts import Counts, count
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.netlist.ice40 import with_write_clocks
from vecq_hw.netlist.model import Cell, Netlist, read_json
from vecq_hw.netlist.registers import with_block_registers
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import DataflowRun, simulate_pace, with_fifo_depths
from vecq_hw.storage import digest, to_bytes
from vecq_hw.toolchain import YOSYS, require, wheel_program

NETLIST = "netlist.json"
FLOORPLAN, SUMMARY = "floorplan.svg", "implementation.json"
NETWORK, SCHEDULE = "network.npz", "schedule.json"
SYNTHESIS, BITSTREAM, DRAWING = "synthesis", "bitstream", "drawing"
_VECTORS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is synthesized: texts by name, their top module, and whose cells are whose."""

    files: Mapping[str, str]
    top: str
    owners: Owners


def implement(
    network: Network,
    schedule: Schedule,
    device: Device,
    folder: Folder,
    *,
    clock_mhz: float | None = None,
    seeds: int = 5,
    progress: Callable[[str], object] = lambda text: None,
) -> Report:
    """Emit, synthesize, place and route a network for a device, into a folder that is open.

    Where the family can only be synthesized, or the device is too small, nothing is placed.

    Parameters
    ----------
    clock_mhz : float, optional
        What place and route is asked for; the device's own if left out.
    seeds : int
        How many placements are tried: seeds 1, 2, ...

    Raises
    ------
    MissingToolError
        A tool is not installed.
    VecqError
        The network or the schedule cannot be emitted, or a tool failed; its log is in the folder.
    """
    require_tools(device)
    clock = device.clock_mhz if clock_mhz is None else clock_mhz
    schedule = with_fifo_depths(network, replace(schedule, clock_mhz=clock))
    project = emitted(network, schedule)
    with_places = device.family.place_and_route is not None
    names = [SYNTHESIS]
    if with_places:
        names += [f"seed_{seed}" for seed in range(1, seeds + 1)] + [BITSTREAM]
    stages = Stages(folder, names, progress)
    project.write_into(folder)
    source = _source(network, schedule, project, folder)
    if device.family in (XC7, XCUP):
        text = rendered("project.tcl.j2", top=sources(project)[0], part=device.part)
        folder.write_all([("vivado/project.tcl", text.encode())], "vendor")
    netlist = synthesized(stages, source, device, dsp=schedule.dsp)
    report = synthesis_report(network, schedule, device, clock, netlist, source.owners)
    if report.fits and with_places:
        pins = any_pins(device, list(netlist.ports))
        report, made = placed(stages, report, netlist, seeds, pins)
        if report.fits:
            report = finished(stages, folder, report, made, source.owners)
    report = replace(report, advice=advice(network, schedule, report))
    text = f"{json.dumps(report.to_json(), indent=2)}\n"
    folder.write_all([(SUMMARY, text.encode())], "implementation")
    folder.write(NETWORK, to_bytes(network), "network")
    folder.write(SCHEDULE, f"{schedules.to_json(schedule)}\n".encode(), "schedule")
    return report


def require_tools(device: Device) -> None:
    """Raise :class:`MissingToolError` where a tool that the device needs is missing."""
    require(YOSYS)
    for program in (device.family.place_and_route, device.family.bitstream):
        if program is not None:
            wheel_program(program, device.family.wheels)


def emitted(network: Network, schedule: Schedule) -> Project:
    """The project with a few random vectors for its bench."""
    rng = np.random.default_rng(0)
    inputs = {
        entry.name: rng.integers(entry.format.lo, entry.format.hi + 1, (_VECTORS, *entry.shape))
        for entry in network.inputs
    }
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs, taps=network.outputs))
    return systemverilog.emit(network, schedule, vectors)


def _source(network: Network, schedule: Schedule, project: Project, folder: Folder) -> Source:
    """The sources of a project that lies in ``folder``, with a top of a few pins."""
    top, files = sources(project)
    inputs, outputs = load_ends(folder.path / MANIFEST)
    files[f"{NAME}.sv"] = pins_text(
        top, [end.port for end in inputs], [end.port for end in outputs]
    )
    return Source(files=files, top=NAME, owners=owners_of(network, schedule, f"{top}_unit."))


def sources(project: Project) -> tuple[str, dict[str, str]]:
    """The top of a project, and the texts that synthesis reads by their names.

    Raises
    ------
    VecqError
        The top has the name of one that stands around it.
    """
    files = {
        name.removeprefix("rtl/"): _text(text)
        for name, text in project.files.items()
        if name.startswith("rtl/") and name.endswith((".sv", ".mem"))
    }
    top = json.loads(_text(project.files[MANIFEST]))["top"]
    if top in TOPS:
        raise VecqError(
            f"a network called '{top}' has the name of the module around it; give it another with"
            " vecq lower --name"
        )
    return top, files


def owners_of(network: Network, schedule: Schedule, prefix: str) -> Owners:
    """Whose the cells are that a schedule with FIFO depths makes, by names after ``prefix``."""
    depths = schedule.fifo_depths
    assert depths is not None
    return owners(top_module(plan(network, schedule), depths, schedule.fabric), prefix)


def synthesized(
    stages: Stages, source: Source, device: Device, *, dsp: bool, name: str = SYNTHESIS
) -> Netlist:
    """The netlist of the sources, synthesized or kept, its blocks with registers and clocks.

    Parameters
    ----------
    dsp : bool
        Whether the schedule asks for DSP blocks.
    """
    family = FAMILIES[device.family.name]
    dsp = dsp and bool(device.dsps)
    commands = yosys.family_commands(
        family, source.top, dsp=dsp, pads=True, options=device.synthesis
    )
    given: dict[str, str | bytes] = {
        **{f"source {name}": text for name, text in source.files.items()},
        "commands": "\n".join(commands),
        "yosys": yosys.version(),
        # Passes of ours are tools, too.
        "registers": Path(registers.__file__).read_bytes(),
        "ice40": Path(ice40.__file__).read_bytes(),
    }

    def make() -> dict[str, str]:
        try:
            done = yosys.synthesize(
                source.files,
                source.top,
                family,
                dsp=dsp,
                pads=True,
                options=device.synthesis,
            )
        except yosys.YosysError as error:
            raise StageError(str(error), error.log) from None
        registered = with_block_registers(with_write_clocks(done.netlist))
        log = f"{done.log}\n{registered.text()}\n"
        return {NETLIST: registered.netlist.to_json(), LOG: log}

    made = stages.result(Step(name=name, given=given, make=make))
    return read_json(_text(made[NETLIST]), source.top)


def synthesis_report(
    network: Network,
    schedule: Schedule,
    device: Device,
    clock: float,
    netlist: Netlist,
    owners: Owners,
) -> Report:
    """The report of what was synthesized."""
    family = FAMILIES[device.family.name]
    cells: dict[str, dict[str, Cell]] = {}
    for name, cell in netlist.cells.items():
        cells.setdefault(owners.of(name), {})[name] = cell
    inside = {
        name: cell for owner, own in cells.items() if owner != OUTSIDE for name, cell in own.items()
    }

    def counted(own: Mapping[str, Cell]) -> Counts:
        return count(replace(netlist, cells=own), family)

    run = _pace(network, schedule)
    return Report(
        name=network.name,
        digest=digest(network),
        device=device,
        clock_mhz=clock,
        layers={
            layer.name: counted(cells[layer.name])
            for layer in network.layers
            if layer.name in cells
        },
        total=counted(inside),
        cycles=run.interval,
        latency_cycles=run.first_output,
        timings={},
        over=_over(count(netlist, family), device),
        files={"netlist": f"{SYNTHESIS}/{NETLIST}", "log": f"{SYNTHESIS}/{LOG}"},
    )


def _pace(network: Network, schedule: Schedule) -> DataflowRun:
    assert schedule.fifo_depths is not None
    return simulate_pace(network, schedule, schedule.fifo_depths)


def _over(counts: Counts, device: Device) -> list[str]:
    """By how much the device is too small for what was synthesized, in words."""
    found = []
    for what, needed, there in (
        ("LUTs", counts.positions, device.luts),
        ("flip-flops", counts.flip_flops, device.flip_flops),
        ("block RAMs", math.ceil(counts.block_rams), device.block_rams),
        ("DSPs", math.ceil(counts.dsps), device.dsps),
    ):
        if needed > there:
            found.append(too_many(what, needed, there))
    return found


def too_many(what: str, needed: int, there: int) -> str:
    """So many are needed and so many there are, in words.

    Examples
    --------
    >>> too_many("DSPs", 42, 28)
    '42 DSPs of 28: 14 too many'
    """
    return f"{needed:,} {what} of {there:,}: {needed - there:,} too many"


def placed(
    stages: Stages,
    report: Report,
    netlist: Netlist,
    seeds: int,
    pins: str,
    prefix: str = "",
) -> tuple[Report, dict[int, dict[str, bytes]]]:
    """The report with the clock of each seed, and what each of them made.

    Parameters
    ----------
    pins : str
        Constraints.
    prefix : str
        Of the names of the steps.
    """
    design = netlist.to_json().encode()
    sources = {
        name: source_line(cell.attributes.get("src", "")) for name, cell in netlist.cells.items()
    }
    numbers = range(1, seeds + 1)
    steps = [_routed(f"{prefix}seed_{seed}", design, report, seed, pins) for seed in numbers]
    try:
        made = dict(zip(numbers, stages.results(steps), strict=True))
    except FullError as error:
        return replace(report, over=_full(error)), {}
    timings = {seed: read_timing(files[REPORT], sources) for seed, files in made.items()}
    return replace(report, timings=timings), made


def finished(
    stages: Stages,
    folder: Folder,
    report: Report,
    made: Mapping[int, Mapping[str, bytes]],
    owners: Owners,
) -> Report:
    """The report with the bitstream and the drawing of the fastest seed."""
    device, best = report.device, report.best_seed
    assert best is not None
    result = BITSTREAMS[device.family.name]
    configuration = made[best][CONFIG]
    given: dict[str, str | bytes] = {"configuration": configuration, "tool": _versions(device)}
    stages.result(Step(name=BITSTREAM, given=given, make=lambda: bitstream(configuration, device)))
    places = {name: (x, y) for name, (x, y) in json.loads(made[best][PLACES]).items()}
    fmax = report.timings[best].fmax_mhz
    title = f"{report.name} on {device.name}, seed {best}: {fmax:.1f} MHz"
    drawn = floorplan(places, {name: owners.of(name) for name in places}, title)
    folder.write_all([(FLOORPLAN, drawn.encode())], DRAWING)
    files = {"bitstream": f"{BITSTREAM}/{result}", "floorplan": FLOORPLAN}
    return replace(report, files={**report.files, **files})


def _routed(name: str, design: bytes, report: Report, seed: int, pins: str) -> Step:
    """Place and route with one seed."""
    device = report.device
    given: dict[str, str | bytes] = {
        "design": design,
        "pins": pins,
        "command": f"{device.options} {report.clock_mhz} {seed}",
        "tool": _versions(device),
    }
    return Step(
        name=name,
        given=given,
        make=lambda: place_and_route(
            design, device, clock_mhz=report.clock_mhz, seed=seed, pins=pins
        ),
        said=lambda files: f"{read_timing(files[REPORT], {}).fmax_mhz:.1f} MHz",
    )


def _full(error: FullError) -> list[str]:
    """Which blocks are too many after packing."""
    used = used_blocks(error.log)
    over = [too_many(kind, need, there) for kind, (need, there) in used.items() if need > there]
    return over or [str(error)]


def _versions(device: Device) -> str:
    return " ".join(f"{wheel} {metadata.version(wheel)}" for wheel in device.family.wheels)


def _text(content: str | bytes) -> str:
    return content if isinstance(content, str) else content.decode()
