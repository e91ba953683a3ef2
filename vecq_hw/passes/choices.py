"""The class, or the best few, instead of the scores: an ArgMax or TopK at the end of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vecq_hw.errors import VecqError
from vecq_hw.layers import ArgMax, TopK
from vecq_hw.network import Network


def with_argmax(network: Network) -> Network:
    """``network`` with an ArgMax behind its output.

    Raises
    ------
    VecqError
        It has several outputs, or one that is a single number already.
    """
    return _ended(network, "argmax", 2, lambda name, output: ArgMax(name=name, input=output))


def with_topk(network: Network, count: int) -> Network:
    """``network`` with a TopK behind its output: the ``count`` best classes, the best first.

    Raises
    ------
    VecqError
        It has several outputs, or one of fewer channels.
    """
    return _ended(
        network, "topk", count, lambda name, output: TopK(name=name, input=output, count=count)
    )


def _ended(
    network: Network, kind: str, least: int, layer: Callable[[str, str], ArgMax | TopK]
) -> Network:
    if len(network.outputs) != 1:
        raise VecqError(
            f"network '{network.name}' has {len(network.outputs)} outputs; one is wanted"
        )
    (output,) = network.outputs
    channels = network.tensors[output].channels
    if channels < least:
        has = "one channel" if channels == 1 else f"{channels} channels"
        what = f"{'an' if kind == 'argmax' else 'this'} {kind} takes {least}"
        raise VecqError(
            f"network '{network.name}': its output '{output}' has {has}; {what} or more"
        )
    name, count = kind, 1
    while name in network.tensors:
        name, count = f"{kind}{count + 1}", count + 1
    return replace(network, layers=(*network.layers, layer(name, output)), outputs=(name,))
