"""What every method of quantizing weights has in common: real values for training, codes after it.

A method is a class that takes the float weights, which it may look at to start its own parameters
from, and the bits: ``method(w, bits)`` is a module.  Called with the weights it returns the
quantized ones, with a gradient; :meth:`WeightQuantizer.codes` are those for the integer network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from vecq_hw.arguments import truth_value, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import Grid
from vecq_hw.quantize.codes import ScalarCodes, WeightCodes
from vecq_hw.quantize.settings import Option


class WeightQuantizer(nn.Module):
    """Float weights to a grid of integers times a step.

    What a method wants of a training beside its gradients, it says by the members below; each of
    them does nothing by itself, and :class:`vecq_hw.train.Training` serves them all.  A method
    that draws random numbers holds a :class:`vecq_hw.quantize.RandomState`.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
        The weights as they are now.
    bits : int
        Of a code; those that the method takes are in ``BITS``.
    per_channel : bool
        Whether each output has a step of its own.
    """

    BITS = range(1, 17)
    LEARNING_RATE_SHARES: Mapping[str, float] = {}
    """By the name of a parameter of the quantizer, how many times the learning rate it moves at.

    Those named do not decay; all others are trained as any parameter is."""
    BLOCKS = False
    """Whether neighbouring input channels share something, so that it matters which those are.

    Of a Linear behind a flattened image, such a quantizer gets the weights as (O, C, pixels)."""
    PRETRAINED: ClassVar[Mapping[str, Option]] = {}
    """Settings that `vecq train --from` changes: training begins with a trained float model."""
    OWN_STEP: ClassVar[bool] = False
    """Whether :meth:`own_step` moves the weights, of which the optimizer then knows nothing."""
    TWO_PASSES: ClassVar[bool] = False
    """Whether each step of training has a second pass, in which the quantizer is relaxed."""
    relaxed = False
    """Whether this is the second pass, in which the weights that are still free are float."""

    def __init__(self, w: torch.Tensor, bits: int, per_channel: bool = False) -> None:
        super().__init__()
        first, last = self.BITS[0], self.BITS[-1]
        wanted = f"{first} to {last} bits" if first < last else f"{first} bit{'s' * (first > 1)}"
        name = type(self).__name__
        self.bits = whole_number(bits, f"weights of {name} have {wanted}", first, last)
        self.per_channel = truth_value(per_channel, "per_channel is True or False")

    @property
    def grid(self) -> Grid:
        """The grid of the integer values."""
        raise NotImplementedError

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The integer value of each weight, as a new float tensor, and the step.

        The step is a scalar or of shape (O, 1, ...), so that their product has the shape of w.
        """
        raise NotImplementedError

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The quantized weights, of the shape of ``w``; their gradient goes to ``w`` unchanged."""
        result: torch.Tensor = _StraightThrough.apply(w, self.integers)  # type: ignore[no-untyped-call]
        return result

    def codes(self, w: torch.Tensor) -> WeightCodes:
        """What the integer network stores of these weights; of the three kinds, here scalar codes.

        Raises
        ------
        VecqError
            Weights that are NaN, infinite or all zero; a step that training made unusable.
        """
        check_weights(w)
        with torch.no_grad():
            values, step = self.integers(w.detach())
            step = step.double().reshape(-1) if self.per_channel else step.double().reshape(())
            if not bool((torch.isfinite(step) & (step >= 0)).all()) or not bool(step.any()):
                raise VecqError(
                    f"training made a step of its {type(self).__name__} weights"
                    f" {float(step.min()):.3g}; use a lower learning rate"
                )
            return ScalarCodes(codes_of(values, self.grid), self.grid, step)

    def penalty(self, w: torch.Tensor) -> torch.Tensor | None:
        """A scalar tensor to be added to the loss of each step, with gradients; or None."""
        return None

    def combined(self, loss: torch.Tensor, relaxed: torch.Tensor) -> torch.Tensor:
        """What a step descends, of the losses of both passes; asked where there are two.

        Where several quantizers have a second pass, it is one pass for all of them, and the mean
        of their answers counts.

        Both losses are scalars, as the result.
        """
        return loss

    def own_step(self, w: torch.Tensor, rate: float) -> None:
        """Move the weights in place by their gradient ``w.grad``, at the current learning rate.

        ``w`` has the shape (O, ...), as :meth:`forward` takes it.
        """
        raise NotImplementedError

    @classmethod
    def advance_together(cls, quantizers: Sequence[WeightQuantizer], progress: float) -> None:
        """As :meth:`advance`, and before it, for all quantizers of this method in a network."""

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Tell after each step how much of training is done, 0..1, to methods with a schedule.

        ``w`` has the shape (O, ...), as :meth:`forward` takes it.
        """

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"bits={self.bits}{', per_channel=True' * self.per_channel}"


