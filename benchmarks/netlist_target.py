"""The RTL after synthesis as a target: look-up tables and flip-flops behind the same bench.

yosys maps the whole design, memories included, to look-up tables of six inputs and flip-flops; the
project's own bench then drives that netlist under Verilator, with the pauses of its streams.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from vecq_hw.formats import IntArray
from vecq_hw.toolchain import run_process
from vecq_hw.verify.rtl import TARGET as RTL
from vecq_hw.verify.rtl import run as run_rtl
from vecq_hw.verify.target import TargetError

_SCRIPT = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""
TIMEOUT = 3000
"""Seconds, of the synthesis."""


def synthesized(folder: Path) -> int:
    """Put the netlist in the place of a project's RTL; how many look-up tables it has."""
    rtl = folder / "rtl"
    (bench,) = folder.glob("bench_*.py")
    top = bench.stem.removeprefix("bench_")
    sources = sorted(path.relative_to(folder) for path in rtl.glob("*.sv"))
    commands = [
        f"read_verilog -sv -defer {' '.join(map(str, sources))}",
        f"hierarchy -top {top}",
        f"synth -flatten -noabc -top {top}",
        "abc -lut 6",
        "opt_clean -purge",
        "tee -o netlist.txt stat",
        "write_verilog -noattr netlist.v",
    ]
    status, output = run_process(
        [sys.executable, "-c", _SCRIPT, *commands], folder, dict(os.environ), TIMEOUT
    )
    if status:
        raise TargetError(f"yosys: {output[-1000:]}")
    text = (folder / "netlist.v").read_text()
    for path in rtl.glob("*.sv"):
        path.unlink()
    (rtl / f"{top}.sv").write_text(text)
    stat = (folder / "netlist.txt").read_text().split()
    return int(stat[stat.index("$lut") - 1]) if "$lut" in stat else 0


def run(folder: Path) -> IntArray | dict[str, IntArray]:
    """Synthesize the project in ``folder``, and run its bench on the netlist."""
    synthesized(folder)
    return run_rtl(folder)


TARGET = replace(RTL, name="netlist", run=run)
