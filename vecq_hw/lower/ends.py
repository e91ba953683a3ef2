"""The tensors of a network's outputs under the names that forward() gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vecq_hw.layers import Flatten, Layer, Upsample2d
from vecq_hw.network import Network


def with_outputs(network: Network, outputs: Mapping[str, str]) -> Network:
    """The network with several outputs, whose tensors take the names of the outputs.

    Parameters
    ----------
    outputs : mapping from the name of each output to its tensor
        A tensor that is an input, or that serves an output before, is passed on by a layer that
        does nothing: a Flatten, which is no hardware, or of an image an Upsample2d by 1.  Where
        another tensor has the name of an output, that one gets ``_inner`` behind it; inputs keep
        theirs, and the output gets ``_output``.
    """
    renamed, ends, passed = dict[str, str](), list[str](), list[Layer]()
    inputs = {source.name for source in network.inputs}
    used = {*network.tensors, *outputs}

    def free(wanted: str) -> str:
        name, count = wanted, 2
        while name in used:
            name, count = f"{wanted}_{count}", count + 1
        used.add(name)
        return name

    served = set(inputs)
    for wanted, tensor in outputs.items():
        name = free(f"{wanted}_output") if wanted in inputs else wanted
        ends.append(name)
        if tensor in served:
            passed.append(_passed_on(network, name, tensor))
        else:
            renamed[tensor] = name
            served.add(tensor)
    for tensor in network.tensors:
        if tensor in ends and tensor not in renamed:
            renamed[tensor] = free(f"{tensor}_inner")
    layers = [_renamed(layer, renamed) for layer in network.layers]
    layers += [_renamed(layer, renamed, own=False) for layer in passed]
    return replace(network, layers=tuple(layers), outputs=tuple(ends))


def _passed_on(network: Network, name: str, tensor: str) -> Layer:
    if network.tensors[tensor].is_image:
        return Upsample2d(name=name, input=tensor, factor=(1, 1))
    return Flatten(name=name, input=tensor)


def _renamed(layer: Layer, names: Mapping[str, str], own: bool = True) -> Layer:
    """The layer reading, and if ``own`` being, a tensor of another name."""
    changes: dict[str, Any] = {"name": names.get(layer.name, layer.name) if own else layer.name}
    fields = layer.__dataclass_fields__
    if "input" in fields:
        changes["input"] = names.get(layer.inputs[0], layer.inputs[0])
    elif "inputs" in fields:
        changes["inputs"] = tuple(names.get(read, read) for read in layer.inputs)
    return replace(layer, **changes)
