"""Activation quantizers whose rows have widths of their own, such as nodes of few neighbours.

The steps of widths are powers of two times one step: sums of rows are sums of shifted codes.  That
one is the step with the least sum of fourth powers of the errors on what is seen.  Values of nodes
differ with their words and neighbours: a few large ones, which tell the classes apart, stand among
many small ones, for whose sake the least square error would cut them off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.quantize.activation import (
    DECAY,
    ActivationQuantizer,
    QuantizedReLU,
    SignedQuantizer,
    activation_step,
    checked_activation_bits,
)

NARROWEST = 5
"""By so many powers of two a step may be finer than that at which the largest value just fits."""

POWER = 4
"""In which the errors of a step are summed."""


class _ByRow(ActivationQuantizer):
    """Each row quantized by the width of its class.

    Parameters
    ----------
    widths : sequence of int, 1..16
        Of each class.
    rows : int64 tensor of shape (rows,)
        The class of each row.

    Attributes
    ----------
    shifts : tuple of int
        By how many powers of two the step of each class is larger than :attr:`step`.
    searched : scalar buffer
        An average of the best steps; 0 before the first.
    """

    rows: torch.Tensor
    searched: torch.Tensor

    def __init__(self, widths: Sequence[int], rows: torch.Tensor) -> None:
        self.widths = tuple(map(checked_activation_bits, widths))
        super().__init__(max(self.widths))
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < len(self.widths):
            raise VecqError(
                f"rows of the classes {int(rows.min())}..{int(rows.max())} need as many widths, not"
                f" {len(self.widths)}"
            )
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("searched", torch.zeros(()))
        finest = activation_step(self._full)
        self.shifts = tuple(round(math.log2(activation_step(fmt) / finest)) for fmt in self.formats)

    @property
    def formats(self) -> tuple[IntFormat, ...]:
        """The format of the codes of each class of rows."""
        return tuple(IntFormat(bits, self.signed) for bits in self.widths)

    @property
    def step(self) -> torch.Tensor:
        """Real value of one unit in the widest class; 0 before any data were seen."""
        return self.searched

    def _observe(self, x: torch.Tensor, operand: int) -> None:
        wanted = x if self.signed else x.relu()
        widest = wanted.abs().amax() / max(self._full.hi, 1)
        if not bool(widest > 0):  # it says nothing
            return

        def best(octaves: list[float]) -> float:
            def error(octave: float) -> float:
                found = self._quantized(x, widest * 2.0**octave)
                return float((found - wanted).abs().pow(POWER).sum())

            return min(octaves, key=error)

        coarse = best([-half / 2 for half in range(2 * NARROWEST + 1)])
        found = widest * 2.0 ** best([coarse, coarse - 0.25, coarse + 0.25])
        weight = 1 - DECAY if bool(self.searched > 0) else 1.0
        self.searched.lerp_(found.to(self.searched.dtype), weight)

    def _quantized(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        result = torch.empty_like(x)
        for place, (fmt, shift) in enumerate(zip(self.formats, self.shifts, strict=True)):
            chosen = (self.rows == place).nonzero()[:, 0]
            part = self._codes(x.index_select(0, chosen), step * 2.0**shift, fmt)
            result = result.index_copy(0, chosen, part)
        return result

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"widths={self.widths}"


class RowsReLU(_ByRow, QuantizedReLU):
    """ReLU and its unsigned quantizer, each row with the width of its class."""


class RowsSigned(_ByRow, SignedQuantizer):
    """For values that no ReLU made, each row with the width of its class."""
