"""BWN (Rastegari et al., *XNOR-Net*, ECCV 2016): signs, and the mean magnitude of each filter."""

from __future__ import annotations

import torch

from vecq_hw.formats import MidRise
from vecq_hw.quantize.weights import WeightQuantizer, beside, channel_rows


class Bwn(WeightQuantizer):
    """``alpha sign(w)`` with ``alpha = mean |w|`` of each output (Eq. 6); no weight is zero.

    One-bit VecQ with a scale for each output is the same.  The gradient is passed unchanged.
    """

    BITS = range(1, 2)

    def __init__(self, w: torch.Tensor, bits: int = 1, per_channel: bool = True) -> None:
        super().__init__(w, bits, per_channel)

    @property
    def grid(self) -> MidRise:
        """-1 and 1."""
        return MidRise(1)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signs and alpha."""
        rows = channel_rows(w, self.per_channel)
        return torch.where(w >= 0, 1.0, -1.0).to(w.dtype), beside(rows.abs().mean(1), w)
