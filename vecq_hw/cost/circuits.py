"""The form of a layer that is a circuit of additions."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from vecq_hw.accelerator import units
from vecq_hw.accelerator.cells import Unrolled
from vecq_hw.cost.elements import signed_digits
from vecq_hw.cost.structure import Structure, log2
from vecq_hw.layers import BinaryBases, ProductWeights, Weights

SHARED_FRONTS = 0.25
"""Tables in front of an addition of an unrolled layer for each of its bits."""


def unrolled(cell: Unrolled, out: int) -> Structure:
    """A circuit of shared additions, from the digits of its weights; none is searched for here.

    Each output adds as many terms as its weights have digits that are not 0, in signed-digit form;
    how many of these additions are shared is a matter of the fit.
    """
    made = Structure("unrolled")
    layer = cell.layer
    match layer.weights:
        case Weights() | ProductWeights() | BinaryBases():
            values = layer.weights.values.reshape(layer.outputs, -1)
        case _:
            assert_never(layer.weights)
    digits = signed_digits(values)
    terms = digits.sum(axis=1)
    bits = cell.activations.bits
    additions = int(np.maximum(terms - 1, 0).sum())
    made.add(bits + 2, additions, fronts=SHARED_FRONTS * (bits + 2))
    made.register(cell.depth * layer.outputs * (bits + 4))
    made.control += cell.depth
    if cell.rescale is not None:
        mantissas = signed_digits(cell.rescale.mantissa.reshape(-1))
        total = bits + log2(layer.inputs_of_one_output) + layer.weights.planes.bits
        if units.is_searched(cell.rescale):
            made.add(total, layer.outputs * out, fronts=total / 2)
        else:
            sums = int(np.maximum(mantissas, 1).sum())
            made.add(total, sums, fronts=SHARED_FRONTS * total)
            made.add(out, 2 * layer.outputs)
            made.table(4, layer.outputs * out)
        made.register(layer.outputs * out)
    return made
