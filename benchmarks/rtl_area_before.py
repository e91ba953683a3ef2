"""Has a cell become larger since another commit?

What both commits generate is synthesized by one yosys until ABC maps it to look-up tables: the
arrays and units of ``benchmarks.rtl_area`` that both have, small networks with a cell of each kind,
and whole networks of ``benchmarks.networks``.  If the two netlists are one circuit with cells and
wires renamed, nothing has become larger, whatever is counted.  For ABC counts a few look-up tables
more or fewer by the order in which it is given the cells: of circuits that differ the counts in
several random orders are told, and with --orders also of those that are the same.

    python -m benchmarks.rtl_area_before COMMIT [--out docs/results/rtl_area_before.json]

With --only, the rows of other circuits stay in the file if they are of the same yosys and COMMIT.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.another_commit import checked_out, environment, resolved
from benchmarks.isomorphism import canonical, reordered
from benchmarks.origin import ROOT, origin
from benchmarks.synthesis import SYNTHESIS, XCUP
from vecq_hw.files import write_atomically
from vecq_hw.netlist import families, yosys
from vecq_hw.netlist.counts import count
from vecq_hw.netlist.model import read_json
from vecq_hw.processes import run_process

LEAST_ORDERS = 4
"""In which circuits that differ are counted."""
SMALL = ("windows", "residual", "concatenated")
NETWORKS = ("mlp", "lenet5", "resnet8")
# Each commit makes its circuits by its own code; what it would synthesize is taken instead.
_SOURCES = """\
import json
import sys
import numpy as np
from benchmarks import networks, rtl_area
from vecq_hw.emit.project import Vectors
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.rtl import emit

class Taken(Exception):
    pass

def take(files, top, parameters, family):
    raise Taken(dict(files=files, top=top, parameters=parameters))

rtl_area.synthesize = take
found = {}
for part, family, bits in rtl_area.RUNS:
    name = f"{part}, {bits} bits"
    if family == "xcup" and ONLY in name:
        try:
            rtl_area.PARTS[part](bits, family)
        except Taken as taken:
            found[name] = taken.args[0]

def small(name):
    "A cell of each kind that whole networks have, and little else."
    net = networks._Builder(name, (8, 8, 4))
    joins = sys.modules[networks.Add.__module__]
    first = net.convolution("conv1", "x", 4, 3)
    if name == "windows":
        net.max_pool()
        net.append(networks.SumPool2d(name="sums", input=net.last, kernel=(2, 2), stride=(2, 2)))
        net.rescale("average", "sums")
    else:
        second = net.convolution("conv2", first, 4, 1)
        join = joins.Add if name == "residual" else joins.Concat
        net.append(join(name="join", inputs=(first, second)))
        if name == "residual":
            net.rescale("codes", "join")
    return net.network()

