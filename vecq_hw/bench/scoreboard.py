"""Outputs beside those that the integer network gives, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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


def difference(
    expected: Sequence[Sequence[int]], actual: Sequence[Sequence[int]]
) -> Difference | None:
    """Compare frames, as many and as long on both sides.

    Examples
    --------
    >>> print(difference([[1, 2], [3, 4]], [[1, 2], [5, 6]]))
    frame 1, element 0: expected 3, actual 5 (2 elements differ)
    """
    places = [
        (frame, element, wanted, found)
        for frame, (row, other) in enumerate(zip(expected, actual, strict=True))
        for element, (wanted, found) in enumerate(zip(row, other, strict=True))
        if wanted != found
    ]
    if not places:
        return None
    frame, element, wanted, found = places[0]
    return Difference(
        frame=frame, element=element, expected=wanted, actual=found, count=len(places)
    )
