"""hls4ml nodes from layers, with precisions that reproduce every integer.

hls4ml computes on fixed-point types; each tensor here is an integer of the width that the network
proves.  The one lossy node is BatchNormalization: it computes ``data * scale + bias`` without
rounding, and rounds half up and saturates once, where it is assigned to a type with RND and SAT.
With ``scale = mantissa / 2^shift`` and ``bias = offset / 2^shift`` that is rule 4 of the numeric
contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np

from vecq_hw.emit.hls4ml_codes import looking_up, rescaling
from vecq_hw.emit.hls4ml_types import Node, depthwise, fixed, integer
from vecq_hw.formats import BitPlanes, IntArray, IntFormat, signed_bits
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    JoinLayer,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
)
from vecq_hw.network import Network


def nodes(
    layer: Layer, network: Network, names: Mapping[str, str], *, binary: bool = True
) -> list[Node]:
    """The nodes of a layer, in order; the last one is called ``names[layer.name]``.

    Every array is channels-last, as hls4ml keeps them: weights (inputs, O) and (KH, KW, C, O).
    With ``binary``, weights of one bit are stored as such, and sign and add; else as +1 and -1.
    """
    if isinstance(layer, Constant):
        raise AssertionError(f"unsupported() let {layer!r} through")
    inputs = layer.inputs
    source, tensor = network.tensors[inputs[0]], network.tensors[layer.name]
    common: dict[str, Any] = {"name": names[layer.name], "inputs": [names[inputs[0]]]}
    result = {"result": integer(tensor.format)}
    match layer:
        case Dense():
            common |= {"class_name": "Dense", "n_in": source.shape[0], "n_out": tensor.shape[0]}
            weights = layer.weights.values.T
            return [_multiplying(common, layer, "weight", weights, tensor.format, binary)]
        case Conv2d() if depthwise(layer):
            common |= {"class_name": "DepthwiseConv2D", **_window(layer, source, tensor)}
            weights = layer.weights.values.transpose(1, 2, 0, 3)
            return [_multiplying(common, layer, "depthwise", weights, tensor.format, binary)]
        case Conv2d():
            common |= {"class_name": "Conv2D", **_window(layer, source, tensor)}
            weights = layer.weights.values.transpose(1, 2, 3, 0)
            return [_multiplying(common, layer, "weight", weights, tensor.format, binary)]
        case Rescale():
            return rescaling(common, layer, source)
        case Lookup():
            return looking_up(common, layer, source, tensor)
        case SumPool2d():
            # hls4ml's average divides, which rounds unless the window is a power of two; a
            # depthwise convolution by ones is the sum itself, padding included.
            common |= {"class_name": "DepthwiseConv2D", **_window(layer, source, tensor)}
            common |= {"depthwise_data": np.ones((*layer.kernel, source.shape[2], 1))}
            common |= {"bias_data": None, "use_bias": False}
            one = {"weight": fixed(1, signed=False), "accum": integer(tensor.format)}
            return [Node(common, {**one, **result})]
        case MaxPool2d():
            return _max_pool(common, layer, source, tensor)
        case Flatten():
            return [
                Node(
                    {**common, "class_name": "Reshape", "target_shape": list(tensor.shape)}, result
                )
            ]
        case Upsample2d():
            size = dict(zip(("height_factor", "width_factor"), layer.factor, strict=True))
            shapes = _shapes(source, tensor)
            more = {"class_name": "Resize", "algorithm": "nearest", "align_corners": False}
            return [Node({**common, **more, **size, **shapes, "n_chan": source.shape[2]}, result)]
        case Add() | Subtract() | Multiply() | Concat():
            return _joined(layer, network, names)
        case (
            Threshold()
            | ArgMax()
            | Embedding()
            | Lstm()
            | Gru()
            | TopK()
            | Take()
            | Permute()
            | GatherSum()
        ):
            raise AssertionError(f"unsupported() let {layer!r} through")
        case _:
            assert_never(layer)


def is_depthwise(node: Node) -> bool:
    """Whether a node is a depthwise convolution, as a sum of windows is one too."""
    return bool(node.attributes["class_name"] == "DepthwiseConv2D")


def _multiplying(
    attributes: Mapping[str, Any],
    layer: MacLayer,
    kind: str,
    weights: IntArray,
    fmt: IntFormat,
    binary: bool,
) -> Node:
    """A node that multiplies and adds; its accumulator wraps, which only a narrow one does."""
    precision = {"accum": integer(fmt), "result": integer(fmt)}
    more: dict[str, Any] = {f"{kind}_data": weights.astype(np.float64)}
    if binary and layer.weights.planes == BitPlanes(1, signs=True):
        from hls4ml.model.quantizers import BinaryQuantizer

        more[f"{kind}_quantizer"] = BinaryQuantizer(bits=1)
    else:
        precision["weight"] = integer(layer.weights.value_format)
    bias = layer.bias
    if bias is not None:
        precision["bias"] = fixed(signed_bits(bias), signed=True)
    data = None if bias is None else bias.astype(np.float64)
    return Node({**attributes, **more, "bias_data": data, "use_bias": bias is not None}, precision)


def _max_pool(
    common: Mapping[str, Any], layer: MaxPool2d, source: Tensor, tensor: Tensor
) -> list[Node]:
    """hls4ml pads unsigned codes with 128, so they are padded with 0 before."""
    result = {"result": integer(tensor.format)}
    window = _window(layer, source, tensor)
    before = []
    if any(layer.padding):
        name = f"{common['name']}_padding"
        height, width, channels = source.shape
        top, left, bottom, right = layer.padding
        padded = (top + height + bottom, left + width + right)
        sizes = {"in_height": height, "in_width": width}
        sizes |= {"out_height": padded[0], "out_width": padded[1], "n_chan": channels}
        pads = {key: window[key] for key in ("pad_top", "pad_bottom", "pad_left", "pad_right")}
        padding = {**common, "name": name, "class_name": "ZeroPadding2D", **sizes, **pads}
        before.append(Node({**padding, "data_format": "channels_last"}, result))
        common = {**common, "inputs": [name]}
        window |= dict.fromkeys(pads, 0) | {"in_height": padded[0], "in_width": padded[1]}
    pool = {"pool_height": layer.kernel[0], "pool_width": layer.kernel[1]}
    more = {"class_name": "MaxPooling2D", "padding": "valid", "count_pad": False}
    precision = {"accum": integer(tensor.format), **result}
    return [*before, Node({**common, **more, **pool, **window}, precision)]


def _joined(layer: JoinLayer, network: Network, names: Mapping[str, str]) -> list[Node]:
    """hls4ml joins two tensors at a time."""
    rank = len(network.tensors[layer.name].shape)
    attributes: dict[str, Any]
    match layer:
        case Add():
            attributes = {"class_name": "Merge", "op": "add"}
        case Subtract():
            attributes = {"class_name": "Merge", "op": "subtract"}
        case Multiply():
            attributes = {"class_name": "Merge", "op": "multiply"}
        case Concat():
            attributes = {"class_name": "Concatenate", "op": f"concatenate{rank}d", "axis": rank}
        case _:
            assert_never(layer)
    precision = {"result": integer(network.tensors[layer.name].format)}
    first, *rest = (names[name] for name in layer.inputs)
    result = []
    for index, second in enumerate(rest, start=1):
        name = names[layer.name] if index == len(rest) else f"{names[layer.name]}_part{index}"
        result.append(Node({**attributes, "name": name, "inputs": [first, second]}, precision))
        first = name
    return result


def _window(
    layer: Conv2d | MaxPool2d | SumPool2d, source: Tensor, tensor: Tensor
) -> dict[str, Any]:
    top, left, bottom, right = layer.padding
    return {
        **_shapes(source, tensor),
        "n_chan": source.shape[2],
        "n_filt": tensor.shape[2],
        "filt_height": layer.kernel[0],
        "filt_width": layer.kernel[1],
        "stride_height": layer.stride[0],
        "stride_width": layer.stride[1],
        "dilation_height": 1,
        "dilation_width": 1,
        "depth_multiplier": 1,
        "pad_top": top,
        "pad_bottom": bottom,
        "pad_left": left,
        "pad_right": right,
    }


def _shapes(source: Tensor, tensor: Tensor) -> dict[str, Any]:
    ends: Sequence[tuple[str, Tensor]] = (("in", source), ("out", tensor))
    sizes = {
        f"{end}_{axis}": size
        for end, found in ends
        for axis, size in zip(("height", "width"), found.shape, strict=False)
    }
    return {**sizes, "data_format": "channels_last"}
