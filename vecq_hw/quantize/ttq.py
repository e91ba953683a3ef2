"""TTQ (Zhu et al., *Trained Ternary Quantization*, ICLR 2017): two learned scales, one a sign."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook
from vecq_hw.quantize.codes import ScalarCodes
from vecq_hw.quantize.weights import WeightQuantizer, check_weights

LARGEST = 127
"""The largest of the integers that stand for the two scales."""


class Ttq(WeightQuantizer):
    """``positive`` above ``0.05 max |w|``, ``-negative`` below its negation, else 0 (Eq. 6, 9).

    Both scales are learned; each gets the gradients of its weights (Eq. 7), and the weights theirs
    times the scale, or as they are where the weight is zero (Eq. 8).  The scales start as the mean
    magnitudes of their weights and are counted in units of their mean, since the paper's weights
    are normalized: in the units of the weights, Eq. 8 would all but stop the weights of a large
    layer and Eq. 7 throw its scales about, unless the optimizer, as Adam, takes no notice of how
    large a gradient is.

    The integer network has a code book of two integers up to 127 and 0: :meth:`integer_scales`.
    """

    BITS = range(2, 3)
    THRESHOLD = 0.05

    unit: torch.Tensor

    def __init__(self, w: torch.Tensor, bits: int = 2) -> None:
        super().__init__(w, bits)
        w = w.detach()
        positive, negative = self._sides(w)
        above = w[positive].sum() / positive.sum().clamp(min=1)
        below = -w[negative].sum() / negative.sum().clamp(min=1)
        mean = (above + below) / 2
        unit = torch.where(mean > 0, mean, 1.0)
        self.register_buffer("unit", unit)
        self.positive, self.negative = nn.Parameter(above / unit), nn.Parameter(below / unit)

    @property
    def grid(self) -> CodeBook:
        """Zero, the positive and the negative value; the last code repeats zero."""
        positive, negative, _ = self.integer_scales()
        return CodeBook((0, positive, -negative, 0))

    def _sides(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        threshold = self.THRESHOLD * w.abs().amax()
        return w > threshold, w < -threshold

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, with gradients to ``w`` and both scales."""
        positive, negative = self._sides(w.detach())
        result: torch.Tensor = _TwoScales.apply(  # type: ignore[no-untyped-call]
            w, self.positive, self.negative, self.unit, positive, negative
        )
        return result

    def integer_scales(self) -> tuple[int, int, float]:
        """Two integers whose ratio is that of the scales, and the step that fits the larger.

        The other is off by at most 1/128 of the larger: some fraction with a denominator p up to
        127 lies within ``1 / (128 p)`` of any ratio (Dirichlet), and the nearest one is taken.

        Returns
        -------
        positive, negative : int, -127..127
        step : float

        Raises
        ------
        VecqError
            Both scales are zero, or one is NaN or infinite.
        """
        scales = float(self.positive.detach()), float(self.negative.detach())
        larger = max(map(abs, scales))
        if not 0 < larger < float("inf"):
            raise VecqError(f"training made the scales of its TTQ weights {scales}; train it again")
        ratios = [scale / larger for scale in scales]
        size = min(
            range(1, LARGEST + 1), key=lambda p: max(abs(round(p * r) / p - r) for r in ratios)
        )
        step = larger / size * float(self.unit)
        return round(size * ratios[0]), round(size * ratios[1]), step

    def codes(self, w: torch.Tensor) -> ScalarCodes:
        """What the integer network stores of these weights."""
        check_weights(w)
        positive, negative = self._sides(w.detach())
        _, _, step = self.integer_scales()
        codes = positive.to(torch.int16) + 2 * negative.to(torch.int16)
        return ScalarCodes(codes, self.grid, torch.tensor(step, dtype=torch.float64))


class _TwoScales(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        _w: torch.Tensor,
        plus: torch.Tensor,
        minus: torch.Tensor,
        unit: torch.Tensor,
        positive: torch.Tensor,
        negative: torch.Tensor,
    ) -> torch.Tensor:
        context.save_for_backward(plus, minus, unit, positive, negative)
        return positive * (plus * unit) - negative * (minus * unit)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        plus, minus, unit, positive, negative = context.saved_tensors
        scale = torch.where(positive, plus, torch.where(negative, minus, 1.0))
        of_plus, of_minus = (gradient * positive).sum(), -(gradient * negative).sum()
        return gradient * scale, of_plus * unit, of_minus * unit, None, None, None
