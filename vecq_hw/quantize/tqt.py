"""TQT (Jain et al., *Trained Quantization Thresholds*, MLSys 2020): a learned power-of-two step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from vecq_hw import arithmetic
from vecq_hw.formats import TwosComplement
from vecq_hw.quantize.learned import learned_step
from vecq_hw.quantize.weights import WeightQuantizer


class Tqt(WeightQuantizer):
    """Two's complement codes times ``2^ceil(log2 t) / 2^(k-1)`` (Eq. 4).

    The logarithm of the threshold t is learned, as if nothing rounded it up (Eq. 7, 8); it starts
    at three standard deviations (section 5.2).  Near a power of two it would go to and fro until
    the end, the step doubling and halving, and normalizations would know neither.  So after half
    of training the power of two on whose side its moving average lies is taken for good (the
    paper freezes thresholds one by one, by the same average, section 5.2).
    """

    BITS = range(2, 17)
    FREEZE = 0.5
    """From which progress on the power of two is fixed."""
    KEPT = 0.99
    """The part of the moving average that each step keeps."""

    average: torch.Tensor
    exponent: torch.Tensor

    def __init__(self, w: torch.Tensor, bits: int) -> None:
        super().__init__(w, bits)
        spread = w.detach().std(correction=0)
        start = torch.where(spread > 0, 3 * spread, w.detach().abs().amax())
        self.log2_threshold = nn.Parameter(torch.log2(start))
        self.register_buffer("average", self.log2_threshold.detach().clone())
        # Not a number where it still follows the threshold.
        self.register_buffer("exponent", torch.full_like(self.average, math.nan))

    @property
    def grid(self) -> TwosComplement:
        """The grid of the integer values."""
        return TwosComplement(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and step."""
        step = self._step()
        return arithmetic.quantize(w, step, self.grid.code_format, floor=torch.floor), step

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, with gradients to ``w`` and the threshold."""
        return learned_step(w, self._step(), self.grid.code_format, margin=0.5)

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Follow the threshold; fix its power of two when it is time."""
        if progress < self.FREEZE:
            self.average.lerp_(self.log2_threshold.detach(), 1 - self.KEPT)
        else:
            self.exponent.copy_(
                torch.where(self.exponent.isnan(), self.average.ceil(), self.exponent)
            )

    def _step(self) -> torch.Tensor:
        exponent: torch.Tensor = _Ceil.apply(self.log2_threshold)  # type: ignore[no-untyped-call]
        # The threshold stays in the graph: processes that share gradients wait for its own.
        exponent = torch.where(self.exponent.isnan(), exponent, self.exponent)
        return torch.exp2(exponent - (self.bits - 1))


class _Ceil(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, x: torch.Tensor) -> torch.Tensor:
        return x.ceil()

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient
