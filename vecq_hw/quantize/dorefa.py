"""DoReFa weights (Zhou et al., *DoReFa-Net*, 2016): uniform between -1 and 1, behind a tanh."""

from __future__ import annotations

import torch

from vecq_hw import arithmetic
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.quantize.weights import WeightQuantizer


class Dorefa(WeightQuantizer):
    """``2 quantize_k(tanh(w) / (2 max |tanh(w)|) + 1/2) - 1`` (Eq. 9).

    ``quantize_k(x) = round((2^k - 1) x) / (2^k - 1)`` (Eq. 5), so the values are the odd integers
    of the mid-rise grid over ``2^k - 1``.  One bit is ``sign(w) mean |w|`` (Eq. 8).  The gradient
    passes the rounding unchanged and the tanh as it is.
    """

    def __init__(self, w: torch.Tensor, bits: int) -> None:
        super().__init__(w, bits)

    @property
    def grid(self) -> MidRise:
        """The grid of the integer values."""
        return MidRise(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Odd integers and their step."""
        if self.bits == 1:
            return torch.where(w >= 0, 1.0, -1.0).to(w.dtype), w.abs().mean()
        steps = (1 << self.bits) - 1
        levels = IntFormat(self.bits, signed=False)
        unit = _unit(w)
        number = arithmetic.quantize(unit, 1.0 / steps, levels, floor=torch.floor)
        return 2 * number - steps, torch.tensor(1.0 / steps, dtype=w.dtype, device=w.device)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights; their gradient goes through the tanh."""
        if self.bits == 1:
            return super().forward(w)
        smooth = 2 * _unit(w) - 1
        values, step = self.integers(w.detach())
        return smooth + (values * step - smooth).detach()


def _unit(w: torch.Tensor) -> torch.Tensor:
    """Into 0..1."""
    bent = w.tanh()
    unit: torch.Tensor = bent / (2 * bent.abs().amax()) + 0.5
    return unit
