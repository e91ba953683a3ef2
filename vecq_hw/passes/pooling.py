"""Max pooling ahead of the rescale: the same integers from a fraction of the rescales."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from vecq_hw.layers import Layer, MaxPool2d, Rescale
from vecq_hw.network import Network


def pool_before_rescale(network: Network, keep: Collection[str] = ()) -> Network:
    """Every MaxPool2d that alone reads a Rescale without negative mantissas moves ahead of it.

    Such a Rescale never falls as its accumulator rises, so the largest code of a window is the code
    of the largest accumulator.  The pooled codes keep their name; the tensor between the two, which
    now holds pooled accumulators, takes the name of the Rescale.

    Parameters
    ----------
    keep : names of Rescale layers whose codes are wanted and that stay where they are
    """
    readers: dict[str, list[str]] = {}
    for layer in network.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer.name)
    layers = {layer.name: layer for layer in network.layers}
    moved: dict[str, Layer] = {}
    for pool in network.layers:
        rescale = layers.get(pool.input) if isinstance(pool, MaxPool2d) else None
        if not isinstance(pool, MaxPool2d) or not isinstance(rescale, Rescale):
            continue
        wanted = rescale.name in keep or rescale.name in network.outputs
        if rescale.rows is not None:  # its codes depend on where they lie
            continue
        if wanted or readers[rescale.name] != [pool.name] or (rescale.mantissa < 0).any():
            continue
        moved[rescale.name] = replace(pool, name=rescale.name, input=rescale.input)
        moved[pool.name] = replace(rescale, name=pool.name, input=rescale.name)
    return replace(network, layers=tuple(moved.get(la.name, la) for la in network.layers))
