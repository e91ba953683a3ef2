"""VecQ weights (Gong et al., *VecQ: Minimal Loss DNN Model Compression with Vectorized Weight
Quantization*, IEEE Trans. Computers 2020): steer to the best angle, then drive to the best length.

``w`` is approximated by ``alpha * v`` with half-integers ``v = q + 1/2`` and k-bit codes ``q``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise
from vecq_hw.quantize.gaussian import gaussian_moments, gaussian_step


class VecqResult(NamedTuple):
    """Codes and scale of one weight tensor.

    Attributes
    ----------
    codes : int16 tensor of the weights' shape, ``-2^(k-1)..2^(k-1) - 1``
    alpha : scalar tensor
        The weights are ``alpha * (codes + 1/2)``, that is ``alpha / 2`` times the odd integer
        ``2 * codes + 1``.
    """

    codes: torch.Tensor
    alpha: torch.Tensor


def vecq(w: torch.Tensor, bits: int) -> VecqResult:
    """Quantize one weight tensor, one scale for all of it.

    Steering: ``codes = clamp(floor(w / (lambda * spread)))`` (Eq. 11; ``round(x - 1/2)`` but for
    exact ties) with the root mean square of w as the spread.  The paper writes the standard
    deviation, but nothing subtracts the mean from w, and where the mean is not zero the root mean
    square stays within a few per cent of the best angle where the deviation loses up to a fifth.
    Driving: ``alpha = <v, w> / <v, v>`` (Eq. 17).

    Parameters
    ----------
    w : float tensor of any shape
    bits : int, 1..16

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
    check_weight_bits(bits)
    check_weights(w)
    values, alpha = _steer_and_drive(w.detach(), bits)
    return VecqResult(values.floor_().to(torch.int16), alpha)


def vecq_straight_through(w: torch.Tensor, bits: int) -> torch.Tensor:
    """``alpha * v``, the quantized weights, whose gradient is passed to ``w`` unchanged.

    It computes the very codes and alpha of :func:`vecq`, without its checks.
    """
    result: torch.Tensor = _StraightThrough.apply(w, bits)  # type: ignore[no-untyped-call]
    return result


def check_weight_bits(bits: int) -> None:
    """Refuse a width that VecQ does not have."""
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise VecqError(f"weights have 1 to 16 bits, not {bits!r}")
    MidRise(bits)


def check_weights(w: torch.Tensor) -> None:
    """Refuse weights without a direction: NaN, infinite, all zero."""
    if not bool(torch.isfinite(w).all()):
        raise VecqError("the weights hold NaN or infinite values; train or load them again")
    if not bool(w.any()):
        raise VecqError("all weights are zero, so there is nothing to scale; initialize them")
    if not 0 < float(_spread(w.detach())) < math.inf:
        raise VecqError("the weights are too small or too large to be squared; scale them")


def _spread(w: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(w)
    return norm / math.sqrt(w.numel())


def _steer_and_drive(w: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The half-integers v and alpha."""
    fmt = MidRise(bits).code_format
    interval = _spread(w) * gaussian_lambda(bits)
    values = (w / interval).floor_().clamp_(fmt.lo, fmt.hi).add_(0.5)
    flat = values.reshape(-1)
    return values, torch.dot(flat, w.reshape(-1)) / torch.dot(flat, flat)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, w: torch.Tensor, bits: int) -> torch.Tensor:
        values, alpha = _steer_and_drive(w, bits)
        return values.mul_(alpha)

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def gaussian_lambda(bits: int) -> float:
    """The best interval, in units of the spread, for Gaussian weights: Table 1, for 1..16 bits.

    The root of the stationarity condition; right beyond 8 bits too, where the paper's 6 / 2^k
    clips at three standard deviations.  With 1 bit every interval gives the same codes, so it is 1.

    Examples
    --------
    >>> [round(gaussian_lambda(bits), 4) for bits in (1, 2, 3, 4)]
    [1.0, 0.9957, 0.586, 0.3352]
    """
    check_weight_bits(bits)
    return 1.0 if bits == 1 else gaussian_step(*_half_integers(bits))


def gaussian_orientation_loss(interval: float, bits: int) -> float:
    """``1 - cos(angle between x and v)`` for x ~ N(0, 1) steered with this interval (Fig. 6).

    Examples
    --------
    >>> round(gaussian_orientation_loss(gaussian_lambda(2), 2), 6)
    0.061302
    """
    check_weight_bits(bits)
    cross, square = gaussian_moments(interval, *_half_integers(bits))
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
    """
    return direct_quantization_loss(w, alpha * v)


def direct_quantization_loss(w: torch.Tensor, quantized: torch.Tensor) -> torch.Tensor:
    """``|w - quantized|^2`` (Eq. 1, 2), the squared L2 distance, in squared units of w."""
    return (w - quantized).square().sum()
