"""Layers that multiply by weights and add."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import MAX_BITS, IntArray, IntFormat
from vecq_hw.layers.tensor import OfOneTensor, Tensor, dimension_problems, frozen
from vecq_hw.layers.weights import AnyWeights
from vecq_hw.layers.windows import Sides, sides, window_grid, window_problems


class WithWeights(OfOneTensor):
    """A layer that multiplies by weights of shape (O, ..., C) and adds."""

    __slots__ = ()
    name: str
    weights: AnyWeights
    bias: IntArray | None
    accumulator_bits: int | None

    @property
    def outputs(self) -> int:
        """How many sums it makes of each position."""
        return self.weights.shape[0]

    @property
    def group_channels(self) -> int:
        """How many channels an output reads: those of its group."""
        return self.weights.shape[-1]

    @property
    def inputs_of_one_output(self) -> int:
        """How many products an output adds: the channels of its group in each kernel cell."""
        return math.prod(self.weights.shape[1:])

    @property
    def weight_count(self) -> int:
        """How many weights it has."""
        return self.outputs * self.inputs_of_one_output

    def reads(self, source: IntFormat) -> IntFormat:
        """The codes that it multiplies, of a tensor of the format ``source``."""
        return source

    def accumulator_range(self, source: IntFormat) -> tuple[int, int]:
        """The proven least and greatest sum, bias included, of codes of ``source``."""
        ranges = self.accumulator_ranges(source)
        return min(least for least, _ in ranges), max(most for _, most in ranges)

    def accumulator_ranges(self, source: IntFormat) -> list[tuple[int, int]]:
        """The proven least and greatest sum of each output; Python integers throughout."""
        read = self.reads(source)
        lo, hi = read.lo, read.hi
        values = self.weights.values.reshape(self.outputs, -1).astype(np.int64)
        positive = np.maximum(values, 0).sum(axis=1).tolist()
        negative = np.minimum(values, 0).sum(axis=1).tolist()
        bias = [0] * len(values) if self.bias is None else self.bias.tolist()
        return [
            (p * lo + n * hi + b, p * hi + n * lo + b)
            for p, n, b in zip(positive, negative, bias, strict=True)
        ]

    def accumulator_format(self, source: IntFormat) -> IntFormat:
        """The format of its sums; they wrap where fewer bits were asked for than are proven.

        Raises
        ------
        VecqError
            The proven range needs more bits than any format has.
        """
        least, most = self.accumulator_range(source)
        if max(most, -least - 1).bit_length() >= MAX_BITS:
            raise VecqError(
                f"layer '{self.name}': the accumulator would need more than {MAX_BITS} bits"
                f" (it can reach {most}); use fewer inputs or narrower formats"
            )
        exact = IntFormat.covering(least, most)
        wrap = self.accumulator_bits
        return exact if wrap is None or wrap >= exact.bits else IntFormat(wrap, signed=True)

    def weight_problems(self, dimensions: int) -> Iterator[str]:
        """What is illegal about its weights and sums, whatever it reads."""
        shape = self.weights.shape
        if len(shape) != dimensions or not math.prod(shape):
            yield f"the weights have the shape {shape}; {dimensions} axes, none empty, are wanted"
        else:
            yield from self.weights.problems()
        if self.bias is not None and self.bias.shape != shape[:1]:
            yield f"the bias has the shape {self.bias.shape}, not ({shape[0]},)"
        if not self.weights.step > 0 or not math.isfinite(self.weights.step):
            yield f"the weight step must be positive and finite, not {self.weights.step}"
        if self.accumulator_bits is not None and not 1 <= self.accumulator_bits <= MAX_BITS:
            yield f"an accumulator has 1 to {MAX_BITS} bits, not {self.accumulator_bits}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(WithWeights):
    """``acc[o] = sum_c value[o, c] * x[c] + bias[o]``, exact.

    Attributes
    ----------
    weights : AnyWeights, of shape (O, C)
    bias : int64 array of shape (O,) in accumulator units, or None
    accumulator_bits : int or None
        None: as wide as proven.  Otherwise the accumulator wraps at this width.
    """

    name: str
    input: str
    weights: AnyWeights
    bias: IntArray | None = None
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen(self.bias, np.int64))

    @property
    def groups(self) -> int:
        """Every output reads every input."""
        return 1

    def output(self, source: Tensor) -> Tensor:
        """The tensor of its sums."""
        fmt = self.accumulator_format(source.format)
        return Tensor(shape=(self.outputs,), format=fmt, step=source.step * self.weights.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 1)
        yield from self.weight_problems(2)
        if self.group_channels != source.channels:
            yield (
                f"the weights take {self.group_channels} inputs,"
                f" but '{self.input}' has {source.channels}"
            )

    def __repr__(self) -> str:
        outputs, inputs = self.weights.shape
        return f"Dense({self.name}: {inputs}→{outputs}, {self.weights!r})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv2d(WithWeights):
    """Convolution over (H, W, C), exact.

    Attributes
    ----------
    weights : AnyWeights, of shape (O, KH, KW, C)
        C is the channels of one group: all of them for one group, one where it is depthwise.
    bias : int64 array of shape (O,) in accumulator units, or None
    stride, dilation : (int, int)
        Down and across.
    padding : (int, int, int, int)
        Top, left, bottom, right; a pair that is given, down and across, becomes these.
    pad_code : int
        What pads the image: any integer of the bits that it reads, also beyond the proven range.
    groups : int
        Output o reads the channels of group ``o * groups // O`` alone.
    accumulator_bits : int or None
        As in :class:`Dense`.
    """

    name: str
    input: str
    weights: AnyWeights
    bias: IntArray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    pad_code: int = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    accumulator_bits: int | None = None

    def __post_init__(self) -> None:
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen(self.bias, np.int64))
        object.__setattr__(self, "padding", sides(self.padding))

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel height and width."""
        _, height, width, _ = self.weights.shape
        return height, width

    def reads(self, source: IntFormat) -> IntFormat:
        """The codes that it multiplies, of a tensor of the format ``source`` and of the padding."""
        if not any(self.padding):
            return source
        lo, hi = min(source.lo, self.pad_code), max(source.hi, self.pad_code)
        return IntFormat(source.bits, source.signed, lo, hi)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of its sums."""
        shape = (*window_grid(source.shape, self), self.outputs)
        fmt = self.accumulator_format(source.format)
        return Tensor(shape=shape, format=fmt, step=source.step * self.weights.step)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        yield from self.weight_problems(4)
        if source.is_image and len(self.weights.shape) == 4:
            yield from self._group_problems(source.channels)
            yield from window_problems(self, source.shape)
        held = IntFormat(source.format.bits, source.format.signed)
        if not held.contains(self.pad_code, self.pad_code):
            yield f"it is padded with {self.pad_code}, which {held!r} does not hold"

    def _group_problems(self, channels: int) -> Iterator[str]:
        outputs, taken = self.outputs, self.group_channels
        if self.groups < 1 or outputs % self.groups or channels % self.groups:
            yield f"{self.groups} groups do not divide {channels} channels and {outputs} outputs"
        elif taken * self.groups != channels:
            yield (
                f"the kernel takes {taken * self.groups} channels,"
                f" but '{self.input}' has {channels}"
            )

    def __repr__(self) -> str:
        outputs, height, width, channels = self.weights.shape
        groups = f" in {self.groups} groups" * (self.groups > 1)
        size = f"{channels * self.groups}→{outputs}{groups}, {height}×{width}"
        return f"Conv2d({self.name}: {size}, {self.weights!r})"
