"""An ONNX file as a Graph: the one place that imports onnx.

Nothing is executed, no other file is opened, and no array is made before its size is judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx import helper as onnx_helper

from vecq_hw.errors import VecqError
from vecq_hw.interop.graph import (
    MOST_ELEMENTS,
    MOST_NODES,
    Array,
    Graph,
    Node,
    Value,
    printable,
    read_only,
)

STANDARD, MICROSOFT, QONNX = "", "com.microsoft", "qonnx"
OPSETS = range(7, 31)
"""Versions of the standard operators whose meaning the walk knows."""

_DOMAINS = {
    "": STANDARD,
    "ai.onnx": STANDARD,
    "com.microsoft": MICROSOFT,
    "qonnx.custom_op.general": QONNX,
    "finn.custom_op.general": QONNX,
    "onnx.brevitas": QONNX,
}
_MOST_AXES = 8
_PLAIN = {
    TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL,
    TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
    TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    TensorProto.INT4, TensorProto.UINT4,
}  # fmt: skip
"""Types of tensors that are read."""
_NIBBLES = {TensorProto.INT4, TensorProto.UINT4}


def read_onnx(content: bytes) -> Graph:
    """The graph of the contents of a file.

    Raises
    ------
    VecqError
        The contents are no ONNX model or break a rule of the format.
    """
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError):
        raise VecqError("it is no ONNX model, or is cut short") from None
    graph = model.graph
    if not graph.node or not graph.output:
        raise VecqError("it holds no nodes or no outputs; an ONNX model with a graph is wanted")
    opsets = _opsets(model)
    if len(graph.node) > MOST_NODES:
        raise VecqError(f"it has {len(graph.node):,} nodes; at most {MOST_NODES:,} are read")
    if graph.sparse_initializer:
        raise VecqError("it has sparse initializers; dense ones are wanted")
    constants = _initializers(graph)
    values = {_text(value.name): found for value, found in _values(graph)}
    inputs = tuple(_text(one.name) for one in graph.input if one.name not in constants)
    for name in inputs:
        if name not in values:
            raise VecqError(f"the input '{printable(name)}' is no tensor with a shape")
    nodes = tuple(_nodes(graph, {*inputs, *constants}, constants))
    made = {*inputs, *constants, *(name for node in nodes for name in node.outputs)}
    outputs = tuple(_text(one.name) for one in graph.output)
    for name in outputs:
        if name not in made:
            raise VecqError(f"the output '{printable(name)}' is made by no node")
    if len(set(outputs)) != len(outputs):
        raise VecqError("it names an output twice")
    return Graph(
        name=_text(graph.name),
        format="ONNX",
        nodes=nodes,
        constants=constants,
        values=values,
        inputs=inputs,
        outputs=outputs,
        opsets=opsets,
        metadata={_text(entry.key): _text(entry.value) for entry in model.metadata_props},
    )


def _text(given: object) -> str:
    """Text of the file, which protobuf gives as bytes where it is none."""
    if not isinstance(given, str):
        raise VecqError("it holds names that are no text in UTF-8")
    return given


def _opsets(model: ModelProto) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in model.opset_import:
        domain = _DOMAINS.get(_text(one.domain), one.domain)
        found[domain] = max(found.get(domain, 0), one.version)
    version = found.get(STANDARD)
    if version is None or version not in OPSETS:
        raise VecqError(
            f"its opset is {'not given' if version is None else version}; {OPSETS.start} to"
            f" {OPSETS.stop - 1} are read"
        )
    return found


def _initializers(graph: GraphProto) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for tensor in graph.initializer:
        if not _text(tensor.name) or tensor.name in found:
            raise VecqError(f"two initializers are called '{printable(tensor.name)}'")
        found[tensor.name] = array_of(tensor, f"initializer '{printable(tensor.name)}'")
    return found


def _values(graph: GraphProto) -> Iterator[tuple[Any, Value]]:
    for value in (*graph.value_info, *graph.output, *graph.input):
        if not value.type.HasField("tensor_type"):
            continue
        kind = value.type.tensor_type
        if not kind.HasField("shape") or kind.elem_type not in _PLAIN:
            continue
        sizes = tuple(max(int(axis.dim_value), 0) for axis in kind.shape.dim)
        if len(sizes) > _MOST_AXES or math.prod(max(size, 1) for size in sizes) > MOST_ELEMENTS:
            raise VecqError(
                f"the tensor '{printable(_text(value.name))}' has the shape {sizes}; at most"
                f" {MOST_ELEMENTS:,} elements are taken"
            )
        yield value, Value(shape=sizes, type=_type_name(kind.elem_type))


def _type_name(kind: int) -> str:
    return str(np.dtype(onnx_helper.tensor_dtype_to_np_dtype(kind)))


def _nodes(graph: GraphProto, known: set[str], constants: dict[str, Array]) -> Iterator[Node]:
    """Each node; constant ones go to the constants."""
    for index, proto in enumerate(graph.node):
        node = _node(proto, index)
        for name in node.inputs:
            if name and name not in known:
                raise VecqError(
                    f"node '{printable(node.name)}' reads '{printable(name)}', which nothing before"
                    " it makes; nodes in the order of execution are wanted"
                )
        for name in node.outputs:
            if name in known:
                raise VecqError(f"the tensor '{printable(name)}' is made twice")
            if name:
                known.add(name)
        if node.operator == "Constant" and node.domain == STANDARD and len(node.outputs) == 1:
            value = node.attributes.get("value")
            for key in ("value_float", "value_int", "value_floats", "value_ints"):
                if key in node.attributes:
                    kind = np.float32 if "float" in key else np.int64
                    value = read_only(np.array(node.attributes[key], kind))
            if isinstance(value, np.ndarray):
                constants[node.outputs[0]] = value
                continue
        yield node


def _node(proto: NodeProto, index: int) -> Node:
    inputs, outputs = tuple(map(_text, proto.input)), tuple(map(_text, proto.output))
    name = _text(proto.name) or (proto.output[0] if proto.output else "") or f"node {index}"
    where = f"node '{printable(name)}'"
    attributes: dict[str, Any] = {}
    for one in proto.attribute:
        if _text(one.name) in attributes:
            raise VecqError(f"{where} has the attribute '{printable(one.name)}' twice")
        attributes[one.name] = _attribute(one, where)
    return Node(
        name=name,
        operator=_text(proto.op_type),
        domain=_DOMAINS.get(_text(proto.domain), proto.domain),
        inputs=inputs,
        outputs=outputs,
        attributes=attributes,
    )


class Subgraph:
    """In the place of an attribute that is a graph of its own."""


def _attribute(one: AttributeProto, where: str) -> Any:
    kind = AttributeProto
    match one.type:
        case kind.FLOAT:
            return float(one.f)
        case kind.INT:
            return int(one.i)
        case kind.STRING:
            return one.s.decode("utf-8", "replace")
        case kind.TENSOR:
            return array_of(one.t, f"{where}, attribute '{printable(one.name)}'")
        case kind.FLOATS:
            return tuple(map(float, one.floats))
        case kind.INTS:
            return tuple(map(int, one.ints))
        case kind.STRINGS:
            return tuple(text.decode("utf-8", "replace") for text in one.strings)
        case kind.GRAPH | kind.GRAPHS:
            return Subgraph()
        case _:
            raise VecqError(
                f"{where}: the attribute '{printable(one.name)}' has the type {one.type}; numbers,"
                " text or a tensor are wanted"
            )


def array_of(tensor: TensorProto, where: str) -> Array:
    """The numbers of a tensor, read-only, as many as its shape says.

    Raises
    ------
    VecqError
        It lies in another file, has another type, or another length than its shape says.
    """
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise VecqError(f"{where} lies in another file, which is not opened; store it inside")
    kind, shape = tensor.data_type, tuple(tensor.dims)
    if kind not in _PLAIN:
        raise VecqError(f"{where} has the element type {kind}; numbers are wanted")
    if any(size < 0 for size in shape) or len(shape) > _MOST_AXES:
        raise VecqError(f"{where} has the shape {shape}; at most {_MOST_AXES} sizes are wanted")
    count = math.prod(shape)
    if count > MOST_ELEMENTS:
        raise VecqError(f"{where} has {count:,} elements; at most {MOST_ELEMENTS:,} are taken")
    there = _elements(tensor)
    wanted = -(-count // 2) if kind in _NIBBLES and tensor.raw_data else count
    if there not in (wanted, count if kind in _NIBBLES else wanted):
        raise VecqError(f"{where} has the shape {shape}, but {there} elements")
    try:
        array = numpy_helper.to_array(tensor).reshape(shape)
    except (ValueError, TypeError) as error:
        raise VecqError(f"{where} cannot be read ({str(error).splitlines()[0]})") from None
    if kind in _NIBBLES:
        array = array.astype(np.int8 if kind == TensorProto.INT4 else np.uint8)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise VecqError(f"{where} holds NaN; numbers are wanted")
    return read_only(array)


def _elements(tensor: TensorProto) -> int:
    """How many are stored, in whatever field."""
    if tensor.HasField("raw_data"):
        kind = onnx_helper.tensor_dtype_to_np_dtype(tensor.data_type)
        width = 1 if tensor.data_type in _NIBBLES else kind.itemsize
        size, rest = divmod(len(tensor.raw_data), width)
        return -1 if rest else size
    field = onnx_helper.tensor_dtype_to_field(tensor.data_type)
    stored: Mapping[str, Any] = getattr(tensor, field)
    return len(stored)
