"""VecQ weights (Gong et al., *VecQ: Minimal Loss DNN Model Compression with Vectorized Weight
Quantization*, IEEE Trans. Computers 2020): steer to the best angle, then drive to the best length.

``w`` is approximated by ``alpha * v`` with half-integers ``v = q + 1/2`` and k-bit codes ``q``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import torch

from vecq_hw.arguments import member, truth_value
from vecq_hw.formats import MidRise, checked_weight_bits
from vecq_hw.quantize.distributions import Distribution, best_step, moments
from vecq_hw.quantize.search import searched_interval
from vecq_hw.quantize.weights import (
    WeightQuantizer,
    beside,
    channel_rows,
    check_weights,
    root_mean_square,
)

PAPER = {2: 0.9957, 3: 0.5860, 4: 0.3352, 5: 0.1881, 6: 0.1041, 7: 0.0569, 8: 0.0308}
"""Table 1."""


class Interval(Enum):
    """Where the steering interval lambda comes from."""

    PAPER = "paper"
    """Table 1 to its four digits, and ``6 / 2^k`` beyond 8 bits, which clips at 3 spreads."""
    EXACT = "exact"
    """The root for Gaussian weights: Table 1 with more digits, and right beyond 8 bits."""
    SEARCH = "search"
    """The best one for the weights at hand."""


class Spread(Enum):
    """The unit of lambda where it comes from a table."""

    RMS = "rms"
    """The root mean square."""
    DEVIATION = "std"
    """The standard deviation, as the paper writes it."""


class VecqResult(NamedTuple):
    """Codes and scale of one weight tensor.

    Attributes
    ----------
    codes : int16 tensor of the weights' shape, ``-2^(k-1)..2^(k-1) - 1``
    alpha : scalar tensor, or of shape (O,) where each output has its own
        The weights are ``alpha * (codes + 1/2)``, that is ``alpha / 2`` times the odd integer
        ``2 * codes + 1``.
    """

    codes: torch.Tensor
    alpha: torch.Tensor


def vecq(
    w: torch.Tensor,
    bits: int,
    interval: Interval = Interval.EXACT,
    spread: Spread = Spread.RMS,
    per_channel: bool = False,
) -> VecqResult:
    """Quantize one weight tensor.

    Steering: ``codes = clamp(floor(w / (lambda * spread)))`` (Eq. 11; ``round(x - 1/2)`` but for
    exact ties).  The paper's spread is the standard deviation, but nothing subtracts the mean from
    w, and where the mean is not zero the root mean square stays within a few per cent of the best
    angle where the deviation loses up to a fifth.
    Driving: ``alpha = <v, w> / <v, v>`` (Eq. 17).

    Parameters
    ----------
    w : float tensor of shape (O, ...)
    bits : int, 1..16
    interval, spread
        Of lambda; ``Interval.SEARCH`` needs no spread.
    per_channel : bool
        Whether each output has an interval and an alpha of its own.  A row of zeros gets alpha 0.

    Raises
    ------
    VecqError
        Bits out of range; weights that are NaN, infinite or all zero.

    Examples
    --------
    >>> codes, alpha = vecq(torch.tensor([-2.0, -0.5, 0.25, 1.0]), 2)
    >>> codes.tolist(), round(alpha.item(), 3)
    ([-2, -1, 0, 0], 1.292)
    """
    bits = checked_weight_bits(bits)
    check_weights(w)
    interval = member(Interval, interval, "interval")
    spread = member(Spread, spread, "spread")
    per_channel = truth_value(per_channel, "per_channel is True or False")
    values, alpha = _steer_and_drive(w.detach(), bits, interval, spread, per_channel)
    return VecqResult(values.floor_().to(torch.int16), alpha.reshape(-1) if per_channel else alpha)


class Vecq(WeightQuantizer):
    """Weights by :func:`vecq` at each step of training.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
    bits : int, 1..16
    per_channel : bool
        Whether each output has an interval and a scale of its own.
    interval : Interval
        Where the steering interval lambda comes from: the paper's table, its exact root for
        Gaussian weights, or a search on the weights at hand.
    spread : Spread
        The unit of lambda where it comes from a table: root mean square or standard deviation.
    """

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        per_channel: bool = False,
        interval: Interval | str = Interval.EXACT,
        spread: Spread | str = Spread.RMS,
    ) -> None:
        super().__init__(w, bits, per_channel)
        self.interval = member(Interval, interval, "interval")
        self.spread = member(Spread, spread, "spread")

    @property
    def grid(self) -> MidRise:
        """The grid of the integer values."""
        return MidRise(self.bits)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The odd integers ``2 v`` and ``alpha / 2``."""
        values, alpha = _steer_and_drive(w, self.bits, self.interval, self.spread, self.per_channel)
        return values.mul_(2.0), alpha / 2


