"""Functions of each value as the tables of Lookup layers, as training computes each entry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.layers import Lookup, Tensor
from vecq_hw.lower.values import Value
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.train.curves import Curve


def through_curve(name: str, curve: Curve, value: Value, codes: Tensor, kind: torch.dtype) -> Value:
    """The value behind a function of the codes of ``value``.

    Parameters
    ----------
    codes : Tensor
        Of ``value``.
    kind : torch.dtype
        In which the model computes.

    Raises
    ------
    VecqError
        The function is not finite for one of the codes.
    """
    fmt = codes.format
    numbers = torch.arange(fmt.lo, fmt.hi + 1, dtype=kind)
    zero = torch.tensor(float(value.offset.flat[0]), dtype=kind)  # of signs -1, else 0
    x = numbers * torch.tensor(codes.step, dtype=kind) + zero
    x = x.reshape(-1, 1).expand(-1, codes.channels)
    entries = curve.exact(x).cpu()
    if not bool(torch.isfinite(entries).all()):
        raise VecqError(
            f"layer '{name}': it is not finite between {fmt.lo * codes.step:.4g} and"
            f" {fmt.hi * codes.step:.4g}, the range of what it reads; clamp that before it"
        )
    if value.order is not None:
        entries = entries[:, value.order]
    plain = np.ones(codes.channels), np.zeros(codes.channels)
    return replace(value, entries=entries, scale=plain[0], offset=plain[1])


def lookup(name: str, value: Value, quantizer: ActivationQuantizer) -> Lookup:
    """The table from the codes of ``value`` to those of the quantizer behind its function."""
    real = value.entries
    assert real is not None
    if (value.scale != 1).any() or value.offset.any():
        line = torch.from_numpy(value.scale), torch.from_numpy(value.offset)
        real = (real.double() * line[0] + line[1]).to(real.dtype)
    step = quantizer.step.cpu()
    units = (quantized(quantizer, real).double() - quantizer.zero) / step.double()
    table = torch.round(units).long().T.numpy()
    alike = bool((table == table[:1]).all())
    return Lookup(
        name=name,
        input=value.tensor,
        table=table[:1] if alike else table,
        format=quantizer.format,
        step=float(step),
    )


def quantized(quantizer: ActivationQuantizer, real: torch.Tensor) -> torch.Tensor:
    """What the quantizer makes of real values in evaluation; the result has their shape."""
    mode = quantizer.training
    try:
        result: torch.Tensor = quantizer.eval()(real.to(quantizer.spread.device)).cpu()
        return result
    finally:
        quantizer.train(mode)


def left_to_host(name: str, module: nn.Module) -> str:
    """The word to a user whose model ends in a softmax or a sigmoid."""
    kind = type(module).__name__
    meaning = (
        "a probability of 0.5 is the score 0"
        if isinstance(module, nn.Sigmoid | nn.LogSigmoid)
        else "the largest score is the most probable class"
    )
    return (
        f"layer '{name}' ({kind}) is left to the host: the integer network gives the scores before"
        f" it; {meaning}"
    )
