"""The integer network: immutable layers, and one function that says what a legal network is.

Axis letters: N batch, H and W image, C channels, O outputs, K kernel.  All arrays are
channels-last.  A layer holds only what cannot be derived; shapes, formats and steps of the tensors
between layers follow from it and are computed once, in :attr:`Network.tensors`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import MAX_BITS, Grid, IntArray, IntFormat

PRODUCT_LIMIT = 1 << 62
"""Numeric contract, rule 4: ``-2^62 <= acc * mantissa + offset < 2^62``."""


def _frozen(array: npt.ArrayLike, dtype: type[np.integer]) -> IntArray:
    """A read-only copy in ``dtype``; anything but integers that fit is refused."""
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        raise VecqError(f"an integer array is wanted, not one of type {given.dtype}")
    limits = np.iinfo(dtype)
    if given.size and not (limits.min <= int(given.min()) and int(given.max()) <= limits.max):
        raise VecqError(f"the values {given.min()}..{given.max()} do not fit {limits.bits} bits")
    copy = np.array(given, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What is known of the integers between two layers.

    Attributes
    ----------
    shape : tuple of int
        Without the batch axis: (C,) or (H, W, C).
    format : IntFormat
        With the proven range.
    step : float
        Real value of one unit.  It serves the two ends and the reports; no integer rule reads it.
    """

    shape: tuple[int, ...]
    format: IntFormat
    step: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """Codes as trained and the grid that gives them integer values.

    Attributes
    ----------
    codes : int16 array of shape (O, C) or (O, KH, KW, C)
    grid : Grid
    step : float
        Real value of the integer value 1; for VecQ that is alpha / 2.
    """

    codes: IntArray
    grid: Grid
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", _frozen(self.codes, np.int16))

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The integer values; same shape as the codes."""
        return self.grid.values(self.codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Where integers enter: shape (C,) or (H, W, C)."""

    name: str
    shape: tuple[int, ...]
    format: IntFormat
    step: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """``acc[o] = sum_c value[o, c] * x[c] + bias[o]``, exact.

    Attributes
    ----------
    weights : Weights, codes of shape (O, C)
    bias : int64 array of shape (O,) in accumulator units, or None
    accumulator_bits : int or None
        None: as wide as proven.  Otherwise the accumulator wraps at this width.
    """

    name: str
    input: str
    weights: Weights
    bias: IntArray | None = None
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", _frozen(self.bias, np.int64))

    def __repr__(self) -> str:
        outputs, inputs = self.weights.codes.shape
        return f"Dense({self.name}: {inputs}→{outputs}, {self.weights.grid.bits}-bit)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv2d:
    """Convolution over (H, W, C), exact; code 0 pads the image.

    Attributes
    ----------
    weights : Weights, codes of shape (O, KH, KW, C)
    bias : int64 array of shape (O,) in accumulator units, or None
    stride, padding : (int, int)
        Down and across.
    accumulator_bits : int or None
        As in :class:`Dense`.
    """

    name: str
    input: str
    weights: Weights
    bias: IntArray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", _frozen(self.bias, np.int64))

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel height and width."""
        _, height, width, _ = self.weights.codes.shape
        return height, width

    def __repr__(self) -> str:
        outputs, height, width, channels = self.weights.codes.shape
        bits = self.weights.grid.bits
        return f"Conv2d({self.name}: {channels}→{outputs}, {height}×{width}, {bits}-bit)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescale:
    """``clamp((acc * mantissa[c] + offset[c] + 2^(shift-1)) >> shift, lo, hi)``: the lossy layer.

    Numeric contract, rule 4.  Batch norm, bias and scales fold into it; an unsigned format makes
    it a ReLU.

    Attributes
    ----------
    mantissa, offset : int64 arrays of shape (C,)
    shift : int, 1..62
    format : IntFormat
        Of the output; ``lo`` and ``hi`` are the clamp.
    step : float
        Real value of one output unit.
    """

    name: str
    input: str
    mantissa: IntArray
    offset: IntArray
    shift: int
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mantissa", _frozen(self.mantissa, np.int64))
        object.__setattr__(self, "offset", _frozen(self.offset, np.int64))

    def __repr__(self) -> str:
        return f"Rescale({self.name}: {self.mantissa.size} channels → {self.format!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d:
    """The largest code of each window; padding is ignored."""

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """(H, W, C) becomes (H*W*C,), in this order; no integer changes."""

    name: str
    input: str


Layer = Dense | Conv2d | Rescale | MaxPool2d | Flatten
MacLayer = Dense | Conv2d


def window_outputs(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def accumulator_range(layer: MacLayer, source: IntFormat) -> tuple[int, int]:
    """The proven least and greatest sum of a Dense or Conv2d, bias included.

    Python integers throughout.  Code 0 enters where an image is padded.
    """
    lo, hi = source.lo, source.hi
    if isinstance(layer, Conv2d) and any(layer.padding):
        lo, hi = min(lo, 0), max(hi, 0)
    values = layer.weights.values.reshape(len(layer.weights.codes), -1).astype(np.int64)
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


def output_tensor(layer: Layer, source: Tensor) -> Tensor:
    """The tensor that a layer makes of the one it reads."""
    shape, step = source.shape, source.step
    match layer:
        case Dense():
            outputs = len(layer.weights.codes)
            return Tensor(
                shape=(outputs,),
                format=_accumulator_format(layer, source.format),
                step=step * layer.weights.step,
            )
        case Conv2d():
            return Tensor(
                shape=(*_window_grid(shape, layer), len(layer.weights.codes)),
                format=_accumulator_format(layer, source.format),
                step=step * layer.weights.step,
            )
        case Rescale():
            return Tensor(shape=shape, format=layer.format, step=layer.step)
        case MaxPool2d():
            return Tensor(
                shape=(*_window_grid(shape, layer), shape[-1]), format=source.format, step=step
            )
        case Flatten():
            return Tensor(shape=(math.prod(shape),), format=source.format, step=step)
        case _:
            assert_never(layer)


def _window_grid(shape: tuple[int, ...], layer: Conv2d | MaxPool2d) -> tuple[int, int]:
    (height, width), kernel = shape[:2], layer.kernel
    return (
        window_outputs(height, kernel[0], layer.stride[0], layer.padding[0]),
        window_outputs(width, kernel[1], layer.stride[1], layer.padding[1]),
    )


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
            object.__setattr__(self, name, tuple(getattr(self, name)))
        tensors: dict[str, Tensor] = {}
        for problem in problems(self, tensors):
            raise VecqError(problem)
        object.__setattr__(self, "tensors", MappingProxyType(tensors))

    def __repr__(self) -> str:
        return "\n".join(
            [f"Network({self.name})"]
            + [f"  Input({i.name}: {i.shape}, {i.format!r})" for i in self.inputs]
            + [f"  {layer!r}" for layer in self.layers]
            + [f"  → {', '.join(self.outputs)}"]
        )


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
        yield from _shape_problems(f"input '{source.name}'", source.shape)
        if not source.step > 0 or not math.isfinite(source.step):
            yield f"input '{source.name}': the step must be positive and finite, not {source.step}"
        tensors[source.name] = Tensor(shape=source.shape, format=source.format, step=source.step)
    for layer in network.layers:
        yield from _name_problems(layer.name, tensors)
        if layer.input not in tensors:
            yield f"layer '{layer.name}' reads '{layer.input}', which no earlier layer makes"
            return
        faulty = False
        for problem in _layer_problems(layer, tensors[layer.input]):
            faulty = True
            yield f"layer '{layer.name}': {problem}"
        if faulty:
            return
        try:
            tensors[layer.name] = output_tensor(layer, tensors[layer.input])
        except VecqError as error:
            yield str(error)
            return
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


def _shape_problems(where: str, shape: tuple[int, ...]) -> Iterator[str]:
    if len(shape) not in (1, 3) or any(size < 1 for size in shape):
        yield f"{where}: the shape must be (C,) or (H, W, C) with sizes of at least 1, not {shape}"


def _layer_problems(layer: Layer, source: Tensor) -> Iterator[str]:
    match layer:
        case Dense():
            yield from _dimension_problems(source, 1)
            yield from _weight_problems(layer, 2)
            if layer.weights.codes.shape[-1] != source.shape[-1]:
                yield (
                    f"the weights take {layer.weights.codes.shape[-1]} inputs,"
                    f" but '{layer.input}' has {source.shape[-1]}"
                )
        case Conv2d():
            yield from _dimension_problems(source, 3)
            yield from _weight_problems(layer, 4)
            if len(source.shape) == 3 and layer.weights.codes.ndim == 4:
                if layer.weights.codes.shape[-1] != source.shape[-1]:
                    yield (
                        f"the kernel takes {layer.weights.codes.shape[-1]} channels,"
                        f" but '{layer.input}' has {source.shape[-1]}"
                    )
                yield from _window_problems(layer, source.shape)
        case Rescale():
            yield from _rescale_problems(layer, source)
        case MaxPool2d():
            yield from _dimension_problems(source, 3)
            if len(source.shape) == 3:
                yield from _window_problems(layer, source.shape)
                if any(2 * p > k for p, k in zip(layer.padding, layer.kernel, strict=True)):
                    yield f"padding {layer.padding} is more than half the kernel {layer.kernel}"
        case Flatten():
            pass
        case _:
            assert_never(layer)


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


def _window_problems(layer: Conv2d | MaxPool2d, shape: tuple[int, ...]) -> Iterator[str]:
    if any(s < 1 for s in layer.stride) or any(p < 0 for p in layer.padding):
        yield f"stride {layer.stride} must be positive and padding {layer.padding} not negative"
    elif any(k < 1 for k in layer.kernel) or any(
        k > size + 2 * p for k, size, p in zip(layer.kernel, shape, layer.padding, strict=False)
    ):
        yield f"the kernel {layer.kernel} does not fit the image {shape[:2]} padded {layer.padding}"


def _rescale_problems(layer: Rescale, source: Tensor) -> Iterator[str]:
    channels = source.shape[-1]
    if layer.mantissa.shape != (channels,) or layer.offset.shape != (channels,):
        yield (
            f"mantissa and offset have the shapes {layer.mantissa.shape} and"
            f" {layer.offset.shape}, not ({channels},)"
        )
        return
    if not 1 <= layer.shift <= 62:
        yield f"the shift must be 1 to 62, not {layer.shift}"
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
