"""The targets there are, by name."""

from __future__ import annotations

from collections.abc import Sequence

from vecq_hw.arguments import nearest
from vecq_hw.errors import VecqError
from vecq_hw.verify.hls import TARGET as HLS
from vecq_hw.verify.hls4ml import TARGET as HLS4ML
from vecq_hw.verify.hls_dpi import TARGET as HLS_DPI
from vecq_hw.verify.netlist import TARGET as NETLIST
from vecq_hw.verify.onnx import TARGET as ONNX
from vecq_hw.verify.qonnx import TARGET as QONNX
from vecq_hw.verify.rtl import TARGET as RTL
from vecq_hw.verify.target import Target

TARGETS = (HLS, HLS_DPI, HLS4ML, RTL, ONNX, QONNX)
ON_REQUEST = (NETLIST,)
"""They run only where they are named, since they take long: a synthesis."""


def choose(names: Sequence[str] | None) -> tuple[Target, ...]:
    """The targets of these names, in this order.

    Without names all of :data:`TARGETS`, but those whose tools are optional and not there.

    Raises
    ------
    VecqError
        There is no target of a name.
    """
    if names is None:
        return tuple(target for target in TARGETS if not _left_out(target))
    by_name = {target.name: target for target in (*TARGETS, *ON_REQUEST)}
    for name in names:
        if name not in by_name:
            raise VecqError(f"there is no target '{name}'; {nearest(name, by_name)}")
    return tuple(by_name[name] for name in names)


def _left_out(target: Target) -> bool:
    return any(tool.optional and tool.find() is None for tool in target.tools)
