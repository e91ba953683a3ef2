"""DropBits (Lee et al., *Semi-Relaxed Quantization with DropBits*, arXiv 1911.12990, 2019): SRQ
whose layers learn their widths by gates on the higher bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

import torch
from torch import nn

from vecq_hw.arguments import member, real_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import TwosComplement
from vecq_hw.quantize.noisy_grid import Forward, Gradient
from vecq_hw.quantize.randomness import RandomState
from vecq_hw.quantize.srq import Srq, start_of_step

TEMPERATURE, LOWEST, HIGHEST = 2 / 3, -0.1, 1.1
"""Constants of the hard concrete distribution, as its authors have them (Louizos et al., 2018)."""
START = 2.2
"""The first logarithmic odds of a gate: it is open with a probability of 0.9."""
FEWEST = 2
"""Bits that no gate can drop."""
UNIT = 5.0
"""Logarithmic odds that a parameter of 1 stands for: SGD and Adam both move gates enough."""
KIBIBYTE = 8192
"""In bits."""


class Penalty(Enum):
    """What ``strength`` is the price of, in units of the loss."""

    BITS = "bits"
    """A bit of the width of a layer."""
    SIZE = "size"
    """A kibibyte of weights."""


class DropBits(Srq):
    """SRQ whose layers learn how many of their bits they need.

    The points of the grid that need j bits count ``z_3 z_4 ... z_j`` in the probabilities, each z_j
    a gate in 0..1.  While widths are undecided, gates are drawn once for each step from the hard
    concrete distribution, whose odds are learned from the loss, through the probabilities, and from
    the penalty.  Then a gate is open whose odds are above one, a closed one drops all bits from its
    own upwards, and training goes on with the width that is left.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
    bits : int
        The most that a layer can have, 2 to 16.
    gradient : Gradient or str
        As of SRQ; but what comes unchanged would teach the gates nothing of the loss.
    forward : Forward or str
        As of SRQ.
    penalty : Penalty or str
        What has a price: a bit of the width of a layer, or a kibibyte of weights.
    strength : float
        The price in units of the loss, 0 to 1e6.
    decide : float
        Which part of training the widths are learned in, above 0 and up to 1.
    """

    LEARNING_RATE_SHARES: Mapping[str, float] = {**Srq.LEARNING_RATE_SHARES, "gates": 1.0}
    noise: torch.Tensor
    width: torch.Tensor
    """Bits that were decided, 0 before."""

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        gradient: Gradient | str = Gradient.ALL,
        forward: Forward | str = Forward.NEAREST,
        penalty: Penalty | str = Penalty.BITS,
        strength: float = 0.05,
        decide: float = 0.6,
    ) -> None:
        super().__init__(w, bits, gradient, forward)
        if self.gradient is Gradient.IDENTITY:
            raise VecqError(
                "gates of dropbits learn through the probabilities of 'all' or 'max', which the"
                " gradient 'identity' passes by"
            )
        self.counted = member(Penalty, penalty, "penalty")
        wanted = "strength is 0 to 1e6"
        self.strength = real_number(strength, wanted)
        if not 0 <= self.strength <= 1e6:
            raise VecqError(f"{wanted}, not {self.strength}")
        wanted = "decide is above 0 and up to 1"
        self.decide = real_number(decide, wanted)
        if not 0 < self.decide <= 1:
            raise VecqError(f"{wanted}, not {self.decide}")
        count = self.bits - FEWEST
        start = torch.full((count,), START / UNIT, dtype=w.dtype, device=w.device)
        self.gates = nn.Parameter(start)
        self.random: RandomState = RandomState(w)
        # Infinite where the step that comes has not drawn it yet.
        self.register_buffer("noise", torch.full_like(start, math.inf))
        self.register_buffer("width", torch.tensor(0, device=w.device))

    @property
    def grid(self) -> TwosComplement:
        """The grid of the width that was decided; before that, of the gates as they are."""
        decided = int(self.width)
        if decided:
            return TwosComplement(decided)
        return TwosComplement(FEWEST + int((self.gates.detach() > 0).cumprod(0).sum()))

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, with gradients to all that is learned."""
        if not self.training or int(self.width):
            return super().forward(w)
        # How much the points count that need 2, 3, ... bits, and so each grid within the next.
        weights = torch.cat([self.gates.new_ones(1), self._drawn().cumprod(0)])
        shares = weights - torch.cat([weights[1:], weights.new_zeros(1)])
        used = [index for index, share in enumerate(shares.tolist()) if share > 0]
        return self._on_grids(w, tuple(FEWEST + index for index in used), shares[used])

    def penalty(self, w: torch.Tensor) -> torch.Tensor:
        """The price of the bits that are expected, while they are undecided."""
        price = 0.0 if int(self.width) else self.strength
        if self.counted is Penalty.SIZE:
            price *= w.numel() / KIBIBYTE
        # Even where nothing is to pay: processes that share gradients wait for those of the gates.
        above_zero = UNIT * self.gates - TEMPERATURE * math.log(-LOWEST / HIGHEST)
        return price * above_zero.sigmoid().sum()

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Let the next step draw anew; decide when it is time."""
        if int(self.width):
            return
        self.noise.fill_(math.inf)
        if progress < self.decide:
            return
        self.width.fill_(self.grid.bits)
        if int(self.width) < self.bits:
            # A dropped bit halves the range; the step that is learned slowly would take long.
            with torch.no_grad():
                change = start_of_step(w.detach(), int(self.width)).log() - self.log_step
                self.log_step.add_(change)
                self.log_noise.add_(change)

    def extra_repr(self) -> str:
        """With the bits that are left."""
        return f"{super().extra_repr()}, left={self.grid.bits}"

    def _drawn(self) -> torch.Tensor:
        """The gates of this step, 0..1; the same ones however often the layer is called."""
        if bool(self.noise.isinf().any()):
            generator = self.random.generator()
            drawn = torch.rand(len(self.gates), generator=generator, dtype=torch.float64)
            self.noise.copy_(drawn.logit(1e-7))
        soft = torch.sigmoid((self.noise + UNIT * self.gates) / TEMPERATURE)
        return (soft * (HIGHEST - LOWEST) + LOWEST).clamp(0, 1)
