"""Windows that slide over an image, and the layers that reduce them channel by channel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from vecq_hw.formats import IntFormat
from vecq_hw.layers.tensor import LARGEST_SIZE, OfOneTensor, Tensor, dimension_problems


class Windowed(Protocol):
    """Whatever slides a window over an image; numbers are down and across."""

    @property
    def kernel(self) -> tuple[int, int]:
        """Cells of the window."""

    @property
    def stride(self) -> tuple[int, int]:
        """Pixels from one window to the next."""

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels added at each end."""

    @property
    def dilation(self) -> tuple[int, int]:
        """Pixels from one cell of a window to the next."""


def window_outputs(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along one axis."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def window_grid(shape: tuple[int, ...], layer: Windowed) -> tuple[int, int]:
    """How many windows fit down and across an image of ``shape``."""
    height, width = (
        window_outputs(*sizes)
        for sizes in zip(
            shape[:2], layer.kernel, layer.stride, layer.padding, layer.dilation, strict=True
        )
    )
    return height, width


def window_problems(layer: Windowed, shape: tuple[int, ...]) -> Iterator[str]:
    """What is illegal about windows on an image of ``shape``."""
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
    elif any(k < 1 for k in layer.kernel) or any(n < 1 for n in window_grid(shape, layer)):
        dilated = f" dilated {dilation}" if dilation != (1, 1) else ""
        yield (
            f"the kernel {layer.kernel}{dilated} does not fit the image {shape[:2]}"
            f" padded {layer.padding}"
        )


class _Pool(OfOneTensor):
    """A layer that reduces windows channel by channel."""

    __slots__ = ()
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def dilation(self) -> tuple[int, int]:
        """The cells of a window are neighbours."""
        return (1, 1)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        if source.is_image:
            yield from window_problems(self, source.shape)
            if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
                yield f"padding {self.padding} is more than half the kernel {self.kernel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d(_Pool):
    """The largest code of each window; padding is ignored."""

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the largest codes."""
        return replace(source, shape=(*window_grid(source.shape, self), source.channels))


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool2d(_Pool):
    """The exact sum of each window; padding counts as zeros.  A Rescale makes an average of it."""

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the sums."""
        fmt, cells = source.format, math.prod(self.kernel)
        lo, hi = (min(fmt.lo, 0), max(fmt.hi, 0)) if any(self.padding) else (fmt.lo, fmt.hi)
        fmt = IntFormat.covering(cells * lo, cells * hi, fmt.signed)
        shape = (*window_grid(source.shape, self), source.channels)
        return replace(source, shape=shape, format=fmt)
