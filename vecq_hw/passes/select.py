"""A part of a network as a network of its own."""

from __future__ import annotations

from vecq_hw.arguments import meant
from vecq_hw.errors import VecqError
from vecq_hw.layers import Constant, Input, Layer, as_code_layer, as_mac_layer
from vecq_hw.network import Network


def layer_network(network: Network, name: str) -> Network:
    """The layer called ``name``, with the Rescale behind a Dense or Conv2d, as a network.

    Its input is the tensor that the layer reads, proven range included, so that the accumulator is
    as wide as in ``network``; a Constant that it reads comes along.

    Raises
    ------
    VecqError
        There is no such layer, or it is a Constant.
    """
    found = next((layer for layer in network.layers if layer.name == name), None)
    if found is None:
        names = ", ".join(f"'{layer.name}'" for layer in network.layers) or "no layers"
        hint = meant(name, (layer.name for layer in network.layers))
        raise VecqError(f"network '{network.name}' has no layer '{name}'; it has {names}{hint}")
    constants = [layer for layer in network.layers if isinstance(layer, Constant)]
    if found in constants:
        raise VecqError(f"layer '{name}' is a constant, which computes nothing")
    layers: list[Layer] = [layer for layer in constants if layer.name in found.inputs]
    layers.append(found)
    if as_mac_layer(found) is not None:
        readers = [
            layer for layer in map(as_code_layer, network.layers) if layer and layer.input == name
        ]
        layers += readers[:1]
    known = {layer.name for layer in layers}
    tensors = {name: network.tensors[name] for name in found.inputs if name not in known}
    return Network(
        name=f"{network.name}_{name}",
        inputs=tuple(
            Input(name=source, shape=tensor.shape, format=tensor.format, step=tensor.step)
            for source, tensor in tensors.items()
        ),
        layers=tuple(layers),
        outputs=(layers[-1].name,),
    )
