"""The layers of an integer network: immutable, and holding only what cannot be derived.

Axis letters: N batch, H and W image, C channels, O outputs, K kernel.  All arrays are
channels-last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import Grid, IntArray, IntFormat


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

    @property
    def is_image(self) -> bool:
        """Whether it has height and width; else it is a vector."""
        return len(self.shape) == 3

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[-1]

    @property
    def positions(self) -> int:
        """Pixels of an image; 1 of a vector."""
        return math.prod(self.shape[:-1])


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


class _OfOneTensor:
    """A layer that reads one tensor."""

    __slots__ = ()
    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensors that it reads."""
        return (self.input,)


class _WithWeights(_OfOneTensor):
    """A layer that multiplies by weights and adds; codes of shape (O, ..., C)."""

    __slots__ = ()
    weights: Weights

    @property
    def outputs(self) -> int:
        """How many sums it makes of each position."""
        return len(self.weights.codes)

    @property
    def group_channels(self) -> int:
        """How many channels an output reads: those of its group."""
        return int(self.weights.codes.shape[-1])

    @property
    def inputs_of_one_output(self) -> int:
        """How many products an output adds: the channels of its group in each kernel cell."""
        return int(self.weights.codes[0].size)

    @property
    def weight_count(self) -> int:
        """How many weights it has."""
        return self.outputs * self.inputs_of_one_output


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense(_WithWeights):
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

    @property
    def groups(self) -> int:
        """Every output reads every input."""
        return 1

    @property
    def padding(self) -> tuple[int, int]:
        """None: it reads vectors."""
        return (0, 0)

    def __repr__(self) -> str:
        outputs, inputs = self.weights.codes.shape
        return f"Dense({self.name}: {inputs}→{outputs}, {self.weights.grid.bits}-bit)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv2d(_WithWeights):
    """Convolution over (H, W, C), exact; code 0 pads the image.

    Attributes
    ----------
    weights : Weights, codes of shape (O, KH, KW, C)
        C is the channels of one group: all of them for one group, one where it is depthwise.
    bias : int64 array of shape (O,) in accumulator units, or None
    stride, padding, dilation : (int, int)
        Down and across.
    groups : int
        Output o reads the channels of group ``o * groups // O`` alone.
    accumulator_bits : int or None
        As in :class:`Dense`.
    """

    name: str
    input: str
    weights: Weights
    bias: IntArray | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
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
        bits, groups = self.weights.grid.bits, f" in {self.groups} groups" * (self.groups > 1)
        channels *= self.groups
        return f"Conv2d({self.name}: {channels}→{outputs}{groups}, {height}×{width}, {bits}-bit)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rescale(_OfOneTensor):
    """``clamp((acc * mantissa[c] + offset[c] + 2^(s-1)) >> s, lo, hi)``: the lossy layer.

    Numeric contract, rule 4.  Batch norm, bias and scales fold into it; an unsigned format makes
    it a ReLU.

    Attributes
    ----------
    mantissa, offset : int64 arrays of shape (C,)
    shift : int, or int64 array of shape (C,), 1..62
        One for all channels, or one for each where their gains differ too much for one.  An array
        of equal shifts becomes the one; the two have cells of their own in hardware.
    format : IntFormat
        Of the output; ``lo`` and ``hi`` are the clamp.
    step : float
        Real value of one output unit.
    """

    name: str
    input: str
    mantissa: IntArray
    offset: IntArray
    shift: int | IntArray
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mantissa", _frozen(self.mantissa, np.int64))
        object.__setattr__(self, "offset", _frozen(self.offset, np.int64))
        shift = _frozen(self.shift, np.int64)
        alike = shift.ndim == 0 or (
            shift.shape == self.mantissa.shape and len(set(shift.tolist())) == 1
        )
        object.__setattr__(self, "shift", int(shift.flat[0]) if alike else shift)

    @property
    def shifts(self) -> IntArray:
        """The shift of each channel; shape (C,)."""
        return np.broadcast_to(np.asarray(self.shift, np.int64), self.mantissa.shape)

    @property
    def mantissa_bits(self) -> IntArray:
        """How many bits each channel's mantissa has, its sign among them; shape (C,).

        0 of a channel that is constant.
        """
        magnitudes = np.abs(self.mantissa).tolist()
        return np.array([m.bit_length() + (m > 0) for m in magnitudes], np.int64)

    def __repr__(self) -> str:
        own = f", shifts {self.shifts.min()}..{self.shifts.max()}"
        ending = "" if isinstance(self.shift, int) else own
        return f"Rescale({self.name}: {self.mantissa.size} channels → {self.format!r}{ending})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Threshold(_OfOneTensor):
    """Counts thresholds: ``lo`` plus how many of its channel's thresholds the accumulator reaches.

    An exact equivalent of a Rescale on the proven range (``passes.thresholds``).  A rising channel
    counts ``acc >= t``, a falling one ``acc <= t``.  A threshold that no accumulator reaches lies
    outside the proven range.

    Attributes
    ----------
    thresholds : int64 array of shape (C, format.hi - format.lo), each row ascending
    falling : int64 array of shape (C,), 0 or 1
    format : IntFormat
        Of the output.
    step : float
        Real value of one output unit.
    """

    name: str
    input: str
    thresholds: IntArray
    falling: IntArray
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", _frozen(self.thresholds, np.int64))
        object.__setattr__(self, "falling", _frozen(self.falling, np.int64))

    def __repr__(self) -> str:
        channels, levels = self.thresholds.shape
        return f"Threshold({self.name}: {channels} channels × {levels} → {self.format!r})"


