"""Which cells of ``rtl/`` instantiate which, read from their text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from vecq_hw import assets

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_INSTANCE = re.compile(r"^\s*(vecq_\w+)\s+(?:#\s*\(|\w+\s*\()", re.MULTILINE)


def with_inner(cells: Iterable[str]) -> list[str]:
    """Cells and all that they are made of, sorted.

    Examples
    --------
    >>> with_inner(["vecq_quad_row_array"])[:3]
    ['vecq_adder', 'vecq_carry_adder', 'vecq_pair_sums']
    """
    found: set[str] = set()
    waiting = list(cells)
    while waiting:
        cell = waiting.pop()
        if cell not in found:
            found.add(cell)
            waiting += _inner(cell)
    return sorted(found)


@cache
def _inner(cell: str) -> tuple[str, ...]:
    """The cells that a cell instantiates."""
    text = _COMMENT.sub("", (assets.rtl() / f"{cell}.sv").read_text())
    return tuple(_INSTANCE.findall(text))
