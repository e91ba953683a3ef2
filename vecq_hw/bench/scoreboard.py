"""Outputs beside those that the integer network gives, in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vecq_hw.formats import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first of ``count`` elements that differ."""

    frame: int
    element: int
    expected: int
    actual: int
    count: int

    def __str__(self) -> str:
        return (
            f"frame {self.frame}, element {self.element}: expected {self.expected},"
            f" actual {self.actual} ({self.count} elements differ)"
        )


def difference(expected: IntArray, actual: IntArray) -> Difference | None:
    """Compare arrays of shape (frames, elements).

    Examples
    --------
    >>> print(difference(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [5, 6]])))
    frame 1, element 0: expected 3, actual 5 (2 elements differ)
    """
    places = np.argwhere(expected != actual)
    if not len(places):
        return None
    frame, element = places[0].tolist()
    return Difference(
        frame=frame,
        element=element,
        expected=int(expected[frame, element]),
        actual=int(actual[frame, element]),
        count=len(places),
    )
