"""Rounding and signs with straight-through gradients, which pass as if they were not there."""

from __future__ import annotations

from typing import Any

import torch

from vecq_hw import arithmetic
from vecq_hw.formats import IntFormat


class ClippedStraightThrough(torch.autograd.Function):
    """Rule 1 forward; backward the gradient passes where no code was clamped."""

    @staticmethod
    def forward(
        context: Any, x: torch.Tensor, step: torch.Tensor, fmt: IntFormat, gradient_from: float
    ) -> torch.Tensor:
        """The codes times ``step`` to which ``x`` is rounded; the result has the shape of ``x``."""
        if context.needs_input_grad[0]:
            context.save_for_backward(inside(x, step * gradient_from, step * (fmt.hi + 0.5)))
        # floor_ works on the temporary that the rule makes.
        codes: torch.Tensor = arithmetic.quantize(x, step, fmt, floor=torch.floor_)
        return codes.mul_(step)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """The gradient in the shape of ``x``, 0 where a code was clamped; none for the others."""
        (inside,) = context.saved_tensors
        return gradient * inside, None, None, None


class StraightThroughSign(torch.autograd.Function):
    """1 from 0 on, else -1; backward the gradient passes between -1 and 1."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        """The signs of ``x``, in its shape."""
        context.save_for_backward(x.abs() < 1)
        signs: torch.Tensor = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
        return signs

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient in the shape of ``x``, 0 beyond -1 and 1."""
        (inside,) = context.saved_tensors
        passed: torch.Tensor = gradient * inside
        return passed


def inside(x: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """1 where ``low < x < high``, else 0, as int8.

    On a CPU comparisons that give floats, and products with int8, are vectorized; with bool both
    are several times slower.

    ``x`` has any shape, which the result has; the ends broadcast to it.
    """
    above = torch.gt(x, low, out=torch.empty_like(x))
    below = torch.lt(x, high, out=torch.empty_like(x))
    return above.mul_(below).to(torch.int8)
