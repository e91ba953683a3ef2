"""What there is to say of a method: all of it from its class, its module and a quantizer of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vecq_hw.quantize.methods import METHODS, settings_of
from vecq_hw.quantize.settings import MethodSetting, plain_text

_SOURCE = re.compile(r"\s*\(((?:[^()]|\([^()]*\))*\b\d{4})\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodDescription:
    """A method of weights as people read of it.

    Attributes
    ----------
    name : str
    bits : range
        Those that it takes.
    grid : str
        What the integer network stores.
    summary : str
        One sentence.
    source : str
        Authors, title and year; empty where it has none.
    settings : sequence of MethodSetting
    """

    name: str
    bits: range
    grid: str
    summary: str
    source: str
    settings: Sequence[MethodSetting]


def description(name: str) -> MethodDescription:
    """What there is to say of the method of that name.

    Examples
    --------
    >>> lsq = description("lsq")
    >>> lsq.bits, lsq.grid, lsq.summary
    (range(2, 17), 'TwosComplement', 'LSQ: the step is a parameter.')
    >>> lsq.source
    'Esser et al., Learned Step Size Quantization, ICLR 2020'
    """
    method = METHODS[name]
    module = inspect.getmodule(method)
    first, *_ = inspect.cleandoc((module and module.__doc__) or "").split("\n\n")
    text = plain_text(" ".join(first.split()))
    source = _SOURCE.search(text)
    # The kind of codes does not depend on the weights; these have as many channels as any block.
    w = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    kinds = dict.fromkeys(
        method(w, bits).codes(w).kind for bits in (method.BITS[0], method.BITS[-1])
    )
    return MethodDescription(
        name=name,
        bits=method.BITS,
        grid=" or ".join(kinds),
        summary=_SOURCE.sub("", text, count=1),
        source=source.group(1) if source else "",
        settings=tuple(settings_of(name).values()),
    )
