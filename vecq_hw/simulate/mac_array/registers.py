"""What the register-level models share: registers that pass words on, and counters of what moves.

A bundle is a stack of registers, one layer for each wire: ``bundle[wire, row, column]``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vecq_hw.simulate.mac_array.product import (
    ArrayCost,
    ArraySize,
    Bytes,
    Int64Array,
    Product,
    Traffic,
    external_bytes,
)


class Skew:
    """The triangle of delay registers at an edge: lane i gets its word i clocks after lane 0."""

    def __init__(self, wires: int, lanes: int) -> None:
        self._delays = np.zeros((wires, lanes, lanes), np.int64)

    def clock(self, words: Int64Array) -> Int64Array:
        """Take ``words`` of shape (wires, lanes) and give those that are due, same shape."""
        self._delays[:, 1:] = self._delays[:, :-1]
        self._delays[:, 0] = words
        return self._delays.diagonal(axis1=1, axis2=2)


def from_left(bundle: Int64Array, edge: Int64Array) -> Int64Array:
    """What each element of the array sees at its left; ``edge`` has the shape (wires, rows)."""
    return np.concatenate([edge[:, :, np.newaxis], bundle[:, :, :-1]], axis=2)


def from_above(bundle: Int64Array, edge: Int64Array) -> Int64Array:
    """What each element of the array sees above it; ``edge`` has the shape (wires, columns)."""
    return np.concatenate([edge[:, np.newaxis], bundle[:, :-1]], axis=1)


def padded(array: Int64Array, *sizes: int) -> Int64Array:
    """``array`` with zeros behind its last axes, up to a multiple of each of ``sizes``.

    The result has the shape (..., *multiples).
    """
    lead = array.ndim - len(sizes)
    room = [(0, -length % size) for length, size in zip(array.shape[lead:], sizes, strict=True)]
    return np.pad(array, [(0, 0)] * lead + room)


def count(flags: npt.NDArray[np.generic]) -> int:
    """How many of the flags are set, in an array of any shape."""
    return int(np.count_nonzero(flags))


@dataclass(slots=True)
class Tally:
    """Words moved while a model runs: loaded into registers, and between buffers and edges."""

    operations: int = 0
    activation_loads: int = 0
    weight_loads: int = 0
    sum_loads: int = 0
    activation_moves: int = 0
    weight_moves: int = 0
    sum_moves: int = 0

    def cost(self, product: Product, array: ArraySize, cycles: int, passes: int = 1) -> ArrayCost:
        """What was counted over ``cycles``, each weight being moved in ``passes`` words."""
        words = replace(product, weight_bits=product.weight_bits // passes)
        return ArrayCost(
            cycles=cycles,
            macs=self.operations // passes,
            utilisation=self.operations / (cycles * (array.rows * array.columns)),
            traffic=Traffic(
                register=Bytes.of_words(
                    words, self.activation_loads, self.weight_loads, self.sum_loads
                ),
                buffer=Bytes.of_words(
                    words, self.activation_moves, self.weight_moves, self.sum_moves
                ),
                external=external_bytes(product),
            ),
        )
