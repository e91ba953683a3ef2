"""Activations on the levels of ESB: finer near zero, coarser where few values lie.

A b-bit code without a sign is the exponent and fraction of the small float of b + 1 bits that loses
least (:func:`~vecq_hw.quantize.esb.default_fraction`); 3 bits reach 0, 1, 2, 3, 4, 6, 8, 12, and 4
bits 28.  What layers read are these integers, so that sums, products and pools need no decoding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vecq_hw.arguments import whole_number
from vecq_hw.formats import IntArray, IntFormat, MiniFloat
from vecq_hw.quantize.activation import (
    ActivationQuantizer,
    QuantizedHardtanh,
    QuantizedReLU,
    SignedQuantizer,
)
from vecq_hw.quantize.distributions import best_scale
from vecq_hw.quantize.esb import default_fraction, nearest_levels, positive_levels
from vecq_hw.quantize.straight_through import inside

MOST_BITS = 10
"""Beyond them half-way points between levels leave the 12 bits of a table."""


class _OnLevels(ActivationQuantizer):
    """``step`` times the nearest of the levels, the higher one of two."""

    def __init__(self, bits: int, *settings: float) -> None:
        wanted = f"ESB activations have 2 to {MOST_BITS} bits"
        super().__init__(whole_number(bits, wanted, 2, MOST_BITS), *settings)

    @property
    def grid(self) -> MiniFloat:
        """The levels, the negative ones among them where the values have none."""
        bits = self.bits + (not self.signed)
        return MiniFloat(bits, default_fraction(bits))

    @property
    def levels(self) -> IntArray:
        """The integers that it gives, ascending."""
        positive = positive_levels(self.grid).astype(np.int64)
        every = np.union1d(positive, -positive)
        fmt = self.format
        return every[(every >= fmt.lo) & (every <= fmt.hi)]

    def integer(self, real: float) -> int:
        """The level of one real value, as the integer network has it."""
        fmt = self.format
        steps = torch.tensor((real - self.zero) / float(self.step), dtype=torch.float64)
        return int(nearest_levels(steps, self.grid).clamp(fmt.lo, fmt.hi))

    @property
    def _full(self) -> IntFormat:
        largest = self.grid.value_format.hi
        return IntFormat.covering(-largest if self.signed else 0, largest, self.signed)

    def _best_step(self) -> float:
        return best_scale(tuple(positive_levels(self.grid).tolist()))

    def _quantized(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        fmt = self._full
        ends = self._gradient_from(fmt), fmt.hi + self._margin
        result: torch.Tensor = _NearestLevel.apply(  # type: ignore[no-untyped-call]
            x, step, self.grid, fmt, ends
        )
        return result

    def _gradient_from(self, fmt: IntFormat) -> float:
        return fmt.lo - self._margin

    @property
    def _margin(self) -> float:
        """Half of what the last two levels lie apart."""
        below, last = positive_levels(self.grid)[-2:].tolist()
        return float(last - below) / 2


class EsbReLU(_OnLevels, QuantizedReLU):
    """ReLU and its quantizer in one: unsigned levels."""

    def _gradient_from(self, fmt: IntFormat) -> float:
        return 0.0


class EsbHardtanh(_OnLevels, QuantizedHardtanh):
    """A clamp to two bounds and its quantizer; the levels end at those of the bounds."""

    def _clamped(self, bounds: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return nearest_levels(bounds / step, self.grid).clamp(self._full.lo, self._full.hi)


class EsbSigned(_OnLevels, SignedQuantizer):
    """For tensors that no ReLU made: a sign, an exponent and a fraction."""


class _NearestLevel(torch.autograd.Function):
    """Backward the gradient passes between the ends."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        step: torch.Tensor,
        grid: MiniFloat,
        fmt: IntFormat,
        ends: tuple[float, float],
    ) -> torch.Tensor:
        if context.needs_input_grad[0]:
            context.save_for_backward(inside(x, step * ends[0], step * ends[1]))
        levels = nearest_levels(x / step, grid)
        return (levels if fmt.signed else levels.clamp_(min=0)).mul_(step)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        (passing,) = context.saved_tensors
        return gradient * passing, None, None, None, None
