"""TWN (Li, Zhang, Liu, *Ternary weight networks*, 2016): three values from one threshold."""

from __future__ import annotations

import torch

from vecq_hw.formats import TwosComplement
from vecq_hw.quantize.weights import WeightQuantizer, beside, channel_rows


class Twn(WeightQuantizer):
    """``alpha`` times -1, 0 or 1, zero up to ``0.7 mean |w|`` (Eq. 6).

    ``alpha`` is the mean magnitude of the others (Eq. 5).
    """

    BITS = range(2, 3)
    THRESHOLD = 0.7

    @property
    def grid(self) -> TwosComplement:
        """The grid, of which -2 stays unused."""
        return TwosComplement(2)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """-1, 0, 1 and alpha."""
        rows = channel_rows(w, self.per_channel)
        magnitude = rows.abs()
        large = (magnitude > self.THRESHOLD * magnitude.mean(1, keepdim=True)).to(w.dtype)
        step = (magnitude * large).sum(1) / large.sum(1).clamp(min=1)
        return (rows.sign() * large).reshape(w.shape), beside(step, w)
