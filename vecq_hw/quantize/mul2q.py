"""muL2Q (Gong et al., *muL2Q: An Ultra-Low Loss Quantization Method for DNN Compression*,
IJCNN 2019): the best uniform grid for a Gaussian, moved to the mean of the weights.
"""

from __future__ import annotations

import torch

from vecq_hw.arguments import truth_value
from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise
from vecq_hw.quantize.codes import WeightCodes
from vecq_hw.quantize.vecq import gaussian_lambda
from vecq_hw.quantize.weights import WeightQuantizer

ONE_BIT = 1.5957691216057308
"""``2 sqrt(2 / pi)``: the best step of two values for N(0, 1)."""


class MuL2q(WeightQuantizer):
    """``step * v + beta``, v half-integers, with ``step = lambda(k) * deviation``.

    ``lambda`` minimizes the square error of N(0, 1); nothing is fitted to the weights at hand
    beyond their mean and deviation, where VecQ fits the length.

    Parameters
    ----------
    mean : bool
        Whether ``beta`` is the mean of the weights, as in the paper, or 0.  Only with 0 are the
        values integers times one step.
    """

    BITS = range(1, 9)

    def __init__(self, w: torch.Tensor, bits: int, mean: bool = False) -> None:
        super().__init__(w, bits)
        self.mean = truth_value(mean, "mean is True or False")

    @property
    def grid(self) -> MidRise:
        """The grid of the integer values."""
        return MidRise(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Odd integers and half of the paper's step, beside beta."""
        fmt = self.grid.code_format
        step = w.std(correction=0) * (ONE_BIT if self.bits == 1 else gaussian_lambda(self.bits))
        step = step.clamp(min=torch.finfo(w.dtype).tiny)
        codes = ((w - self._beta(w)) / step).floor_().clamp_(fmt.lo, fmt.hi)
        return codes.mul_(2).add_(1), step / 2

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights; their gradient is passed to ``w`` unchanged."""
        return super().forward(w) + self._beta(w.detach())

    def codes(self, w: torch.Tensor) -> WeightCodes:
        """What the integer network stores of these weights; refused where the mean was kept.

        Raises
        ------
        VecqError
            The mean of the weights was kept, which no step divides.
        """
        if self.mean:
            raise VecqError(
                f"its weights have the mean {float(w.detach().mean()):.3g}, which muL2Q adds to"
                " every value, and no step divides both; train with the mean-free form (mul2q)"
            )
        return super().codes(w)

    def _beta(self, w: torch.Tensor) -> torch.Tensor | float:
        return w.mean() if self.mean else 0.0
