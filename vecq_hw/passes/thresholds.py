"""A Rescale as thresholds: the exact equivalent on the proven range of its input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Rescale, Threshold
from vecq_hw.network import Network


def with_thresholds(network: Network, most_bits: int = 4) -> Network:
    """Every Rescale to at most ``most_bits`` bits becomes a Threshold; no integer changes.

    One with rows stays as it is: it would take the thresholds of each class.

    An n-bit output takes 2^n - 1 thresholds a channel.
    """
    layers = tuple(
        thresholds_of(layer, network.tensors[layer.input].format)
        if isinstance(layer, Rescale) and layer.format.bits <= most_bits and layer.rows is None
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def thresholds_of(layer: Rescale, source: IntFormat) -> Threshold:
    """The thresholds of a Rescale that reads a tensor of format ``source``.

    Where m > 0 the output reaches v from ``acc >= ceil((v * 2^s - 2^(s-1) - b) / m)`` on, where
    m < 0 up to ``acc <= floor(...)``; m = 0 is a constant.  Thresholds beyond the range of
    ``source`` are put just outside it.

    Python integers: 2^s may exceed what NumPy holds.

    Raises
    ------
    VecqError
        The Rescale has rows.
    """
    if layer.rows is not None:
        raise VecqError(
            f"layer '{layer.name}': a Rescale with rows has no thresholds of its channels; leave it"
            " a Rescale"
        )
    lo, hi = layer.format.lo, layer.format.hi
    never, always = source.hi + 1, source.lo
    rows, falling = [], []
    for m, b, s in zip(
        layer.mantissa.tolist(), layer.offset.tolist(), layer.shifts.tolist(), strict=True
    ):
        needed = [(v << s) - (1 << (s - 1)) - b for v in range(lo + 1, hi + 1)]  # acc * m >= this
        if m > 0:
            row = [min(max(-(-n // m), always), never) for n in needed]
        elif m < 0:
            # acc <= floor(n / m); the highest output has the lowest threshold, so turn the row.
            row = [min(max(n // m, source.lo - 1), source.hi) for n in reversed(needed)]
        else:
            row = [always if n <= 0 else never for n in needed]
        rows.append(row)
        falling.append(int(m < 0))
    return Threshold(
        name=layer.name,
        input=layer.input,
        thresholds=np.array(rows, np.int64).reshape(len(rows), hi - lo),
        falling=np.array(falling),
        format=layer.format,
        step=layer.step,
    )
