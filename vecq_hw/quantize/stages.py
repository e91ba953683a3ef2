"""Schedules in equal parts of training: in each part, a larger portion of the weights is quantized.

What SQ draws anew in each step and ELQ fixes for good is so divided.
"""

from __future__ import annotations

import math
from fractions import Fraction

from vecq_hw.arguments import real_number
from vecq_hw.errors import VecqError

MOST = 1000
"""The most parts."""


def checked_stages(given: tuple[float, ...], what: str) -> tuple[float, ...]:
    """Portions, 0..1, that never fall and end with 1, one for each part of training.

    Parameters
    ----------
    what : str
        Begins the message: "stages".

    Raises
    ------
    VecqError
        They are no list of numbers, too many or none, fall, leave 0..1, or do not end with 1.

    Examples
    --------
    >>> checked_stages((0.5, 1), "stages")
    (0.5, 1.0)
    """
    wanted = f"{what} are portions from 0 to 1 that never fall and end with 1"
    if not isinstance(given, tuple | list):
        raise VecqError(f"{wanted}, not {given!r}")
    portions = tuple(real_number(portion, wanted) for portion in given)
    if not 1 <= len(portions) <= MOST:
        raise VecqError(f"{wanted}, 1 to {MOST} of them, not {len(portions)}")
    if list(portions) != sorted(portions) or portions[0] < 0 or portions[-1] != 1:
        raise VecqError(f"{wanted}, not {', '.join(f'{portion:g}' for portion in portions)}")
    return portions


def stage_at(progress: float, stages: int) -> int:
    """Which of so many equal parts of training, from 0, goes on at that progress.

    Examples
    --------
    >>> [stage_at(progress, 4) for progress in (0.0, 0.24, 0.25, 0.99, 1.0)]
    [0, 0, 1, 3, 3]
    """
    return min(int(progress * stages), stages - 1)


def portion_of(count: int, portion: float) -> int:
    """The portion of ``count``, rounded up, as a decimal number and not as a float.

    Examples
    --------
    >>> portion_of(100, 0.55), portion_of(9, 0.5), math.ceil(0.55 * 100)
    (55, 5, 56)
    """
    return math.ceil(Fraction(repr(portion)) * count)
