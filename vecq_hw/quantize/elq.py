"""ELQ (Zhou, Yao, Wang, Chen, *Explicit Loss-Error-Aware Quantization for Low-Bit Deep Neural
Networks*, CVPR 2018): one or two bits, portion by portion, beside a float pass.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

import torch

from vecq_hw.arguments import member, real_number, truth_value
from vecq_hw.errors import VecqError
from vecq_hw.formats import Grid
from vecq_hw.quantize.bwn import Bwn
from vecq_hw.quantize.stages import checked_stages, portion_of, stage_at
from vecq_hw.quantize.twn import Twn
from vecq_hw.quantize.weights import WeightQuantizer, check_weights

MOST_WEIGHT_ERROR = 1e6
"""The most that a2 can be; beyond it the penalty is all that a network could learn."""


class Order(Enum):
    """Which weights of a layer a portion takes first."""

    MAGNITUDE = "magnitude"
    """The largest, as INQ does."""
    ERROR = "error"
    """Those that lie closest to their quantized values."""


class Elq(WeightQuantizer):
    """Signs times alpha (1 bit) or these and zero (2 bits), of BWN or TWN; in growing portions.

    Training descends ``L + a1 |L - L_q| + a2 sum (w - w_q)^2`` (as we read the paper, of which
    only the abstract could be had): L is the loss of a pass in which the portion of each layer that
    has been chosen is quantized and the rest float, L_q that of one in which all is quantized,
    straight through, and the sum is over the weights that still move.  At the start of a portion,
    alpha is fitted to the magnitudes, and the codes of the newly chosen weights are fixed; they
    follow alpha.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
    bits : int, 1 or 2
    per_channel : bool
        Whether each output has an alpha of its own.
    a1 : float, 0..1
        The share of L_q.  While it exceeds L, which is the rule, ``(1 - a1) L + a1 L_q`` is
        descended: 0 trains the floats alone, 1 the quantized weights alone; beyond 1 it overshoots.
    a2 : float
        Of the squared distance to the quantized weights.
    order : Order
        Which weights a portion takes first: the largest, or those closest to the grid.
    frozen : bool
        Whether the codes of a portion are fixed, or assigned anew in each step.
    portions : tuple of float
        Of the weights, quantized in each of as many equal parts of training; the last is 1, and
        where codes are frozen, only biases and batch norms are trained in its part.
    """

    BITS = range(1, 3)
    TWO_PASSES: ClassVar[bool] = True

    chosen: torch.Tensor
    fixed: torch.Tensor
    alpha: torch.Tensor

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        per_channel: bool = True,
        a1: float = 1.0,
        a2: float = 0.02,
        order: Order | str = Order.MAGNITUDE,
        frozen: bool = True,
        portions: tuple[float, ...] = (0.0, 0.5, 0.75, 0.875, 1.0),
    ) -> None:
        super().__init__(w, bits, per_channel)
        self.a1 = _between(a1, 1.0, "a1 is 0 to 1")
        self.a2 = _between(a2, MOST_WEIGHT_ERROR, f"a2 is 0 to {MOST_WEIGHT_ERROR:g}")
        self.order = member(Order, order, "order")
        self.frozen = truth_value(frozen, "frozen is True or False")
        self.portions = checked_stages(portions, "portions")
        self.rule: WeightQuantizer = (Bwn if bits == 1 else Twn)(w, bits, per_channel)
        self._part = -1  # of training, that was begun; unknown of weights read from a checkpoint
        like = torch.zeros_like(w.detach())
        self.register_buffer("chosen", like.bool())
        self.register_buffer("fixed", like.to(torch.int8))
        # Zero until the first codes are fixed; until then it follows the weights.
        self.register_buffer("alpha", torch.zeros_like(self.rule.integers(w.detach())[1]))
        self.advance(w, 0.0)

    @property
    def grid(self) -> Grid:
        """-1 and 1, or two's complement of which -2 stays unused."""
        return self.rule.grid

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The codes of BWN or TWN, or those that were fixed, and alpha."""
        values, alpha = self.rule.integers(w)
        if not bool(self.alpha.any()):
            return values, alpha
        fixed = self.fixed.clamp(-1, 1)
        if self.bits == 1:
            fixed = torch.where(fixed < 0, -1, 1)
        return torch.where(self.chosen, fixed.to(w.dtype), values), self.alpha

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights; where the quantizer is relaxed, those not chosen yet in float.

        Gradients pass unchanged to the weights whose codes are not fixed.
        """
        quantized = super().forward(w)
        others = w if self.relaxed else quantized
        return torch.where(self.chosen, quantized.detach() if self.frozen else quantized, others)

    def penalty(self, w: torch.Tensor) -> torch.Tensor | None:
        """``a2`` times the squared distance of the weights that move to their quantized values."""
        if self.a2 == 0:
            return None
        with torch.no_grad():
            values, alpha = self.integers(w)
            target = torch.where(self.chosen, w, values * alpha) if self.frozen else values * alpha
        return self.a2 * (w - target).square().sum()

    def combined(self, loss: torch.Tensor, relaxed: torch.Tensor) -> torch.Tensor:
        """``L + a1 |L - L_q|``; the quantized pass has the loss L_q, the relaxed one L."""
        return relaxed + self.a1 * (relaxed - loss).abs()

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Choose the portion that is due."""
        part = stage_at(progress, len(self.portions))
        if part <= self._part:
            return
        self._part = part
        count = portion_of(w.numel(), self.portions[part]) - int(self.chosen.sum())
        if count <= 0:
            return
        with torch.no_grad():
            check_weights(w)
            w = w.detach()
            values, alpha = self.rule.integers(w)
            match self.order:
                case Order.MAGNITUDE:
                    ranks = w.abs()
                case Order.ERROR:
                    ranks = -(w - values * alpha).abs()
            ranks = torch.where(self.chosen, -torch.inf, ranks).reshape(-1)
            new = torch.zeros_like(self.chosen).reshape(-1)
            new[ranks.topk(count).indices] = True
            new = new.view(w.shape)
            if self.frozen:
                self.fixed.copy_(torch.where(new, values, self.fixed))
                self.alpha.copy_(alpha)
            self.chosen |= new

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        rest = f"a1={self.a1:g}, a2={self.a2:g}, {self.order.value}, frozen={self.frozen}"
        return f"{super().extra_repr()}, {rest}, portions={self.portions}"


def _between(given: float, most: float, wanted: str) -> float:
    number = real_number(given, wanted)
    if not 0 <= number <= most:
        raise VecqError(f"{wanted}, not {given!r}")
    return number
