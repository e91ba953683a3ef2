"""The methods of quantizing weights by name."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Mapping
from functools import partial
from typing import Any

from vecq_hw.arguments import member, truth_value
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
    known = _settings(name)
    for option, value in options.items():
        if option not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise VecqError(f"method '{name}' has no setting '{option}'; it {has}")
        where = f"method '{name}': {option}"
        if known[option] is bool:
            truth_value(value, f"{where} is True or False")
        else:
            member(known[option], value, where)
    return partial(METHODS[name], **options)


def method_options(name: str, text: str) -> dict[str, str | bool]:
    """The settings of a method that a text such as 'interval=search,per_channel=true' names.

    Raises
    ------
    VecqError
        There is no such method, it has no such setting, or the setting no such value.

    Examples
    --------
    >>> method_options("vecq", "interval=search,per_channel=true")
    {'interval': 'search', 'per_channel': True}
    """
    known = _settings(name)
    options: dict[str, str | bool] = {}
    for part in text.split(","):
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not option or not value:
            raise VecqError(f"method options are NAME=VALUE,NAME=VALUE,..., not '{text}'")
        if option in options:
            raise VecqError(f"method options name '{option}' twice: '{text}'")
        truth = {"true": True, "false": False}.get(value.lower())
        options[option] = truth if known.get(option) is bool and truth is not None else value
    weight_method(name, **options)
    return options


def _settings(name: str) -> dict[str, type[Any]]:
    """The settings of a method: bool, or the enumeration that a value is of."""
    if not isinstance(name, str) or name not in METHODS:
        close = difflib.get_close_matches(str(name), METHODS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(METHODS)}"
        raise VecqError(f"there is no method '{name}' for weights; {hint}")
    constructor: Any = METHODS[name].__init__
    kinds = typing.get_type_hints(constructor)
    names = list(inspect.signature(constructor).parameters)[3:]  # behind self, w, bits
    return {one: (typing.get_args(kinds[one]) or (kinds[one],))[0] for one in names}
