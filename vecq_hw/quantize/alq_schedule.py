"""When ALQ does what: phases as parts of a training."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Phase(enum.Enum):
    """What a step moves."""

    STRAIGHT = "bases, of which the targets are kept between steps"
    BASES = "bases"
    COORDINATES = "coordinates"
    PRUNING = "coordinates, while bases go"


class Part(NamedTuple):
    """A phase of a training."""

    phase: Phase
    start: float
    end: float


START, ROUNDS, STRAIGHT = 0.3, 0.2, 0.4
"""Parts of a training; the coordinates have the rest."""
OF_ROUND = {Phase.BASES: 0.4, Phase.COORDINATES: 0.2, Phase.PRUNING: 0.4}


def schedule(rounds: int) -> tuple[Part, ...]:
    """The phases one behind the other, from 0 to 1.

    Examples
    --------
    >>> for part in schedule(1):
    ...     print(part.phase.name, round(part.start, 2), round(part.end, 2))
    STRAIGHT 0.0 0.3
    BASES 0.3 0.38
    COORDINATES 0.38 0.42
    PRUNING 0.42 0.5
    STRAIGHT 0.5 0.9
    COORDINATES 0.9 1.0
    """
    lengths = [(Phase.STRAIGHT, START)]
    for _ in range(rounds):
        lengths += [(phase, share * ROUNDS / rounds) for phase, share in OF_ROUND.items()]
    lengths += [(Phase.STRAIGHT, STRAIGHT)]
    if not rounds:  # one phase, as the next one would forget the targets
        lengths = [(Phase.STRAIGHT, START + ROUNDS + STRAIGHT)]
    parts, start = [], 0.0
    for phase, length in lengths:
        parts.append(Part(phase, start, start + length))
        start += length
    return (*parts, Part(Phase.COORDINATES, start, 1.0))


def kept(parts: tuple[Part, ...], prune: float, progress: float) -> float:
    """The part of the bases that is left, ``prune`` of them going in each phase of pruning.

    Examples
    --------
    >>> kept(schedule(2), 0.5, 1.0)
    0.25
    """
    left = 1.0
    for part in parts:
        if part.phase is Phase.PRUNING and progress > part.start:
            done = min(1.0, (progress - part.start) / (part.end - part.start))
            left *= 1 - prune * done
    return left