WeightMethod = Callable[[torch.Tensor, int], WeightQuantizer]
"""From float weights and bits to the quantizer that serves them."""


def codes_of(values: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The int16 codes of integer values, all of which lie on the grid; the lowest of several.

    ``values`` has any shape, which the codes have.

    Examples
    --------
    >>> from vecq_hw.formats import CodeBook, MidRise
    >>> codes_of(torch.tensor([-3.0, 1.0]), MidRise(2)).tolist()
    [-2, 0]
    >>> codes_of(torch.tensor([4.0, 0.0, -1.0]), CodeBook((0, 4, -1, 0))).tolist()
    [1, 0, 2]
    """
    first = grid.code_format.lo
    every = np.arange(first, grid.code_format.hi + 1)
    levels = torch.from_numpy(grid.values(every)).to(values.device)
    ascending, order = torch.sort(levels, stable=True)
    places = torch.searchsorted(ascending, values.to(levels.dtype).contiguous())
    codes = order[places.clamp_(max=len(order) - 1)]
    if not bool((levels[codes] == values).all()):
        raise AssertionError(f"values off the grid {grid}")
    return (codes + first).to(torch.int16)


def channel_rows(w: torch.Tensor, per_channel: bool) -> torch.Tensor:
    """The weights of each scale as a row: (O, n), or (1, n) with one scale for all."""
    return w.reshape(len(w) if per_channel else 1, -1)


def beside(rows: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """One number a row as a tensor that multiplies w: of shape (O, 1, ...), or a scalar."""
    return rows.reshape(()) if rows.numel() == 1 else rows.reshape(-1, *[1] * (w.ndim - 1))


def root_mean_square(rows: torch.Tensor) -> torch.Tensor:
    """The root mean square of each row; ``rows`` has the shape (rows, n), the result (rows, 1)."""
    norm: torch.Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return norm / math.sqrt(rows.shape[1])


def check_weights(w: torch.Tensor) -> None:
    """Refuse weights without a direction: NaN, infinite, all zero.

    ``w`` has the shape (O, ...).

    Raises
    ------
    VecqError
        They are no tensor of floats, on the device 'meta', NaN, infinite, all zero, or beyond what
        can be squared.
    """
    if not isinstance(w, torch.Tensor) or not w.is_floating_point():
        kind = f"one of {w.dtype}" if isinstance(w, torch.Tensor) else type(w).__name__
        raise VecqError(f"weights are a tensor of floats, not {kind}")
    if w.is_meta:
        raise VecqError("the weights lie on the device 'meta' and have no values; load them first")
    if not bool(torch.isfinite(w).all()):
        raise VecqError("the weights hold NaN or infinite values; train or load them again")
    if not bool(w.any()):
        raise VecqError("all weights are zero, so there is nothing to scale; initialize them")
    spread = float(root_mean_square(channel_rows(w.detach(), False)))
    if not 0 < spread < math.inf:
        raise VecqError("the weights are too small or too large to be squared; scale them")


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, w: torch.Tensor, integers: Any) -> torch.Tensor:
        values, step = integers(w)
        result: torch.Tensor = values.mul_(step)
        return result

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None
