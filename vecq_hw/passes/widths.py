"""Accumulators narrower than proven, at the user's explicit request."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.network import Conv2d, Dense, Network


def wrap_accumulators(network: Network, bits: int) -> Network:
    """Every accumulator wraps at ``bits`` bits; those proven to be narrower stay exact."""
    layers = tuple(
        replace(layer, accumulator_bits=bits) if isinstance(layer, Dense | Conv2d) else layer
        for layer in network.layers
    )
    return Network(name=network.name, inputs=network.inputs, layers=layers, outputs=network.outputs)
