"""LiteRT as the executor of a TFLite file, with the kernels that a semantics names."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.verify.target import TargetError

RESOLVERS = {
    "reference": "BUILTIN_REF",
    "ruy": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "AUTO",
}
"""What selects the kernels of each semantics."""

_OUTPUTS = 8
"""Where the table of a graph has the reference to the list of its outputs."""
_Array = npt.NDArray[Any]


def executor(
    content: bytes, semantics: str, wanted: Sequence[str]
) -> Callable[[Mapping[str, _Array]], dict[str, _Array]]:
    """What the file computes, sample by sample, up to the tensors ``wanted``.

    The function takes and gives arrays of shape (N, ...), by the names of tensors in the file.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=_with_outputs(content, wanted),
        experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[semantics]),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    sources = {end["name"]: end for end in interpreter.get_input_details()}
    ends = interpreter.get_output_details()
    targets = {name: end["index"] for name, end in zip(wanted, ends, strict=True)}

    def compute(given: Mapping[str, _Array]) -> dict[str, _Array]:
        found: dict[str, list[_Array]] = {name: [] for name in wanted}
        for sample in range(len(next(iter(given.values())))):
            for name, x in given.items():
                end = sources[name]
                one = x[sample].reshape(end["shape"]).astype(end["dtype"])
                interpreter.set_tensor(end["index"], one)
            interpreter.invoke()
            for name in wanted:
                found[name].append(interpreter.get_tensor(targets[name]).reshape(-1))
        return {name: np.stack(rows) for name, rows in found.items()}

    return compute


def _with_outputs(content: bytes, wanted: Sequence[str]) -> bytes:
    """The file with these tensors as its outputs: also those that lie within.

    What is left to the host does not run then.  The new list stands behind the file, and the graph
    refers to it.
    """
    import tflite

    changed = bytearray(content)
    graph = tflite.Model.GetRootAsModel(changed, 0).Subgraphs(0)
    places = {graph.Tensors(i).Name().decode(): i for i in range(graph.TensorsLength())}
    indices = [places.get(name, -1) for name in wanted]
    if -1 in indices:
        raise TargetError("the file has no such tensors as the report of the import names")
    table = graph._tab
    reference = table.Pos + table.Offset(_OUTPUTS)
    changed += bytes(-len(changed) % 4)
    struct.pack_into("<I", changed, reference, len(changed) - reference)
    return bytes(changed + struct.pack(f"<{1 + len(indices)}I", len(indices), *indices))
