"""The class instead of its scores: an ArgMax at the end of a network."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.errors import VecqError
from vecq_hw.layers import ArgMax
from vecq_hw.network import Network


def with_argmax(network: Network) -> Network:
    """``network`` with an ArgMax behind its output.

    Raises
    ------
    VecqError
        It has several outputs, or one that is a single number already.
    """
    if len(network.outputs) != 1:
        raise VecqError(
            f"network '{network.name}' has {len(network.outputs)} outputs; one is wanted"
        )
    (output,) = network.outputs
    channels = network.tensors[output].shape[-1]
    if channels == 1:
        raise VecqError(
            f"network '{network.name}': its output '{output}' has one channel; an argmax takes two"
            " or more"
        )
    name, count = "argmax", 1
    while name in network.tensors:
        name, count = f"argmax{count + 1}", count + 1
    layers = (*network.layers, ArgMax(name=name, input=output))
    return replace(network, layers=layers, outputs=(name,))
