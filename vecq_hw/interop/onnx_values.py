"""What a tensor of an ONNX graph is on the way: a constant, integers that stand for reals, codes.

Axes of the file are those without the batch.  Our tensors are channels-last, so each axis of the
file's tensor is one of ours, or None where it has the size 1 and ours has none for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray, MidRise, TwosComplement, planes_of
from vecq_hw.interop.chain import Chain, Quantizer
from vecq_hw.interop.graph import Array
from vecq_hw.layers import Weights
from vecq_hw.layers.windows import Sides

Axes = tuple[int | None, ...]


class Refused(VecqError):
    """A node cannot be taken; the message says why and what would be needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A constant tensor, with all of its axes.

    Attributes
    ----------
    values : array
        As the file computes them.
    integers, scales : arrays of the same shape, or None
        ``values`` are ``integers * scales`` where the constant is quantized.
    """

    values: Array
    integers: IntArray | None = None
    scales: FloatArray | None = None

    def moved(self, values: Array, integers: Array | None, scales: Array | None) -> Fixed:
        """The same numbers in another order.

        All three have one new shape, with as many elements as before or repeated ones.
        """
        return Fixed(values, integers, scales)


@dataclass(frozen=True, slots=True, eq=False)
class MaxPooling:
    """A pool that waits for codes: it commutes with all that rises."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Sides
    dilation: tuple[int, int]
    after: int
    """Steps of the chain that came before it."""


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """Integers of a tensor of ours, and the arithmetic that makes reals of them.

    Attributes
    ----------
    tensor : str
    sizes : tuple of int
        Of our tensor, the pools included that wait.
    axes : tuple of int or None
        Which of our axes each axis of the file's tensor is.
    flat : bool
        Whether the file sees all of them as one axis, in their order.
    pools : tuple of MaxPooling
    """

    tensor: str
    sizes: tuple[int, ...]
    chain: Chain
    axes: Axes
    flat: bool = False
    pools: tuple[MaxPooling, ...] = ()

    @property
    def split(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return axis_sizes(self.sizes, self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file sees it, without the batch."""
        return (math.prod(self.split),) if self.flat else self.split

    @property
    def channels(self) -> int:
        """The channels of the network's tensor."""
        return self.sizes[-1]

    def then(self, operator: str, *operands: FloatArray) -> Real:
        """With one more step."""
        return replace(self, chain=self.chain.then(operator, *operands))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Codes q of the file, of which a tensor of ours holds ``q - zero``."""

    tensor: str
    sizes: tuple[int, ...]
    axes: Axes
    zero: int
    flat: bool = False

    @property
    def split(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return axis_sizes(self.sizes, self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As the file sees it, without the batch."""
        return (math.prod(self.split),) if self.flat else self.split

    def reals(self, scale: float) -> Real:
        """What the codes stand for."""
        return Real(self.tensor, self.sizes, Chain.plain(scale), self.axes, self.flat)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A quantizer whose codes have not been asked for: a Clip may narrow them first."""

    source: Real | Outside | Parts | PairSum
    quantizer: Quantizer
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """An input of the file that is real until its first quantizer."""

    name: str
    shape: tuple[int, ...]
    chain: Chain
    views: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Reshapes and transposes that wait for codes."""


@dataclass(frozen=True, slots=True, eq=False)
class OutsideCodes:
    """An input of the file that is codes already; who reads them says where their zero is."""

    name: str
    shape: tuple[int, ...]
    lo: int
    hi: int


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Tensors side by side along the channels, of different steps, until a quantizer comes."""

    members: tuple[Real, ...]
    steps: Chain


@dataclass(frozen=True, slots=True, eq=False)
class PairSum:
    """A sum of two tensors of codes with different steps, until a quantizer comes."""

    left: Real
    right: Real
    sign: int
    chain: Chain
    """What comes after the sum."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosted:
    """What is left to the host, of what this network gives it."""

    of: State


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """Made by a node that could not be taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """What a node with several outputs makes, one behind the other."""

    members: tuple[State, ...]


Elementwise = Real | PairSum | Parts | Outside
State = Fixed | Held | Waiting | OutsideCodes | Hosted | Unknown | Several | Elementwise


def axis_sizes(sizes: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """Sizes of axes of a tensor of ours."""
    return tuple(1 if axis is None else sizes[axis] for axis in axes)


def first_axes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Axes]:
    """Sizes of ours and axes for a tensor of the file, channels first: (C,), (C, L), (C, H, W)."""
    match len(shape):
        case 0:
            return (1,), ()
        case 1:
            return shape, (0,)
        case 2:
            return (1, shape[1], shape[0]), (2, 1)
        case 3:
            return (shape[1], shape[2], shape[0]), (2, 0, 1)
        case _:
            raise Refused(f"a tensor has the shape {shape}; at most three axes behind the batch")


def scalar(fixed: Fixed, what: str) -> float:
    """The one number of a constant."""
    if fixed.values.size != 1:
        raise Refused(f"{what} has the shape {fixed.values.shape}; one number is wanted")
    return float(fixed.values.reshape(-1)[0])


def checked_scale(fixed: Fixed, what: str = "its scale") -> float:
    """A scale that is one positive number."""
    value = scalar(fixed, what)
    if not value > 0 or not math.isfinite(value):
        raise Refused(f"{what} is {value}; a positive finite number is wanted")
    return value


def checked_scales(scales: Array, what: str = "its scale") -> FloatArray:
    """Scales that are all positive.

    They have any shape, which the result has.
    """
    found = np.asarray(scales, np.float32)
    if not (found > 0).all() or not np.isfinite(found).all():
        worst = found.reshape(-1)[~((found > 0) & np.isfinite(found)).reshape(-1)][0]
        raise Refused(f"{what} is {worst}; positive finite numbers are wanted")
    return found


def whole_zero(value: float, what: str = "its zero point") -> int:
    """A zero point that is an integer of at most 32 bits."""
    if not math.isfinite(value) or value != math.floor(value) or abs(value) >= 1 << 31:
        raise Refused(f"{what} is {value}; a whole number of at most 32 bits is wanted")
    return int(value)


def by_channel(real: Real, values: Array, has_batch: bool = True) -> npt.NDArray[np.float64]:
    """A constant that an operator broadcasts to a tensor, as one number or one for each channel.

    The result has the shape () or (C,).

    Raises
    ------
    Refused
        It varies along another axis than the channels.
    """
    values = np.asarray(values)
    if values.size == 1:
        return np.asarray(values.reshape(()), np.float64)
    shape = real.shape
    wanted = (1, *shape) if has_batch else shape
    if values.ndim > len(wanted):
        if any(size != 1 for size in values.shape[: values.ndim - len(wanted)]):
            raise Refused(f"it broadcasts to the shape {values.shape}, which has more axes")
        values = values.reshape(values.shape[values.ndim - len(wanted) :])
    values = values.reshape((1,) * (len(wanted) - values.ndim) + values.shape)
    if values.shape[0] != 1 and has_batch:
        raise Refused("a constant differs from sample to sample")
    values = values[0] if has_batch else values
    if any(size not in (1, axis) for size, axis in zip(values.shape, shape, strict=True)):
        raise Refused(f"a constant of the shape {values.shape} does not fit {shape}")
    if real.flat and values.size > 1:
        values = np.broadcast_to(values, shape).reshape(real.split)
    channel_axis = len(real.sizes) - 1
    index: list[slice | int] = []
    for axis, size in zip(real.axes, values.shape, strict=True):
        if axis == channel_axis:
            index.append(slice(None))
        elif size == 1 or (values == np.take(values, [0], len(index))).all():
            index.append(0)
        else:
            raise Refused("a constant varies from pixel to pixel; one for each channel is wanted")
    picked = values[tuple(index)].reshape(-1)
    found: npt.NDArray[np.float64] = picked.astype(np.float64)
    return found if found.size == real.channels else np.broadcast_to(found, (real.channels,))


def weights_of(values: IntArray, step: float) -> Weights:
    """Integer weights on the narrowest grid: odd ones on the mid-rise grid, which has no zero.

    ``values`` has the shape (O, ...).
    """
    planes = planes_of(values)
    if planes.bits > 16:
        raise Refused(f"its weights have {planes.bits} bits; at most 16 are taken")
    if planes.signs:
        return Weights(codes=planes.codes(values), grid=MidRise(planes.bits), step=step)
    return Weights(codes=values, grid=TwosComplement(planes.bits), step=step)


def quantized_constant(fixed: Fixed, what: str) -> tuple[IntArray, FloatArray]:
    """Integers and scales of a constant, or of one whose values are small integers themselves.

    Both have the shape of the constant, or scales one that broadcasts to it.
    """
    if fixed.integers is not None and fixed.scales is not None:
        return fixed.integers, fixed.scales
    values = fixed.values
    if values.dtype.kind in "iub" or (
        values.size and (values == np.rint(values)).all() and np.abs(values).max() < 1 << 15
    ):
        return values.astype(np.int64), np.ones(values.shape)
    raise Refused(f"{what} is real; a quantizer before it is wanted")


def output_scales(scales: FloatArray) -> FloatArray:
    """From scales of weights of shape (O, ...): one for all outputs, or one for each."""
    rows = scales.reshape(len(scales), -1)
    if not (rows == rows[:, :1]).all():
        raise Refused("the scale of its weights varies within an output; one for each is wanted")
    alike = bool((rows == rows[:1, :1]).all())
    return np.asarray(rows[0, 0] if alike else rows[:, 0], np.float64)


def product(sizes: Sequence[int]) -> int:
    """The product of sizes."""
    return math.prod(sizes)
