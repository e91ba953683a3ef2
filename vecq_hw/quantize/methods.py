"""The methods of quantizing weights by name."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vecq_hw.arguments import meant, nearest, shown
from vecq_hw.errors import VecqError
from vecq_hw.quantize.alq import Alq
from vecq_hw.quantize.bwn import Bwn
from vecq_hw.quantize.dorefa import Dorefa
from vecq_hw.quantize.dropbits import DropBits
from vecq_hw.quantize.elq import Elq
from vecq_hw.quantize.esb import Esb
from vecq_hw.quantize.inq import Inq
from vecq_hw.quantize.lsq import Lsq
from vecq_hw.quantize.minmax import MinMax
from vecq_hw.quantize.mul2q import MuL2q
from vecq_hw.quantize.product import ProductQuantization
from vecq_hw.quantize.settings import MethodSetting, Option, method_settings
from vecq_hw.quantize.srq import Srq
from vecq_hw.quantize.stochastic import Stochastic, is_base
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
    "esb": Esb,
    "alq": Alq,
    "pq": ProductQuantization,
    "sq": Stochastic,
    "elq": Elq,
    "srq": Srq,
    "dropbits": DropBits,
}
_Base = enum.Enum("_Base", {name: name for name, kind in METHODS.items() if is_base(kind)})  # type: ignore[misc]
"""The methods that SQ may draw from."""


def weight_method(name: str = "vecq", **options: Any) -> WeightMethod:
    """The method of that name, with settings of its own: those of its class.

    Raises
    ------
    VecqError
        There is no such method, it has no such setting, or the setting no such value.  What range
        a setting has, the class says when it gets weights.

    Examples
    --------
    >>> import torch
    >>> weight_method("vecq", interval="search", per_channel=True)(torch.ones(2, 3), 4)
    Vecq(bits=4, per_channel=True)
    """
    known = settings_of(name, options)
    chosen = {
        option: _known(name, option, known).checked(value, f"method '{name}': {option}")
        for option, value in options.items()
    }
    if METHODS[name] is Stochastic:
        base = METHODS[chosen.pop("base", known["base"].default).value]
        of_base = {
            option: chosen.pop(option) for option in method_settings(base) if option in chosen
        }
        chosen["base"] = partial(base, **of_base)
    return partial(METHODS[name], **chosen)


def method_options(name: str, text: str) -> dict[str, Option]:
    """The settings of a method that a text such as 'interval=search,per_channel=true' names.

    A list has slashes between its items, as in 'stages=0.5/0.75/1'; 'none' is None.

    Raises
    ------
    VecqError
        As :func:`weight_method`.

    Examples
    --------
    >>> method_options("vecq", "interval=search,per_channel=true")
    {'interval': 'search', 'per_channel': True}
    """
    texts: dict[str, str] = {}
    for part in text.split(","):
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not option or not value:
            raise VecqError(f"method options are NAME=VALUE,NAME=VALUE,..., not {shown(text)}")
        if option in texts:
            raise VecqError(f"method options name '{option}' twice: {shown(text)}")
        texts[option] = value
    known = settings_of(name, texts)
    return {
        option: _known(name, option, known).read(value, f"method '{name}': {option}")
        for option, value in texts.items()
    }


def settings_of(name: str, options: Mapping[str, Any] | None = None) -> dict[str, MethodSetting]:
    """The settings of the method of that name; of SQ, those of its base, too.

    Parameters
    ----------
    options : mapping, optional
        Those that were chosen: they tell the base.

    Raises
    ------
    VecqError
        There is no method of that name, or the base that was chosen is none.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise VecqError(f"there is no method '{name}' for weights; {nearest(str(name), METHODS)}")
    known = method_settings(METHODS[name])
    if METHODS[name] is not Stochastic:
        return known
    known["base"] = replace(known["base"], kind=_Base, default=_Base("vecq"))
    chosen = (options or {}).get("base", "vecq")
    base = known["base"].checked(chosen, f"method '{name}': base")
    return known | method_settings(METHODS[base.value])


def _known(name: str, option: str, known: Mapping[str, MethodSetting]) -> MethodSetting:
    if option not in known:
        has = f"has {', '.join(known)}" if known else "has none"
        raise VecqError(
            f"method '{name}' has no setting '{option}'; it {has}{meant(option, known)}"
        )
    return known[option]
