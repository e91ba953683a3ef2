"""The weights of a layer: codes as trained, and the grid that gives them values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import Grid, IntArray
from vecq_hw.layers.tensor import frozen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """Codes as trained and the grid that gives them integer values.

    Attributes
    ----------
    codes : int16 array of shape (O, C) or (O, KH, KW, C)
    grid : Grid
    step : float
        Real value of the integer value 1; for VecQ that is alpha / 2.
    """

    codes: IntArray
    grid: Grid
    step: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", frozen(self.codes, np.int16))

    @property
    def values(self) -> npt.NDArray[np.int32]:
        """The integer values; same shape as the codes."""
        return self.grid.values(self.codes)
