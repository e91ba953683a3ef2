"""A part of a network as a network of its own."""

from __future__ import annotations

from vecq_hw.errors import VecqError
from vecq_hw.layers import Input, Layer, as_code_layer, as_mac_layer
from vecq_hw.network import Network


def layer_network(network: Network, name: str) -> Network:
    """The layer called ``name``, with the Rescale behind a Dense or Conv2d, as a network.

    Its input is the tensor that the layer reads, proven range included, so that the accumulator is
    as wide as in ``network``.

    Raises
    ------
    VecqError
        There is no such layer.
    """
    found = next((layer for layer in network.layers if layer.name == name), None)
    if found is None:
        names = ", ".join(f"'{layer.name}'" for layer in network.layers) or "no layers"
        raise VecqError(f"network '{network.name}' has no layer '{name}'; it has {names}")
    layers: list[Layer] = [found]
    if as_mac_layer(found) is not None:
        readers = [
            layer for layer in map(as_code_layer, network.layers) if layer and layer.input == name
        ]
        layers += readers[:1]
    tensors = {source: network.tensors[source] for source in found.inputs}
    return Network(
        name=f"{network.name}_{name}",
        inputs=tuple(
            Input(name=source, shape=tensor.shape, format=tensor.format, step=tensor.step)
            for source, tensor in tensors.items()
        ),
        layers=tuple(layers),
        outputs=(layers[-1].name,),
    )
