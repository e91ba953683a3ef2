"""Activation quantizers: a step that follows the data in training and stands still in evaluation.

The step is the smaller of two estimates, both averaged over batches:

- the best step for a Gaussian of the spread seen.  For unsigned data that is the root mean square
  of the positive entries: it does not depend on how many entries ReLU sets to zero;
- the step at which the largest value seen just fits.  Data that are exact in the bits at hand
  (8-bit pixels) so stay exact.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import distributed, nn

from vecq_hw import arithmetic
from vecq_hw.arguments import whole_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.quantize.distributions import best_step
from vecq_hw.quantize.straight_through import ClippedStraightThrough, StraightThroughSign

DECAY = 0.9
"""What an average keeps of its old value at each training batch; the first batch sets it."""


def activation_step(fmt: IntFormat) -> float:
    """The best step, in units of the spread, for Gaussian data on the grid of ``fmt``.

    An unsigned grid, whose code 0 takes the negative half, has the step of the symmetric grid with
    one bit more.

    Examples
    --------
    >>> round(activation_step(IntFormat(8, signed=False)), 4)
    0.0165
    """
    return best_step(float(fmt.lo), float(fmt.hi))


class ActivationQuantizer(nn.Module):
    """Real values to ``code * step`` and back to real: rule 1 of the numeric contract.

    Where tensors must have one format and one step (rule 5), each of them goes through the same
    quantizer: :meth:`share` says how many they are, and each has statistics of its own, of which
    the largest count.

    Parameters
    ----------
    bits : int, 1..16

    Attributes
    ----------
    spread, peak : buffers, scalar, or of shape (operands,) where shared
        Averages over the training batches; 0 before the first.
    """

    spread: torch.Tensor
    peak: torch.Tensor
    follows = True
    """Whether the step follows what it sees in training mode."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = checked_activation_bits(bits)
        self.register_buffer("spread", torch.zeros(()))
        self.register_buffer("peak", torch.zeros(()))

    @property
    def signed(self) -> bool:
        """Whether the codes are two's complement; each kind of quantizer says it."""
        raise NotImplementedError

    @property
    def format(self) -> IntFormat:
        """The format of the codes."""
        return self._full

    @property
    def step(self) -> torch.Tensor:
        """Real value of one unit, a scalar tensor; 0 before any data were seen."""
        fmt = self._full
        # A 1-bit signed format has one code other than 0, and that is -1.
        return torch.minimum(
            self.spread.amax() * self._best_step(), self.peak.amax() / max(fmt.hi, 1)
        )

    @property
    def levels(self) -> IntArray | None:
        """The integers that it gives, ascending; None where they are all of :attr:`format`.

        The shape is (levels,).
        """
        return None

    def integer(self, real: float) -> int:
        """The integer that one real value becomes, as the integer network has it."""
        return int(arithmetic.quantize(np.array(real - self.zero), float(self.step), self.format))

    @property
    def zero(self) -> float:
        """The real value of code 0."""
        return 0.0

    def share(self, operands: int) -> None:
        """Make it the quantizer of several tensors; before any data were seen."""
        self.spread, self.peak = self.spread.new_zeros(operands), self.peak.new_zeros(operands)

    def forward(self, x: torch.Tensor, operand: int = 0) -> torch.Tensor:
        """The quantized values, of the shape of ``x``; in training mode the step follows ``x``.

        ``operand`` tells which of the tensors ``x`` is, where several share the quantizer.

        Raises
        ------
        VecqError
            It is evaluated before it met a value other than zero in training mode.
        """
        if self.training and self.follows:
            with torch.no_grad():
                self._observe(x.detach(), operand)
        step = self.step
        if self.training:
            # While all data so far are zero, any step gives their codes.
            step = torch.where(step > 0, step, 1.0)
        elif not bool(step > 0):
            raise VecqError(
                "an activation quantizer has met no value but zero in training mode; train the"
                " model, or run some batches through it in training mode, before it is evaluated;"
                " where that was done, what the quantizer reads has died"
            )
        return self._quantized(x, step)

    def _quantized(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        return self._codes(x, step, self._full)

    def _codes(self, x: torch.Tensor, step: torch.Tensor, fmt: IntFormat) -> torch.Tensor:
        """The values on the grid of a format."""
        result: torch.Tensor = ClippedStraightThrough.apply(  # type: ignore[no-untyped-call]
            x, step, fmt, self._gradient_from(fmt)
        )
        return result

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"bits={self.bits}"

    @property
    def _full(self) -> IntFormat:
        return IntFormat(self.bits, self.signed)

    def _best_step(self) -> float:
        """For Gaussian data, in units of the spread."""
        return activation_step(self._full)

    def _gradient_from(self, fmt: IntFormat) -> float:
        """From which value on, in steps, a gradient passes."""
        return fmt.lo - 0.5

    def _observe(self, x: torch.Tensor, operand: int) -> None:
        """Take one batch into the averages."""
        spread, peak = self.spread, self.peak
        if spread.ndim:
            spread, peak = spread[operand], peak[operand]
        if self.signed:
            count = torch.tensor(float(x.numel()), device=x.device)
            low, high = torch.aminmax(x)
            largest = torch.maximum(-low, high)
        else:
            x = x.relu()
            # Counts the positive entries, fifteen times as fast as torch.count_nonzero.
            count = x.sign().sum(dtype=spread.dtype)
            largest = x.amax()
        norm = torch.linalg.vector_norm(x, dtype=spread.dtype)
        if _on_several_ranks():
            # All ranks take the whole batch's statistics, so that their steps stay the same.
            sums = torch.stack([norm.square(), count])
            distributed.all_reduce(sums)
            norm, count = sums[0].sqrt(), sums[1]
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
        seen = norm > 0  # a batch of zeros says nothing
        weight = torch.where(spread > 0, 1 - DECAY, 1.0)
        spread.lerp_(torch.where(seen, norm / count.clamp(min=1).sqrt(), spread), weight)
        peak.lerp_(torch.where(seen, largest.to(peak.dtype), peak), weight)


class QuantizedReLU(ActivationQuantizer):
    """ReLU and its unsigned quantizer in one: the clamp at code 0 is the ReLU."""

    signed = False

    def _gradient_from(self, fmt: IntFormat) -> float:
        return 0.0


class QuantizedHardtanh(ActivationQuantizer):
    """A clamp to ``lowest..highest`` and its quantizer; of ReLU6 they are 0 and 6.

    The format's range ends at the codes of the two bounds, so the integer network clamps there too.

    Parameters
    ----------
    bits : int, 1..16
    lowest, highest : float
        The codes are signed where ``lowest`` is negative.
    """

    def __init__(self, bits: int, lowest: float = 0.0, highest: float = 6.0) -> None:
        super().__init__(bits)
        self.lowest, self.highest = float(lowest), float(highest)

    @property
    def signed(self) -> bool:
        """Whether the lower bound is negative."""
        return self.lowest < 0

    @property
    def format(self) -> IntFormat:
        """The format of the codes, with the codes of the bounds as its range."""
        step, full = self.step, self._full
        if not bool(step > 0):
            return full
        # As in the forward pass: in the float type of the step.
        bounds = step.new_tensor([self.lowest, self.highest])
        lo, hi = (int(code) for code in self._clamped(bounds, step).tolist())
        return IntFormat(full.bits, self.signed, lo, hi)

    def _clamped(self, bounds: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """The integers of the bounds."""
        return arithmetic.quantize(bounds, step, self._full, floor=torch.floor)

    def forward(self, x: torch.Tensor, operand: int = 0) -> torch.Tensor:
        """The quantized values of ``x`` clamped to the bounds."""
        return super().forward(x.clamp(self.lowest, self.highest), operand)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"bits={self.bits}, lowest={self.lowest}, highest={self.highest}"


class QuantizedSign(ActivationQuantizer):
    """1 where a value is at least 0, else -1, in one bit (Courbariaux et al., *BinaryNet*, 2016).

    Code 1 stands for 1 and code 0 for -1, whatever the data are.  The gradient passes between -1
    and 1, as that of a Hardtanh does.
    """

    signed = False

    def __init__(self) -> None:
        super().__init__(1)
        self.spread.fill_(1.0)
        self.peak.fill_(1.0)

    @property
    def step(self) -> torch.Tensor:
        """From -1 to 1."""
        return torch.full_like(self.spread.amax(), 2.0)

    @property
    def zero(self) -> float:
        """The real value of code 0."""
        return -1.0

    def forward(self, x: torch.Tensor, operand: int = 0) -> torch.Tensor:
        """The signs of ``x``, of its shape."""
        signs: torch.Tensor = StraightThroughSign.apply(x)  # type: ignore[no-untyped-call]
        return signs

    def extra_repr(self) -> str:
        """Nothing differs from one to another."""
        return ""


class SignedQuantizer(ActivationQuantizer):
    """For tensors that no ReLU made: outputs of a Linear, Conv2d or BatchNorm."""

    signed = True


class CurveInput(SignedQuantizer):
    """For what a function such as a sigmoid reads, whose values a table holds.

    Parameters
    ----------
    bits : int, 1..12
    reach : float
        Magnitude beyond which the function is constant: no code need be larger.
    """

    def __init__(self, bits: int, reach: float = math.inf) -> None:
        super().__init__(bits)
        self.reach = reach

    @property
    def step(self) -> torch.Tensor:
        """The step of the base class, but the codes span no more than the reach."""
        return super().step.clamp(max=self.reach / max(self._full.hi, 1))

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        reach = "" if math.isinf(self.reach) else f", reach={self.reach:.3g}"
        return super().extra_repr() + reach


class InputQuantizer(ActivationQuantizer):
    """For the network's input: unsigned until a negative value is seen in training."""

    has_negative: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.register_buffer("has_negative", torch.tensor(False))

    @property
    def signed(self) -> bool:
        """Whether a negative value was seen."""
        return bool(self.has_negative)

    def _quantized(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        # Real data sit on ties (half of full scale with 8 bits), and the integer network's input is
        # quantized in float64; so is this, that both always read the same codes.
        codes = super()._quantized(x.double(), step.double())
        # Images of one channel lie in both layouts at once, and operations forget which was meant.
        beside = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if beside else torch.preserve_format
        return codes.to(x.dtype, memory_format=layout)

    def _observe(self, x: torch.Tensor, operand: int) -> None:
        if not self.signed and self._any_negative(x):
            # What was averaged so far was the spread of the positive entries.
            self.has_negative.fill_(True)
            self.spread.zero_()
            self.peak.zero_()
        super()._observe(x, operand)

    @staticmethod
    def _any_negative(x: torch.Tensor) -> bool:
        lowest = x.amin()
        if _on_several_ranks():
            distributed.all_reduce(lowest, distributed.ReduceOp.MIN)
        return bool(lowest < 0)


def checked_activation_bits(given: object) -> int:
    """The bits of an activation, 1..16, as an int; anything else is refused."""
    return whole_number(given, "activations have 1 to 16 bits", 1, 16)


def _on_several_ranks() -> bool:
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )
