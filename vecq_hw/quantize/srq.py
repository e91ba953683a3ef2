"""SRQ (Lee et al., *Semi-Relaxed Quantization with DropBits*, arXiv 1911.12990, 2019): a learned
step and noise, with the gradient of rounding at random.

No code of the authors could be had, nor the whole text: docs/explanation/methods/srq.md says what
is a reading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from vecq_hw import arithmetic
from vecq_hw.arguments import member
from vecq_hw.formats import TwosComplement
from vecq_hw.quantize.distributions import best_step
from vecq_hw.quantize.noisy_grid import Forward, Gradient, Nested, noisy_weights
from vecq_hw.quantize.randomness import RandomState
from vecq_hw.quantize.weights import WeightQuantizer, channel_rows, root_mean_square

STEPS_OF_NOISE = 1 / 3
"""The scale of the noise at the start, in steps, as in the RQ that this builds on."""


class Srq(WeightQuantizer):
    """Two's complement codes times a learned step, as if logistic noise moved the weights.

    A weight takes the most probable point of the grid, which is the nearest; what it passes back is
    the gradient of the probabilities ("multi-class straight-through").  Step and noise are learned
    as logarithms; the step starts at the best one for Gaussian weights, the noise at a third of it.

    Parameters
    ----------
    w : float tensor
    bits : int
        2 to 16; the grid of 1 bit would hold 0 and minus a step alone.
    gradient : Gradient or str
        What passes back: the slope of the value expected over all points, or of the probability of
        the point that was taken alone; or what comes unchanged, within the range of the grid.
    forward : Forward or str
        Which point a weight takes in training, the nearest or one drawn by the probabilities;
        evaluation and the integers take the nearest.
    """

    BITS = range(2, 17)
    LEARNING_RATE_SHARES: Mapping[str, float] = {"log_step": 1 / 20, "log_noise": 1 / 20}

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        gradient: Gradient | str = Gradient.ALL,
        forward: Forward | str = Forward.NEAREST,
    ) -> None:
        super().__init__(w, bits)
        self.gradient = member(Gradient, gradient, "gradient")
        self.taken = member(Forward, forward, "forward")
        self.log_step = nn.Parameter(start_of_step(w.detach(), self.bits).log())
        self.log_noise = nn.Parameter(self.log_step.detach() + math.log(STEPS_OF_NOISE))
        self.random = RandomState(w) if self.taken is Forward.SAMPLE else None

    @property
    def grid(self) -> TwosComplement:
        """The grid of the integer values."""
        return TwosComplement(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and step."""
        step = self.log_step.exp()
        return arithmetic.quantize(w, step, self.grid.code_format, floor=torch.floor), step

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, with gradients to ``w``, the step, and the noise."""
        return self._on_grids(w, (self.grid.bits,), w.new_ones(1))

    def _on_grids(
        self, w: torch.Tensor, widths: tuple[int, ...], shares: torch.Tensor
    ) -> torch.Tensor:
        generator = None
        if self.training and self.taken is Forward.SAMPLE:
            assert self.random is not None
            generator = self.random.generator()
        nested = Nested(widths, self.gradient, generator)
        return noisy_weights(w, self.log_step, self.log_noise, shares, nested)


def start_of_step(w: torch.Tensor, bits: int) -> torch.Tensor:
    """The best step for Gaussian weights that spread as these do; any finite ones.

    ``w`` has any shape, outputs along axis 0; the result is a scalar.
    """
    fmt = TwosComplement(bits).code_format
    largest = w.abs().amax()
    largest = torch.where(largest > 0, largest, 1.0)
    spread = root_mean_square(channel_rows(w / largest, False)).reshape(())
    return best_step(fmt.lo, fmt.hi) * largest * torch.where(spread > 0, spread, 1.0)
