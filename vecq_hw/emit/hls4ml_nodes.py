"""hls4ml nodes from layers, with precisions that reproduce every integer.

hls4ml computes on fixed-point types; each tensor here is an integer of the width that the network
proves.  The one lossy node is BatchNormalization: it computes ``data * scale + bias`` without
rounding, and rounds half up and saturates once, where it is assigned to a type with RND and SAT.
With ``scale = mantissa / 2^shift`` and ``bias = offset / 2^shift`` that is rule 4 of the numeric
contract.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from vecq_hw.emit.literals import signed_bits
from vecq_hw.formats import BitPlanes, FloatArray, IntArray, IntFormat
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


@dataclass(frozen=True, slots=True)
class Node:
    """What ``ModelGraph.from_layer_list`` takes of one node, and its precisions."""

    attributes: Mapping[str, Any]
    precision: Mapping[str, str]


def unsupported(network: Network, io_type: str = "io_parallel") -> str | None:
    """Why hls4ml cannot express ``network`` exactly, or None; io_parallel takes all it can."""
    read = {name for layer in network.layers for name in layer.inputs}
    for source in network.inputs:
        if source.name in network.outputs:
            return "an output that is the input"
    for name in network.outputs:
        if len(network.outputs) > 1 and name in read:
            return f"the output '{name}' (layers read it, too)"
    for layer in network.layers:
        if layer.name not in read and layer.name not in network.outputs:
            return f"layer '{layer.name}' (nothing reads it)"
        reason = _layer_reason(layer, [network.tensors[name] for name in layer.inputs])
        if io_type == "io_stream" and reason is None:
            reason = _stream_reason(layer)
        if reason is not None:
            return f"layer '{layer.name}' ({reason})"
    return None


def _layer_reason(layer: Layer, sources: Sequence[Tensor]) -> str | None:
    if isinstance(layer, Constant):
        return "Constant, which hls4ml has no stream of"
    source = sources[0]
    match layer:
        case Dense():
            return _bias_reason(layer)
        case Conv2d():
            if layer.dilation != (1, 1):
                return "Conv2d with dilation"
            if any(layer.padding) and layer.pad_code:
                return "Conv2d padded with another code than 0"
            if layer.groups != 1 and not _depthwise(layer):
                return "Conv2d with groups, but not one for each channel and output"
            return _bias_reason(layer)
        case Rescale() if layer.rows is not None:
            return "Rescale with rows, as hls4ml has one line for each channel"
        case Rescale():
            steps = _steps(layer, source.format)
            if any(_beyond(step.mantissa) or _beyond(step.offset) for step in steps):
                return "Rescale with a mantissa or offset beyond 2^53"
            return None
        case Threshold():
            return "Threshold"
        case GatherSum():
            return "GatherSum, for which hls4ml has no layer"
        case Embedding():
            return "Embedding, whose table hls4ml holds in floats"
        case Lstm() | Gru():
            return f"{type(layer).__name__}, whose gates hls4ml rounds by rules of its own"
        case Lookup():
            return "Lookup with an entry beyond 2^53" if _beyond(layer.table.ravel()) else None
        case ArgMax() | TopK():
            return f"{type(layer).__name__}, of which hls4ml gives no index"
        case Take() | Permute():
            return f"{type(layer).__name__}, for which hls4ml has no node"
        case MaxPool2d():
            if layer.dilation != (1, 1):
                return "MaxPool2d with dilation"
            if any(layer.padding) and source.format.lo < 0:
                return "MaxPool2d with padding on signed codes"
            return None
        case Multiply():
            if sources[0].shape != sources[1].shape:
                return "Multiply by one value for each channel"
            return None
        case SumPool2d() | Flatten() | Upsample2d() | Add() | Subtract() | Concat():
            return None
        case _:
            assert_never(layer)


def _bias_reason(layer: MacLayer) -> str | None:
    if layer.bias is not None and _beyond(layer.bias):
        return f"a bias beyond 2^53 in the {type(layer).__name__}"
    return None


def _stream_reason(layer: Layer) -> str | None:
    match layer:
        case MaxPool2d():
            if layer.kernel != layer.stride:
                return "MaxPool2d in io_stream whose stride is not its kernel"
            return None
        case Conv2d() if layer.kernel == (1, 1) and not _depthwise(layer):
            return None
        case Conv2d() | SumPool2d():
            if layer.kernel[0] == 1 and layer.stride[0] > 1:
                # Seen: wrong sums and words left over, without a word.
                kind = type(layer).__name__
                return f"{kind} in io_stream with windows one row high that skip rows"
            return None
        case Lookup():
            return "Lookup in io_stream, of which hls4ml reads the first word alone"
        case (
            Dense()
            | Rescale()
            | Threshold()
            | Flatten()
            | Upsample2d()
            | GatherSum()
            | Add()
            | Subtract()
            | Multiply()
            | Concat()
            | Constant()
            | ArgMax()
            | Embedding()
            | Lstm()
            | Gru()
            | TopK()
            | Take()
            | Permute()
        ):
            return None
        case _:
            assert_never(layer)


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
        case Conv2d() if _depthwise(layer):
            common |= {"class_name": "DepthwiseConv2D", **_window(layer, source, tensor)}
            weights = layer.weights.values.transpose(1, 2, 0, 3)
            return [_multiplying(common, layer, "depthwise", weights, tensor.format, binary)]
        case Conv2d():
            common |= {"class_name": "Conv2D", **_window(layer, source, tensor)}
            weights = layer.weights.values.transpose(1, 2, 3, 0)
            return [_multiplying(common, layer, "weight", weights, tensor.format, binary)]
        case Rescale():
            return _rescaling(common, layer, source)
        case Lookup():
            return _looking_up(common, layer, source, tensor)
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


def fixed(bits: int, fraction: int = 0, *, signed: bool, modes: str = "") -> str:
    """A type of hls4ml: ``bits`` in all, ``fraction`` of them behind the point.

    Examples
    --------
    >>> fixed(16, 21, signed=False), fixed(8, signed=True, modes=",RND,SAT")
    ('ufixed<16,-5>', 'fixed<8,8,RND,SAT>')
    """
    return f"{'' if signed else 'u'}fixed<{bits},{bits - fraction}{modes}>"


def integer(fmt: IntFormat) -> str:
    """The type of hls4ml that holds a format; it wraps."""
    return fixed(fmt.bits, signed=fmt.signed)


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


@dataclass(frozen=True, slots=True)
class _Step:
    """``(x * mantissa + offset + half) >> shift``, clamped by the type that takes the result."""

    mantissa: IntArray
    offset: IntArray
    shift: int
    result: str


def _steps(layer: Rescale, source: IntFormat) -> list[_Step]:
    """The BatchNormalizations that make a Rescale.

    One, where a type of hls4ml saturates at the clamp's two ends.  Else, as for a ReLU6, the first
    is shifted so that the upper end of its type falls on that of the clamp, and the second so that
    the lower ends meet; a third shifts back what remains.
    """
    fmt, shift = layer.format, int(layer.shifts.max())
    if fmt.lo == fmt.hi:  # nothing is left to clamp
        return [_Step(0 * layer.mantissa, np.full_like(layer.offset, fmt.lo), 0, integer(fmt))]
    # One type holds the numbers of all channels: those that shift less have zeros behind.
    mantissa, offset = (
        values.astype(object) << (shift - layer.shifts.astype(object))
        for values in (layer.mantissa, layer.offset)
    )
    one_type = _saturating(layer, source)
    if one_type is not None:
        return [_Step(mantissa, offset, shift, one_type)]
    bits = (fmt.hi - fmt.lo).bit_length() or 1
    top = (1 << bits >> 1) - 1
    ones = np.ones_like(layer.mantissa)
    raised = offset + ((top - fmt.hi) << shift)
    clamp = fixed(bits, signed=True, modes=",RND,SAT"), fixed(bits, signed=False, modes=",RND,SAT")
    steps = [
        _Step(mantissa, raised, shift, clamp[0]),
        _Step(ones, ones * (fmt.hi - top - fmt.lo), 0, clamp[1]),
    ]
    return steps if fmt.lo == 0 else [*steps, _Step(ones, ones * fmt.lo, 0, integer(fmt))]


def _saturating(layer: Rescale, source: IntFormat) -> str | None:
    """A type whose saturation is the clamp of ``layer``, or None.

    An end of the clamp that the proven range of the accumulator does not reach may lie anywhere.
    """
    fmt = layer.format
    m, b, s = (v.astype(object) for v in (layer.mantissa, layer.offset, layer.shifts))
    ends = [(end * m + b + (1 << (s - 1))) >> s for end in (source.lo, source.hi)]
    reaches_lo, reaches_hi = np.min(ends) < fmt.lo, np.max(ends) > fmt.hi
    for bits in (fmt.bits - 1, fmt.bits, fmt.bits + 1):
        half_range = 1 << bits >> 1
        for lo, hi, signed, mode in (
            (0, 2 * half_range - 1, False, "SAT"),
            (-half_range, half_range - 1, True, "SAT"),
            (1 - half_range, half_range - 1, True, "SAT_SYM"),
        ):
            same_lo = lo == fmt.lo or (not reaches_lo and lo <= fmt.lo)
            same_hi = hi == fmt.hi or (not reaches_hi and hi >= fmt.hi)
            # With one bit ap_fixed does not keep the symmetric range 0..0.
            if bits > (mode == "SAT_SYM") and same_lo and same_hi:
                return fixed(bits, signed=signed, modes=f",RND,{mode}")
    return None


def _rescaling(common: Mapping[str, Any], layer: Rescale, source: Tensor) -> list[Node]:
    result, steps = [], _steps(layer, source.format)
    size = math.prod(source.shape)
    channels = source.channels if source.is_image else -1
    attributes = {"class_name": "BatchNormalization", "n_in": size, "n_out": size}
    inputs = common["inputs"]
    for index, step in enumerate(steps, start=1):
        name = common["name"] if index == len(steps) else f"{common['name']}_part{index}"
        signed = bool(step.mantissa.min() < 0)
        # An unsigned type takes one bit less; all zero still takes one.
        bits = max(signed_bits(step.mantissa) - (not signed), 1)
        arrays = {
            "scale_data": _scaled(step.mantissa, step.shift),
            "bias_data": _scaled(step.offset, step.shift),
        }
        # Rounding looks at the first bit behind the point, so the sum has to reach there.
        bias_bits = max(signed_bits(step.offset), step.shift + 1)
        precision = {
            "scale": fixed(bits, step.shift, signed=signed),
            "bias": fixed(bias_bits, step.shift, signed=True),
            "result": step.result,
        }
        more = {"name": name, "inputs": inputs, "n_filt": channels}
        result.append(Node({**attributes, **more, **arrays}, precision))
        inputs = [name]
    return result


def _looking_up(
    common: Mapping[str, Any], layer: Lookup, source: Tensor, tensor: Tensor
) -> list[Node]:
    """An Embedding of words of one entry, addressed by the channel's table and the code in it."""
    tables, entries = layer.table.shape
    first = np.arange(tables) * entries - source.format.lo
    size, name = math.prod(source.shape), common["name"]
    index = {
        "class_name": "BatchNormalization",
        "name": f"{name}_part1",
        "inputs": common["inputs"],
        "n_in": size,
        "n_out": size,
        "n_filt": source.channels if source.is_image else -1,
        "scale_data": np.ones(source.channels),
        "bias_data": np.broadcast_to(first, source.channels).astype(np.float64),
    }
    indices = {
        "scale": fixed(1, signed=False),
        "bias": fixed(signed_bits(first), signed=True),
        "result": f"uint<{max((tables * entries - 1).bit_length(), 1)}>",
    }
    words = {
        "class_name": "Embedding",
        "name": f"{name}_part2",
        "inputs": [index["name"]],
        "n_in": size,
        "n_out": 1,
        "vocab_size": tables * entries,
        "embeddings_data": layer.table.reshape(-1, 1).astype(np.float64),
    }
    kind = integer(layer.format)
    shaped = {"class_name": "Reshape", "name": name, "inputs": [words["name"]]}
    return [
        Node(index, indices),
        Node(words, {"embeddings": kind, "result": kind}),
        Node({**shaped, "target_shape": list(tensor.shape)}, {"result": kind}),
    ]


def _scaled(values: IntArray, shift: int) -> FloatArray:
    """``values / 2^shift``, exact in float64 up to 2^53."""
    scaled: FloatArray = np.ldexp(values.astype(np.float64), -shift)
    return scaled


def _beyond(values: IntArray) -> bool:
    """Whether float64 rounds one of the integers: it holds 53 bits, and any zeros behind them."""
    return any(int(float(value)) != value for value in values.tolist())


def _depthwise(layer: Conv2d) -> bool:
    return 1 < layer.groups == layer.outputs and layer.group_channels == 1


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
