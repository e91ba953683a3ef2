"""Layers that read nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers.tensor import Tensor, frozen, step_problems


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constant:
    """The same integers for each sample.

    Attributes
    ----------
    values : int64 array of shape (C,) or (H, W, C)
    format : IntFormat
        That holds them.
    step : float
        Real value of one unit.
    """

    name: str
    values: IntArray
    format: IntFormat
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen(self.values, np.int64))

    @property
    def inputs(self) -> tuple[str, ...]:
        """None."""
        return ()

    def output(self) -> Tensor:
        """The tensor of the values."""
        return Tensor(shape=self.values.shape, format=self.format, step=self.step)

    def problems(self) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from step_problems(self.step)
        fmt, values = self.format, self.values
        if values.size and not fmt.contains(int(values.min()), int(values.max())):
            yield (f"the values {values.min()}..{values.max()} leave {fmt.lo}..{fmt.hi} ({fmt!r})")

    def __repr__(self) -> str:
        return f"Constant({self.name}: {self.values.shape}, {self.format!r})"
