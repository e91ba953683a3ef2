"""What the integer network stores of a tensor of weights: one of three kinds of codes.

All are in torch's layout, ``(O, C, ...)`` with the taps of a kernel behind the channels; a matrix
has no taps.  Rows of a matrix that a flattened image multiplies are handed to quantizers of blocks
as ``(O, C, pixels)``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from vecq_hw.formats import Grid


class ScalarCodes(NamedTuple):
    """A code for each weight.

    Attributes
    ----------
    codes : int16 tensor of the weights' shape
    grid : Grid
        Gives each code its integer value.
    step : float64 tensor, scalar or of shape (O,)
        Real value of the integer value 1, for all weights or for those of each output.
    """

    codes: torch.Tensor
    grid: Grid
    step: torch.Tensor

    @property
    def kind(self) -> str:
        """The kind of the values, for people."""
        return type(self.grid).__name__


class ProductCodes(NamedTuple):
    """A word of a book for each block of d neighbouring input channels at one tap.

    Attributes
    ----------
    indices : integer tensor of shape (O, C / d, ...)
        0 to K - 1.
    book : int16 tensor of shape (K, d)
        Codes of the grid; K is 2, 4, 8, ... 2^16.
    grid : Grid
    step : float64 tensor, scalar or of shape (O,)
    """

    indices: torch.Tensor
    book: torch.Tensor
    grid: Grid
    step: torch.Tensor

    @property
    def kind(self) -> str:
        """The kind of the values, for people."""
        return f"words of {type(self.grid).__name__}"


class BaseCodes(NamedTuple):
    """A sum of at most I binary vectors for each group of n neighbouring input channels at one tap.

    Attributes
    ----------
    bases : integer tensor of shape (O, C / n, ..., I, n)
        1 for +1 and 0 for -1.
    coordinates : int16 tensor of shape (O, C / n, ..., I)
        How often each base counts; 0 where it was pruned.
    step : float64 tensor, scalar or of shape (O,)
    """

    bases: torch.Tensor
    coordinates: torch.Tensor
    step: torch.Tensor

    @property
    def kind(self) -> str:
        """The kind of the values, for people."""
        return "binary bases"


WeightCodes = ScalarCodes | ProductCodes | BaseCodes
