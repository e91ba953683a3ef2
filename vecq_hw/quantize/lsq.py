"""LSQ (Esser et al., *Learned Step Size Quantization*, ICLR 2020): the step is a parameter."""

from __future__ import annotations

import math

import torch
from torch import nn

from vecq_hw import arithmetic
from vecq_hw.formats import TwosComplement
from vecq_hw.quantize.learned import learned_step
from vecq_hw.quantize.weights import WeightQuantizer


class Lsq(WeightQuantizer):
    """Two's complement codes times a learned step (Eq. 1, 2).

    Its gradient (Eq. 3) is scaled by ``1 / sqrt(n (2^(k-1) - 1))`` (section 2.2), n weights; it
    starts at ``2 mean |w| / sqrt(2^(k-1) - 1)`` (section 2.1).
    """

    BITS = range(2, 17)

    def __init__(self, w: torch.Tensor, bits: int) -> None:
        super().__init__(w, bits)
        most = self.grid.code_format.hi
        self.step = nn.Parameter(2 * w.detach().abs().mean() / math.sqrt(most))

    @property
    def grid(self) -> TwosComplement:
        """The grid of the integer values."""
        return TwosComplement(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and step."""
        fmt = self.grid.code_format
        return arithmetic.quantize(w, self.step, fmt, floor=torch.floor), self.step

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, with gradients to ``w`` and the step."""
        fmt = self.grid.code_format
        scale = 1 / math.sqrt(w.numel() * fmt.hi)
        return learned_step(w, self.step, fmt, scale=scale)
