"""A Rescale or a monotone Lookup as thresholds, exactly, on the proven range of its input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Lookup, Rescale, Tensor, Threshold
from vecq_hw.network import Network
from vecq_hw.passes.lookups import alone_before


def with_thresholds(network: Network, most_bits: int = 4) -> Network:
    """Every Rescale and Lookup to at most ``most_bits`` bits becomes a Threshold, where it can.

    No integer changes.  A Rescale with rows stays as it is: it would take the thresholds of each
    class.  So does a Lookup whose table neither rises nor falls; the others take the Rescale before
    them along, if nothing else reads that.  An n-bit output takes 2^n - 1 thresholds a channel.
    """
    changed: dict[str, Threshold] = {}
    dropped: set[str] = set()
    before = alone_before(network)
    for layer in network.layers:
        if not isinstance(layer, Lookup) or layer.format.bits > most_bits:
            continue
        first = before.get(layer.name)
        rescale = first if isinstance(first, Rescale) else None
        source = network.tensors[layer.input if rescale is None else rescale.input]
        counted = lookup_thresholds(layer, rescale, source)
        if counted is not None:
            changed[layer.name] = counted
            dropped.update([] if rescale is None else [rescale.name])
    for layer in network.layers:
        if isinstance(layer, Rescale) and layer.format.bits <= most_bits and layer.rows is None:
            changed[layer.name] = thresholds_of(layer, network.tensors[layer.input].format)
    kept = [layer for layer in network.layers if layer.name not in dropped]
    return replace(network, layers=tuple(changed.get(la.name, la) for la in kept))


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


def lookup_thresholds(layer: Lookup, before: Rescale | None, source: Tensor) -> Threshold | None:
    """A Lookup, with the Rescale before it, as a count of thresholds; None if it is not monotone.

    Each channel's table must rise or fall.  The output is w or more from the first code on whose
    entry is (a falling table: up to the last), and that code is reached at a threshold of the
    Rescale.

    Parameters
    ----------
    before : Rescale or None
        None: the Lookup reads ``source`` itself.
    source : Tensor
        What the first of the two reads.
    """
    steps = np.diff(layer.table, axis=1)
    rises = np.asarray((steps >= 0).all(axis=1))
    falls = np.asarray((steps <= 0).all(axis=1))
    if not (rises | falls).all():
        return None
    first, last = source.format.lo, source.format.hi
    if before is None:
        reached, turned = np.arange(first + 1, last + 1)[np.newaxis], np.zeros(1, bool)
    else:
        rule = thresholds_of(before, source.format)
        turned = rule.falling.astype(bool)
        # Of a falling channel the last accumulator that reaches each code, in the codes' order.
        reached = np.where(turned[:, None], rule.thresholds[:, ::-1], rule.thresholds)
    levels = np.arange(layer.format.lo + 1, layer.format.hi + 1)
    rows, falling = [], []
    for channel in range(source.channels):
        entries = layer.table[channel % len(layer.table)]
        rising = bool(rises[channel % len(layer.table)])
        down = bool(turned[channel % len(turned)])
        edges = reached[channel % len(reached)]
        # How many codes lie before the edge of each level; there is one more code than edges.
        below = np.searchsorted(entries if rising else -entries, levels if rising else -levels,
                                side="left" if rising else "right")  # fmt: skip
        inside = (below > 0) & (below <= len(edges))
        edge = edges[np.clip(below - 1, 0, max(len(edges) - 1, 0))] if len(edges) else 0 * below
        always = below == 0 if rising else below > len(edges)
        falls_here = down == rising
        if falls_here:  # counts accumulators up to the threshold
            row = np.where(inside, edge - (not down), np.where(always, last, first - 1))
            row = np.clip(row, first - 1, last)[::-1]
        else:
            row = np.where(inside, edge + down, np.where(always, first, last + 1))
            row = np.clip(row, first, last + 1)
        rows.append(row)
        falling.append(int(falls_here))
    return Threshold(
        name=layer.name,
        input=layer.input if before is None else before.input,
        thresholds=np.array(rows, np.int64).reshape(source.channels, len(levels)),
        falling=np.array(falling),
        format=layer.format,
        step=layer.step,
    )
