"""A copy of a user's model to work on, which computes the same with plain parameters."""

from __future__ import annotations

import copy

from torch import nn

from vecq_hw.errors import VecqError


def duplicate(model: nn.Module) -> nn.Module:
    """A deep copy of the model.

    Raises
    ------
    VecqError
        The model cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever an attribute of the user's raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VecqError(f"the model cannot be copied ({said})") from None
