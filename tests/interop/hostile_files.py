"""Files that nobody means well: bytes changed, and whole graphs with attributes that make no sense.

A file is a function of its kind and number alone, so that a run can be cut into parts and a file
that shows a fault can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import flatbuffers
import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.interop.onnx_graphs import QONNX, Model
from tests.interop.tflite_models import OPTIONS
from tests.interop.tflite_models import Model as TfliteModel

NUMBERS = (0, 1, 2, 3, 7, -1, -2, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 63) - 1,
           -(1 << 63))  # fmt: skip
REALS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-45, 1e-30, 3e38, 2.5, np.inf, -np.inf, np.nan)
DTYPES = (np.float32, np.float64, np.int8, np.uint8, np.int16, np.int32, np.int64, np.bool_)
OPERATORS = (
    "Conv", "ConvTranspose", "MatMul", "Gemm", "QLinearConv", "QLinearMatMul", "ConvInteger",
    "MatMulInteger", "Relu", "Elu", "LeakyRelu", "Clip", "PRelu", "BatchNormalization", "Cast",
    "Add", "Sub", "Mul", "Div", "Max", "Concat", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
    "Transpose", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "Pad", "Resize",
    "Identity", "Shape", "Softmax", "ArgMax", "Split", "Slice", "DepthToSpace", "SpaceToDepth",
    "Gather", "ConstantOfShape", "Quant", "BipolarQuant", "Trunc", "MultiThreshold",
    "QuantizeLinear", "DequantizeLinear", "Constant", "Expand", "Range", "Loop",
)  # fmt: skip
ATTRIBUTES = (
    "axis", "axes", "perm", "shape", "pads", "strides", "kernel_shape", "dilations", "group",
    "auto_pad", "ceil_mode", "mode", "to", "alpha", "blocksize", "output_padding", "transB",
    "signed", "narrow", "rounding_mode", "out_dtype", "out_scale", "out_bias", "keepdims", "split",
    "num_outputs", "block_size", "value", "epsilon", "count_include_pad", "allowzero",
)  # fmt: skip
Random = np.random.Generator


def picked(rng: Random, options: Any) -> Any:
    """One of them, as it is."""
    return options[int(rng.integers(len(options)))]


def changed(rng: Random, content: bytes) -> bytes:
    """Bytes overwritten; of some files the end is missing or a piece stands twice."""
    data = bytearray(content)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        data[place] = rng.integers(0, 256)
    kind = rng.integers(8)
    if kind == 0:
        data = data[: rng.integers(1, len(data))]
    if kind == 1:
        start, size = rng.integers(0, len(data)), rng.integers(1, 64)
        data[start:start] = data[start : start + size]
    return bytes(data)


@cache
def onnx_files() -> tuple[bytes, ...]:
    """Whole files: products, quantizers of each kind, joins, views, pools."""
    made = []
    for kind in range(4):
        m = Model(3, 4, 4)
        w = np.arange(-13, 14).reshape(1, 3, 3, 3).repeat(2, axis=0)
        if kind < 2:
            x = m.quantize("x", 0.5, 3 * kind)
            y = m("Conv", x, m.weights(w, [0.25, 0.5], zero=7 * kind), pads=[1] * 4)
            z = m.quantize(m("Clip", m("MaxPool", y, kernel_shape=[2, 2]), m.constant(0.0)), 0.5, 9)
            z = m.quantize(m("Add", z, z), 0.75)
        else:
            x = m.quant("x", 0.5, 4)
            weights = m.quant(m.constant(w / 9), 0.25, 3, signed=1)
            y = m("Conv", x, weights, strides=[2, 2], pads=[0, 1, 1, 0])
            y = m("BatchNormalization", y, *(m.constant([1.0, 2.0]) for _ in range(4)))
            z = m.quant(m("Relu", y), 0.5, 4)
            z = m.quant(m("Mul", m("Concat", z, z, axis=1), m.constant(0.3)), 0.5, 5)
            if kind == 3:
                z = m.quant(m("GlobalAveragePool", z), 0.25, 4)
        flat = m("Reshape", z, m.constant([0, -1], np.int64))
        channels = {0: 18, 1: 18, 2: 16, 3: 4}[kind]
        last = m("MatMul", flat, m.weights(np.ones((channels, 2), np.int64), 0.5, axis=1))
        made.append(m.output(m("Softmax", m.quantize(last, 1.0))))
    return tuple(made)


def _hostile_array(rng: Random, like: np.ndarray | None = None) -> np.ndarray:
    kind = picked(rng, DTYPES) if like is None or rng.integers(3) == 0 else like.dtype
    shape = (
        tuple(int(picked(rng, (0, 1, 1, 2, 3, 4, 5))) for _ in range(rng.integers(0, 6)))
        if like is None or rng.integers(3) == 0
        else like.shape
    )
    kind = np.dtype(kind)
    pool = (
        REALS if kind.kind == "f" else [n for n in NUMBERS if abs(n) < 1 << 8 * kind.itemsize - 1]
    )
    values = [picked(rng, pool) for _ in range(int(np.prod(shape)))]
    with np.errstate(all="ignore"):
        return np.array(values).astype(kind).reshape(shape)


def _attribute(rng: Random) -> Any:
    match int(rng.integers(7)):
        case 0:
            return picked(rng, NUMBERS)
        case 1:
            return float(picked(rng, REALS))
        case 2:
            return [int(picked(rng, NUMBERS)) for _ in range(rng.integers(1, 7))]
        case 3:
            return [int(picked(rng, (0, 1, 1, 2, 3))) for _ in range(rng.integers(1, 7))]
        case 4:
            return picked(rng, ("", "SAME_UPPER", "constant", "DCR", "CRD", "\n'\"", "INT99999"))
        case 5:
            return int(picked(rng, (0, 1, 2, 3)))
        case _:
            return numpy_helper.from_array(_hostile_array(rng))


def _node(rng: Random, graph: Any) -> None:
    """A further node somewhere, that reads whatever there is and may be read."""
    operator = picked(rng, OPERATORS)
    known = [tensor.name for tensor in graph.initializer] + [v.name for v in graph.input]
    place = int(rng.integers(len(graph.node) + 1))
    known += [name for node in graph.node[:place] for name in node.output]
    name = f"new{len(graph.node)}_{place}"
    attributes = {picked(rng, ATTRIBUTES): _attribute(rng) for _ in range(rng.integers(0, 4))}
    inputs = [picked(rng, known) for _ in range(rng.integers(0, 4))]
    outputs = [name, *(f"{name}_{i}" for i in range(rng.integers(0, 3)))]
    domain = QONNX if operator in OPERATORS[42:46] else ""
    made = helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes)
    graph.node.insert(place, made)
    if place + 1 < len(graph.node):
        reader = graph.node[int(rng.integers(place + 1, len(graph.node)))]
        if reader.input:
            reader.input[int(rng.integers(len(reader.input)))] = name


def _disturb(rng: Random, model: Any) -> None:
    graph = model.graph
    node = picked(rng, graph.node) if graph.node else helper.make_node("Identity", ["x"], ["y"])
    match int(rng.integers(12)):
        case 0 | 1:
            _node(rng, graph)
        case 2 | 3 | 4:
            name = picked(rng, [a.name for a in node.attribute] or ATTRIBUTES)
            kept = [a for a in node.attribute if a.name != name]
            kept = [type(a).FromString(a.SerializeToString()) for a in kept]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, _attribute(rng))])
        case 5 | 6 if graph.initializer:
            tensor = picked(rng, graph.initializer)
            new = _hostile_array(rng, numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
        case 7 if node.input:
            known = [t.name for t in graph.initializer] + [o for n in graph.node for o in n.output]
            node.input[int(rng.integers(len(node.input)))] = picked(rng, [*known, "", "x"])
        case 8:
            node.op_type = picked(rng, OPERATORS)
        case 9:
            shape = graph.input[0].type.tensor_type.shape
            axis = picked(rng, shape.dim)
            axis.dim_value = int(picked(rng, NUMBERS))
        case 10:
            name = picked(rng, [o for n in graph.node for o in n.output])
            graph.output.append(helper.make_tensor_value_info(name, 1, None))
        case _:
            if node.input and rng.integers(2):
                del node.input[int(rng.integers(len(node.input)))]
            else:
                node.input.append(picked(rng, [t.name for t in graph.initializer] or ["x"]))


def onnx_bytes(rng: Random) -> bytes:
    """An ONNX file with bytes changed."""
    return changed(rng, picked(rng, onnx_files()))


def onnx_graph(rng: Random) -> bytes:
    """A graph that the format allows, with nodes, attributes or constants of another kind."""
    model = onnx.ModelProto.FromString(picked(rng, onnx_files()))
    for _ in range(rng.integers(1, 5)):
        _disturb(rng, model)
    content: bytes = model.SerializeToString()
    return content


FIELDS: Mapping[str, Mapping[str, Any]] = {
    "CONV_2D": {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1,
                "DilationWFactor": 1, "FusedActivationFunction": 0},
    "DEPTHWISE_CONV_2D": {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1,
                          "DilationWFactor": 1, "FusedActivationFunction": 0, "DepthMultiplier": 1},
    "FULLY_CONNECTED": {"FusedActivationFunction": 0},
    "ADD": {"FusedActivationFunction": 1},
    "SUB": {"FusedActivationFunction": 0},
    "MUL": {"FusedActivationFunction": 0},
    "AVERAGE_POOL_2D": {"Padding": 1, "StrideH": 2, "StrideW": 2, "FilterHeight": 2,
                        "FilterWidth": 2, "FusedActivationFunction": 0},
    "MAX_POOL_2D": {"Padding": 0, "StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2,
                    "FusedActivationFunction": 0},
    "CONCATENATION": {"Axis": 3, "FusedActivationFunction": 0},
    "RESHAPE": {"NewShape": (1, 2, 8, 2)},
    "SQUEEZE": {"SqueezeDims": (1,)},
    "SOFTMAX": {"Beta": 1.0},
    "MEAN": {"KeepDims": True},
    "LEAKY_RELU": {"Alpha": 0.1},
    "TRANSPOSE_CONV": {"Padding": 0, "StrideH": 2, "StrideW": 2},
    "SPLIT": {"NumSplits": 2},
    "STRIDED_SLICE": {"BeginMask": 0, "EndMask": 0, "EllipsisMask": 0, "NewAxisMask": 0,
                      "ShrinkAxisMask": 0},
    "RESIZE_NEAREST_NEIGHBOR": {"AlignCorners": False, "HalfPixelCenters": False},
    "ARG_MAX": {},
}  # fmt: skip
"""What the options of an operator hold in a file that makes sense."""
FURTHER = ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "PAD", "QUANTIZE", "DEQUANTIZE",
           "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "TRANSPOSE", "ELU", "PRELU", "SLICE", "PACK",
           "EXPAND_DIMS", "MAXIMUM", "ABS")  # fmt: skip


def tflite_graph(rng: Random) -> bytes:
    """A file that its schema allows: operators in a row with numbers that do not fit them."""
    while True:
        try:
            return _tflite_graph(rng)
        except (TypeError, OverflowError, flatbuffers.builder.IsNestedError):
            pass  # the schema does not hold such a number: another file


def _tflite_graph(rng: Random, hostile: bool = True) -> bytes:
    def some(value: Any, pool: Any, share: int = 8) -> Any:
        """The value, or one time of ``share`` one that makes no sense."""
        return picked(rng, pool) if hostile and rng.integers(share) == 0 else value

    m = TfliteModel()
    sizes = (0, 1, 2, 3, 5, -1, 1 << 20, (1 << 31) - 1)

    def shape(*wanted: int) -> tuple[int, ...]:
        found = tuple(int(some(size, sizes, 25)) for size in wanted)
        return found[1:] if rng.integers(40) == 0 else found

    def scale(count: int = 1) -> Any:
        value = float(some(0.05, REALS, 25))
        with np.errstate(all="ignore"):
            many = np.full(int(some(count, (0, 1, 2, 5), 25)), value, np.float32)
        return some(many, [None], 60)

    def codes(*wanted: int) -> int:
        zero = int(some(-3, (-129, 128, 1 << 40, 0), 25))
        dtype = some(np.int8, (np.uint8, np.int16, np.int32, np.float32, np.bool_), 40)
        return m.tensor(f"t{len(m.tensors)}", shape(*wanted), scale(), zero, dtype=dtype,
                        axis=int(some(0, (1, 3, -1, 9), 40)))  # fmt: skip

    def constant(*wanted: int, dtype: Any = np.int8, scales: int = 1, axis: int = 0) -> int:
        found = tuple(int(some(size, (0, 1, 2, 3, 5), 25)) for size in wanted)
        dtype = some(dtype, (np.uint8, np.int16, np.int32, np.float32), 30)
        values = rng.integers(-100, 101, found).astype(dtype)
        return m.constant(f"c{len(m.tensors)}", values, scale(scales),
                          zero_point=int(some(0, (1, -500), 30)),
                          axis=int(some(axis, (0, 1, 3, 7), 30)))  # fmt: skip

    def integers(*values: int) -> int:
        found = [int(some(value, (*sizes, -5), 15)) for value in values]
        array = np.array(found, np.int32)
        return m.constant(f"i{len(m.tensors)}", array if array.size > 1 else array.reshape(()))

    x = first = codes(1, 4, 4, 2)
    previous = x
    for _ in range(rng.integers(1, 4)):
        operator = picked(rng, (*OPTIONS, *FURTHER))
        fields = {
            name: int(some(value, NUMBERS[:10], 12)) if isinstance(value, int) else value
            for name, value in FIELDS.get(operator, {}).items()
        }
        fields = {
            key: value & 0x7F if key in ("Padding", "FusedActivationFunction") else
            max(min(value, (1 << 31) - 1), -(1 << 31)) if isinstance(value, int) else value
            for key, value in fields.items()
        }  # fmt: skip
        out: tuple[int, ...] = (1, 4, 4, 2)
        inputs = [x]
        match operator:
            case "CONV_2D":
                inputs += [constant(2, 3, 3, 2, scales=2), constant(2, dtype=np.int32)]
            case "DEPTHWISE_CONV_2D":
                inputs += [constant(1, 3, 3, 2, scales=2, axis=3), constant(2, dtype=np.int32)]
            case "FULLY_CONNECTED":
                inputs, out = [x, constant(5, 32), constant(5, dtype=np.int32)], (1, 5)
            case "ADD" | "SUB" | "MUL" | "CONCATENATION" | "MAXIMUM" | "PACK":
                other = (previous, x, constant(2))[int(rng.integers(3))]
                inputs.append(other)
            case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
                out = (1, 2, 2, 2)
            case "RESHAPE":
                inputs, out = [x, integers(1, 2, 8, 2)], (1, 2, 8, 2)
            case "MEAN":
                inputs, out = [x, integers(1, 2)], (1, 1, 1, 2)
            case "TRANSPOSE_CONV":
                inputs = [integers(1, 8, 8, 3), constant(3, 3, 3, 2, scales=3), x]
                out = (1, 8, 8, 3)
            case "SPLIT":
                inputs, out = [integers(3), x], (1, 4, 4, 1)
            case "STRIDED_SLICE":
                inputs += [integers(0, 1, 0, 0), integers(1, 3, 4, 2), integers(1, 1, 1, 1)]
                out = (1, 2, 4, 2)
            case "SLICE":
                inputs += [integers(0, 1, 0, 0), integers(1, 2, 4, 2)]
                out = (1, 2, 4, 2)
            case "RESIZE_NEAREST_NEIGHBOR":
                inputs, out = [x, integers(8, 8)], (1, 8, 8, 2)
            case "PAD":
                pads = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
                inputs, out = [x, m.constant(f"p{len(m.tensors)}", pads)], (1, 6, 6, 2)
            case "TRANSPOSE":
                inputs.append(integers(0, 2, 1, 3))
            case "ARG_MAX" | "EXPAND_DIMS":
                inputs.append(integers(3))
            case _:
                pass
        inputs = [int(some(one, (-1, 0, 99), 40)) for one in inputs]
        outputs = [codes(*out)]
        if operator == "SPLIT":
            outputs.append(codes(*out))
        m.node(operator, inputs, outputs, **fields)
        previous, x = x, outputs[0]
    return m.file([first], [x])


@cache
def tflite_files() -> tuple[bytes, ...]:
    """Files without a fault."""
    return tuple(_tflite_graph(np.random.default_rng([9, n]), hostile=False) for n in range(40))


def tflite_bytes(rng: Random) -> bytes:
    """A TFLite file with bytes changed."""
    return changed(rng, picked(rng, tflite_files()))


KINDS: Mapping[str, Callable[[Random], bytes]] = {
    "onnx bytes": onnx_bytes,
    "onnx graphs": onnx_graph,
    "tflite bytes": tflite_bytes,
    "tflite graphs": tflite_graph,
}


def hostile_file(kind: str, index: int) -> bytes:
    """The file of a kind and a number."""
    return KINDS[kind](np.random.default_rng([list(KINDS).index(kind), index]))