for name in (*SMALL, *NETWORKS):
    if ONLY not in f"network {name}":
        continue
    network = small(name) if name in SMALL else networks.NETWORKS[name]()
    inputs = networks.inputs(network, 1)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    project = emit(network, default_schedule(network), vectors)
    files = {n: str(t) for n, t in project.files.items() if n.endswith((".sv", ".mem"))}
    found[f"network {name}"] = dict(files=files, top=name, parameters={})
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One circuit at two commits; the counts are LUTs, one for each order of the cells."""

    what: str
    same: bool
    before: Sequence[int]
    now: Sequence[int]
    differing: Mapping[str, int]

    def tree(self) -> dict[str, Any]:
        """For the record."""
        return {
            "circuit": self.what,
            "same_circuit": self.same,
            "luts_before": list(self.before),
            "luts_now": list(self.now),
            "cells_more_before_mapping": dict(self.differing),
        }


def sources(folder: Path, only: str) -> dict[str, dict[str, Any]]:
    """What the commit in ``folder`` would synthesize, by names that hold ``only``."""
    script = f"SMALL, NETWORKS, ONLY = {SMALL!r}, {NETWORKS!r}, {only!r}\n{_SOURCES}"
    status, output = run_process(
        [sys.executable, "-c", script], folder, environment(folder), timeout=600
    )
    if status:
        raise click.ClickException(f"the circuits of {folder.name} cannot be made: {output[-500:]}")
    return json.loads(output.splitlines()[-1])


def unmapped(circuit: Mapping[str, Any]) -> dict[str, Any]:
    """The netlist as ABC is given it, in its canonical order."""
    commands = [
        *yosys.read_commands(circuit["files"], circuit["top"], **circuit["parameters"]),
        f"{SYNTHESIS[XCUP][0]} -run begin:map_luts",
        f"select {circuit['top']}",
        "write_json -selected netlist.json",
    ]
    made = yosys.run(circuit["files"], commands, ("netlist.json",)).files
    (module,) = json.loads(made["netlist.json"])["modules"].values()
    return canonical(module)


def luts(module: Mapping[str, Any]) -> int:
    """Return how many LUTs ABC makes of a netlist in the order in which it stands."""
    commands = [
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        "read_verilog -lib +/xilinx/cells_xtra.v",
        "read_json given.json",
        "hierarchy -check -top top",
        "scratchpad -set abc9.verify 0",
        f"{SYNTHESIS[XCUP][0]} -run map_luts:",
        "opt_clean -purge",
        "write_json netlist.json",
    ]
    given = {"given.json": json.dumps({"modules": {"top": {"attributes": {"top": 1}, **module}}})}
    made = yosys.run(given, commands, ("netlist.json",)).files
    return count(read_json(made["netlist.json"], "top"), families.XCUP).luts


def compared(
    what: str, before: Mapping[str, Any], now: Mapping[str, Any], orders: int
) -> Comparison:
    """Compare one circuit; the counts of equal circuits are made once."""
    old, new = unmapped(before), unmapped(now)
    same = old == new
    orders = orders if same else max(orders, LEAST_ORDERS)
    counted = [luts(reordered(new, seed)) for seed in range(orders)]
    types = [Counter(cell["type"] for cell in module["cells"].values()) for module in (old, new)]
    more = {kind: types[1][kind] - types[0][kind] for kind in sorted({*types[0], *types[1]})}
    return Comparison(
        what=what,
        same=same,
        now=counted,
        before=counted if same else [luts(reordered(old, seed)) for seed in range(orders)],
        differing={kind: number for kind, number in more.items() if number},
    )


def spread(counts: Sequence[int]) -> str:
    """The median, and from where to where."""
    if not counts:
        return "not counted"
    return f"{statistics.median(counts):g} ({min(counts)} to {max(counts)})"


@click.command(help=__doc__)
@click.argument("commit")
@click.option("--only", default="", help="Circuits whose name holds this text.")
@click.option("--orders", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the record here.")
def main(commit: str, only: str, orders: int, out: Path | None) -> None:
    """Synthesize, compare, record; end with 1 where a circuit differs and its median is larger."""
    with checked_out(commit) as folder:
        olds = sources(folder, only)
    news = sources(ROOT, only)
    rows: list[Comparison] = []
    head = {"against": resolved(commit), "yosys": yosys.version(), "family": XCUP}
    known = json.loads(out.read_text()) if out is not None and out.exists() else {}
    same = all(known.get(key) == value for key, value in head.items())
    found = {row["circuit"]: row for row in known["circuits"]} if same else {}
    with Progress(transient=True) as progress:
        chosen = [name for name in olds if name in news]
        for name in progress.track(chosen, description="yosys"):
            row = compared(name, olds[name], news[name], orders)
            rows.append(row)
            found[name] = row.tree() | origin()
            if out is not None:
                tree = head | {"circuits": list(found.values())}
                write_atomically(out, (json.dumps(tree, indent=1) + "\n").encode())
    shown = Table(title=f"LUTs in several orders, yosys {yosys.version()}: median, range")
    for column in ("circuit", "before mapping", resolved(commit), "now"):
        shown.add_column(column)
    for row in rows:
        kind = "the same circuit" if row.same else "differs"
        shown.add_row(row.what, kind, spread(row.before), spread(row.now))
    Console(width=110).print(shown)
    differing = [row for row in rows if not row.same]
    larger = [r.what for r in differing if statistics.median(r.now) > statistics.median(r.before)]
    if larger:
        raise SystemExit(f"larger: {', '.join(larger)}")


if __name__ == "__main__":
    main()
