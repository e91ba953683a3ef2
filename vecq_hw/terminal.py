"""How much is said, and whether something can move on the screen."""

from __future__ import annotations

import contextlib
import enum
import os
import sys
from collections.abc import Iterator


class Loudness(enum.Enum):
    """How much a command says beside its errors."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


_chosen = Loudness.NORMAL


def loudness() -> Loudness:
    """How much is to be said now."""
    return _chosen


@contextlib.contextmanager
def speaking(chosen: Loudness) -> Iterator[None]:
    """Say so much for a while."""
    global _chosen
    before, _chosen = _chosen, chosen
    try:
        yield
    finally:
        _chosen = before


def is_animated() -> bool:
    """Whether standard error is a terminal on which lines can be drawn anew, and may be."""
    return (
        _chosen is not Loudness.QUIET
        and sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") != "dumb"
    )
