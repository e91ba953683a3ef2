"""What yosys makes of each cell of many configurations, for the constants of the cost model.

    python -m benchmarks.cost_sweep [--family ecp5] [--only REGEX] [--again]

Each network is synthesized with the cells of its top kept apart, which gives a sample for each of
them from one run; those that are told as a whole are flattened too, as an implementation has them.
What the record has already is not run again, unless the cells of rtl/ have changed since.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.progress import Progress

from benchmarks.cost_networks import FIT, HELD_OUT, Configuration, configurations
from benchmarks.origin import origin
from vecq_hw import devices
from vecq_hw.accelerator.cells import Plan
from vecq_hw.accelerator.plan import plan
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.systemverilog.top_module import Instance, top_module
from vecq_hw.files import write_atomically
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.families import FAMILIES, Family
from vecq_hw.netlist.model import from_module
from vecq_hw.netlist.yosys import family_commands, read_commands, run, version
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import with_fifo_depths
from vecq_hw.simulate.ends import one_or_all
from vecq_hw.storage import digest
from vecq_hw.verify.rtl import emit

RECORD = Path(__file__).parents[1] / "docs/results/cost_sweep.json"
ELSEWHERE = {FIT: 2, HELD_OUT: 4}
"""On families other than ECP5 one configuration of each part is run out of so many."""
MODELLED = ("ecp5", "ice40", "gowin", "xc7", "xcup")
FABRICS = {family.name: family.fabric for family in devices.FAMILIES}
"""Which circuits suit each family."""
_INSTANCE = re.compile(
    r"^  (?!vecq_frame_|vecq_stream_rules)\w+ (?:#\($|\w+_unit \($)", re.MULTILINE
)


def synthesized(
    files: Mapping[str, str], family: Family, *, dsp: bool, flat: bool
) -> tuple[dict[str, dict[str, float]], float]:
    """The counts of each instance of the top, and of the rest of it under ``""``; CPU seconds.

    Flattened, all of it is the rest.
    """
    path = next(path for path, text in files.items() if "input  logic aclk" in text)
    top = path.removesuffix(".sv")
    if not flat:
        apart = _INSTANCE.sub(r"  (* keep_hierarchy *) \g<0>", files[path])
        files = {**files, path: apart}
    commands = [
        "scratchpad -set abc9.verify 0",
        *read_commands(files, top),
        *family_commands(family, top, dsp=dsp, pads=True),
        "opt_clean -purge",
        "write_json netlist.json",
    ]
    done = run(files, commands, ("netlist.json",))
    modules = json.loads(done.files["netlist.json"])["modules"]

    def counted(module: str) -> dict[str, float]:
        return asdict(count(from_module(module, modules[module]), family))

    result = {"": counted(top)}
    for instance, cell in modules[top]["cells"].items():
        if instance.endswith("_unit") and cell["type"] in modules:
            result[instance] = counted(cell["type"])
    return result, done.seconds


def emitted(network: Network, schedule: Schedule) -> dict[str, str]:
    """The SystemVerilog of a network and its memories."""
    inputs = {
        entry.name: np.full((1, *entry.shape), entry.format.lo, np.int64)
        for entry in network.inputs
    }
    given = one_or_all(inputs)
    project = emit(network, schedule, Vectors(inputs=given, outputs=simulate(network, given)))
    return {
        name.removeprefix("rtl/"): str(text)
        for name, text in project.files.items()
        if name.startswith("rtl/") and name.endswith((".sv", ".mem"))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A configuration made for a family: what yosys gets, and a digest of it."""

    network: Network
    schedule: Schedule
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of all that the counts depend on, apart from yosys."""
        text = json.dumps(sorted(self.files.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def job(configuration: Configuration, family: str) -> Job:
    """Make a configuration and its SystemVerilog."""
    network, schedule = configuration.on(FABRICS[family])
    schedule = with_fifo_depths(network, schedule)
    return Job(network=network, schedule=schedule, files=emitted(network, schedule))


def measured(configuration: Configuration, made_of: Job, family: Family) -> dict[str, Any]:
    """A row of the record: the counts of the cells in the order of the plan, and of the whole."""
    network, schedule, files = made_of.network, made_of.schedule, made_of.files
    planned = plan(network, schedule)
    names = [f"{instance.targets[0].name}_unit" for instance in instances(planned, schedule)]
    made, seconds = synthesized(files, family, dsp=schedule.dsp, flat=configuration.whole)
    row: dict[str, Any] = {
        "part": configuration.part,
        "of": identity(network, schedule),
        "files": made_of.digest,
        "depths": dict(schedule.fifo_depths or {}),
        "cpu_seconds": round(seconds, 1),
    }
    if configuration.whole:
        return row | {"whole": made[""]}
    return row | {"cells": [made[name] for name in names], "ends": made[""]}


def identity(network: Network, schedule: Schedule) -> str:
    """The digest of a network and its folds; random ones change with what draws them."""
    folds = {name: str(fold) for name, fold in schedule.folds.items()}
    text = f"{digest(network)} {folds} {schedule.fabric} {schedule.axis_bits}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def instances(planned: Plan, schedule: Schedule) -> Sequence[Instance]:
    """The instances of a top, one for each cell of the plan, in its order."""
    return top_module(planned, schedule.fifo_depths or {}, schedule.fabric).instances


def wanted(family: str, rows: Collection[str], only: str = "") -> list[Configuration]:
    """The configurations of a family: all on ECP5, elsewhere some, and those of ``rows``."""
    found = configurations()
    some: set[str] = set()
    for part, steps in ELSEWHERE.items():
        names = [c.name for c in found if c.part == part]
        some.update(names[:: 1 if family == "ecp5" else steps])
    return [c for c in found if c.name in some.union(rows) and re.search(only, c.name)]


@click.command()
@click.option(
    "--family",
    type=click.Choice(["ecp5", "ice40", "gowin", "xc7", "xcup"]),
    multiple=True,
    default=["ecp5"],
)
@click.option("--only", default="", help="A regular expression for names of configurations.")
@click.option("--again", is_flag=True, help="Run what the record has, too.")
def main(family: Sequence[str], only: str, again: bool) -> None:
    """Run what the record lacks."""
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    families = record.setdefault("families", {})
    jobs = [(name, c) for name in family for c in wanted(name, families.get(name, ()), only)]
    with Progress() as progress:
        task = progress.add_task("cost sweep", total=len(jobs))
        for name, configuration in jobs:
            rows = families.setdefault(name, {})
            progress.update(task, description=f"{name}: {configuration.name}")
            made, row = job(configuration, name), rows.get(configuration.name)
            if again or row is None or row.get("files") != made.digest:
                rows[configuration.name] = measured(configuration, made, FAMILIES[name])
                record |= {"origin": origin(), "yosys": version()}
            else:  # it may be another schedule that gives the same files
                row["of"] = identity(made.network, made.schedule)
            write_atomically(RECORD, f"{json.dumps(record, indent=1)}\n".encode())
            progress.advance(task)


if __name__ == "__main__":
    main()
