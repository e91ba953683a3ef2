"""The best uniform grid for a standard normal variable: steps and losses in closed form.

A grid holds the values ``lowest, lowest + 1, ..., highest``, all integers (mid-tread) or all
half-integers (mid-rise); x becomes the value ``v(x)`` nearest to ``x / step``.  The value rises by
one at each threshold t, half-way between neighbours, so with the density phi and the upper tail
probability Q of N(0, 1)

    E[x v]  =  sum_t phi(t step)
    E[v^2]  =  c^2 + sum_t 2 |t| Q(|t| step),    c = 0 (mid-tread) or 1/2 (mid-rise).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr


def gaussian_moments(step: float, lowest: float, highest: float) -> tuple[float, float]:
    """``E[x v]`` and ``E[v^2]`` of x ~ N(0, 1) and its value v on the grid."""
    thresholds = np.arange(lowest + 0.5, highest)
    edges = step * np.abs(thresholds)
    cross = float(np.exp(-0.5 * edges**2).sum()) / math.sqrt(2 * math.pi)
    square = (lowest % 1.0) ** 2 + float((2 * np.abs(thresholds) * ndtr(-edges)).sum())
    return cross, square


@cache
def gaussian_step(lowest: float, highest: float) -> float:
    """The step whose grid has the least mean square error ``E[(x - step v)^2]`` on N(0, 1).

    The error is stationary, and so is the angle between x and v, where ``E[x v] = step E[v^2]``
    (Max, *Quantizing for minimum distortion*, 1960): one root, found by Brent's method.

    Parameters
    ----------
    lowest, highest : float
        The ends of the grid; at least one threshold other than 0 lies between them.
    """

    def stationarity(step: float) -> float:
        cross, square = gaussian_moments(step, lowest, highest)
        return cross - step * square

    return float(brentq(stationarity, 1e-7, 4.0, xtol=1e-15, rtol=1e-14))
