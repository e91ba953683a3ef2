"""qonnx's executor as a target of verification."""

from __future__ import annotations

from functools import partial

from vecq_hw.emit import qonnx
from vecq_hw.toolchain import ONNX, ONNXRUNTIME, QONNX
from vecq_hw.verify.onnx import run
from vecq_hw.verify.target import Target

TOOLS = (ONNX, ONNXRUNTIME, QONNX)
TARGET = Target(
    name="qonnx",
    unsupported=qonnx.unsupported,
    emit=qonnx.emit,
    run=partial(run, tools=TOOLS),
    takes_axis_bits=False,
    takes_fabric=False,
    tools=TOOLS,
)
