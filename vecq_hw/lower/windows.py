"""Pools: where the windows of torch lie, and the layers that have such."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import MaxPool2d, SumPool2d
from vecq_hw.layers.windows import Sides
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.padding import pad_code, with_padding
from vecq_hw.lower.values import Value
from vecq_hw.train.quantized_layers import SquareAverage

NO_SIDES: Sides = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Axis:
    """The windows of a pool along one axis of an image of ``size`` pixels."""

    size: int
    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def outputs(self) -> int:
        """As torch counts: rounded up, the last window begins on the image or before it."""
        left = self.size + 2 * self.padding - self.reach
        if not self.ceil or left < 0:
            return left // self.stride + 1
        outputs = -(-left // self.stride) + 1
        begins_behind = (outputs - 1) * self.stride >= self.size + self.padding
        return outputs - begins_behind

    @property
    def behind(self) -> int:
        """Padding after the image, which the last window may reach beyond."""
        if not self.ceil:
            return self.padding
        return max((self.outputs - 1) * self.stride + self.reach - self.size - self.padding, 0)

    def counted(self, padding: bool) -> npt.NDArray[np.int64]:
        """How many pixels each window holds, shape (outputs,); those of padding, or not."""
        first = np.arange(self.outputs) * self.stride - self.padding
        last = np.minimum(first + self.kernel, self.size + self.padding)
        if not padding:
            first, last = np.maximum(first, 0), np.minimum(last, self.size)
        counts: npt.NDArray[np.int64] = last - first
        return counts


def max_pool(builder: Builder, name: str, module: nn.Module, value: Value) -> Value:
    """The largest codes of windows."""
    pad, tensor = value.pad, builder.tensors[value.tensor]
    if pad is not None and pad_code(builder, pad.name, pad.value, value) <= tensor.format.lo:
        # What pads is never larger than a pixel, and every window may hold one.
        layer = _max_pool(builder.free(name), module, value.tensor, tensor.shape, pad.sides)
        if not any(layer.problems(tensor)):
            return replace(value, tensor=builder.add(layer), pad=None)
    value = with_padding(builder, value)
    shape = builder.tensors[value.tensor].shape
    layer = _max_pool(builder.free(name), module, value.tensor, shape)
    return replace(value, tensor=builder.add(layer))


def average(builder: Builder, name: str, module: nn.Module, value: Value) -> Value:
    """The sums of windows; by what they are divided goes into the Rescale that follows.

    Raises
    ------
    VecqError
        It pools vectors, or adaptively by windows that are not alike, averages signs and zeros
        around them, or what pads before it has no code.
    """
    added = NO_SIDES
    if value.pad is not None and value.pad.value == 0:
        added, value = value.pad.sides, replace(value, pad=None)
    value = with_padding(builder, value)
    shape = builder.tensors[value.tensor].shape
    layer, divisors = _sum_pool(builder.free(name), module, value.tensor, shape, added)
    tensor = builder.add(layer)
    classes, rows = np.unique(divisors, return_inverse=True)
    if value.offset.any() and any(layer.padding):
        raise VecqError(
            f"layer '{name}' averages signs and zeros around them, which are none; leave out"
            " its padding"
        )
    cells = math.prod(layer.kernel)
    if len(classes) == 1:
        scale, offset = value.scale / classes[0], value.offset * cells / classes[0]
        return replace(value, tensor=tensor, scale=scale, offset=offset)
    scale = value.scale / classes[:, np.newaxis]
    offset = value.offset * cells / classes[:, np.newaxis]
    return replace(value, tensor=tensor, scale=scale, offset=offset, rows=rows.reshape(-1))


def _max_pool(
    name: str, module: nn.Module, tensor: str, shape: tuple[int, ...], added: Sides = NO_SIDES
) -> MaxPool2d:
    """The max-pool of ``tensor``, an image of ``shape``, behind ``added`` pixels that never win."""
    axes = _axes(name, module, shape, added)
    return MaxPool2d(
        name=name,
        input=tensor,
        kernel=(axes[0].kernel, axes[1].kernel),
        stride=(axes[0].stride, axes[1].stride),
        padding=_sides(axes, added),
        dilation=(axes[0].dilation, axes[1].dilation),
    )


def _sum_pool(
    name: str, module: nn.Module, tensor: str, shape: tuple[int, ...], added: Sides = NO_SIDES
) -> tuple[SumPool2d, IntArray]:
    """The sums of the windows of an average, and by what each is divided: shape (OH, OW).

    ``added`` pixels of zeros stand around the image and count like its own.
    """
    axes = _axes(name, module, shape, added)
    layer = SumPool2d(
        name=name,
        input=tensor,
        kernel=(axes[0].kernel, axes[1].kernel),
        stride=(axes[0].stride, axes[1].stride),
        padding=_sides(axes, added),
    )
    padding = bool(getattr(module, "count_include_pad", True))
    down, across = (axis.counted(padding) for axis in axes)
    divisors = down[:, np.newaxis] * across
    if (fixed := getattr(module, "divisor_override", None)) is not None:
        divisors = np.full_like(divisors, fixed)
    return layer, divisors


def _sides(axes: tuple[_Axis, _Axis], added: Sides) -> Sides:
    down, across = axes
    top, left, bottom, right = added
    return (
        top + down.padding,
        left + across.padding,
        bottom + down.behind,
        right + across.behind,
    )


def _axes(
    name: str, module: nn.Module, shape: tuple[int, ...], added: Sides
) -> tuple[_Axis, _Axis]:
    if len(shape) != 3:
        raise VecqError(f"layer '{name}' pools images, but reads vectors")
    top, left, bottom, right = added
    size = (shape[0] + top + bottom, shape[1] + left + right)
    if isinstance(module, SquareAverage):
        module.check(size)
    given: Any = module
    one = isinstance(
        module, nn.MaxPool1d | nn.AvgPool1d | nn.AdaptiveMaxPool1d | nn.AdaptiveAvgPool1d
    )
    if hasattr(module, "output_size"):
        outputs = _pair(given.output_size, 1 if one else None)
        down, across = (
            _adaptive(name, pixels, pixels if wanted is None else wanted)
            for pixels, wanted in zip(size, outputs, strict=True)
        )
        return down, across
    parts = [
        _pair(given.kernel_size, 1 if one else None),
        _pair(given.stride, 1 if one else None),
        _pair(given.padding, 0 if one else None),
        _pair(getattr(given, "dilation", 1), 1 if one else None),
    ]
    kernel, stride, padding, dilation = parts
    down, across = (
        _Axis(
            size=size[axis],
            kernel=int(kernel[axis]),
            stride=int(stride[axis]),
            padding=int(padding[axis]),
            dilation=int(dilation[axis]),
            ceil=bool(given.ceil_mode),
        )
        for axis in (0, 1)
    )
    return down, across


def _adaptive(name: str, size: int, outputs: int) -> _Axis:
    """The windows of an adaptive pool where they are alike."""
    first = np.arange(outputs) * size // outputs
    last = -(-(np.arange(outputs) + 1) * size // outputs)
    lengths, steps = set((last - first).tolist()), set(np.diff(first).tolist())
    if len(lengths) > 1 or len(steps) > 1:
        raise VecqError(
            f"layer '{name}' pools {size} pixels to {outputs} by windows that are not alike; use an"
            f" output size that divides {size}"
        )
    (kernel,) = lengths
    return _Axis(size, kernel, steps.pop() if steps else kernel)


def _pair(size: Any, down: int | None) -> tuple[Any, Any]:
    """Down and across; of a layer along sequences ``down`` is given and ``size`` goes across."""
    sizes = tuple(size) if isinstance(size, tuple | list) else (size, size)
    return (sizes[0] if down is None else down, sizes[-1])