def _steer_and_drive(
    w: torch.Tensor, bits: int, interval: Interval, spread: Spread, per_channel: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The half-integers v and alpha, which is a scalar or of shape (O, 1, ...)."""
    rows = channel_rows(w, per_channel)
    if interval is Interval.SEARCH:
        width = searched_interval(rows, bits, gaussian_lambda(bits))
    else:
        table = gaussian_lambda if interval is Interval.EXACT else paper_lambda
        width = _unit(rows, spread) * table(bits)
    values = _steer(rows, width, bits)
    alpha = row_dots(rows, values) / row_dots(values, values)
    return values.reshape(w.shape), beside(alpha, w) if per_channel else alpha.reshape(())


def _unit(rows: torch.Tensor, spread: Spread) -> torch.Tensor:
    """The spread of each row.  Rows of zeros stay zero; anything else is far above the clamp."""
    return row_spread(rows, spread).clamp_(min=torch.finfo(rows.dtype).tiny)


def _steer(rows: torch.Tensor, width: torch.Tensor, bits: int) -> torch.Tensor:
    """The half-integers of rows with intervals of these widths."""
    fmt = MidRise(bits).code_format
    return (rows / width).floor_().clamp_(fmt.lo, fmt.hi).add_(0.5)


def chosen_lambda(rows: torch.Tensor, bits: int, interval: Interval, spread: Spread) -> float:
    """The lambda that the method takes, in units of the spread; a search's mean over all rows.

    Parameters
    ----------
    rows : float tensor of shape (R, n), R scales
    """
    if interval is not Interval.SEARCH:
        return gaussian_lambda(bits) if interval is Interval.EXACT else paper_lambda(bits)
    found = searched_interval(rows, bits, gaussian_lambda(bits)) / _unit(rows, spread)
    return float(found[rows.any(1)].mean())


def steering_losses(
    rows: torch.Tensor, bits: int, lambdas: Sequence[float], spread: Spread
) -> list[float]:
    """The orientation loss that each lambda would leave, the mean of all rows that are not zero.

    Parameters
    ----------
    rows : float tensor of shape (R, n), R scales
    lambdas : sequence of float
        In units of the spread.

    Examples
    --------
    >>> rows = torch.tensor([[-2.0, -0.5, 0.25, 1.0]])
    >>> [round(loss, 3) for loss in steering_losses(rows, 2, [0.5, 1.0], Spread.RMS)]
    [0.054, 0.029]
    """
    rows = rows[rows.any(1)]
    unit, lengths = _unit(rows, spread), torch.linalg.vector_norm(rows, dim=1)
    losses = []
    for value in lambdas:
        v = _steer(rows, unit * value, bits)
        cosines = row_dots(rows, v) / (lengths * torch.linalg.vector_norm(v, dim=1))
        losses.append(float(1.0 - cosines.double().mean()))
    return losses


def row_dots(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The dot product of each row; both tensors have the shape (rows, n), the result (rows,).

    It is no matrix product, which autocast would round.
    """
    if len(left) == 1:
        return torch.dot(left[0], right[0]).reshape(1)
    return (left * right).sum(1)


def row_spread(rows: torch.Tensor, spread: Spread) -> torch.Tensor:
    """The spread of each row; ``rows`` has the shape (rows, n), the result (rows, 1)."""
    if spread is Spread.RMS:
        return root_mean_square(rows)
    return rows.std(dim=1, keepdim=True, correction=0)


def gaussian_lambda(bits: int) -> float:
    """The best interval, in units of the spread, for Gaussian weights: Table 1, for 1..16 bits.

    Examples
    --------
    >>> [round(gaussian_lambda(bits), 4) for bits in (1, 2, 3, 4)]
    [1.0, 0.9957, 0.586, 0.3352]
    """
    return best_lambda(bits)


def best_lambda(bits: int, of: Distribution = Distribution.GAUSSIAN) -> float:
    """The best interval, in units of the spread, for weights of that distribution.

    The root of the stationarity condition; right beyond 8 bits too, where the paper's 6 / 2^k
    clips at three standard deviations.  With 1 bit every interval gives the same codes, so it is 1.

    Examples
    --------
    >>> round(best_lambda(8, Distribution.LAPLACE), 4)
    0.0548
    """
    bits = checked_weight_bits(bits)
    return 1.0 if bits == 1 else best_step(*_half_integers(bits), of)


def paper_lambda(bits: int) -> float:
    """Table 1 as printed, and the paper's ``6 / 2^k`` beyond 8 bits.

    Examples
    --------
    >>> paper_lambda(4), paper_lambda(9)
    (0.3352, 0.01171875)
    """
    bits = checked_weight_bits(bits)
    return 1.0 if bits == 1 else PAPER.get(bits, 6.0 / 2**bits)


def expected_orientation_loss(
    interval: float, bits: int, of: Distribution = Distribution.GAUSSIAN
) -> float:
    """``1 - cos(angle between x and v)`` for x of that distribution, steered so (Fig. 6).

    Examples
    --------
    >>> round(expected_orientation_loss(gaussian_lambda(2), 2), 6)
    0.061302
    """
    bits = checked_weight_bits(bits)
    cross, square = moments(interval, *_half_integers(bits), of)
    return 1.0 - cross / math.sqrt(square)


def _half_integers(bits: int) -> tuple[float, float]:
    most = 2.0 ** (bits - 1) - 0.5
    return -most, most


def orientation_loss(w: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """``J_o = 1 - <v, w> / (|v| |w|)`` (Eq. 4), a scalar in 0..2."""
    lengths: torch.Tensor = torch.linalg.vector_norm(v) * torch.linalg.vector_norm(w)
    return 1.0 - (v * w).sum() / lengths


def modulus_loss(w: torch.Tensor, v: torch.Tensor, alpha: torch.Tensor | float) -> torch.Tensor:
    """``J_m = |w - alpha v|^2`` (Eq. 4), in squared units of w.

    At the best alpha it is ``|w|^2 (1 - (1 - J_o)^2)``: the angle alone decides how small the
    square error can get, which is why steering comes first.

    ``w`` and ``v`` have one shape, to which alpha broadcasts; the result is a scalar.
    """
    return direct_quantization_loss(w, alpha * v)


def direct_quantization_loss(w: torch.Tensor, quantized: torch.Tensor) -> torch.Tensor:
    """``|w - quantized|^2`` (Eq. 1, 2), the squared L2 distance, in squared units of w."""
    return (w - quantized).square().sum()
