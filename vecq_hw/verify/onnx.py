"""onnxruntime as a target of verification."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from vecq_hw.emit import onnx
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import output_files, read_outputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.toolchain import ONNX, ONNXRUNTIME, Tool, require
from vecq_hw.verify.hls import execute
from vecq_hw.verify.target import Target, TargetError

_SOME_DIFFER = 1


def run(folder: Path, tools: tuple[Tool, ...]) -> IntArray | dict[str, IntArray]:
    """Run the model of the project in ``folder``; the outputs that its executor computed.

    Returns
    -------
    int64 array of shape (N, elements)
        Several by their names.  Also where they differ from the expected ones.

    Raises
    ------
    TargetError
        The executor refuses the model or does not finish; the message holds its last lines.
    MissingToolError
        The executor is not installed.
    """
    require(*tools)
    folder = Path(folder)
    build, manifest = folder / "build", folder / MANIFEST
    for computed in output_files(build, manifest):
        computed.unlink(missing_ok=True)
    status, output = execute([sys.executable, "run.py"], folder)
    if status not in (0, _SOME_DIFFER):
        raise TargetError(f"the model in '{folder}' does not finish (status {status}):\n{output}")
    try:
        return read_outputs(build, manifest)
    except (OSError, VecqError) as error:
        raise TargetError(f"the model in '{folder}' left no outputs ({error}):\n{output}") from None


TOOLS = (ONNX, ONNXRUNTIME)
TARGET = Target(
    name="onnx",
    unsupported=onnx.unsupported,
    emit=onnx.emit,
    run=partial(run, tools=TOOLS),
    takes_axis_bits=False,
    takes_fabric=False,
    tools=TOOLS,
)
