"""Pools and padding: where the windows of torch lie, and the layers that have such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import MaxPool2d, SumPool2d
from vecq_hw.layers.windows import Sides
from vecq_hw.lower.values import Pending
from vecq_hw.train.quantized_layers import SquareAverage
from vecq_hw.train.windows import Pad

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


def max_pool(
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


def sum_pool(
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


def pending(name: str, pad: Pad) -> Pending:
    """Padding by one value, which the next layer may take in."""
    return Pending(name=name, sides=pad.sides, value=pad.value)


def check_image(name: str, module: nn.Module, shape: tuple[int, ...], sequence: bool) -> None:
    """Refuse to pad vectors, and the channels of a sequence."""
    if len(shape) != 3:
        raise VecqError(f"layer '{name}' pads vectors; images and sequences alone can be padded")
    if sequence and isinstance(module, Pad) and any(module.pads[2:]):
        raise VecqError(f"layer '{name}' pads the channels of a sequence; pad its steps alone")


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
