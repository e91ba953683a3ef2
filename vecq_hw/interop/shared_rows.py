"""One row of thresholds for all channels, where it gives the same codes as a row for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.layers import Threshold

_FAR = 1 << 62
"""Beyond every accumulator."""


def shared(rule: Threshold, ranges: IntArray) -> Threshold | None:
    """The rule with one row for all channels; None where none is the same on all their ranges.

    A channel fixes the thresholds that lie inside its range.  Of a level that it always reaches or
    never reaches, it asks only that the threshold lies on that side of its range.  So a row serves
    where, level by level, the greatest lower bound is at most the least upper bound.  A channel
    that is constant has both directions.

    Parameters
    ----------
    rule : Threshold
        With a row for each channel, those of levels outside of its range just outside of it.
    ranges : int array of shape (C, 2)
        The least and the greatest integer of each channel.
    """
    lo, hi = ranges[:, :1], ranges[:, 1:]
    rows, falls = rule.thresholds, rule.falling[:, np.newaxis] == 1
    # A rising level is reached from t on, a falling one up to t: the first that is not is t + 1.
    edges = rows + falls
    inside = (edges > lo) & (edges <= hi)
    turning = inside.any(axis=1)
    directions = set(rule.falling[turning].tolist())
    if len(directions) > 1:
        return None
    falling = directions.pop() if directions else 0
    other = ~turning & (rule.falling != falling)
    # Turned around, levels of a constant channel stand in the other order, each on the other side.
    beyond = np.where(edges <= lo, hi + 1, lo)[:, ::-1]
    edges = np.where(other[:, np.newaxis], beyond, edges)
    least = np.where(edges <= lo, -_FAR, edges).max(axis=0)
    most = np.where(edges > hi, _FAR, edges)
    most = np.where(edges <= lo, lo, most).min(axis=0)
    if (least > most).any():
        return None
    row = np.where(least > -_FAR, least, most) - falling
    return replace(rule, thresholds=row[np.newaxis], falling=np.array([falling]))
