"""The methods of quantizing weights by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from vecq_hw.errors import VecqError
from vecq_hw.quantize.bwn import Bwn
from vecq_hw.quantize.dorefa import Dorefa
from vecq_hw.quantize.inq import Inq
from vecq_hw.quantize.lsq import Lsq
from vecq_hw.quantize.minmax import MinMax
from vecq_hw.quantize.mul2q import MuL2q
from vecq_hw.quantize.tqt import Tqt
from vecq_hw.quantize.ttq import Ttq
from vecq_hw.quantize.twn import Twn
from vecq_hw.quantize.vecq import Vecq
from vecq_hw.quantize.weights import WeightMethod, WeightQuantizer

METHODS: Mapping[str, type[WeightQuantizer]] = {
    "vecq": Vecq,
    "bwn": Bwn,
    "twn": Twn,
    "ttq": Ttq,
    "inq": Inq,
    "mul2q": MuL2q,
    "dorefa": Dorefa,
    "minmax": MinMax,
    "tqt": Tqt,
    "lsq": Lsq,
}


def weight_method(name: str = "vecq", **options: Any) -> WeightMethod:
    """The method of that name, with settings of its own: those of its class.

    Raises
    ------
    VecqError
        There is no such method, or it has no such setting.

    Examples
    --------
    >>> import torch
    >>> weight_method("vecq", interval="search", per_channel=True)(torch.ones(2, 3), 4)
    Vecq(bits=4, per_channel=True)
    """
    kind: Any = METHODS.get(name)
    if kind is None:
        close = difflib.get_close_matches(str(name), METHODS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(METHODS)}"
        raise VecqError(f"there is no method '{name}' for weights; {hint}")
    known = list(inspect.signature(kind).parameters)[2:]
    for option in options:
        if option not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise VecqError(f"method '{name}' has no setting '{option}'; it {has}")
    return partial(kind, **options)
