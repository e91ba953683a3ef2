"""Windows that slide over an image, and the layers that reduce them channel by channel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntFormat
from vecq_hw.layers.tensor import LARGEST_SIZE, OfOneTensor, Tensor, dimension_problems

Sides = tuple[int, int, int, int]
"""Pixels of padding: top, left, bottom, right."""


class Windowed(Protocol):
    """Whatever slides a window over an image; pairs are down and across."""

    @property
    def kernel(self) -> tuple[int, int]:
        """Cells of the window."""

    @property
    def stride(self) -> tuple[int, int]:
        """Pixels from one window to the next."""

    @property
    def padding(self) -> Sides:
        """Pixels added at each side; what no window reaches of them plays no part."""

    @property
    def dilation(self) -> tuple[int, int]:
        """Pixels from one cell of a window to the next."""


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """The windows along one axis of an image, with ``before`` and ``after`` pixels of padding."""

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def reach(self) -> int:
        """Pixels from a window's first cell to its last, both counted."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def count(self) -> int:
        """How many windows there are."""
        return (self.size + self.before + self.after - self.reach) // self.stride + 1

    @property
    def last(self) -> int:
        """Where the last window begins."""
        return (self.count - 1) * self.stride - self.before

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """The pixels of each window's cells, shape (windows, kernel); some are in the padding."""
        first = np.arange(self.count) * self.stride - self.before
        return first[:, np.newaxis] + np.arange(self.kernel) * self.dilation


def window_axes(shape: tuple[int, ...], layer: Windowed) -> tuple[WindowAxis, WindowAxis]:
    """The windows down and across an image of ``shape``."""
    top, left, bottom, right = layer.padding
    down, across = (
        WindowAxis(*sizes)
        for sizes in zip(
            shape[:2],
            layer.kernel,
            layer.stride,
            (top, left),
            (bottom, right),
            layer.dilation,
            strict=True,
        )
    )
    return down, across


def window_grid(shape: tuple[int, ...], layer: Windowed) -> tuple[int, int]:
    """How many windows fit down and across an image of ``shape``."""
    down, across = window_axes(shape, layer)
    return down.count, across.count


def sides(padding: tuple[int, ...]) -> Sides:
    """All sides of padding that may be given as a pair: as much at both ends of an axis."""
    pair = isinstance(padding, tuple) and len(padding) == 2
    return (*padding, *padding) if pair else padding  # type: ignore[return-value]


def window_problems(layer: Windowed, shape: tuple[int, ...]) -> Iterator[str]:
    """What is illegal about windows on an image of ``shape``."""
    dilation = layer.dilation
    top, left, bottom, right = layer.padding
    if any(not 1 <= n <= LARGEST_SIZE for n in (*layer.stride, *dilation)) or any(
        not 0 <= p <= LARGEST_SIZE for p in layer.padding
    ):
        yield (
            f"stride {layer.stride} and dilation {dilation} must be positive,"
            f" padding {layer.padding} not negative, and all below 2^31"
        )
    elif (shape[0] + top + bottom) * (shape[1] + left + right) > LARGEST_SIZE:
        yield f"the image {shape[:2]} padded {layer.padding} has more than 2^31 - 1 pixels"
    elif any(k < 1 for k in layer.kernel) or any(n < 1 for n in window_grid(shape, layer)):
        dilated = f" dilated {dilation}" if dilation != (1, 1) else ""
        yield (
            f"the kernel {layer.kernel}{dilated} does not fit the image {shape[:2]}"
            f" padded {layer.padding}"
        )


class _Pool(OfOneTensor):
    """A layer that reduces windows channel by channel; each must hold a pixel of the image."""

    __slots__ = ()
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", sides(self.padding))

    @property
    def dilation(self) -> tuple[int, int]:
        """The cells of a window are neighbours."""
        return (1, 1)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        if not source.is_image:
            return
        wrong = list(window_problems(self, source.shape))
        yield from wrong
        if not wrong and any(map(_may_be_empty, window_axes(source.shape, self))):
            yield (
                f"a window of the kernel {self.kernel}, stride {self.stride} and padding"
                f" {self.padding} holds nothing of the image {source.shape[:2]}"
            )


def _may_be_empty(axis: WindowAxis) -> bool:
    """Whether a window may lie in the padding alone, or step over all of a small image."""
    over = axis.before > 0 and axis.dilation > axis.size
    return axis.before >= axis.reach or axis.last >= axis.size or over


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d(_Pool):
    """The largest code of each window; padding is ignored.

    Attributes
    ----------
    kernel, stride, dilation : (int, int)
        Down and across.
    padding : (int, int, int, int)
        Top, left, bottom, right; a pair that is given, down and across, becomes these.
    """

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the largest codes."""
        return replace(source, shape=(*window_grid(source.shape, self), source.channels))


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool2d(_Pool):
    """The exact sum of each window; padding counts as zeros.  A Rescale makes an average of it.

    Attributes
    ----------
    kernel, stride : (int, int)
        Down and across.
    padding : (int, int, int, int)
        As in :class:`MaxPool2d`.
    """

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides = (0, 0, 0, 0)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the sums."""
        fmt, cells = source.format, math.prod(self.kernel)
        lo, hi = (min(fmt.lo, 0), max(fmt.hi, 0)) if any(self.padding) else (fmt.lo, fmt.hi)
        fmt = IntFormat.covering(cells * lo, cells * hi, fmt.signed)
        shape = (*window_grid(source.shape, self), source.channels)
        return replace(source, shape=shape, format=fmt)
