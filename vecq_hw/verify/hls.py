"""The HLS C++ target: compile a generated project with g++, run it, give its integers back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vecq_hw.bench.ports import load_ends
from vecq_hw.emit import hls
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import output_files, read_outputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.processes import run_process
from vecq_hw.toolchain import AP_TYPES, CXX, MAKE, require
from vecq_hw.verify.target import Target, TargetError

TIME_LIMIT_SECONDS = 600
"""The most seconds that the build takes, and the run."""

_LINES_SHOWN = 15
_SOME_DIFFER = 1  # vecq::TestResult


def run(folder: Path) -> IntArray | dict[str, IntArray]:
    """Build and run the project in ``folder``; the outputs that the C++ computed.

    Returns
    -------
    int64 array of shape (N, elements)
        Several by their names.  Also where they differ from the expected ones.

    Raises
    ------
    TargetError
        It does not build, does not finish in time, or a stream ran empty or over; the message
        holds the last lines of its output.
    MissingToolError
        g++, make or the ap_types headers are not installed.
    """
    folder = Path(folder)
    ap_types, _, _ = require(*TOOLS)
    build, manifest = folder / "build", folder / MANIFEST
    for computed in output_files(build, manifest):
        computed.unlink(missing_ok=True)
    status, output = execute(["make", "build/test", f"AP_TYPES={ap_types}"], folder)
    if status != 0:
        raise TargetError(f"the C++ in '{folder}' does not build:\n{output}")
    status, output = execute(["build/test", "build/outputs.txt"], folder)
    if status not in (0, _SOME_DIFFER):
        raise TargetError(f"the C++ in '{folder}' does not finish (status {status}):\n{output}")
    try:
        outputs = read_outputs(build, manifest)
    except (OSError, VecqError) as error:
        raise TargetError(f"the C++ in '{folder}' left no outputs ({error}):\n{output}") from None
    # A sanitizer also ends a program with status 1, in the middle.
    inputs = folder / "vectors" / load_ends(manifest)[0][0].vectors
    vectors = len(inputs.read_text().splitlines())
    for array in outputs.values() if isinstance(outputs, dict) else (outputs,):
        if len(array) != vectors:
            raise TargetError(
                f"the C++ in '{folder}' wrote {len(array)} of {vectors} output vectors:\n{output}"
            )
    return outputs


def execute(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and last lines of what ``command`` prints, in ``folder``.

    Raises
    ------
    TargetError
        It takes too long.
    """
    # A make around us passes on its options and its job server, which are not meant for this one.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    environment["LC_ALL"] = "C"
    try:
        status, output = run_process(command, folder, environment, TIME_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise TargetError(
            f"'{' '.join(command)}' in '{folder}' took more than {TIME_LIMIT_SECONDS} s"
        ) from None
    return status, "\n".join(output.splitlines()[-_LINES_SHOWN:])


TOOLS = (AP_TYPES, CXX, MAKE)
TARGET = Target(
    name="hls",
    unsupported=hls.unsupported,
    emit=hls.emit,
    run=run,
    takes_axis_bits=True,
    takes_fabric=False,
    tools=TOOLS,
)
