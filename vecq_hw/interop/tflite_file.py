"""A TFLite file, schema version 3, as a Graph; nothing else reads the schema.

A flatbuffer has no checksum and the generated reader no verifier, so every index, length and count
is checked here, and what is read stays within a few times the size of the file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import tflite

from vecq_hw.errors import VecqError
from vecq_hw.interop.graph import (
    LARGEST_FILE,
    MOST_ELEMENTS,
    MOST_NODES,
    Array,
    Graph,
    Node,
    Quantization,
    Value,
    printable,
)

MOST_DIMENSIONS = 8
"""The most dimensions of a tensor."""
_LONGEST_NAME = 1 << 10
_READ_AGAIN = 8
"""Vectors of the file may be shared; so many times its size is read at most."""

_TYPES: Mapping[str, str] = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "INT32": "int32",
    "UINT8": "uint8",
    "INT64": "int64",
    "BOOL": "bool",
    "INT16": "int16",
    "INT8": "int8",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "UINT16": "uint16",
    "INT4": "int4",
}
"""Types of the schema by name; ``int4`` lies two in a byte."""

_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Conv2DOptions": (
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor",
        "FusedActivationFunction",
    ),
    "DepthwiseConv2DOptions": (
        "DepthMultiplier",
        "Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor",
        "FusedActivationFunction",
    ),
    "TransposeConvOptions": ("Padding", "StrideH", "StrideW", "FusedActivationFunction"),
    "FullyConnectedOptions": (
        "FusedActivationFunction", "WeightsFormat", "AsymmetricQuantizeInputs",
    ),
    "Pool2DOptions": (
        "Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction",
    ),
    "AddOptions": ("FusedActivationFunction",),
    "SubOptions": ("FusedActivationFunction",),
    "MulOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "ReducerOptions": ("KeepDims",),
    "LeakyReluOptions": ("Alpha",),
    "ResizeNearestNeighborOptions": ("AlignCorners", "HalfPixelCenters"),
    "SplitOptions": ("NumSplits",),
    "StridedSliceOptions": (
        "BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask",
    ),
    "DepthToSpaceOptions": ("BlockSize",),
    "SpaceToDepthOptions": ("BlockSize",),
}  # fmt: skip
"""What is read of the options of an operator: scalars, by the names of the schema."""


def read(data: bytes, name: str = "model") -> Graph:
    """The graph of a TFLite file.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        For messages and for the network.

    Raises
    ------
    VecqError
        It is no such file, it is damaged, or it holds what nothing here takes.
    """
    where = f"'{printable(name)}'"
    if len(data) > LARGEST_FILE:
        raise VecqError(f"{where} has {len(data)} bytes; at most {LARGEST_FILE} are read")
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise VecqError(f"{where} is no TFLite file: bytes 4 to 7 of one are 'TFL3'")
    try:
        return _Reader(data, where).graph(name)
    except (
        struct.error,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
    ) as error:
        raise VecqError(
            f"{where} is damaged: an offset in it leads nowhere ({type(error).__name__})"
        ) from None


class _Reader:
    """Reads one file; :class:`VecqError` for what is wrong in it."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data = data
        self._where = where
        self._left = _READ_AGAIN * len(data) + (1 << 16)
        self._type_names = _names(tflite.TensorType)
        self._operator_names = _names(tflite.BuiltinOperator)
        self._option_names = _names(tflite.BuiltinOptions)

    def _wrong(self, what: str) -> VecqError:
        return VecqError(f"{self._where}: {what}")

    def _spend(self, size: int, what: str) -> None:
        """Count what is read of the file."""
        self._left -= max(size, 1)
        if size > len(self._data) or self._left < 0:
            raise self._wrong(f"{what} would take more than the file holds; the file is damaged")

    def _each(self, count: int, get: Callable[[int], Any], what: str) -> Iterator[Any]:
        """The parts of a vector of tables."""
        self._spend(4 * count, what)
        for index in range(count):
            part = get(index)
            if part is None:
                raise self._wrong(f"{what} has no entry {index}; the file is damaged")
            yield part

    def _array(self, count: int, get: Callable[[], Any], what: str, size: int = 4) -> Array:
        """A vector of numbers, without a copy."""
        if not count:
            return np.zeros(0, np.int64)
        self._spend(size * count, what)
        found = get()
        if not isinstance(found, np.ndarray) or found.shape != (count,):
            raise self._wrong(f"{what} is damaged")
        return found

    def _text(self, given: bytes | None, what: str) -> str:
        if given is None:
            return ""
        self._spend(len(given), what)
        return given[:_LONGEST_NAME].decode("utf-8", "replace")

    def graph(self, name: str) -> Graph:
        model = tflite.Model.GetRootAs(self._data, 0)
        if model.Version() != 3:
            raise self._wrong(f"its schema version is {model.Version()}; version 3 is read")
        if model.SubgraphsLength() != 1:
            raise self._wrong(
                f"it has {model.SubgraphsLength()} subgraphs; one is wanted, without control flow"
            )
        buffers = [
            self._buffer(one, index)
            for index, one in enumerate(
                self._each(model.BuffersLength(), model.Buffers, "the list of buffers")
            )
        ]
        operators = [
            self._operator(one)
            for one in self._each(
                model.OperatorCodesLength(), model.OperatorCodes, "the list of operator codes"
            )
        ]
        graph = model.Subgraphs(0)
        names: list[str] = []
        values: dict[str, Value] = {}
        constants: dict[str, Array] = {}
        taken: set[str] = set()
        count = graph.TensorsLength()
        for index, tensor in enumerate(self._each(count, graph.Tensors, "the list of tensors")):
            own = self._text(tensor.Name(), f"the name of tensor {index}") or f"tensor_{index}"
            while own in taken:
                own = f"{own}_{index}"
            taken.add(own)
            names.append(own)
            values[own], constant = self._tensor(tensor, own, buffers)
            if constant is not None:
                constants[own] = constant
        if graph.OperatorsLength() > MOST_NODES:
            raise self._wrong(f"it has {graph.OperatorsLength()} nodes; {MOST_NODES} are read")
        nodes = tuple(
            self._node(one, index, names, operators)
            for index, one in enumerate(
                self._each(graph.OperatorsLength(), graph.Operators, "the list of nodes")
            )
        )
        inputs = self._ends(graph.InputsLength(), graph.InputsAsNumpy, names, "input")
        outputs = self._ends(graph.OutputsLength(), graph.OutputsAsNumpy, names, "output")
        return Graph(
            name=name,
            format="TFLite",
            nodes=nodes,
            constants=MappingProxyType(constants),
            values=MappingProxyType(values),
            inputs=inputs,
            outputs=outputs,
            opsets=MappingProxyType({"": 3}),
        )

    def _buffer(self, buffer: Any, index: int) -> Array | None:
        """The bytes of a buffer, as a view of the file; None where there are none."""
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise self._wrong(f"buffer {index} lies outside of the flatbuffer; one file is read")
        if buffer.DataIsNone() or not buffer.DataLength():
            return None
        length = buffer.DataLength()
        return self._array(length, buffer.DataAsNumpy, f"buffer {index}", size=1)

    def _operator(self, code: Any) -> str:
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            return f"CUSTOM {printable(self._text(code.CustomCode(), 'the name of an operator'))}"
        return self._operator_names.get(number, f"operator {number}")

    def _ends(
        self, count: int, get: Callable[[], Any], names: Sequence[str], what: str
    ) -> tuple[str, ...]:
        found = self._indices(count, get, names, f"the list of {what}s")
        if not found:
            raise self._wrong(f"it has no {what}")
        if "" in found or len(set(found)) != len(found):
            raise self._wrong(f"the list of {what}s names a tensor twice or none")
        return found

    def _indices(
        self, count: int, get: Callable[[], Any], names: Sequence[str], what: str
    ) -> tuple[str, ...]:
        """Names of tensors that a vector of indices points to; '' for -1."""
        found = []
        for index in self._array(count, get, what).tolist():
            if not -1 <= index < len(names):
                raise self._wrong(
                    f"{what} has the tensor {index}; the file has {len(names)} tensors"
                )
            found.append(names[index] if index >= 0 else "")
        return tuple(found)

    def _node(self, node: Any, index: int, names: Sequence[str], operators: Sequence[str]) -> Node:
        kind = node.OpcodeIndex()
        if not 0 <= kind < len(operators):
            raise self._wrong(
                f"node {index} has the operator code {kind}; the file has {len(operators)}"
            )
        inputs = self._indices(node.InputsLength(), node.InputsAsNumpy, names, f"node {index}")
        outputs = self._indices(node.OutputsLength(), node.OutputsAsNumpy, names, f"node {index}")
        if not outputs or "" in outputs:
            raise self._wrong(f"node {index} ({operators[kind]}) makes no tensor")
        return Node(
            name=outputs[0],
            operator=operators[kind],
            inputs=inputs,
            outputs=outputs,
            attributes=self._attributes(node),
        )

    def _attributes(self, node: Any) -> Mapping[str, Any]:
        kind = self._option_names.get(node.BuiltinOptionsType(), "")
        table = node.BuiltinOptions()
        if table is None or kind not in _FIELDS:
            return {}
        options = getattr(tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        return {field: getattr(options, field)() for field in _FIELDS[kind]}

    def _tensor(
        self, tensor: Any, name: str, buffers: Sequence[Array | None]
    ) -> tuple[Value, Array | None]:
        shown = f"tensor '{printable(name)}'"
        kind = self._type_names.get(tensor.Type(), f"type {tensor.Type()}")
        kind = _TYPES.get(kind, kind.lower())
        dimensions = tensor.ShapeLength()
        if dimensions > MOST_DIMENSIONS:
            raise self._wrong(f"{shown} has {dimensions} dimensions; {MOST_DIMENSIONS} are read")
        shape = tuple(self._array(dimensions, tensor.ShapeAsNumpy, shown).tolist())
        signed = tensor.ShapeSignatureLength()
        if signed and signed == dimensions:
            signature = self._array(signed, tensor.ShapeSignatureAsNumpy, shown).tolist()
            open_ = [axis for axis, size in enumerate(signature) if size < 0]
            shape = tuple(0 if axis in open_ else size for axis, size in enumerate(shape))
        if any(size < 0 for size in shape) or math.prod(shape) > MOST_ELEMENTS:
            raise self._wrong(
                f"{shown} has the shape {shape}; sizes of at least 0 and no more than"
                f" {MOST_ELEMENTS} elements are wanted"
            )
        if tensor.Sparsity() is not None:
            raise self._wrong(f"{shown} is sparse; a dense tensor is wanted")
        if not 0 <= tensor.Buffer() < max(len(buffers), 1):
            raise self._wrong(
                f"{shown} has the buffer {tensor.Buffer()}; the file has {len(buffers)}"
            )
        quantization = self._quantization(tensor.Quantization(), shape, kind, shown)
        constant = None
        if buffers and (data := buffers[tensor.Buffer()]) is not None:
            constant = self._constant(data, shape, kind, shown)
        return Value(shape=shape, type=kind, quantization=quantization), constant

    def _constant(self, data: Array, shape: tuple[int, ...], kind: str, shown: str) -> Array:
        """The values of a tensor, as a view of the file."""
        count = math.prod(shape)
        if kind == "int4":
            if len(data) != (count + 1) // 2:
                raise self._wrong(
                    f"{shown} of the shape {shape} and type int4 takes {(count + 1) // 2} bytes;"
                    f" its buffer has {len(data)}"
                )
            self._spend(2 * len(data), shown)
            pairs = np.stack([data << 4, data], axis=1).view(np.int8) >> 4
            return pairs.reshape(-1)[:count].reshape(shape)
        try:
            size = np.dtype(kind).itemsize
        except TypeError:
            raise self._wrong(f"{shown} is of the type {kind}, which is not read") from None
        if len(data) != count * size:
            raise self._wrong(
                f"{shown} of the shape {shape} and type {kind} takes {count * size} bytes; its"
                f" buffer has {len(data)}"
            )
        return np.frombuffer(
            data.tobytes() if data.ctypes.data % size else data,
            f"<{kind[0]}{size}" if kind != "bool" else "?",
        ).reshape(shape)

    def _quantization(
        self, given: Any, shape: tuple[int, ...], kind: str, shown: str
    ) -> Quantization | None:
        if given is None or not (count := given.ScaleLength()):
            return None
        if given.DetailsType():
            raise self._wrong(f"{shown} has a custom quantization; scales are wanted")
        axis = given.QuantizedDimension() if len(shape) > 1 else 0
        if count > 1 and not (0 <= axis < len(shape) and count == shape[axis]):
            raise self._wrong(
                f"{shown} of the shape {shape} has {count} scales along axis {axis}; one, or one"
                " for each index of an axis, is wanted"
            )
        scales = self._array(count, given.ScaleAsNumpy, shown)
        good = np.isfinite(scales)
        good[good] = scales[good] > 0  # a signalling NaN must not be compared or converted
        if not good.all():
            bad = scales[~good][0]
            raise self._wrong(f"{shown} has the scale {bad}; a positive finite one is wanted")
        scales = scales.astype(np.float64)
        points = self._array(given.ZeroPointLength(), given.ZeroPointAsNumpy, shown, size=8)
        if not points.size:
            points = np.zeros(count, np.int64)
        if points.shape != (count,):
            raise self._wrong(f"{shown} has {count} scales, but {points.size} zero points")
        if kind in _CODES:
            lo, hi = _CODES[kind]
            if points.min() < lo or points.max() > hi:
                raise self._wrong(
                    f"{shown} has the zero point"
                    f" {int(points.min() if points.min() < lo else points.max())};"
                    f" one of {lo}..{hi} ({kind}) is wanted"
                )
        return Quantization(scales=scales, zero_points=points.astype(np.int64), axis=axis)


_CODES = {
    "int4": (-8, 7),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int32": (-(1 << 31), (1 << 31) - 1),
}
"""Types of codes and what they hold."""


def _names(kind: Any) -> dict[int, str]:
    """The names of an enumeration of the schema by number."""
    return {number: name for name, number in vars(kind).items() if isinstance(number, int)}
