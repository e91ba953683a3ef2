"""SQ (Dong et al., *Learning Accurate Low-Bit Deep Neural Networks with Stochastic Quantization*,
BMVC 2017): in each step some of the weights, drawn by their error, stay float.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum

import torch

from vecq_hw.arguments import member
from vecq_hw.errors import VecqError
from vecq_hw.formats import Grid
from vecq_hw.quantize.codes import WeightCodes
from vecq_hw.quantize.product import ProductQuantization
from vecq_hw.quantize.randomness import RandomState
from vecq_hw.quantize.stages import checked_stages, portion_of, stage_at
from vecq_hw.quantize.vecq import Vecq
from vecq_hw.quantize.weights import (
    WeightMethod,
    WeightQuantizer,
    channel_rows,
)

LARGEST_ERROR = 1e6
"""Where relative errors end: those of weights that are zero, or all but zero, are alike."""
SMALLEST_ERROR = 1e-7
"""What is added to errors before one is divided by them."""


class Granularity(Enum):
    """What is drawn."""

    ROW = "row"
    """The weights of an output, all of them or none."""
    ELEMENT = "element"
    """Each weight by itself."""


class Probability(Enum):
    """How the relative error e of a row decides whether it is drawn."""

    ROULETTE = "roulette"
    """To stay float, in proportion to e, one row after the other: as the authors' code does."""
    CONSTANT = "constant"
    """All alike."""
    LINEAR = "linear"
    """To be quantized, in proportion to ``f = 1 / (e + 1e-7)``, one row after the other."""
    SIGMOID = "sigmoid"
    """To be quantized, in proportion to ``1 / (1 + exp(-f))``, one row after the other."""


class Stochastic(WeightQuantizer):
    """Another method, to whose quantized weights training comes in stages.

    In a stage r, ``floor((1 - r) m)`` of m rows are drawn in each step, without replacement, by the
    relative error ``e = |w - Q(w)|_1 / |w|_1`` of each.  They are float in that step, the others
    quantized by the method Q; gradients are those of the float weights here and of Q there.  In
    evaluation, and where r is 1, all are as Q has them, bit for bit.

    Parameters
    ----------
    w, bits
        As of the method.
    base : WeightMethod
        A method without a schedule or steps of its own.
    granularity : Granularity
        What is drawn: the weights of an output together, or each weight by itself.
    probability : Probability
        How the relative error decides which are drawn.
    stages : tuple of float
        r of each of as many equal parts of training; it never falls, and the last is 1.
    """

    stage: torch.Tensor

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        base: WeightMethod = Vecq,
        granularity: Granularity | str = Granularity.ROW,
        probability: Probability | str = Probability.ROULETTE,
        stages: tuple[float, ...] = (0.5, 0.75, 0.875, 1.0),
    ) -> None:
        quantizer = base(w, bits)
        if not is_base(type(quantizer)):
            raise VecqError(
                f"SQ draws from a method without a schedule of its own, not from"
                f" {type(quantizer).__name__}"
            )
        super().__init__(w, bits, quantizer.per_channel)
        self.base = quantizer
        self.granularity = member(Granularity, granularity, "granularity")
        self.probability = member(Probability, probability, "probability")
        self.stages = checked_stages(stages, "stages")
        self.random = RandomState(w)
        self.register_buffer("stage", torch.zeros((), dtype=torch.int64))

    @property
    def LEARNING_RATE_SHARES(self) -> Mapping[str, float]:  # type: ignore[override]
        """Those of the method, by the names that its parameters have here."""
        return {f"base.{name}": share for name, share in self.base.LEARNING_RATE_SHARES.items()}

    @property
    def grid(self) -> Grid:
        """The grid of the method."""
        return self.base.grid

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of the method."""
        return self.base.integers(w)

    def codes(self, w: torch.Tensor) -> WeightCodes:
        """Those of the method."""
        return self.base.codes(w)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights; while training, with what is drawn in float."""
        quantized: torch.Tensor = self.base(w)
        if not self.training:
            return quantized
        rows = self.granularity is Granularity.ROW
        errors = relative_errors(w.detach(), quantized.detach(), rows)
        stage = self.stages[int(self.stage.clamp(0, len(self.stages) - 1))]
        count = len(errors) - portion_of(len(errors), stage)
        if count == 0:
            return quantized
        chosen = draw(errors, count, self.probability, self.random.generator())
        free = chosen.view(-1, *[1] * (w.ndim - 1)) if rows else chosen.view(w.shape)
        return torch.where(free, w, quantized)

    def penalty(self, w: torch.Tensor) -> torch.Tensor | None:
        """The penalty of the method."""
        return self.base.penalty(w)

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Enter the stage that is due."""
        self.stage.fill_(stage_at(progress, len(self.stages)))

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"{self.granularity.value}, {self.probability.value}, stages={self.stages}"


def is_base(kind: type[WeightQuantizer]) -> bool:
    """Whether SQ can draw from the weights of that method: it has neither schedule nor own steps.

    Examples
    --------
    >>> from vecq_hw.quantize import Inq, Lsq
    >>> is_base(Lsq), is_base(Inq), is_base(Stochastic)
    (True, False, False)
    """
    own = kind.OWN_STEP or kind.TWO_PASSES or issubclass(kind, ProductQuantization)
    alike = all(
        inspect.getattr_static(kind, name) is inspect.getattr_static(WeightQuantizer, name)
        for name in ("advance", "advance_together")
    )
    return alike and not own


def relative_errors(w: torch.Tensor, quantized: torch.Tensor, by_rows: bool) -> torch.Tensor:
    """``|w - quantized|_1 / |w|_1`` of each row, (O,), or of each weight, (n,); at most 1e6."""
    tiny = torch.finfo(w.dtype).tiny
    if by_rows:
        sizes, gaps = (channel_rows(x.abs(), True).sum(1) for x in (w, w - quantized))
    else:
        sizes, gaps = w.abs().reshape(-1), (w - quantized).abs().reshape(-1)
    return (gaps / sizes.clamp(min=tiny)).clamp_(max=LARGEST_ERROR)


def draw(
    errors: torch.Tensor, count: int, probability: Probability, generator: torch.Generator
) -> torch.Tensor:
    """Which rows stay float: a mask with ``count`` of them.

    Of exponential random times with rates p, the first are a draw without replacement with
    probabilities in proportion to p (Efraimidis and Spirakis 2006), whatever their number.

    Parameters
    ----------
    errors : float tensor, (m,)
    count : int, 1..m
    probability : Probability
    generator : torch.Generator
        On the CPU: the draw is the same on every device.
    """
    drawn = torch.rand(len(errors), dtype=errors.dtype, generator=generator).to(errors.device)
    times = (-torch.log1p(-drawn)).clamp_(min=torch.finfo(drawn.dtype).tiny)
    match probability:
        case Probability.ROULETTE:
            scores = errors / times  # the first of those that stay float
        case Probability.CONSTANT:
            scores = times
        case Probability.LINEAR:
            scores = times * (errors + SMALLEST_ERROR)  # the last of those that are quantized
        case Probability.SIGMOID:
            scores = times * (1 + torch.exp(-1 / (errors + SMALLEST_ERROR)))
    chosen = torch.zeros(len(errors), dtype=torch.bool, device=errors.device)
    chosen[scores.topk(count, sorted=False).indices] = True
    return chosen
