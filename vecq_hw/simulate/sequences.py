"""What the layers of sequences compute on a tile of samples; a loop over steps alone.

Arrays are as in ``simulate.kernels``: a sequence is (1, N, L, C), a vector (N, C).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import numpy as np

from vecq_hw import arithmetic, exact_products
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Embedding, Gru, Lstm, RecurrentLayer
from vecq_hw.layers.sequences import STATE
from vecq_hw.simulate.engines import Array, product_for

Step = Callable[[IntArray, IntArray, IntArray], tuple[IntArray, IntArray]]
"""What is kept from step to step and the state after one, of what was kept and both sums."""


def embedding(layer: Embedding, source: IntFormat) -> Callable[[Array], Array]:
    """The rows of its table; those beyond it, which stored indices may name, are zeros.

    The function takes indices (N, T) and gives rows (1, N, T, C).
    """
    values = layer.weights.values.astype(layer.weights.value_format.dtype)
    rows = np.zeros((max(len(values), source.hi + 1), values.shape[1]), values.dtype)
    rows[: len(values)] = values
    return lambda x: rows[x.astype(np.int64)][np.newaxis]


def recurrent(layer: RecurrentLayer) -> Callable[[Array], Array]:
    """The states of all steps, or the last one.

    The function takes sums (1, N, T, gates * elements), and gives (1, N, T, elements) or (N,
    elements).
    """
    values = layer.weights.values
    product = product_for(values, exact_products.product_bound(values, STATE.magnitude))
    step = _step(layer)

    def run(x: Array) -> Array:
        _, samples, length, sums = x.shape
        elements = layer.elements
        state: IntArray = np.zeros((samples, elements), np.int64)
        kept: IntArray = np.zeros((samples, elements), np.int64)
        found = np.empty((1, samples, length, elements), STATE.dtype) if layer.sequence else None
        total = np.empty((samples, sums), product.result)
        for place in range(length):
            product(state.astype(product.operand), total)
            shape = (samples, elements, layer.gates)
            given = x[0, :, place].astype(np.int64)
            kept, state = step(kept, given.reshape(shape), total.astype(np.int64).reshape(shape))
            if found is not None:
                found[0, :, place] = state
        return state.astype(STATE.dtype) if found is None else found

    return run


def _step(layer: RecurrentLayer) -> Step:
    shape = (layer.elements, layer.gates)
    m, n, b = (
        constants.reshape(shape) for constants in (layer.mantissa_x, layer.mantissa_h, layer.offset)
    )
    match layer:
        case Lstm():

            def lstm(cell: IntArray, x: IntArray, h: IntArray) -> tuple[IntArray, IntArray]:
                return arithmetic.lstm_step(x * m + h * n + b, cell, layer.shift)

            return lstm
        case Gru():
            state_offset = layer.state_offset

            def gru(kept: IntArray, x: IntArray, h: IntArray) -> tuple[IntArray, IntArray]:
                given, own = x * m + b, h * n
                parts = own[..., 2] + state_offset
                own[..., 2] = 0
                return arithmetic.gru_step(given + own, parts, kept, layer.shift)

            return gru
        case _:
            assert_never(layer)
