"""The SystemVerilog project under Verilator as a target of verification."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from vecq_hw.bench.runner import REPORT, failures
from vecq_hw.emit import systemverilog
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import Project, Vectors, are_stored, output_files, read_outputs
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.processes import run_process
from vecq_hw.schedule import Schedule
from vecq_hw.simulate.dataflow import with_fifo_depths
from vecq_hw.toolchain import (
    COCOTB,
    CXX,
    MAKE,
    PERL,
    VERILATOR,
    simulation_environment,
)
from vecq_hw.verify.target import Target, TargetError

TIMEOUT = 1800
"""Seconds; a stream that stops is noticed long before, by its cycles."""
LINES = 12
"""How many of a project's last lines of output make the message of a failure."""


def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
    """:func:`vecq_hw.emit.systemverilog.emit`, with FIFO depths where the schedule has none."""
    if systemverilog.unsupported(network) is None:
        schedule = with_fifo_depths(network, schedule)
    return systemverilog.emit(network, schedule, vectors)


def run(folder: Path) -> IntArray | dict[str, IntArray]:
    """Build and run the project in ``folder``: the outputs that the RTL gave, int64 (N, elements).

    Several come by their names.  They are returned even if they are not those of the project's
    vectors; where they are, all tests of the bench must have passed.

    Raises
    ------
    MissingToolError
        Verilator, cocotb, make or perl is missing.
    TargetError
        The RTL did not build, broke a rule of its streams, or stopped before its last word.
    """
    environment = simulation_environment()
    manifest, report = folder / MANIFEST, folder / REPORT
    results = output_files(folder / "results", manifest)
    for stale in (*results, report):
        stale.unlink(missing_ok=True)
    command = [sys.executable, "run.py"]
    try:
        status, output = run_process(command, folder, environment, TIMEOUT, tool="verilator")
    except subprocess.TimeoutExpired:
        raise TargetError(f"{folder}: run.py did not end within {TIMEOUT} seconds") from None
    if all(file.exists() for file in results):
        if not status or not are_stored(folder / "results", folder / "vectors", manifest):
            return read_outputs(folder / "results", manifest)
    # What an assertion of the RTL said, before what cocotb makes of it.
    lines = re.findall(r"%(?:Error|Fatal): .*? Assertion failed in (.*)", output)
    lines += failures(report) if report.exists() else output.strip().splitlines()[-LINES:]
    raise TargetError("\n".join([f"{folder}: run.py ended with status {status}:", *lines]))


TARGET = Target(
    name="rtl",
    unsupported=systemverilog.unsupported,
    emit=emit,
    run=run,
    takes_axis_bits=True,
    takes_fabric=True,
    tools=(VERILATOR, COCOTB, CXX, MAKE, PERL),
)
