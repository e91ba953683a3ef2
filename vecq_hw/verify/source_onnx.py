"""onnxruntime, or qonnx's executor, as the executor of an ONNX or QONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from vecq_hw.verify.target import TargetError

SAMPLES = 1000
"""Samples in one call of qonnx's executor, which costs far more per call than per image."""
_Array = npt.NDArray[Any]
_WEIGHTS = {"QLinearConv": (2, 3, 5), "QLinearMatMul": (2, 3, 5), "QGemm": (2, 3, 5),
            "ConvInteger": (2, 1, 3), "MatMulInteger": (2, 1, 3)}  # fmt: skip
"""Where these operators have the zero point of what they multiply, their weights, and the zero
point of those."""


def executor(
    content: bytes, wanted: Sequence[str], dropped: Sequence[str]
) -> Callable[[Mapping[str, _Array]], dict[str, _Array]]:
    """What the file computes, up to the tensors before what is left to the host.

    The function takes and gives arrays of shape (N, ...), by the names of tensors in the file.
    """
    model = onnx.ModelProto.FromString(content)
    inner = {name: _before(model, name, dropped) for name in wanted}
    special = {node.domain for node in model.graph.node} - {"", "ai.onnx", "com.microsoft"}
    _cut(model, inner, floats=bool(special))
    run = _in_qonnx(model) if special else _in_onnxruntime(_of_one_signedness(model))
    fixed, tensors = _fixed_batch(model), list(dict.fromkeys(inner.values()))

    def compute(given: Mapping[str, _Array]) -> dict[str, _Array]:
        count = len(next(iter(given.values())))
        step = fixed or count
        if special:
            step = min(_batch(run, given, tensors, fixed), count)
        if count % step and fixed:
            raise TargetError(f"the file takes {fixed} samples at a time, not {count}")
        parts = [
            run({name: x[start : start + step] for name, x in given.items()}, tensors)
            for start in range(0, count, step)
        ]
        return {
            name: np.concatenate([part[tensor] for part in parts]) for name, tensor in inner.items()
        }

    return compute


def _batch(run: Run, given: Mapping[str, _Array], wanted: Sequence[str], fixed: int) -> int:
    """How many samples qonnx takes of a call: SAMPLES, or those of the file where shapes are fixed.

    What a graph does to its batch axis, shows when it runs.
    """
    if fixed in (0, 1):
        try:
            two = run({name: x[:2] for name, x in given.items()}, wanted)
        except Exception:  # of any kind, from operators that see another shape than they say
            return 1
        count = min(2, len(next(iter(given.values()))))
        return SAMPLES if all(len(x) == count for x in two.values()) else 1
    return fixed


def _before(model: onnx.ModelProto, name: str, dropped: Sequence[str]) -> str:
    """The tensor that an output is made of, before the nodes that the import left to the host."""
    makers = {output: node for node in model.graph.node for output in node.output}
    while name in makers and f"{makers[name].op_type} '{makers[name].name}'" in dropped:
        name = makers[name].input[0]
    return name


def _end(name: str, floats: bool) -> onnx.ValueInfoProto:
    """An output whose type onnxruntime infers, while qonnx needs one."""
    if floats:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_empty_tensor_value_info(name)


def _cut(model: onnx.ModelProto, inner: Mapping[str, str], floats: bool) -> None:
    """End the graph at these tensors: what the import left to the host does not run then."""
    graph = model.graph
    given = [end.name for end in graph.output]
    if all(tensor in given for tensor in inner.values()):
        return
    needed, kept = set(inner.values()), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    ends = {end.name: end for end in graph.output}
    new = [
        ends[name] if name in ends else _end(name, floats) for name in dict.fromkeys(inner.values())
    ]
    values = [value for value in graph.value_info if value.name not in inner.values()]
    for field, content in (("node", kept[::-1]), ("output", new), ("value_info", values)):
        parts = [type(part).FromString(part.SerializeToString()) for part in content]
        del getattr(graph, field)[:]
        getattr(graph, field).extend(parts)


def _fixed_batch(model: onnx.ModelProto) -> int:
    """The size of the first axis of the inputs, 0 where it is open."""
    constants = {tensor.name for tensor in model.graph.initializer}
    sizes = [
        end.type.tensor_type.shape.dim[0].dim_value
        for end in model.graph.input
        if end.name not in constants and end.type.tensor_type.shape.dim
    ]
    return max(sizes, default=0)


def _of_one_signedness(model: onnx.ModelProto) -> onnx.ModelProto:
    """Signed weights of unsigned codes as unsigned weights, with zero points that are 128 more.

    The products are the same.  Of mixed signedness onnxruntime adds pairs of them in 16 bits on
    x86 processors without VNNI, which saturates.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    moved: set[str] = set()
    for node in model.graph.node:
        if node.op_type not in _WEIGHTS:
            continue
        codes, weights, zero = _WEIGHTS[node.op_type]
        if len(node.input) <= zero or any(
            node.input[i] not in tensors for i in (codes, weights, zero)
        ):
            continue
        names = node.input[weights], node.input[zero]
        kind = numpy_helper.to_array(tensors[node.input[codes]]).dtype
        for name in names:
            values = numpy_helper.to_array(tensors[name])
            if kind != np.uint8 or values.dtype != np.int8:
                continue
            copy = f"{name}_unsigned"
            if copy not in moved:
                moved.add(copy)
                unsigned = (values.astype(np.int16) + 128).astype(np.uint8)
                model.graph.initializer.append(numpy_helper.from_array(unsigned, copy))
            node.input[weights if name == names[0] else zero] = copy
    return model


Run = Callable[[Mapping[str, _Array], Sequence[str]], dict[str, _Array]]


def _in_onnxruntime(model: onnx.ModelProto) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Optimized graphs round otherwise.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = {end.name: _KINDS[end.type] for end in session.get_inputs()}

    def run(given: Mapping[str, _Array], wanted: Sequence[str]) -> dict[str, _Array]:
        typed = {name: x.astype(kinds[name]) for name, x in given.items()}
        return dict(zip(wanted, session.run(list(wanted), typed), strict=True))

    return run


_KINDS = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8, "tensor(int32)": np.int32, "tensor(int64)": np.int64,
}  # fmt: skip


def _in_qonnx(model: onnx.ModelProto) -> Run:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    prepared: dict[tuple[tuple[int, ...], ...], Any] = {}

    def run(given: Mapping[str, _Array], wanted: Sequence[str]) -> dict[str, _Array]:
        shapes = tuple(x.shape for x in given.values())
        if shapes not in prepared:
            wrapped = ModelWrapper(model.SerializeToString())
            # Constants are folded for the batch at hand, so that the batch comes first.
            for name, x in given.items():
                wrapped.set_tensor_shape(name, list(x.shape))
            prepared[shapes] = cleanup_model(wrapped)  # which gives the ends other names
        clean = prepared[shapes]
        kept = [end.name for end in model.graph.input if end.name in given]
        feeds = {
            end.name: given[name].astype(np.float32)
            for name, end in zip(kept, clean.graph.input, strict=True)
        }
        found = execute_onnx(clean, feeds)
        names = [end.name for end in model.graph.output]
        ends = zip(names, clean.graph.output, strict=True)
        by_name = {name: found[end.name] for name, end in ends}
        return {name: by_name[name] for name in wanted}

    return run
