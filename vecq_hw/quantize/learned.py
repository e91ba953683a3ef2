"""A step that is learned: the gradient that LSQ and TQT give it."""

from __future__ import annotations

from typing import Any

import torch

from vecq_hw import arithmetic
from vecq_hw.formats import IntFormat


def learned_step(
    w: torch.Tensor, step: torch.Tensor, fmt: IntFormat, margin: float = 0.0, scale: float = 1.0
) -> torch.Tensor:
    """``step * clamp(round(w / step))`` with gradients to both.

    To w the gradient is passed where nothing is clamped; to the step goes ``round(w / step) - w /
    step`` there, and the end of the range elsewhere.

    Parameters
    ----------
    w : float tensor
    step : scalar tensor
    fmt : IntFormat
        Its range is the clamp.
    margin : float
        How far beyond the ends, in steps, a weight still counts as not clamped.
    scale : float
        Of the gradient of the step.
    """
    result: torch.Tensor = _LearnedStep.apply(w, step, fmt, margin, scale)  # type: ignore[no-untyped-call]
    return result


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        w: torch.Tensor,
        step: torch.Tensor,
        fmt: IntFormat,
        margin: float,
        scale: float,
    ) -> torch.Tensor:
        codes = arithmetic.quantize(w, step, fmt, floor=torch.floor)
        context.save_for_backward(w, step, codes)
        context.settings = fmt, margin, scale
        return codes * step

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        w, step, codes = context.saved_tensors
        fmt, margin, scale = context.settings
        steps = w / step
        inside = (steps > fmt.lo - margin) & (steps < fmt.hi + margin)
        of_step = torch.where(inside, codes - steps, codes)
        return gradient * inside, (gradient * of_step).sum() * scale, None, None, None
