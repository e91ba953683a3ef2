"""Accumulators narrower than proven, at the user's explicit request."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.layers import as_mac_layer
from vecq_hw.network import Network


def wrap_accumulators(network: Network, bits: int) -> Network:
    """Every accumulator wraps at ``bits`` bits; those proven to be narrower stay exact."""
    layers = tuple(
        layer if mac is None else replace(mac, accumulator_bits=bits)
        for layer, mac in ((layer, as_mac_layer(layer)) for layer in network.layers)
    )
    return Network(name=network.name, inputs=network.inputs, layers=layers, outputs=network.outputs)
