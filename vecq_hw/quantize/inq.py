"""INQ (Zhou et al., *Incremental Network Quantization*, ICLR 2017): powers of two, in portions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from vecq_hw.formats import CodeBook
from vecq_hw.quantize.stages import stage_at
from vecq_hw.quantize.weights import WeightQuantizer, check_weights


class Inq(WeightQuantizer):
    """Zero and plus or minus ``2^(m-1)`` powers of two, m = k - 1; the largest weights first.

    Training is float at first.  After each of equal parts of it a larger portion of the weights,
    the largest ones, takes its quantized values for good, while the others train on (section 2.2,
    the weight partition by magnitude).  In the last part all weights are fixed, and biases and
    normalizations get used to them.  The largest power is ``2^floor(log2(4/3 max |w|))`` (Eq. 3)
    of the weights when the first are fixed.
    """

    BITS = range(2, 7)
    PORTIONS: Mapping[int, tuple[float, ...]] = {
        2: (0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0),
        3: (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
        4: (0.3, 0.5, 0.8, 0.9, 0.95, 1.0),
        5: (0.5, 0.75, 0.875, 1.0),
        6: (0.5, 0.75, 0.875, 1.0),
    }
    """By bits, the portions that are fixed one after the other.

    The fewer powers there are, the further the weights that are fixed at last move, so that they
    have to be few.
    """

    fixed: torch.Tensor
    step: torch.Tensor

    def __init__(self, w: torch.Tensor, bits: int = 5) -> None:
        super().__init__(w, bits)
        self._portion = 0.0  # that was due; unknown of weights read from a checkpoint
        # Not a number where a weight is still free.
        self.register_buffer("fixed", torch.full_like(w.detach(), math.nan))
        self.register_buffer("step", torch.zeros((), dtype=w.dtype, device=w.device))

    @property
    def powers(self) -> int:
        """How many powers of two there are."""
        return 1 << (self.bits - 2)

    @property
    def grid(self) -> CodeBook:
        """Ascending; the unused codes repeat the largest value."""
        positive = [1 << exponent for exponent in range(self.powers)]
        values = [-power for power in reversed(positive)] + [0, *positive]
        return CodeBook((*values, *[values[-1]] * ((1 << self.bits) - len(values))))

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signed powers of two and 0, and the smallest power as the step."""
        step = self.step if bool(self.step > 0) else self._step(w)
        w = torch.where(self.fixed.isnan(), w, self.fixed)
        # Eq. 4: from 3/4 of a power up to 3/2 of it, that power; zero below half of the smallest.
        sizes = w.abs() / step
        exponent = torch.log2(sizes.clamp(min=0.5) / 0.75).floor_().clamp_(0, self.powers - 1)
        values = torch.where(sizes < 0.5, 0.0, torch.exp2(exponent)) * w.sign()
        return values, step

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The weights, of which those fixed are quantized; only free ones get a gradient."""
        return torch.where(self.fixed.isnan(), w, self.fixed)

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Fix the portion that is due."""
        portions = (0.0, *self.PORTIONS[self.bits])
        due = portions[stage_at(progress, len(portions))]
        if due <= self._portion:
            return
        self._portion = due
        free = self.fixed.isnan()
        count = round(due * w.numel()) - int((~free).sum())
        if count <= 0:
            return
        with torch.no_grad():
            check_weights(w)
            if not bool(self.step > 0):
                self.step.copy_(self._step(w))
            values, step = self.integers(w.detach())
            candidates = torch.where(free, w.detach().abs(), -1.0).reshape(-1)
            chosen = torch.zeros_like(candidates, dtype=torch.bool)
            chosen[candidates.topk(count).indices] = True
            self.fixed.copy_(torch.where(chosen.view(w.shape), values * step, self.fixed))

    def _step(self, w: torch.Tensor) -> torch.Tensor:
        largest = torch.floor(torch.log2(w.detach().abs().amax() * 4 / 3))
        return torch.exp2(largest - (self.powers - 1))
