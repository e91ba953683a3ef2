"""The integer network, and one function that says what a legal network is.

Shapes, formats and steps of the tensors between layers follow from the layers and are computed
once, in :attr:`Network.tensors`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import assert_never

import numpy as np

from vecq_hw import trees
from vecq_hw.errors import VecqError
from vecq_hw.formats import MAX_BITS, IntFormat
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Input,
    JoinLayer,
    Layer,
    MacLayer,
    MaxPool2d,
    Rescale,
    SumPool2d,
    Tensor,
    Threshold,
    Upsample2d,
    Weights,
    WindowLayer,
    as_mac_layer,
)

__all__ = [
    "LARGEST_SIZE",
    "LONGEST_SHIFT",
    "PRODUCT_LIMIT",
    "Add",
    "ArgMax",
    "Concat",
    "Conv2d",
    "Dense",
    "Flatten",
    "Input",
    "Layer",
    "MacLayer",
    "MaxPool2d",
    "Network",
    "Rescale",
    "SumPool2d",
    "Tensor",
    "Threshold",
    "Upsample2d",
    "Weights",
    "accumulator_range",
    "output_tensor",
    "problems",
    "window_outputs",
]

LONGEST_SHIFT = 62
"""Numeric contract, rule 4."""

PRODUCT_LIMIT = 1 << 62
"""Numeric contract, rule 4: ``-2^62 <= acc * mantissa + offset < 2^62``."""


LARGEST_SIZE = (1 << 31) - 1
"""Of a kernel, stride, padding, dilation or factor, and of a tensor in integers."""


def window_outputs(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along one axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def accumulator_range(layer: MacLayer, source: IntFormat) -> tuple[int, int]:
    """The proven least and greatest sum of a Dense or Conv2d, bias included.

    Python integers throughout.  Code 0 enters where an image is padded.
    """
    lo, hi = source.lo, source.hi
    if any(layer.padding):
        lo, hi = min(lo, 0), max(hi, 0)
    values = layer.weights.values.reshape(layer.outputs, -1).astype(np.int64)
    positive = np.maximum(values, 0).sum(axis=1).tolist()
    negative = np.minimum(values, 0).sum(axis=1).tolist()
    bias = [0] * len(values) if layer.bias is None else layer.bias.tolist()
    least = min(p * lo + n * hi + b for p, n, b in zip(positive, negative, bias, strict=True))
    most = max(p * hi + n * lo + b for p, n, b in zip(positive, negative, bias, strict=True))
    return least, most


def _accumulator_format(layer: MacLayer, source: IntFormat) -> IntFormat:
    least, most = accumulator_range(layer, source)
    if max(most, -least - 1).bit_length() >= MAX_BITS:
        raise VecqError(
            f"layer '{layer.name}': the accumulator would need more than {MAX_BITS} bits"
            f" (it can reach {most}); use fewer inputs or narrower formats"
        )
    exact = IntFormat.covering(least, most)
    wrap = layer.accumulator_bits
    return exact if wrap is None or wrap >= exact.bits else IntFormat(wrap, signed=True)


def output_tensor(layer: Layer, *sources: Tensor) -> Tensor:
    """The tensor that a layer makes of those it reads."""
    source = sources[0]
    shape, fmt, step = source.shape, source.format, source.step
    match layer:
        case Dense():
            fmt = _accumulator_format(layer, fmt)
            return Tensor(shape=(layer.outputs,), format=fmt, step=step * layer.weights.step)
        case Conv2d():
            fmt = _accumulator_format(layer, fmt)
            shape = (*_window_grid(shape, layer), layer.outputs)
            return Tensor(shape=shape, format=fmt, step=step * layer.weights.step)
        case Rescale() | Threshold():
            return Tensor(shape=shape, format=layer.format, step=layer.step)
        case MaxPool2d():
            return Tensor(shape=(*_window_grid(shape, layer), shape[-1]), format=fmt, step=step)
        case SumPool2d():
            lo, hi = (min(fmt.lo, 0), max(fmt.hi, 0)) if any(layer.padding) else (fmt.lo, fmt.hi)
            cells = math.prod(layer.kernel)
            fmt = IntFormat.covering(cells * lo, cells * hi, fmt.signed)
            return Tensor(shape=(*_window_grid(shape, layer), shape[-1]), format=fmt, step=step)
        case Flatten():
            return Tensor(shape=(math.prod(shape),), format=fmt, step=step)
        case Upsample2d():
            height, width, channels = shape
            shape = (height * layer.factor[0], width * layer.factor[1], channels)
            return Tensor(shape=shape, format=fmt, step=step)
        case Add():
            lo, hi = (sum(ends) for ends in zip(*_ranges(sources), strict=True))
            fmt = IntFormat.covering(lo, hi, fmt.signed)
            return Tensor(shape=shape, format=fmt, step=step)
        case Concat():
            lows, highs = zip(*_ranges(sources), strict=True)
            fmt = IntFormat(fmt.bits, fmt.signed, min(lows), max(highs))
            channels = sum(tensor.shape[-1] for tensor in sources)
            return Tensor(shape=(*shape[:-1], channels), format=fmt, step=step)
        case ArgMax():
            fmt = IntFormat.covering(0, shape[-1] - 1, signed=False)
            return Tensor(shape=(*shape[:-1], 1), format=fmt, step=1.0)
        case _:
            assert_never(layer)


def _ranges(sources: Sequence[Tensor]) -> list[tuple[int, int]]:
    return [(tensor.format.lo, tensor.format.hi) for tensor in sources]


def _window_grid(shape: tuple[int, ...], layer: WindowLayer) -> tuple[int, int]:
    height, width = (
        window_outputs(*sizes)
        for sizes in zip(
            shape[:2], layer.kernel, layer.stride, layer.padding, layer.dilation, strict=True
        )
    )
    return height, width


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Integer layers in execution order.

    Raises
    ------
    VecqError
        The first sentence of :func:`problems`.
    """

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor] = field(init=False, repr=False)
    """Of every input and layer, by name."""

    def __post_init__(self) -> None:
        for name in ("inputs", "layers", "outputs"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise VecqError(f"a network has a tuple of {name}, not {given!r}")
            object.__setattr__(self, name, tuple(given))
        _check_kinds(self)
        tensors: dict[str, Tensor] = {}
        for problem in problems(self, tensors):
            raise VecqError(problem)
        object.__setattr__(self, "tensors", MappingProxyType(tensors))

    @property
    def mac_layers(self) -> tuple[MacLayer, ...]:
        """The layers that multiply by weights, in execution order."""
        found = (as_mac_layer(layer) for layer in self.layers)
        return tuple(layer for layer in found if layer is not None)

    def __reduce__(self) -> tuple[Callable[[], Network], tuple[()]]:
        # For worker processes: they derive the tensors again.
        fields = {name: getattr(self, name) for name in ("name", "inputs", "layers", "outputs")}
        return partial(Network, **fields), ()

    def __repr__(self) -> str:
        return "\n".join(
            [f"Network({self.name})"]
            + [f"  Input({i.name}: {i.shape}, {i.format!r})" for i in self.inputs]
            + [f"  {layer!r}" for layer in self.layers]
            + [f"  → {', '.join(self.outputs)}"]
        )


def _check_kinds(network: Network) -> None:
    """Refuse what is no layer, and fields of other kinds than the annotations of a layer say."""
    trees.encode(network.name, str, [], "the name of a network")
    for what, kind, parts in (("input", Input, network.inputs), ("layer", Layer, network.layers)):
        for index, part in enumerate(parts):
            trees.encode(part, kind, [], f"{what} {getattr(part, 'name', index)!r}")
    trees.encode(network.outputs, tuple[str, ...], [], "outputs")


def problems(network: Network, tensors: dict[str, Tensor] | None = None) -> Iterator[str]:
    """Each reason why ``network`` is not legal, as a sentence.

    ``tensors`` is filled on the way.  The layers after a faulty one cannot be judged and are left
    out.
    """
    tensors = {} if tensors is None else tensors
    if not network.inputs:
        yield "a network needs at least one input"
    for source in network.inputs:
        yield from _name_problems(source.name, tensors)
        yield from _tensor_problems(f"input '{source.name}'", source.shape, source.step)
        tensors[source.name] = Tensor(shape=source.shape, format=source.format, step=source.step)
    for layer in network.layers:
        yield from _name_problems(layer.name, tensors)
        unknown = [name for name in layer.inputs if name not in tensors]
        if unknown:
            yield f"layer '{layer.name}' reads '{unknown[0]}', which no earlier layer makes"
            return
        sources = [tensors[name] for name in layer.inputs]
        faulty = False
        for problem in _layer_problems(layer, sources):
            faulty = True
            yield f"layer '{layer.name}': {problem}"
        if faulty:
            return
        try:
            tensor = output_tensor(layer, *sources)
        except VecqError as error:
            yield str(error)
            return
        yield from _tensor_problems(f"layer '{layer.name}'", tensor.shape, tensor.step)
        tensors[layer.name] = tensor
    if not network.outputs:
        yield "a network needs at least one output"
    for name in network.outputs:
        if name not in tensors:
            yield f"the output '{name}' is made by no layer"


def _name_problems(name: str, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    if not name:
        yield "a layer has an empty name"
    if name in tensors:
        yield f"two layers are called '{name}'; names must differ"


def _tensor_problems(where: str, shape: tuple[int, ...], step: float) -> Iterator[str]:
    if len(shape) not in (1, 3) or any(size < 1 for size in shape):
        yield f"{where}: the shape must be (C,) or (H, W, C) with sizes of at least 1, not {shape}"
    if math.prod(shape) > LARGEST_SIZE:
        yield f"{where}: a tensor of the shape {shape} holds more than 2^31 - 1 integers"
    if not step > 0 or not math.isfinite(step):
        yield f"{where}: the step must be positive and finite, not {step}"


def _layer_problems(layer: Layer, sources: Sequence[Tensor]) -> Iterator[str]:
    source = sources[0] if sources else None
    if source is None:
        yield "it reads nothing; at least one tensor is wanted"
        return
    match layer:
        case Dense():
            yield from _dimension_problems(source, 1)
            yield from _weight_problems(layer, 2)
            if layer.group_channels != source.channels:
                yield (
                    f"the weights take {layer.group_channels} inputs,"
                    f" but '{layer.input}' has {source.channels}"
                )
        case Conv2d():
            yield from _dimension_problems(source, 3)
            yield from _weight_problems(layer, 4)
            if source.is_image and layer.weights.codes.ndim == 4:
                yield from _group_problems(layer, source.shape[-1])
                yield from _window_problems(layer, source.shape)
        case Rescale():
            yield from _rescale_problems(layer, source)
        case Threshold():
            yield from _threshold_problems(layer, source)
        case MaxPool2d() | SumPool2d():
            yield from _dimension_problems(source, 3)
            if source.is_image:
                yield from _window_problems(layer, source.shape)
                if any(2 * p > k for p, k in zip(layer.padding, layer.kernel, strict=True)):
                    yield f"padding {layer.padding} is more than half the kernel {layer.kernel}"
        case Flatten() | ArgMax():
            pass
        case Upsample2d():
            yield from _dimension_problems(source, 3)
            if any(not 1 <= factor <= LARGEST_SIZE for factor in layer.factor):
                yield f"the factors must be at least 1 and below 2^31, not {layer.factor}"
        case Add() | Concat():
            yield from _join_problems(layer, sources)
        case _:
            assert_never(layer)


def _join_problems(layer: JoinLayer, sources: Sequence[Tensor]) -> Iterator[str]:
    match layer:
        case Add():
            aligned = slice(None)
        case Concat():
            aligned = slice(-1)
        case _:
            assert_never(layer)
    first = sources[0]
    for name, tensor in zip(layer.inputs, sources, strict=True):
        same = (first.format.bits, first.format.signed) == (
            tensor.format.bits,
            tensor.format.signed,
        )
        if not same or tensor.step != first.step:
            yield (
                f"'{layer.inputs[0]}' is {first.format!r} of step {first.step:.6g}, but '{name}' is"
                f" {tensor.format!r} of step {tensor.step:.6g}; one format and step are wanted"
            )
        if len(tensor.shape) != len(first.shape) or tensor.shape[aligned] != first.shape[aligned]:
            yield f"'{layer.inputs[0]}' has the shape {first.shape}, but '{name}' {tensor.shape}"


def _group_problems(layer: Conv2d, channels: int) -> Iterator[str]:
    outputs, taken = layer.outputs, layer.group_channels
    if layer.groups < 1 or outputs % layer.groups or channels % layer.groups:
        yield f"{layer.groups} groups do not divide {channels} channels and {outputs} outputs"
    elif taken * layer.groups != channels:
        yield (
            f"the kernel takes {taken * layer.groups} channels, but '{layer.input}' has {channels}"
        )


def _threshold_problems(layer: Threshold, source: Tensor) -> Iterator[str]:
    wanted = (source.shape[-1], layer.format.hi - layer.format.lo)
    if layer.thresholds.shape != wanted or layer.falling.shape != wanted[:1]:
        yield (
            f"thresholds and falling have the shapes {layer.thresholds.shape} and"
            f" {layer.falling.shape}, not {wanted} and {wanted[:1]}"
        )
        return
    if (layer.thresholds[:, 1:] < layer.thresholds[:, :-1]).any():
        yield "the thresholds of a channel must ascend"
    if not np.isin(layer.falling, (0, 1)).all():
        yield "falling must be 0 or 1 for each channel"
    if not layer.step > 0 or not math.isfinite(layer.step):
        yield f"the step must be positive and finite, not {layer.step}"


def _dimension_problems(source: Tensor, dimensions: int) -> Iterator[str]:
    if len(source.shape) != dimensions:
        wanted = "(C,); flatten the image first" if dimensions == 1 else "(H, W, C)"
        yield f"it reads a tensor of shape {source.shape}, but takes {wanted}"


def _weight_problems(layer: MacLayer, dimensions: int) -> Iterator[str]:
    codes, code_format = layer.weights.codes, layer.weights.grid.code_format
    if codes.ndim != dimensions or not codes.size:
        yield f"the codes have the shape {codes.shape}; {dimensions} axes, none empty, are wanted"
    elif not code_format.contains(int(codes.min()), int(codes.max())):
        yield (
            f"the codes {codes.min()}..{codes.max()} do not fit"
            f" {code_format.bits} bits ({code_format.lo}..{code_format.hi})"
        )
    if layer.bias is not None and layer.bias.shape != codes.shape[:1]:
        yield f"the bias has the shape {layer.bias.shape}, not ({codes.shape[0]},)"
    if not layer.weights.step > 0 or not math.isfinite(layer.weights.step):
        yield f"the weight step must be positive and finite, not {layer.weights.step}"
    if layer.accumulator_bits is not None and not 1 <= layer.accumulator_bits <= MAX_BITS:
        yield f"an accumulator has 1 to {MAX_BITS} bits, not {layer.accumulator_bits}"


def _window_problems(layer: WindowLayer, shape: tuple[int, ...]) -> Iterator[str]:
    dilation = layer.dilation
    if any(not 1 <= n <= LARGEST_SIZE for n in (*layer.stride, *dilation)) or any(
        not 0 <= p <= LARGEST_SIZE for p in layer.padding
    ):
        yield (
            f"stride {layer.stride} and dilation {dilation} must be positive,"
            f" padding {layer.padding} not negative, and all below 2^31"
        )
    elif (shape[0] + 2 * layer.padding[0]) * (shape[1] + 2 * layer.padding[1]) > LARGEST_SIZE:
        yield f"the image {shape[:2]} padded {layer.padding} has more than 2^31 - 1 pixels"
    elif any(k < 1 for k in layer.kernel) or any(n < 1 for n in _window_grid(shape, layer)):
        dilated = f" dilated {dilation}" if dilation != (1, 1) else ""
        yield (
            f"the kernel {layer.kernel}{dilated} does not fit the image {shape[:2]}"
            f" padded {layer.padding}"
        )


def _rescale_problems(layer: Rescale, source: Tensor) -> Iterator[str]:
    channels = source.shape[-1]
    if layer.mantissa.shape != (channels,) or layer.offset.shape != (channels,):
        yield (
            f"mantissa and offset have the shapes {layer.mantissa.shape} and"
            f" {layer.offset.shape}, not ({channels},)"
        )
        return
    if not isinstance(layer.shift, int) and layer.shift.shape != (channels,):
        yield f"the shifts have the shape {layer.shift.shape}, not ({channels},)"
        return
    wrong = layer.shifts[(layer.shifts < 1) | (layer.shifts > LONGEST_SHIFT)]
    if wrong.size:
        yield f"the shift must be 1 to {LONGEST_SHIFT}, not {wrong[0]}"
    if not layer.step > 0 or not math.isfinite(layer.step):
        yield f"the step must be positive and finite, not {layer.step}"
    for channel, (m, b) in enumerate(
        zip(layer.mantissa.tolist(), layer.offset.tolist(), strict=True)
    ):
        ends = (source.format.lo * m + b, source.format.hi * m + b)
        if min(ends) < -PRODUCT_LIMIT or max(ends) >= PRODUCT_LIMIT:
            yield (
                f"channel {channel}: accumulator * {m} + {b} leaves ±2^62;"
                " shorten the mantissa and the shift"
            )
            return
