"""LiteRT as the executor of a TFLite file, with the kernels that a semantics names."""

from __future__ import annotations

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

_Array = npt.NDArray[Any]


def executor(
    content: bytes, semantics: str, wanted: Sequence[str]
) -> Callable[[Mapping[str, _Array]], dict[str, _Array]]:
    """What the file computes, sample by sample, up to the tensors ``wanted``."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=_with_outputs(content, wanted),
        experimental_op_resolver_type=getattr(OpResolverType, RESOLVERS[semantics]),
        num_threads=1,
    )
    interpreter.allocate_tensors()
    sources = {end["name"]: end for end in interpreter.get_input_details()}
    targets = {end["name"]: end for end in interpreter.get_output_details()}

    def compute(given: Mapping[str, _Array]) -> dict[str, _Array]:
        found: dict[str, list[_Array]] = {name: [] for name in wanted}
        for sample in range(len(next(iter(given.values())))):
            for name, x in given.items():
                end = sources[name]
                one = x[sample].reshape(end["shape"]).astype(end["dtype"])
                interpreter.set_tensor(end["index"], one)
            interpreter.invoke()
            for name in wanted:
                found[name].append(interpreter.get_tensor(targets[name]["index"]).reshape(-1))
        return {name: np.stack(rows) for name, rows in found.items()}

    return compute


def _with_outputs(content: bytes, wanted: Sequence[str]) -> bytes:
    """The file with other tensors as its outputs, so that what is left to the host does not run.

    The list of outputs is overwritten in place; it has the same length.
    """
    import tflite

    changed = bytearray(content)
    graph = tflite.Model.GetRootAsModel(changed, 0).Subgraphs(0)
    places = {graph.Tensors(i).Name().decode(): i for i in range(graph.TensorsLength())}
    outputs = graph.OutputsAsNumpy()
    indices = [places.get(name, -1) for name in wanted]
    if sorted(indices) == sorted(outputs.tolist()):
        return content
    if -1 in indices or len(indices) != len(outputs):
        raise TargetError("the file has no such tensors as the report of the import names")
    outputs[:] = indices
    return bytes(changed)