class _Pool(_OfOneTensor):
    """A layer that reduces windows channel by channel."""

    __slots__ = ()

    @property
    def dilation(self) -> tuple[int, int]:
        """The cells of a window are neighbours."""
        return (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool2d(_Pool):
    """The largest code of each window; padding is ignored."""

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool2d(_Pool):
    """The exact sum of each window; padding counts as zeros.  A Rescale makes an average of it."""

    name: str
    input: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(_OfOneTensor):
    """(H, W, C) becomes (H*W*C,), in this order; no integer changes."""

    name: str
    input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample2d(_OfOneTensor):
    """Each pixel ``factor`` times down and across: nearest neighbour."""

    name: str
    input: str
    factor: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """The exact sum of tensors of one shape, one format and one step."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Tensors of one format and one step, one behind the other along the channels."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgMax(_OfOneTensor):
    """Along the channels the index of the largest code, of several the lowest; one channel is left.

    Its tensor counts: the step is 1.
    """

    name: str
    input: str


Layer = (
    Dense
    | Conv2d
    | Rescale
    | Threshold
    | MaxPool2d
    | SumPool2d
    | Flatten
    | Upsample2d
    | Add
    | Concat
    | ArgMax
)
MacLayer = Dense | Conv2d
WindowLayer = Conv2d | MaxPool2d | SumPool2d
JoinLayer = Add | Concat
CodeLayer = Rescale | Threshold


def as_mac_layer(layer: Layer) -> MacLayer | None:
    """The layer if it multiplies by weights and adds, else None."""
    match layer:
        case Dense() | Conv2d():
            return layer
        case (
            Rescale()
            | Threshold()
            | MaxPool2d()
            | SumPool2d()
            | Flatten()
            | Upsample2d()
            | Add()
            | Concat()
            | ArgMax()
        ):
            return None
        case _:
            assert_never(layer)


def as_code_layer(layer: Layer) -> CodeLayer | None:
    """The layer if it makes codes of a format of its own, clamped, of accumulators; else None."""
    match layer:
        case Rescale() | Threshold():
            return layer
        case (
            Dense()
            | Conv2d()
            | MaxPool2d()
            | SumPool2d()
            | Flatten()
            | Upsample2d()
            | Add()
            | Concat()
            | ArgMax()
        ):
            return None
        case _:
            assert_never(layer)
