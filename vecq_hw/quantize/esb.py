"""ESB weights (Gong et al., *Elastic Significant Bit Quantization and Acceleration for Deep Neural
Networks*, IEEE TPDS 33(11), 2022): each weight keeps its leading bits, as a small float does.

Formulas as the authors' published quantizer computes them; of the paper only the abstract and one
figure could be read.
"""

from __future__ import annotations

import numpy as np
import torch

from vecq_hw import arithmetic
from vecq_hw.arguments import member, truth_value, whole_number
from vecq_hw.formats import FloatArray, IntFormat, MiniFloat
from vecq_hw.quantize.distributions import best_scale
from vecq_hw.quantize.vecq import Spread, row_dots, row_spread
from vecq_hw.quantize.weights import WeightQuantizer, beside, channel_rows

EXPONENT_BITS = 2
"""Exponent bits of the grids that lose least on Gaussian weights; up to 3 bits there is one."""


def default_fraction(bits: int) -> int:
    """The fraction bits with the least error on Gaussian weights, among those of so many bits.

    Examples
    --------
    >>> [default_fraction(bits) for bits in (2, 3, 4, 5, 8)]
    [0, 1, 1, 2, 5]
    """
    return bits - 1 - (EXPONENT_BITS if bits > 3 else 1)


def positive_levels(grid: MiniFloat) -> FloatArray:
    """Zero and the positive levels, ascending, as floats.

    The shape is (2^(b-1),).
    """
    codes = np.arange(1 << (grid.bits - 1))  # those without the bit of the sign
    return grid.values(codes).astype(np.float64)


def esb_scale(bits: int, fraction: int) -> float:
    """``alpha(b, k)`` of the distribution difference aligner: the best scale, in deviations.

    It has the least square error for Gaussian weights on levels whose first power of two is 1:
    those of :class:`MiniFloat` over ``2^k``.  The authors' table has the same figures but for three
    of its 21: (4, 0) has 0.0381, which is not the best; so has (5, 1) 0.0391; and of (9, 7) the
    table repeats the 1.9757 of (8, 6).

    Examples
    --------
    >>> [round(esb_scale(*setting), 4) for setting in ((2, 0), (4, 1), (5, 2), (9, 7))]
    [1.224, 0.4871, 0.4828, 2.1156]
    """
    return _step(MiniFloat(bits, fraction)) * (1 << fraction)


def nearest_levels(x: torch.Tensor, grid: MiniFloat) -> torch.Tensor:
    """The level nearest to each value, the higher one of two; a new tensor of the same type.

    ``floor(x / unit + 1/2) * unit``, where ``unit`` is how far the levels around x lie apart: 1 up
    to ``2^(k+1)``, and from there on twice as much for each power of two.

    ``x`` has any shape, which the result has.

    Examples
    --------
    >>> nearest_levels(torch.tensor([0.5, -0.5, 4.9, 5.0, -5.0, 99.0]), MiniFloat(4, 1)).tolist()
    [1.0, 0.0, 4.0, 6.0, -4.0, 12.0]
    """
    largest = float(grid.value_format.hi)
    x = x.clamp(-largest, largest)
    first = 2 << grid.fraction
    if largest < first:  # all levels lie 1 apart
        return arithmetic.quantize(x, 1.0, grid.value_format, floor=torch.floor_)
    magnitude, unit, power = x.abs(), torch.ones_like(x), first
    while power <= largest:
        # Comparisons that give floats are vectorized.
        beyond = torch.ge(magnitude, float(power), out=torch.empty_like(x))
        unit.add_(beyond, alpha=power // first)
        power *= 2
    units = IntFormat.covering(-first, first)
    return arithmetic.quantize(x, unit, units, floor=torch.floor_).mul_(unit)


class Esb(WeightQuantizer):
    """Weights on the levels of a :class:`MiniFloat`, the nearest to ``w / alpha``.

    ``alpha = alpha(b, k) * spread`` by :func:`esb_scale`; the gradient is passed unchanged.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
    bits : int, 2..15
    per_channel : bool
    fraction : int or None
        Fraction bits k, 0 to ``bits - 2``, that the levels have behind their leading one; None is
        :func:`default_fraction`.  With ``bits - 2`` the levels are linear, with 0 powers of two.
    spread : Spread or str
        The authors take the standard deviation, but need not subtract the mean; see
        :func:`~vecq_hw.quantize.vecq.vecq`.
    rescale : bool
        Whether the levels, once chosen, get the scale of least squares, as VecQ drives; the
        authors keep alpha.
    """

    BITS = range(2, 16)

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        per_channel: bool = False,
        fraction: int | None = None,
        spread: Spread | str = Spread.RMS,
        rescale: bool = True,
    ) -> None:
        super().__init__(w, bits, per_channel)
        if fraction is None:
            fraction = default_fraction(self.bits)
        wanted = f"weights of Esb of {self.bits} bits have 0 to {self.bits - 2} fraction bits"
        self.fraction = whole_number(fraction, wanted, 0, self.bits - 2)
        self.spread = member(Spread, spread, "spread")
        self.rescale = truth_value(rescale, "rescale is True or False")
        _step(self.grid)  # refuses levels beyond 32 bits

    @property
    def grid(self) -> MiniFloat:
        """The grid of the integer values."""
        return MiniFloat(self.bits, self.fraction)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The levels, and alpha over ``2^k`` or the step of least squares."""
        rows = channel_rows(w, self.per_channel)
        step = row_spread(rows, self.spread) * _step(self.grid)
        step = step.clamp_(min=torch.finfo(w.dtype).tiny)  # rows of zeros stay zero
        values = nearest_levels(rows / step, self.grid)
        if self.rescale:
            squares = row_dots(values, values).clamp_(min=1)  # a row of zeros has the step 0
            step = row_dots(rows, values) / squares
        return values.reshape(w.shape), beside(step, w)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"{super().extra_repr()}, fraction={self.fraction}"


def _step(grid: MiniFloat) -> float:
    """The best step of the levels, in deviations of Gaussian weights."""
    return best_scale(tuple(positive_levels(grid).tolist()))
