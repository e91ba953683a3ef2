"""How the weights of a layer are cut into groups that share their bases (ALQ, section 5)."""

from __future__ import annotations

import enum
import math

import torch

from vecq_hw.arguments import member, whole_number
from vecq_hw.errors import VecqError

FEWEST_CHANNELS = 8
"""At one tap, for which a coordinate of their own is worth its bits."""


class Groups(enum.Enum):
    """What a group of a convolution's weights is."""

    AUTO = "auto"
    """Pixel, or filter where a tap has fewer than 8 input channels."""
    PIXEL = "pixel"
    """All input channels at one tap of one output."""
    KERNEL = "kernel"
    """All taps of one input channel of one output."""
    FILTER = "filter"
    """All weights of one output."""


class Grouping:
    """Weights as rows, each of which is a group.

    Parameters
    ----------
    shape : (O, C) or (O, C, taps, ...)
        Of the weights.
    groups : Groups
        Of a convolution; the rows of any other matrix are cut into parts alone.
    part : int
        Input channels of a group at one tap, which divide the channels; 0 for all.
    """

    def __init__(self, shape: tuple[int, ...], groups: Groups | str, part: int) -> None:
        groups = member(Groups, groups, "groups of ALQ")
        part = whole_number(part, "a part of ALQ has 1 channel or more, or 0 for all", 0)
        self._shape = shape if len(shape) > 1 else (1, *shape)
        channels, taps = self._shape[1], math.prod(self._shape[2:])
        if len(self._shape) == 2:
            groups = Groups.PIXEL
        elif groups is Groups.AUTO:
            groups = Groups.PIXEL if channels >= FEWEST_CHANNELS else Groups.FILTER
        if part and groups is Groups.PIXEL and channels % part:
            divisors = [n for n in range(1, channels + 1) if channels % n == 0]
            raise VecqError(
                f"parts of {part} channels do not fill the {channels} of a row; use"
                f" {', '.join(map(str, divisors))}, or 0 for all"
            )
        self._groups = groups
        match groups:
            case Groups.PIXEL:
                self.size = part or channels
            case Groups.KERNEL:
                self.size = taps
            case _:
                self.size = channels * taps

    @property
    def count(self) -> int:
        """How many groups there are."""
        return math.prod(self._shape) // self.size

    @property
    def outputs(self) -> int:
        """How many outputs the groups lie in, as many in each."""
        return self._shape[0]

    @property
    def run(self) -> int:
        """Input channels of a group at one tap."""
        match self._groups:
            case Groups.PIXEL:
                return self.size
            case Groups.KERNEL:
                return 1
            case _:
                return self._shape[1]

    def rows(self, w: torch.Tensor) -> torch.Tensor:
        """The weights as rows, (count, size)."""
        w = w.reshape(self._shape)
        w = w.movedim(1, -1) if self._groups is Groups.PIXEL else w
        return w.reshape(self.count, self.size)

    def weights(self, rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The rows as weights, of the shape of ``like``."""
        outputs, channels, *taps = self._shape
        if self._groups is Groups.PIXEL:
            return rows.reshape(outputs, *taps, channels).movedim(-1, 1).reshape(like.shape)
        return rows.reshape(like.shape)
