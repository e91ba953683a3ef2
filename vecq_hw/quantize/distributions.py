"""The best uniform grid for a standardized variable: steps and losses in closed form.

A grid holds the values ``lowest, lowest + 1, ..., highest``, all integers (mid-tread) or all
half-integers (mid-rise); x becomes the value ``v(x)`` nearest to ``x / step``.  The value rises by
one at each threshold t, half-way between neighbours, so with the density p of x, symmetric and of
variance 1, its tail probability Q(t) and its tail mean ``T(t) = integral of x p(x) from t``

    E[x v]  =  sum_t T(|t| step)
    E[v^2]  =  c^2 + sum_t 2 |t| Q(|t| step),    c = 0 (mid-tread) or 1/2 (mid-rise).
"""

from __future__ import annotations

import math
from enum import Enum
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from vecq_hw.formats import FloatArray


class Distribution(Enum):
    """A distribution of mean 0 and variance 1."""

    GAUSSIAN = "gaussian"
    LAPLACE = "laplace"
    UNIFORM = "uniform"

    def tails(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Tail mean and tail probability from each edge, 0 or greater, upwards.

        ``edges`` has any shape, which both results have.
        """
        match self:
            case Distribution.GAUSSIAN:
                return np.exp(-0.5 * edges**2) / math.sqrt(2 * math.pi), ndtr(-edges)
            case Distribution.LAPLACE:
                half = 0.5 * np.exp(-math.sqrt(2) * edges)
                return half * (edges + math.sqrt(0.5)), half
            case Distribution.UNIFORM:
                end = math.sqrt(3)
                inside = np.minimum(edges, end)
                return (3 - inside**2) / (4 * end), (end - inside) / (2 * end)


def moments(
    step: float, lowest: float, highest: float, of: Distribution = Distribution.GAUSSIAN
) -> tuple[float, float]:
    """``E[x v]`` and ``E[v^2]`` of x and its value v on the grid."""
    thresholds = np.arange(lowest + 0.5, highest)
    means, probabilities = of.tails(step * np.abs(thresholds))
    square = (lowest % 1.0) ** 2 + float((2 * np.abs(thresholds) * probabilities).sum())
    return float(means.sum()), square


@cache
def best_step(lowest: float, highest: float, of: Distribution = Distribution.GAUSSIAN) -> float:
    """The step whose grid has the least mean square error ``E[(x - step v)^2]``.

    The error is stationary, and so is the angle between x and v, where ``E[x v] = step E[v^2]``
    (Max, *Quantizing for minimum distortion*, 1960): one root, found by Brent's method.  A uniform
    variable has further stationary points, where outer values stay unused; its best step spreads
    the values over the whole interval.

    Parameters
    ----------
    lowest, highest : float
        The ends of the grid; at least one threshold other than 0 lies between them.
    of : Distribution
        With UNIFORM the grid is symmetric.
    """
    if of is Distribution.UNIFORM:
        return 2 * math.sqrt(3) / (highest - lowest + 1)

    def stationarity(step: float) -> float:
        cross, square = moments(step, lowest, highest, of)
        return cross - step * square

    return float(brentq(stationarity, 1e-7, 4.0, xtol=1e-15, rtol=1e-14))


@cache
def best_scale(levels: tuple[float, ...]) -> float:
    """The scale at which levels that need not lie evenly serve a standard Gaussian best.

    Levels and their negatives, each x taking the nearest, have the least mean square error
    ``E[(x - scale v)^2]``.  Powers of two have several stationary scales, about a factor of two
    apart, so the least of a ladder of errors comes first and the root beside it second.

    Parameters
    ----------
    levels : tuple of float
        Zero and the positive ones, ascending.

    Examples
    --------
    >>> round(best_scale((0.0, 1.0)), 4), round(best_scale((0.0, 1.0, 2.0, 4.0)), 4)
    (1.224, 0.5181)
    """
    ends = np.array(levels)
    thresholds = (ends[1:] + ends[:-1]) / 2
    rises, squares = np.diff(ends), np.diff(ends**2)

    def expected(scale: float) -> tuple[float, float]:
        """``E[x v]`` and ``E[v^2]``."""
        means, probabilities = Distribution.GAUSSIAN.tails(scale * thresholds)
        return 2 * float((rises * means).sum()), 2 * float((squares * probabilities).sum())

    def error(scale: float) -> float:
        cross, square = expected(scale)
        return scale * (scale * square - 2 * cross)  # less the variance

    def stationarity(scale: float) -> float:
        cross, square = expected(scale)
        return cross - scale * square

    ladder = np.geomspace(0.5 / levels[-1], 4.0, 24 + 12 * int(levels[-1]).bit_length())
    best = int(np.argmin([error(float(scale)) for scale in ladder]))
    below, above = ladder[max(best - 1, 0)], ladder[min(best + 1, len(ladder) - 1)]
    return float(brentq(stationarity, below, above, xtol=1e-15, rtol=1e-14))
