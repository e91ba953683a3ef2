"""TFLite files made here, operator by operator, and their own executor as the judge."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    np.dtype(np.float32): tflite.TensorType.FLOAT32,
    np.dtype(np.int32): tflite.TensorType.INT32,
    np.dtype(np.int64): tflite.TensorType.INT64,
    np.dtype(np.uint8): tflite.TensorType.UINT8,
    np.dtype(np.int8): tflite.TensorType.INT8,
    np.dtype(np.int16): tflite.TensorType.INT16,
    np.dtype(np.bool_): tflite.TensorType.BOOL,
}
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "RESHAPE": "ReshapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "MEAN": "ReducerOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "SPLIT": "SplitOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "ARG_MAX": "ArgMaxOptions",
}


class Model:
    """Collects tensors and nodes; :meth:`file` gives the bytes.

    Keyword arguments of a node are the fields of its options, as the schema names them in Python.
    """

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.buffers: list[int] = []
        self.tensors: list[int] = []
        self.nodes: list[int] = []
        self.kinds: list[tuple[int, str]] = []
        self._buffer(b"")

    def _buffer(self, data: bytes) -> int:
        at = 0
        if data:
            self.builder.StartVector(1, len(data), 16)
            self.builder.head -= len(data)
            self.builder.Bytes[self.builder.head : self.builder.head + len(data)] = data
            at = self.builder.EndVector()
        tflite.BufferStart(self.builder)
        if data:
            tflite.BufferAddData(self.builder, at)
        self.buffers.append(tflite.BufferEnd(self.builder))
        return len(self.buffers) - 1

    def _vector(self, values: Sequence[Any], kind: str) -> int:
        array = np.asarray(values, np.dtype(kind))
        return int(self.builder.CreateNumpyVector(array))

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        dtype: Any = np.int8,
        axis: int = 0,
        buffer: int = 0,
        signature: Sequence[int] | None = None,
    ) -> int:
        """The index of a new tensor."""
        builder = self.builder
        named = builder.CreateString(name)
        quantization = 0
        if scale is not None:
            scales = self._vector(np.atleast_1d(scale), "<f4")
            points = self._vector(
                np.broadcast_to(zero_point, np.shape(np.atleast_1d(scale))), "<i8"
            )
            tflite.QuantizationParametersStart(builder)
            tflite.QuantizationParametersAddScale(builder, scales)
            tflite.QuantizationParametersAddZeroPoint(builder, points)
            tflite.QuantizationParametersAddQuantizedDimension(builder, axis)
            quantization = tflite.QuantizationParametersEnd(builder)
        sizes = self._vector(shape, "<i4")
        signed = 0 if signature is None else self._vector(signature, "<i4")
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, sizes)
        kind = tflite.TensorType.INT4 if dtype == "int4" else TYPES[np.dtype(dtype)]
        tflite.TensorAddType(builder, kind)
        tflite.TensorAddBuffer(builder, buffer)
        tflite.TensorAddName(builder, named)
        if quantization:
            tflite.TensorAddQuantization(builder, quantization)
        if signed:
            tflite.TensorAddShapeSignature(builder, signed)
        self.tensors.append(tflite.TensorEnd(builder))
        return len(self.tensors) - 1

    def constant(self, name: str, values: Any, scale: Any = None, **more: Any) -> int:
        """The index of a new tensor with values."""
        array = np.ascontiguousarray(values)
        buffer = self._buffer(array.tobytes())
        return self.tensor(name, array.shape, scale, dtype=array.dtype, buffer=buffer, **more)

    def int4(self, name: str, values: Any, scale: Any, **more: Any) -> int:
        """The index of a new tensor of weights of 4 bits, two in a byte."""
        flat = np.asarray(values).reshape(-1)
        flat = np.append(flat, np.zeros(len(flat) % 2, flat.dtype))
        packed = (flat[::2] & 15 | (flat[1::2] & 15) << 4).astype(np.uint8)
        buffer = self._buffer(packed.tobytes())
        return self.tensor(name, np.shape(values), scale, dtype="int4", buffer=buffer, **more)

    def node(
        self, operator: str, inputs: Sequence[int], outputs: Sequence[int], **fields: Any
    ) -> None:
        """An operator."""
        builder = self.builder
        options = 0
        kind = OPTIONS.get(operator)
        if kind is not None:
            module = importlib.import_module(f"tflite.{kind}")
            made = {
                name: self._vector(value, "<i4") if isinstance(value, tuple | list) else value
                for name, value in fields.items()
            }
            getattr(module, f"{kind}Start")(builder)
            for name, value in made.items():
                getattr(module, f"{kind}Add{name}")(builder, value)
            options = getattr(module, f"{kind}End")(builder)
        read, written = self._vector(inputs, "<i4"), self._vector(outputs, "<i4")
        code = getattr(tflite.BuiltinOperator, operator)
        if (code, operator) not in self.kinds:
            self.kinds.append((code, operator))
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, self.kinds.index((code, operator)))
        tflite.OperatorAddInputs(builder, read)
        tflite.OperatorAddOutputs(builder, written)
        if kind is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, kind))
            tflite.OperatorAddBuiltinOptions(builder, options)
        self.nodes.append(tflite.OperatorEnd(builder))

    def _offsets(self, offsets: Sequence[int], start: Any) -> int:
        start(self.builder, len(offsets))
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def file(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        version: int = 3,
        identifier: bytes = b"TFL3",
        subgraphs: int = 1,
    ) -> bytes:
        """The bytes of the file; the last call on a model."""
        builder = self.builder
        tensors = self._offsets(self.tensors, tflite.SubGraphStartTensorsVector)
        nodes = self._offsets(self.nodes, tflite.SubGraphStartOperatorsVector)
        read, made = self._vector(inputs, "<i4"), self._vector(outputs, "<i4")
        named = builder.CreateString("main")
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, read)
        tflite.SubGraphAddOutputs(builder, made)
        tflite.SubGraphAddOperators(builder, nodes)
        tflite.SubGraphAddName(builder, named)
        graph = tflite.SubGraphEnd(builder)
        graphs = self._offsets([graph] * subgraphs, tflite.ModelStartSubgraphsVector)
        codes = []
        for code, _ in self.kinds:
            tflite.OperatorCodeStart(builder)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(code, 127))
            tflite.OperatorCodeAddBuiltinCode(builder, code)
            tflite.OperatorCodeAddVersion(builder, VERSIONS.get(_, 1))
            codes.append(tflite.OperatorCodeEnd(builder))
        kinds = self._offsets(codes, tflite.ModelStartOperatorCodesVector)
        buffers = self._offsets(self.buffers, tflite.ModelStartBuffersVector)
        described = builder.CreateString("made by a test")
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, version)
        tflite.ModelAddOperatorCodes(builder, kinds)
        tflite.ModelAddSubgraphs(builder, graphs)
        tflite.ModelAddDescription(builder, described)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), file_identifier=identifier)
        return bytes(builder.Output())


VERSIONS: Mapping[str, int] = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2}
"""The versions of operators with codes of 8 bits, as converters write them."""


class Judge:
    """TensorFlow Lite's own executor of a file.

    Parameters
    ----------
    semantics : str
        'reference', 'ruy' or 'xnnpack'.
    """

    def __init__(self, data: bytes, semantics: str, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = {
            "reference": OpResolverType.BUILTIN_REF,
            "ruy": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "xnnpack": OpResolverType.AUTO,
        }[semantics]
        self._judge = Interpreter(
            model_content=data,
            experimental_op_resolver_type=resolver,
            num_threads=threads,
        )
        self._judge.allocate_tensors()
        self.inputs = self._judge.get_input_details()
        self.outputs = [end["index"] for end in self._judge.get_output_details()]

    def run(self, *sample: Any) -> list[Any]:
        """Every output for one sample, without the batch axis."""
        for end, values in zip(self.inputs, sample, strict=True):
            self._judge.set_tensor(
                end["index"], np.asarray(values)[np.newaxis].astype(end["dtype"])
            )
        self._judge.invoke()
        return [self._judge.get_tensor(index)[0] for index in self.outputs]


def executed(data: bytes, semantics: str, *inputs: Any) -> list[Any]:
    """What the executor gives of each sample of the inputs; a list of arrays, one an output."""
    judge = Judge(data, semantics)
    results = [judge.run(*sample) for sample in zip(*inputs, strict=True)]
    return [np.stack(column) for column in zip(*results, strict=True)]


def without_end(data: bytes) -> bytes:
    """A file whose output is what its last node reads, as a softmax is left to the host."""
    model = tflite.Model.GetRootAs(bytearray(data), 0)
    graph = model.Subgraphs(0)
    last = graph.Operators(graph.OperatorsLength() - 1)
    changed = bytearray(data)
    table = graph._tab
    place = table.Vector(table.Offset(8))
    changed[place : place + 4] = int(last.Inputs(0)).to_bytes(4, "little")
    return bytes(changed)


def mobilenet() -> bytes:
    """MobileNetV1 of width 0.25 for 96 x 96 pixels and two classes, int8, with random weights."""
    m, rng = Model(), np.random.default_rng(0)

    def codes(shape: Sequence[int], scale: float, zero_point: int) -> int:
        return m.tensor(f"t{len(m.tensors)}", (1, *shape), scale, zero_point)

    def layer(
        x: int, operator: str, shape: Sequence[int], kernel: Sequence[int], stride: int,
        activation: int = 3,
    ) -> int:  # fmt: skip
        outputs, axis = shape[-1], 3 if operator.startswith("DEPTHWISE") else 0
        scales = rng.uniform(0.004, 0.02, outputs).astype(np.float32)
        values = np.clip(rng.normal(0, 40, kernel), -127, 127).astype(np.int8)
        w = m.constant(f"w{len(m.tensors)}", values, scales, axis=axis)
        biases = rng.integers(-4000, 4000, outputs).astype(np.int32)
        b = m.constant(f"b{len(m.tensors)}", biases, scales * np.float32(0.0235))
        y = codes(shape, 0.0235, -128) if activation else codes(shape, 0.1, 4)
        more = {"DepthMultiplier": 1} if axis else {}
        fields: dict[str, Any] = {} if len(kernel) == 2 else {
            "Padding": 0, "StrideH": stride, "StrideW": stride,
            "DilationHFactor": 1, "DilationWFactor": 1, **more,
        }  # fmt: skip
        m.node(operator, [x, w, b], [y], FusedActivationFunction=activation, **fields)
        return y

    first = codes((96, 96, 3), 0.0078, -1)
    x, size, channels = first, 48, 8
    x = layer(x, "CONV_2D", (48, 48, 8), (8, 3, 3, 3), 2)
    for outputs, stride in (
        (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (128, 1),
        (128, 1), (128, 1), (256, 2), (256, 1),
    ):  # fmt: skip
        size = -(-size // stride)
        shape = (size, size, channels)
        x = layer(x, "DEPTHWISE_CONV_2D", shape, (1, 3, 3, channels), stride)
        x = layer(x, "CONV_2D", (size, size, outputs), (outputs, 1, 1, channels), 1)
        channels = outputs
    pooled = codes((1, 1, channels), 0.0235, -128)
    m.node(
        "AVERAGE_POOL_2D", [x], [pooled], Padding=1, StrideH=size, StrideW=size,
        FilterHeight=size, FilterWidth=size, FusedActivationFunction=0,
    )  # fmt: skip
    last = layer(pooled, "FULLY_CONNECTED", (2,), (2, channels), 1, activation=0)
    return m.file([first], [last])
