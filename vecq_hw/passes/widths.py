"""Accumulators narrower than proven, at the user's explicit request."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.formats import IntFormat
from vecq_hw.layers import Conv2d, Layer, Lookup, Take, as_mac_layer
from vecq_hw.network import Network


def wrap_accumulators(network: Network, bits: int) -> Network:
    """Every accumulator wraps at ``bits`` bits; those proven to be narrower stay exact.

    What reads sums is fitted to them, as :func:`fitted` says.
    """
    tensors = {source.name: network.tensors[source.name] for source in network.inputs}
    layers: list[Layer] = []
    for layer in network.layers:
        if layer.inputs:
            first = layer.inputs[0]
            layer = fitted(layer, network.tensors[first].format, tensors[first].format)
        if (mac := as_mac_layer(layer)) is not None:
            layer = replace(mac, accumulator_bits=bits)
        layers.append(layer)
        tensors[layer.name] = layer.output(*(tensors[name] for name in layer.inputs))
    return Network(
        name=network.name, inputs=network.inputs, layers=tuple(layers), outputs=network.outputs
    )


def fitted(layer: Layer, proven: IntFormat, given: IntFormat) -> Layer:
    """The layer where its input is of another format than that which it was made for.

    A Lookup gets an entry for each number of that format, outside of its table that of the nearest
    number inside; a code that stands for what is not there becomes the nearest that the bits hold.
    """
    if proven == given:
        return layer
    whole = IntFormat(given.bits, given.signed)
    if isinstance(layer, Lookup):
        return replace(layer, table=layer.over(proven, given))
    if isinstance(layer, Take):
        return replace(layer, code=min(max(layer.code, whole.lo), whole.hi))
    if isinstance(layer, Conv2d):
        return replace(layer, pad_code=min(max(layer.pad_code, whole.lo), whole.hi))
    return layer
