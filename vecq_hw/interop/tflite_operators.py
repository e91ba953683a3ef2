"""One function for each operator of TFLite that computes; a table names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from vecq_hw.formats import FloatArray, IntArray, IntFormat, TwosComplement
from vecq_hw.interop import fixed_point, tflite_codes, tflite_moves
from vecq_hw.interop.fixed_point import Semantics
from vecq_hw.interop.graph import Node, printable
from vecq_hw.interop.joins import add_weights
from vecq_hw.interop.tflite_builder import Builder, Held, RefusedError, Sides, covering, single_name
from vecq_hw.interop.tflite_results import activation_format, keep_codes, same_quantization
from vecq_hw.layers import (
    Add,
    Conv2d,
    Dense,
    MaxPool2d,
    Multiply,
    Rescale,
    SumPool2d,
    Weights,
)

SAME, VALID = 0, 1


def window_padding(
    builder: Builder, node: Node, shape: tuple[int, ...], kernel: tuple[int, int],
    stride: tuple[int, int], dilation: tuple[int, int] = (1, 1),
) -> Sides:  # fmt: skip
    """Top, left, bottom, right: of an odd number the smaller half comes first."""
    padding = builder.attribute(node, "Padding")
    if padding == VALID:
        return (0, 0, 0, 0)
    if padding != SAME:
        raise RefusedError(f"its padding has the number {padding}; SAME or VALID is wanted")
    totals = [
        max((-(-size // step) - 1) * step + (cells - 1) * apart + 1 - size, 0)
        for size, cells, step, apart in zip(shape, kernel, stride, dilation, strict=False)
    ]
    (top, left), (bottom, right) = ([t // 2 for t in totals], [t - t // 2 for t in totals])
    return top, left, bottom, right


def _pair(builder: Builder, node: Node, first: str, second: str) -> tuple[int, int]:
    found = int(builder.attribute(node, first)), int(builder.attribute(node, second))
    if min(found) < 1:
        raise RefusedError(f"its {first} and {second} are {found}; at least 1 is wanted")
    return found


def _weights(
    builder: Builder, node: Node, codes: IntArray, outputs_axis: int
) -> tuple[Weights, FloatArray]:
    """The weights, codes already of shape (O, ...), and their scales."""
    name = builder.operand(node, 1)
    value = builder.graph.values[name]
    if value.type not in ("int8", "int4"):
        raise RefusedError(
            f"its weights are {value.type}; int8 or int4 is wanted"
            + (": the old quantization, convert the model again" if value.type == "uint8" else "")
        )
    quantization = value.quantization
    if quantization is None:
        raise RefusedError(f"its weights '{printable(name)}' have no scale")
    if len(quantization.scales) > 1 and quantization.axis != outputs_axis:
        raise RefusedError(
            f"its weights have scales along axis {quantization.axis}; axis {outputs_axis}, of the"
            " outputs, is wanted"
        )
    if quantization.zero_points.any():
        raise RefusedError("its weights have a zero point that is not 0")
    bits = 8 if value.type == "int8" else 4
    weights = Weights(codes=codes, grid=TwosComplement(bits), step=float(quantization.scales.max()))
    return weights, quantization.scales


def _bias(builder: Builder, node: Node, outputs: int) -> IntArray | None:
    if len(node.inputs) < 3 or not node.inputs[2]:
        return None
    bias = builder.constant(node, 2)
    if bias.dtype != np.int32 or bias.shape != (outputs,):
        raise RefusedError(
            f"its bias is {bias.dtype} of the shape {bias.shape}; int32 of ({outputs},) is wanted"
        )
    return bias


def _finish_mac(
    builder: Builder, node: Node, name: str, source: Held, scales: FloatArray, dense: bool,
    shape: tuple[int, ...] | None = None,
) -> None:  # fmt: skip
    """Requantize the sums of a layer that multiplies by weights."""
    result = builder.result(node)
    sums = builder.assembly.tensor(name)
    semantics = builder.semantics
    narrow = builder.graph.values[node.inputs[1]].type == "int4"
    if narrow and semantics is Semantics.XNNPACK:
        if dense:
            raise RefusedError(
                "it has 4-bit weights, for which XNNPACK has a rule of its own that is not known;"
                " ruy or reference is wanted"
            )
        semantics = Semantics.RUY  # the delegate leaves such convolutions to the built-in kernel
    multiplier = fixed_point.product_scale(semantics, dense, source.scale, scales, result.scale)
    fmt = activation_format(builder, node, result)
    function = fixed_point.clamped(multiplier, fmt, sums.format)
    builder.requantize(node, name, function, fmt, sums.shape if shape is None else shape)


def _sums_name(builder: Builder, node: Node) -> str:
    return builder.assembly.free_name(f"{single_name(node)}_sums")


def convolution(builder: Builder, node: Node) -> None:
    """CONV_2D: weights (O, KH, KW, I)."""
    source = builder.read(node)
    codes = builder.constant(node, 1)
    if codes.ndim != 4 or codes.dtype != np.int8:
        raise RefusedError(
            f"its weights are {codes.dtype} of the shape {codes.shape}; int8 of four axes is wanted"
        )
    if source.shape[-1] % codes.shape[3]:
        raise RefusedError(f"its weights take {codes.shape[3]} channels, not {source.shape[-1]}")
    groups = source.shape[-1] // codes.shape[3]
    _convolution(builder, node, source, codes, groups, outputs_axis=0)


def depthwise(builder: Builder, node: Node) -> None:
    """DEPTHWISE_CONV_2D: weights (1, KH, KW, C * multiplier)."""
    source = builder.read(node)
    codes = builder.constant(node, 1)
    channels = source.shape[-1]
    if (
        codes.ndim != 4
        or codes.dtype != np.int8
        or codes.shape[0] != 1
        or codes.shape[3] % channels
    ):
        raise RefusedError(
            f"its weights are {codes.dtype} of the shape {codes.shape}; int8 of"
            f" (1, KH, KW, a multiple of {channels}) is wanted"
        )
    multiplier = builder.attribute(node, "DepthMultiplier")
    if multiplier != codes.shape[3] // channels:
        raise RefusedError(
            f"its depth multiplier is {multiplier}; {codes.shape[3] // channels}, which its"
            " weights have, is wanted"
        )
    _convolution(builder, node, source, codes.transpose(3, 1, 2, 0), channels, outputs_axis=3)


def _convolution(
    builder: Builder, node: Node, source: Held, codes: IntArray, groups: int, outputs_axis: int
) -> None:
    weights, scales = _weights(builder, node, codes, outputs_axis)
    stride = _pair(builder, node, "StrideH", "StrideW")
    dilation = _pair(builder, node, "DilationHFactor", "DilationWFactor")
    kernel = (codes.shape[1], codes.shape[2])
    if len(source.shape) != 3:
        raise RefusedError(f"it reads the shape {source.shape}; (H, W, C) is wanted")
    own = window_padding(builder, node, source.shape, kernel, stride, dilation)
    name, before = builder.unpadded(source)
    top, left, bottom, right = (a + b for a, b in zip(own, before, strict=True))
    layer = Conv2d(
        name=_sums_name(builder, node),
        input=name,
        weights=weights,
        bias=_bias(builder, node, codes.shape[0]),
        stride=stride,
        padding=(top, left, bottom, right),
        dilation=dilation,
        groups=groups,
    )
    _finish_mac(builder, node, builder.assembly.add(layer, node.name), source, scales, dense=False)


def fully_connected(builder: Builder, node: Node) -> None:
    """FULLY_CONNECTED: of all codes of its input, or at each position of an image."""
    source = builder.read(node)
    codes = builder.constant(node, 1)
    if codes.ndim != 2 or codes.dtype != np.int8:
        raise RefusedError(
            f"its weights are {codes.dtype} of the shape {codes.shape}; int8 of two axes is wanted"
        )
    if builder.attribute(node, "WeightsFormat"):
        raise RefusedError("its weights are shuffled; the default format is wanted")
    weights, scales = _weights(builder, node, codes, outputs_axis=0)
    outputs, taken = codes.shape
    bias = _bias(builder, node, outputs)
    count = int(np.prod(source.shape))
    if taken == count:
        name = builder.assembly.add(
            Dense(
                name=_sums_name(builder, node),
                input=builder.vector(source),
                weights=weights,
                bias=bias,
            ),
            node.name,
        )
        # With keep_num_dims the axes before the last one stay, all 1.
        shape = (*(1 for _ in builder.graph.values[node.outputs[0]].shape[1:-1]), outputs)
        _finish_mac(builder, node, name, source, scales, dense=True, shape=shape)
        return
    if taken != source.shape[-1]:
        raise RefusedError(f"its weights take {taken} codes; it reads {count}")
    at_each = replace(weights, codes=codes.reshape(outputs, 1, 1, taken))
    layer = Conv2d(
        name=_sums_name(builder, node), input=builder.image(source), weights=at_each, bias=bias
    )
    shape = (*source.shape[:-1], outputs)
    name = builder.assembly.add(layer, node.name)
    _finish_mac(builder, node, name, source, scales, dense=True, shape=shape)


def add(builder: Builder, node: Node) -> None:
    """ADD."""
    _sum(builder, node, 1)


def subtract(builder: Builder, node: Node) -> None:
    """SUB."""
    _sum(builder, node, -1)


def _sum(builder: Builder, node: Node, sign: int) -> None:
    result = builder.result(node)
    fmt = activation_format(builder, node, result)
    places = [index for index in (0, 1) if builder.is_constant(node, index)]
    if places:
        _sum_with_constant(builder, node, sign, places[0], result, fmt)
        return
    first, second = builder.read(node, 0), builder.read(node, 1)
    rule = _clamped_pairs(
        fixed_point.sums(builder.semantics, first.scale, second.scale, result.scale, sign), fmt
    )
    if first.shape != second.shape:
        raise RefusedError(
            f"its operands have the shapes {first.shape} and {second.shape}; one shape is wanted"
        )
    names = [builder.shaped(first), builder.shaped(second)]
    formats = [builder.assembly.tensor(name).format for name in names]
    if names[0] == names[1]:
        builder.requantize(node, names[0], lambda x: rule(x, x), fmt, first.shape)
        return
    found = add_weights(rule, formats[0], formats[1], (first.scale, second.scale), sign)
    base = first.scale / found.weights[0]
    weighed = tuple(
        _weighed(builder, name, weight, base)
        for name, weight in zip(names, found.weights, strict=True)
    )
    name = builder.assembly.free_name(f"{single_name(node)}_sums")
    builder.assembly.add(Add(name=name, inputs=weighed), node.name)
    builder.requantize(node, name, found.function, fmt, first.shape)


def _weighed(builder: Builder, name: str, weight: int, step: float) -> str:
    """Codes times an integer, at a step that both operands of a sum have."""
    tensor = builder.assembly.tensor(name)
    if weight == 1 and tensor.step == step:
        return name
    ends = (tensor.format.lo * weight, tensor.format.hi * weight)
    channels = np.ones(tensor.channels, np.int64)
    layer = Rescale(
        name=builder.assembly.free_name(f"{name}_weighed"),
        input=name,
        mantissa=2 * weight * channels,
        offset=0 * channels,
        shift=1,
        format=covering(min(ends), max(ends)),
        step=step,
    )
    return builder.assembly.add(layer)


def _clamped_pairs(rule: fixed_point.PairFunction, fmt: IntFormat) -> fixed_point.PairFunction:
    def function(a: IntArray, b: IntArray) -> IntArray:
        return np.clip(rule(a, b), fmt.lo, fmt.hi)

    return function


def _per_channel(
    builder: Builder, node: Node, index: int, shape: tuple[int, ...]
) -> tuple[IntArray, float]:
    """A constant operand less its zero point, one for each channel of ``shape``, and its scale."""
    name = builder.operand(node, index)
    if builder.graph.values[name].type != "int8":
        raise RefusedError(f"the constant '{printable(name)}' is no int8")
    quantization = builder.per_tensor(name)
    codes = builder.constant(node, index).astype(np.int64) - int(quantization.zero_points[0])
    if codes.size not in (1, shape[-1]) or (codes.ndim and codes.shape[-1] != codes.size):
        raise RefusedError(
            f"the constant '{printable(name)}' has the shape {codes.shape}; one value, or one for"
            f" each of {shape[-1]} channels, is wanted"
        )
    values = np.broadcast_to(codes.reshape(-1), (shape[-1],))
    return values[:, np.newaxis], float(quantization.scales[0])


def _sum_with_constant(
    builder: Builder, node: Node, sign: int, place: int, result: Held, fmt: IntFormat
) -> None:
    held = builder.read(node, 1 - place)
    values, scale = _per_channel(builder, node, place, held.shape)
    scales = (scale, held.scale) if place == 0 else (held.scale, scale)
    rule = _clamped_pairs(
        fixed_point.sums(builder.semantics, scales[0], scales[1], result.scale, sign), fmt
    )

    def function(x: IntArray) -> IntArray:
        others = np.broadcast_to(values, x.shape)
        return rule(others, x) if place == 0 else rule(x, others)

    builder.requantize(node, builder.shaped(held), function, fmt, held.shape)


def multiply(builder: Builder, node: Node) -> None:
    """MUL."""
    result = builder.result(node)
    fmt = activation_format(builder, node, result)
    places = [index for index in (0, 1) if builder.is_constant(node, index)]
    if places:
        held = builder.read(node, 1 - places[0])
        values, scale = _per_channel(builder, node, places[0], held.shape)
        scales = (scale, held.scale) if places[0] == 0 else (held.scale, scale)
        multiplier = fixed_point.products(builder.semantics, *scales, result.scale)

        def function(x: IntArray) -> IntArray:
            return np.clip(multiplier(x.astype(np.int64) * values), fmt.lo, fmt.hi)

        builder.requantize(node, builder.shaped(held), function, fmt, held.shape)
        return
    first, second = builder.read(node, 0), builder.read(node, 1)
    multiplier = fixed_point.products(builder.semantics, first.scale, second.scale, result.scale)
    if np.prod(second.shape) > np.prod(first.shape):
        first, second = second, first
    name = builder.assembly.free_name(f"{single_name(node)}_products")
    layer = Multiply(name=name, inputs=(builder.shaped(first), builder.shaped(second)))
    builder.assembly.add(layer, node.name)
    fmt_of = builder.assembly.tensor(name).format
    rule = fixed_point.clamped(multiplier, fmt, fmt_of)
    builder.requantize(node, name, rule, fmt, first.shape)


def average_pool(builder: Builder, node: Node) -> None:
    """AVERAGE_POOL_2D: sums of codes, divided by the cells of a window."""
    source, result = builder.read(node), builder.result(node)
    same_quantization(source, result)
    kernel = _pair(builder, node, "FilterHeight", "FilterWidth")
    stride = _pair(builder, node, "StrideH", "StrideW")
    if any(window_padding(builder, node, source.shape, kernel, stride)):
        raise RefusedError(
            "its windows reach into padding, which it does not count, so that each position divides"
            " by another number; windows within the image are wanted"
        )
    fmt = activation_format(builder, node, result)
    name = builder.assembly.free_name(f"{single_name(node)}_sums")
    layer = SumPool2d(name=name, input=builder.image(source), kernel=kernel, stride=stride)
    builder.assembly.add(layer, node.name)
    mean = fixed_point.average(kernel[0] * kernel[1], source.zero_point)

    def function(x: IntArray) -> IntArray:
        return np.clip(mean(x), fmt.lo, fmt.hi)

    builder.requantize(node, name, function, fmt, builder.assembly.tensor(name).shape)


def max_pool(builder: Builder, node: Node) -> None:
    """MAX_POOL_2D: the codes themselves, clamped."""
    source, result = builder.read(node), builder.result(node)
    same_quantization(source, result)
    kernel = _pair(builder, node, "FilterHeight", "FilterWidth")
    stride = _pair(builder, node, "StrideH", "StrideW")
    layer = MaxPool2d(
        name=builder.assembly.free_name(single_name(node)),
        input=builder.image(source),
        kernel=kernel,
        stride=stride,
        padding=window_padding(builder, node, source.shape, kernel, stride),
    )
    name = builder.assembly.add(layer, node.name)
    keep_codes(builder, node, name, result, activation_format(builder, node, result))


OPERATORS: Mapping[str, Callable[[Builder, Node], None]] = MappingProxyType(
    {
        "CONV_2D": convolution,
        "DEPTHWISE_CONV_2D": depthwise,
        "FULLY_CONNECTED": fully_connected,
        "ADD": add,
        "SUB": subtract,
        "MUL": multiply,
        "AVERAGE_POOL_2D": average_pool,
        "MAX_POOL_2D": max_pool,
        **tflite_codes.OPERATORS,
        **tflite_moves.OPERATORS,
    }
)
"""What is taken; the ends of a file besides (``tflite_walk``)."""
