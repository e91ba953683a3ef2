"""A cell of ``rtl/`` with its parameters, before it is joined to streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vecq_hw.formats import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """A memory of lines of ``lanes`` values of ``bits`` bits, in ``{layer}_{what}.mem``."""

    what: str
    values: IntArray
    lanes: int
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """What one cell of the plan becomes.

    Attributes
    ----------
    module : str
    parameters : mapping
        By name, in the order in which they are written.  A memory stands for the name of its file;
        all else is SystemVerilog text.
    """

    module: str
    parameters: Mapping[str, object]
