"""How many bits the weights take, of a network and of a model that has no network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from torch import nn

from vecq_hw.layers import AnyWeights
from vecq_hw.lower.weights import places, weights_at
from vecq_hw.network import Network
from vecq_hw.train.quantized_parameters import quantized_parameters


class StoredBits(NamedTuple):
    """Bits that are stored, with books, coordinates and counts of bases.

    Attributes
    ----------
    per_weight : float
        Of all layers together.
    by_layer : dict from names of layers to float
        Of a weight of each.
    """

    per_weight: float
    by_layer: dict[str, float]


def stored_bits(network: Network) -> StoredBits:
    """The bits that a network stores; weights that layers share are stored once."""
    return _counted((one.name, one.weights) for one in network.layers if hasattr(one, "weights"))


def stored_bits_of_model(model: nn.Module) -> StoredBits:
    """The bits of the codes of a model whose activations are float.

    Raises
    ------
    VecqError
        Weights that have no codes.
    """
    names = {module: name for name, module in model.named_modules()}
    found = []
    for one in quantized_parameters(model):
        rows = one.rows().detach()
        weights = weights_at(
            one.quantizer.codes(rows), np.moveaxis(places(tuple(rows.shape)), 1, -1)
        )
        layer = names[one.layer]
        found.append((layer if one.name == "weight" else f"{layer}.{one.name}", weights))
    return _counted(found)


def _counted(layers: Iterable[tuple[str, AnyWeights]]) -> StoredBits:
    named = list(layers)
    alone = {id(weights): weights for _, weights in named}.values()
    total = sum(weights.stored_bits for weights in alone)
    count = sum(math.prod(weights.shape) for weights in alone)
    return StoredBits(
        per_weight=round(total / max(count, 1), 4),
        by_layer={
            name: round(weights.stored_bits / math.prod(weights.shape), 4)
            for name, weights in named
        },
    )
