"""The HLS C++ behind DPI-C under Verilator: the words of AXI4-Streams that pause at random."""

from __future__ import annotations

import sys
from pathlib import Path

from vecq_hw.bench.runner import REPORT, failures
from vecq_hw.emit import hls
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import are_stored, output_files, read_outputs
from vecq_hw.formats import IntArray
from vecq_hw.toolchain import AP_TYPES, COCOTB, CXX, MAKE, PERL, VERILATOR, make_word, require
from vecq_hw.verify.hls import execute
from vecq_hw.verify.target import Target, TargetError


def run(folder: Path) -> IntArray | dict[str, IntArray]:
    """Build the project in ``folder`` and run its cocotb bench; the outputs that came out.

    Returns
    -------
    int64 array of shape (N, elements)
        Several by their names.  Also where they differ from the expected ones.

    Raises
    ------
    TargetError
        It does not build, breaks a rule of its streams, stops before its last word, or a test of
        the bench fails although the outputs are right.
    MissingToolError
        g++, make, perl, Verilator, cocotb or the ap_types headers are not installed.
    """
    folder = Path(folder)
    ap_types, verilator, *_ = require(*TOOLS)
    manifest, report = folder / MANIFEST, folder / "cosim" / REPORT
    results = output_files(folder / "cosim" / "results", manifest)
    for stale in (*results, report):
        stale.unlink(missing_ok=True)
    paths = [f"AP_TYPES={ap_types}", f"SVDPI={verilator / 'include' / 'vltstd'}"]
    command = ["make", "-j2", "cosim", f"PYTHON={make_word(sys.executable)}", *paths]
    status, output = execute(command, folder)
    found = folder / "cosim" / "results"
    if all(file.exists() for file in results) and (
        not status or not are_stored(found, folder / "vectors", manifest)
    ):
        return read_outputs(found, manifest)
    said = "\n".join(failures(report)) if report.exists() else output
    raise TargetError(f"'make cosim' in '{folder}' ended with status {status}:\n{said}")


TOOLS = (AP_TYPES, VERILATOR, COCOTB, CXX, MAKE, PERL)
TARGET = Target(
    name="hls-dpi",
    unsupported=hls.unsupported,
    emit=hls.emit,
    run=run,
    takes_axis_bits=True,
    takes_fabric=False,
    tools=TOOLS,
)
