"""What stands between layers: tensors, and what every layer shares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat

LARGEST_SIZE = (1 << 31) - 1
"""The most that a kernel, stride, padding, dilation or factor has, and a tensor in integers."""

UNSTORED_DEFAULT = MappingProxyType({"stored": False})
"""Marks a field that is not stored while it has its default: layers without use for it keep the
digest that they had before there was such a field."""


def frozen(array: npt.ArrayLike, dtype: type[np.integer]) -> IntArray:
    """A read-only copy in ``dtype``; anything but integers that fit is refused.

    The copy has the shape of ``array``.

    Raises
    ------
    VecqError
        They are no integers, or one does not fit ``dtype``.
    """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Where integers enter: shape (C,) or (H, W, C)."""

    name: str
    shape: tuple[int, ...]
    format: IntFormat
    step: float = 1.0


class OfOneTensor:
    """A layer that reads one tensor."""

    __slots__ = ()
    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensors that it reads."""
        return (self.input,)


def dimension_problems(source: Tensor, dimensions: int) -> Iterator[str]:
    """Whether a layer that takes vectors (1) or images (3) gets them."""
    if len(source.shape) != dimensions:
        wanted = "(C,); flatten the image first" if dimensions == 1 else "(H, W, C)"
        yield f"it reads a tensor of shape {source.shape}, but takes {wanted}"


def step_problems(step: float, of: str = "") -> Iterator[str]:
    """Whether a step is the real value of one unit."""
    if not step > 0 or not math.isfinite(step):
        yield f"the {of}step must be positive and finite, not {step}"
