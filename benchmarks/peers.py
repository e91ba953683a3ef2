"""The benchmark networks in other simulators: hls4ml's compiled C simulation, QONNX execution.

Chains of Dense, Conv2d, Rescale, MaxPool2d and Flatten (mlp, lenet5).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vecq_hw.layers import Conv2d, Dense, Flatten, MaxPool2d, Rescale
from vecq_hw.network import Network

Run = Callable[[np.ndarray], np.ndarray]
"""Codes (N, ...), channels last, to outputs (N, O)."""


def hls4ml_simulation(network: Network, folder: Path) -> Run:
    """Compile the C simulation of ``network`` with g++; io_stream, Vitis flavour.

    The recipe that is exact: multiply-accumulates keep integers, the rescale is a batch norm that
    rounds and saturates once.
    """
    import hls4ml

    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "name": "x", "input_shape": list(network.inputs[0].shape)}
    ]
    precision: dict[str, dict[str, Any]] = {"x": {"Precision": {"result": "ufixed<8,8>"}}}
    for layer in network.layers:
        source = network.tensors[layer.inputs[0]]
        tensor = network.tensors[layer.name]
        described, formats = _hls4ml_layer(layer, source, tensor)
        layers.append(described)
        precision[layer.name] = {"Precision": formats}
    config = hls4ml.utils.config.create_config(
        output_dir=str(folder), project_name="myproject", backend="Vitis", io_type="io_stream"
    )
    config["HLSConfig"] = {
        "Model": {"Precision": {"default": "fixed<16,6>"}, "ReuseFactor": 1, "Strategy": "Latency"},
        "LayerName": precision,
    }
    model = hls4ml.model.ModelGraph.from_layer_list(config, layers)
    model.compile()
    outputs = math.prod(network.tensors[network.outputs[0]].shape)
    return lambda x: model.predict(np.ascontiguousarray(x, np.float32)).reshape(-1, outputs)


def _hls4ml_layer(layer, source, tensor) -> tuple[dict[str, Any], dict[str, str]]:
    bits = tensor.format.bits
    described: dict[str, Any] = {"name": layer.name}
    image = dict(zip(("in_height", "in_width", "n_chan"), source.shape, strict=False))
    match layer:
        case Dense() | Conv2d():
            weights = layer.weights
            wide = f"fixed<{weights.bits + 1},{weights.bits + 1}>"
            formats = dict.fromkeys(("accum", "result"), f"fixed<{bits},{bits}>")
            formats |= {"weight": wide, "bias": "fixed<2,2>"}
            described |= {"bias_data": None, "use_bias": False}
            values = weights.values.astype(float)
            if isinstance(layer, Dense):
                described |= {"class_name": "Dense", "n_in": source.shape[0]}
                return described | {"n_out": len(values), "weight_data": values.T}, formats
            height, width, outputs = tensor.shape
            (high, wide_), (top, left, bottom, right) = layer.kernel, layer.padding
            described |= image | {
                "class_name": "Conv2D",
                "data_format": "channels_last",
                "out_height": height,
                "out_width": width,
                "n_filt": outputs,
                "filt_height": high,
                "filt_width": wide_,
                "stride_height": layer.stride[0],
                "stride_width": layer.stride[1],
                "pad_top": top,
                "pad_bottom": bottom,
                "pad_left": left,
                "pad_right": right,
                "dilation_height": 1,
                "dilation_width": 1,
                "weight_data": values.transpose(1, 2, 3, 0),
            }
            return described, formats
        case Rescale():
            scale = int(layer.mantissa.max()).bit_length()
            offset = int(np.abs(layer.offset).max()).bit_length() + 1
            size = math.prod(source.shape)
            described |= {
                "class_name": "BatchNormalization",
                "n_in": size,
                "n_out": size,
                "n_filt": -1 if len(source.shape) == 1 else source.shape[-1],
                "scale_data": layer.mantissa / 2.0**layer.shift,
                "bias_data": layer.offset / 2.0**layer.shift,
            }
            return described, {
                "scale": f"ufixed<{scale},{scale - layer.shift}>",
                "bias": f"fixed<{offset},{offset - layer.shift}>",
                "result": "ufixed<8,8,RND,SAT>",
            }
        case MaxPool2d():
            described |= image | {
                "class_name": "MaxPooling2D",
                "data_format": "channels_last",
                "n_filt": source.shape[-1],
                "out_height": tensor.shape[0],
                "out_width": tensor.shape[1],
                "pool_height": layer.kernel[0],
                "pool_width": layer.kernel[1],
                "stride_height": layer.stride[0],
                "stride_width": layer.stride[1],
                "padding": "valid",
                "pad_top": 0,
                "pad_bottom": 0,
                "pad_left": 0,
                "pad_right": 0,
                "count_pad": False,
            }
            return described, dict.fromkeys(("accum", "result"), "ufixed<8,8>")
        case Flatten():
            described |= {"class_name": "Reshape", "target_shape": list(tensor.shape)}
            return described, {"result": "ufixed<8,8>"}
    raise NotImplementedError(type(layer).__name__)


def qonnx_execution(network: Network, batch: int) -> Run:
    """QONNX's own executor on batches of ``batch`` samples.

    Rescale becomes Mul, Add and a Quant that floors; all in float32, as QONNX has it, so single
    outputs may differ from the integers.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # onnx writes a newer file version than onnxruntime reads, also where QONNX splits off nodes.
    make_model = helper.make_model
    if not isinstance(make_model, functools.partial):
        helper.make_model = functools.partial(make_model, ir_version=10)
        onnx.helper.make_model = helper.make_model
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    unit, zero, eight = (constant(n, v) for n, v in (("unit", 1), ("zero", 0), ("eight", 8)))
    for layer in network.layers:
        (source,), name = layer.inputs, layer.name
        channels = (1, -1, 1, 1) if len(network.tensors[source].shape) == 3 else (1, -1)
        match layer:
            case Dense():
                values = layer.weights.values.T
                before = network.tensors[source].shape
                flat = next((la for la in network.layers if isinstance(la, Flatten)), None)
                if flat is not None and flat.name == source:  # columns channels-first
                    shape = network.tensors[flat.input].shape
                    values = values.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(*before, -1)
                node("MatMul", [source, constant(f"{name}_w", values)], name)
            case Conv2d():
                kernel = constant(f"{name}_w", layer.weights.values.transpose(0, 3, 1, 2))
                node(
                    "Conv",
                    [source, kernel],
                    name,
                    pads=list(layer.padding),
                    strides=list(layer.stride),
                    kernel_shape=list(layer.kernel),
                )
            case Rescale():
                scale = constant(f"{name}_m", (layer.mantissa / 2.0**layer.shift).reshape(channels))
                offset = (layer.offset / 2.0**layer.shift + 0.5).reshape(channels)
                node("Mul", [source, scale], f"{name}_mul")
                node("Add", [f"{name}_mul", constant(f"{name}_b", offset)], f"{name}_add")
                node(
                    "Quant",
                    [f"{name}_add", unit, zero, eight],
                    name,
                    domain="qonnx.custom_op.general",
                    signed=0,
                    narrow=0,
                    rounding_mode="FLOOR",
                )
            case MaxPool2d():
                node(
                    "MaxPool",
                    [source],
                    name,
                    kernel_shape=list(layer.kernel),
                    strides=list(layer.stride),
                )
            case Flatten():
                node("Flatten", [source], name)
            case _:
                raise NotImplementedError(type(layer).__name__)
    entry = network.inputs[0].shape
    first = (entry[2], *entry[:2]) if len(entry) == 3 else entry
    outputs = network.tensors[network.outputs[0]].shape
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *first])],
        [helper.make_tensor_value_info(network.outputs[0], TensorProto.FLOAT, [batch, *outputs])],
        constants,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets)).transform(InferShapes())

    def run(x: np.ndarray) -> np.ndarray:
        arranged = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
        feed = {"x": np.ascontiguousarray(arranged, np.float32)}
        result: np.ndarray = execute_onnx(model, feed)[network.outputs[0]]
        return result

    return run
