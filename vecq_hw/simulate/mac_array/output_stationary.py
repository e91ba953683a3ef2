"""The output-stationary systolic array and its bit-serial kin, register by register.

Rows are positions, columns are outputs; an element keeps one accumulator.  Activations run right,
weights run down.  With its last product a sum moves to a result register; the results leave
downwards over registers of their own as a train, to which each row appends its own behind those of
the rows above, while the next tile is already computed.  A tile so takes ``max(words, rows)``
clocks, words being the taps.

The bit-serial array is the same with one-bit weights.  A mid-rise code of k bits is k binary bases,
``v = sum over j of 2^j * b[j]``, b[j] the bits of the code, the highest inverted, 0 read as -1
(from Gong et al., *VecQ*, Eq. 11).  The taps pass k times, the highest base first; an element adds
or subtracts the activation and doubles its sum at the start of a pass (Horner), so it holds neither
multiplier nor shifter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import MacLayer, Weights
from vecq_hw.simulate.mac_array.product import (
    ArrayCost,
    ArrayRun,
    ArraySize,
    Int64Array,
    Operands,
    Product,
    array_operands,
    layer_outputs,
)
from vecq_hw.simulate.mac_array.registers import (
    Skew,
    Tally,
    count,
    from_above,
    from_left,
    padded,
)


def output_stationary(
    layer: MacLayer,
    x: npt.ArrayLike,
    array: ArraySize,
    input_format: IntFormat | None = None,
) -> ArrayRun:
    """Run a layer on an output-stationary array; see :func:`weight_stationary`.

    ``x`` has the shape (N, C) or (N, H, W, C).
    """
    product, found = array_operands(layer, x, input_format)
    machine = _Machine(product, found, found.weights, 1, np.multiply, array)
    sums, cost = machine.run()
    return ArrayRun(outputs=layer_outputs(layer, found, sums), cost=cost)


def bit_serial(
    layer: MacLayer,
    x: npt.ArrayLike,
    array: ArraySize,
    input_format: IntFormat | None = None,
) -> ArrayRun:
    """Run a layer on a bit-serial array of sign-adders; see :func:`weight_stationary`.

    ``x`` has the shape (N, C) or (N, H, W, C).

    Raises
    ------
    VecqError
        The weights are not on the mid-rise grid, or the layer or ``x`` is refused as by
        :func:`weight_stationary`.
    """
    product, found = array_operands(layer, x, input_format)
    match layer.weights:
        case Weights(grid=MidRise() as grid):
            pass
        case _:
            raise VecqError(
                f"layer '{layer.name}': the bit-serial array takes the mid-rise grid of VecQ, whose"
                f" codes are binary bases, not {layer.weights.kind}"
            )
    planes = binary_bases(found.weights, grid)
    machine = _Machine(product, found, planes, grid.bits, _sign_add, array)
    sums, cost = machine.run()
    return ArrayRun(outputs=layer_outputs(layer, found, sums), cost=cost)


def binary_bases(values: Int64Array, grid: MidRise) -> Int64Array:
    """The bases of the values, 1 for +1 and 0 for -1, one plane behind the other.

    Parameters
    ----------
    values : int array of shape (G, T, O)
        On ``grid``: odd, ``-(2^k - 1)..2^k - 1``.

    Returns
    -------
    int64 array of shape (G, k * T, O), the highest plane first

    Examples
    --------
    >>> binary_bases(np.array([[[-3, -1, 1, 3]]]), MidRise(2))[0].tolist()
    [[0, 0, 1, 1], [0, 1, 0, 1]]
    """
    unsigned = (values + (1 << grid.bits) - 1) >> 1
    planes = [(unsigned >> j) & 1 for j in reversed(range(grid.bits))]
    return np.concatenate(planes, axis=1)


def _sign_add(base: Int64Array, activation: Int64Array) -> Int64Array:
    return np.where(base != 0, activation, -activation)


class _Machine:
    """The registers of the array; the names of their wires are the indices below."""

    _ACTIVATION, _ROW, _CLEAR, _DOUBLE, _LAST = range(5)  # rightwards
    _WEIGHT, _COLUMN = range(2)  # downwards
    _RESULT, _VALID, _PRESENT, _END = range(4)  # the train of results, downwards

    def __init__(
        self,
        product: Product,
        found: Operands,
        weights: Int64Array,
        passes: int,
        term: Callable[[Int64Array, Int64Array], Int64Array],
        array: ArraySize,
    ) -> None:
        self.product, self.array, self.passes, self.term = product, array, passes, term
        rows, columns = array.rows, array.columns
        self.x = padded(found.x, rows, 1)
        self.weights = padded(weights, columns)
        self.bias = padded(found.bias, columns)
        groups, positions, _ = self.x.shape
        self.words = weights.shape[1]  # that a tile takes
        self.position_tiles = positions // rows
        self.output_tiles = self.weights.shape[-1] // columns
        self.tiles = groups * self.position_tiles * self.output_tiles
        self.interval = max(self.words, rows)
        self.buffer = np.zeros((groups, positions, self.weights.shape[-1]), np.int64)

        grid = (rows, columns)
        self.row_skew, self.column_skew = Skew(5, rows), Skew(2, columns)
        self.across = np.zeros((5, *grid), np.int64)
        self.down = np.zeros((2, *grid), np.int64)
        self.accumulator = np.zeros(grid, np.int64)
        self.result = np.zeros((2, *grid), np.int64)  # value, valid
        self.train = np.zeros((4, *grid), np.int64)
        self.my_turn = np.zeros(grid, bool)
        self.left_results = np.zeros(columns, np.int64)  # slots that have left each column

        self.tally = Tally()

    def run(self) -> tuple[Int64Array, ArrayCost]:
        """Clock until the last result has left the last column."""
        cycles = 0
        while self.left_results[-1] < self.tiles * self.array.rows:
            self._write()
            self._clock(self._row_words(cycles), self._column_words(cycles))
            cycles += 1
        product = self.product
        cost = self.tally.cost(product, self.array, cycles, self.passes)
        return self.buffer[:, : product.positions, : product.outputs], cost

    def _tile(self, tile: Any) -> tuple[Any, Any, Any]:
        """Group, tile of positions, tile of outputs; of an integer or of an array of them."""
        rest, outputs = divmod(tile, self.output_tiles)
        group, positions = divmod(rest, self.position_tiles)
        return group, positions, outputs

    def _row_words(self, clock: int) -> Int64Array:
        """One tap of as many positions as there are rows."""
        words = np.zeros((5, self.array.rows), np.int64)
        tile, word = divmod(clock, self.interval)
        if tile < self.tiles and word < self.words:
            group, positions, _ = self._tile(tile)
            start, tap = positions * self.array.rows, word % self.product.taps
            used = min(self.array.rows, self.product.positions - start)
            words[self._ACTIVATION] = self.x[group, start : start + self.array.rows, tap]
            words[self._ROW, :used] = 1
            words[self._CLEAR] = word == 0
            words[self._DOUBLE] = tap == 0
            words[self._LAST] = word == self.words - 1
            self.tally.activation_moves += used
        return words

    def _column_words(self, clock: int) -> Int64Array:
        """One tap of as many outputs as there are columns."""
        words = np.zeros((2, self.array.columns), np.int64)
        tile, word = divmod(clock, self.interval)
        if tile < self.tiles and word < self.words:
            group, _, outputs = self._tile(tile)
            start = outputs * self.array.columns
            used = min(self.array.columns, self.product.outputs - start)
            words[self._WEIGHT] = self.weights[group, word, start : start + self.array.columns]
            words[self._COLUMN, :used] = 1
            self.tally.weight_moves += used
        return words

    def _clock(self, row_words: Int64Array, column_words: Int64Array) -> None:
        left = from_left(self.across, self.row_skew.clock(row_words))
        above = from_above(self.down, self.column_skew.clock(column_words))
        train_above = from_above(self.train, np.zeros((4, self.array.columns), np.int64))
        self.across, self.down = left, above
        last = left[self._LAST] != 0
        working = (left[self._ROW] & above[self._COLUMN]) != 0

        # Where it is a row's turn nothing comes from above: its train has just passed.
        leaving = self.result[0], self.result[1], 1, 1
        self.train[: self._END] = train_above[: self._END]
        self.train[self._END] = 0
        for wire, value in enumerate(leaving):
            self.train[wire] = np.where(self.my_turn, value, self.train[wire])
        self.my_turn = train_above[self._END] != 0
        self.my_turn[0] = last[0]

        kept = np.where(left[self._CLEAR] != 0, 0, self.accumulator << left[self._DOUBLE])
        self.accumulator = kept + self.term(above[self._WEIGHT], left[self._ACTIVATION])
        self.result = np.where(last, np.stack([self.accumulator, working]), self.result)

        self.tally.operations += count(working)
        self.tally.activation_loads += count(left[self._ROW])
        self.tally.weight_loads += count(above[self._COLUMN])
        self.tally.sum_loads += count(working) + count(working & last)
        self.tally.sum_loads += count(self.train[self._VALID])

    def _write(self) -> None:
        """Take what stands at the end of the trains to the buffer, bias added."""
        present = self.train[self._PRESENT, -1] != 0
        if not present.any():
            return
        used = np.flatnonzero(self.train[self._VALID, -1])
        tile, row = np.divmod(self.left_results[used], self.array.rows)
        group, positions, outputs = self._tile(tile)
        output = outputs * self.array.columns + used
        total = self.train[self._RESULT, -1, used] + self.bias[group, output]
        self.buffer[group, positions * self.array.rows + row, output] = total
        self.tally.sum_moves += len(used)
        if self.product.bias:  # a column holds its bias while the tile's results pass
            self.tally.sum_moves += count(row == 0)
        self.left_results += present
