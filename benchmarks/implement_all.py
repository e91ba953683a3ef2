"""What networks reach on devices, by pip-installed tools alone: a table that can be stopped.

    python -m benchmarks.implement_all                     every row, the smallest first
    python -m benchmarks.implement_all ice40-hx8k w2       rows with all of these in their names

Each row is an implementation with several seeds, whose steps are kept in build/implement_all: what
was done is not done again as long as its input is the same.  Weights are random codes
(networks.py): area and clock ask for no accuracy.  Writes docs/results/implement.json and
implement.md after every row.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import networks
from benchmarks.origin import commit
from vecq_hw.accelerator.dsps import with_dsps
from vecq_hw.devices import Device, device
from vecq_hw.files import Folder, write_atomically
from vecq_hw.implement.flow import implement
from vecq_hw.interrupts import interrupt_on_signals
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, default_schedule

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "implement_all"
RECORD = ROOT / "docs" / "results" / "implement.json"
PAGE = RECORD.with_suffix(".md")
SEEDS = {
    **dict.fromkeys(("ice40-hx8k", "ice40-up5k", "gw1nr-9c"), 5),
    **dict.fromkeys(("digits_mlp w2 ecp5-25k", "lenet5_classic w2 ecp5-85k"), 5),
}
"""Placements of a row or of a device's rows; elsewhere :data:`FEWER`, as one takes minutes."""
FEWER = 3
HEAD = """\
`make implement-all` writes this page. pyosys synthesizes the networks, nextpnr places and routes
them, and no vendor's tool is used. The weights are random codes, since accuracy does not matter
here. LUTs are the positions of look-up tables that the accelerator alone takes, those of carry
chains included. The clock is what nextpnr says of the routed design, behind a top of a few pins.
None of these ran on a board."""
PUBLISHED = (
    ("FINN", "binary MLP, MNIST", "ZC706", "12.3 M frames/s, 0.31 us", "1612.07119"),
    ("FINN", "binary CNN, CIFAR-10", "ZC706", "21,906 frames/s, 283 us", "1612.07119"),
    ("hls4ml, FINN", "MLPerf Tiny", "Pynq-Z2, Arty A7-100T", "from 20 us, 30 uJ on", "2206.11791"),
    ("NN2FPGA", "ResNet-8, W8A8", "Ultra96", "over 12,000 frames/s", "2309.15631"),
    ("NN2FPGA", "ResNet-8, W8A8", "Kria KV260", "over 30,000 frames/s", "2309.15631"),
)
"""Framework, network, device, what they reached, and where it is told: numbers of arXiv."""
DIFFERENCES = """\
Their networks are trained, and have other shapes and widths. They run on Xilinx devices with two to
nine times the look-up tables of an ECP5-25F, each of six inputs. The vendor's tools synthesized and
routed them, and they were measured on boards. Here, tools from PyPI place networks of random codes
on small devices of other families, and the clock is an analysis of the routed design. So no ratio
of these figures to those above says which framework is better."""
NETWORKS: dict[str, Callable[[int], Network]] = {
    "digits_mlp": networks.digits_mlp,
    "digits_cnn": networks.digits_cnn,
    "keywords_mlp": networks.keywords_mlp,
    "lenet5_classic": networks.lenet5_classic,
}
# Of the default schedule where a device is too small for 8.
LANES = {"ice40-hx8k": 2, "ice40-up5k": 2, "gw1nr-9c": 2, "gw2ar-18c": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A network with weights of ``bits`` on a device."""

    network: str
    bits: int
    device: str

    @property
    def name(self) -> str:
        """Its key in the record."""
        return f"{self.network} w{self.bits} {self.device}"


ROWS = [
    Row(network=network, bits=bits, device=name)
    for network in NETWORKS
    for name in ("ice40-hx8k", "ice40-up5k", "gw1nr-9c", "gw2ar-18c", "ecp5-25k", "ecp5-85k")
    for bits in (2, 1, 4)
]


def schedule_for(network: Network, target: Device) -> Schedule:
    """The default schedule with the lanes of the device's size."""
    lanes = LANES.get(target.name, 8)
    schedule = replace(default_schedule(network, lanes), fabric=target.family.fabric)
    return with_dsps(network, schedule) if target.family.dsp else schedule


def run(row: Row) -> dict[str, Any]:
    """The figures of a row."""
    network, target = NETWORKS[row.network](row.bits), device(row.device)
    folder = BUILD / row.name.replace(" ", "_")
    with Folder(folder) as place:
        report = implement(
            *(network, schedule_for(network, target), target, place),
            seeds=SEEDS.get(row.name, SEEDS.get(row.device, FEWER)),
            progress=lambda text: print(f"  {text}", flush=True),
        )
    tree = report.to_json()
    kept = (
        *("luts", "ffs", "carries", "brams", "dsps", "cycles", "latency_cycles", "used"),
        *("clock_mhz", "fmax_mhz", "fmax_all", "frames_per_second", "fits", "over", "part"),
    )
    figures = {name: tree[name] for name in kept}
    return {"commit": commit(), "lanes": LANES.get(target.name, 8), **figures}


def page(record: dict[str, dict[str, Any]]) -> str:
    """The table, in the order of :data:`ROWS`."""
    titles = [
        *("network", "weights", "device", "lanes", "LUTs", "FFs", "block RAMs", "DSPs"),
        *("MHz: median", "each seed", "frames per second"),
    ]
    lines = [
        *("# Networks on devices", "", HEAD, ""),
        f"| {' | '.join(titles)} |",
        "|---" * len(titles) + "|",
    ]
    for row in ROWS:
        found = record.get(row.name)
        if found is None:
            continue
        what = [
            row.network,
            f"{row.bits} bit{'s' if row.bits > 1 else ''}",
            row.device,
            str(found["lanes"]),
        ]
        what += [f"{found[key]:,g}" for key in ("luts", "ffs", "brams", "dsps")]
        if found["fits"]:
            each = ", ".join(f"{fmax:.1f}" for fmax in found["fmax_all"])
            rate = f"{found['frames_per_second']:,.0f}"
            what += [f"{found['fmax_mhz']:.1f}", each, rate]
        else:
            what += ["does not fit", "; ".join(found["over"]), "–"]
        lines.append(f"| {' | '.join(what)} |")
    missing = [row.name for row in ROWS if row.name not in record]
    if missing:
        lines += ["", f"Not run yet: {len(missing)} of {len(ROWS)} rows."]
    lines += ["", "The rows are of several runs. The record names the commit of each newer one."]
    lines += ["", "## Published figures", "", "Not measured by us.", ""]
    lines += ["| framework | network | device | reached | arXiv |", "|---" * 5 + "|"]
    lines += [f"| {' | '.join(published)} |" for published in PUBLISHED]
    return "\n".join([*lines, "", DIFFERENCES, ""])


def main() -> int:
    """Run the rows that the arguments choose; what stops it leaves no tool running."""
    interrupt_on_signals()
    chosen = [row for row in ROWS if all(word in row.name.split() for word in sys.argv[1:])]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for row in chosen:
        print(row.name, flush=True)
        record[row.name] = run(row)
        write_atomically(RECORD, f"{json.dumps(record, indent=1)}\n".encode())
        write_atomically(PAGE, page(record).encode())
    return 0 if chosen else 2


if __name__ == "__main__":
    raise SystemExit(main())
