"""What hls4ml cannot express exactly, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from vecq_hw.emit.hls4ml_codes import steps
from vecq_hw.emit.hls4ml_types import beyond, depthwise
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
            if layer.groups != 1 and not depthwise(layer):
                return "Conv2d with groups, but not one for each channel and output"
            return _bias_reason(layer)
        case Rescale() if layer.rows is not None:
            return "Rescale with rows, as hls4ml has one line for each channel"
        case Rescale():
            parts = steps(layer, source.format)
            if any(beyond(step.mantissa) or beyond(step.offset) for step in parts):
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
            return "Lookup with an entry beyond 2^53" if beyond(layer.table.ravel()) else None
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
    if layer.bias is not None and beyond(layer.bias):
        return f"a bias beyond 2^53 in the {type(layer).__name__}"
    return None


def _stream_reason(layer: Layer) -> str | None:
    match layer:
        case MaxPool2d():
            if layer.kernel != layer.stride:
                return "MaxPool2d in io_stream whose stride is not its kernel"
            return None
        case Conv2d() if layer.kernel == (1, 1) and not depthwise(layer):
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
