"""One function for each operator of TFLite that computes; a table names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from vecq_hw.formats import FloatArray, IntArray, TwosComplement
from vecq_hw.interop import fixed_point, tflite_codes, tflite_joins, tflite_moves
from vecq_hw.interop.fixed_point import Semantics
from vecq_hw.interop.graph import Node, printable
from vecq_hw.interop.tflite_builder import Builder, Held, RefusedError, Sides, single_name
from vecq_hw.interop.tflite_results import activation_format, keep_codes, same_quantization
from vecq_hw.interop.transposed import add_transposed
from vecq_hw.layers import (
    Conv2d,
    Dense,
    MaxPool2d,
    SumPool2d,
    Weights,
)
from vecq_hw.passes.transposed import Along

SAME, VALID = 0, 1


def window_padding(
    builder: Builder, node: Node, shape: tuple[int, ...], kernel: tuple[int, int],
    stride: tuple[int, int], dilation: tuple[int, int] = (1, 1),
) -> Sides:  # fmt: skip
    """Top, left, bottom, right: of an odd number the smaller half comes first."""
    padding = builder.attribute(node, "Padding")
    if len(shape) < 2:
        raise RefusedError(f"it slides windows over the shape {shape}; an image is wanted")
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


def _bias(builder: Builder, node: Node, outputs: int, index: int = 2) -> IntArray | None:
    if len(node.inputs) <= index or not node.inputs[index]:
        return None
    bias = builder.constant(node, index)
    if bias.dtype != np.int32 or bias.shape != (outputs,):
        raise RefusedError(
            f"its bias is {bias.dtype} of the shape {bias.shape}; int32 of ({outputs},) is wanted"
        )
    return bias


def _finish_mac(
    builder: Builder, node: Node, name: str, source: Held, scales: FloatArray, dense: bool,
    shape: tuple[int, ...] | None = None, transposed: bool = False,
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
    if transposed and semantics is Semantics.RUY:
        semantics = Semantics.REFERENCE  # the optimized kernel rounds its sums as that one does
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


def transposed_convolution(builder: Builder, node: Node) -> None:
    """TRANSPOSE_CONV: the output's shape, weights (O, KH, KW, I), what it reads, a bias."""
    source = builder.read(node, 2)
    codes = builder.constant(node, 1)
    shape = tuple(builder.constant(node, 0).reshape(-1).tolist())
    if codes.ndim != 4 or codes.dtype != np.int8:
        raise RefusedError(
            f"its weights are {codes.dtype} of the shape {codes.shape}; int8 of four axes is wanted"
        )
    if len(source.shape) != 3 or codes.shape[3] != source.shape[-1]:
        raise RefusedError(f"its weights take {codes.shape[3]} channels of {source.shape}")
    if len(shape) != 4 or shape[0] != 1 or shape[3] != len(codes) or min(shape) < 1:
        raise RefusedError(f"it makes the shape {shape}; (1, H, W, {len(codes)}) is wanted")
    weights, scales = _weights(builder, node, codes[:, ::-1, ::-1], outputs_axis=0)
    stride = _pair(builder, node, "StrideH", "StrideW")
    kernel = (codes.shape[1], codes.shape[2])
    # As of the convolution that would make what it reads of what it gives.
    padding = window_padding(builder, node, shape[1:3], kernel, stride)
    axes = []
    for size, cells, step, before, made in zip(
        source.shape, kernel, stride, padding[:2], shape[1:3], strict=False
    ):
        behind = (size - 1) * step + cells - before - made
        axes.append(Along(size, cells, step, before, max(behind, 0), max(-behind, 0), 1))
    bias = _bias(builder, node, len(codes), 3)
    name = add_transposed(
        builder.assembly, f"{single_name(node)}_sums", builder.image(source), weights, axes, bias,
        1, node.name,
    )  # fmt: skip
    _finish_mac(builder, node, name, source, scales, dense=False, transposed=True)


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
        "AVERAGE_POOL_2D": average_pool,
        "MAX_POOL_2D": max_pool,
        "TRANSPOSE_CONV": transposed_convolution,
        **tflite_joins.OPERATORS,
        **tflite_codes.OPERATORS,
        **tflite_moves.OPERATORS,
    }
)
"""What is taken; the ends of a file besides (``tflite_walk``)."""
