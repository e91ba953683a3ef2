"""The weight-stationary systolic array, register by register and clock by clock.

Rows are taps, columns are outputs.  Activations run right, partial sums run down, each position a
diagonal wave; behind the last row an accumulation buffer adds the tiles of taps up.  A weight runs
down a bus of registers of its own: a row keeps the first word that comes with the mark and hands
the mark to the word behind, so that the r-th word ends in row r.  The first position of a tile
swaps the kept weights in as it passes; the next tile's follow meanwhile.  A tile so takes
``max(positions, rows)`` clocks.  (The organisation of Kung, *Why Systolic Architectures?*, 1982,
with the double-buffered weights of Jouppi et al., *In-Datacenter Performance Analysis of a Tensor
Processing Unit*, 2017.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntFormat
from vecq_hw.layers import MacLayer
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


def weight_stationary(
    layer: MacLayer,
    x: npt.ArrayLike,
    array: ArraySize,
    input_format: IntFormat | None = None,
) -> ArrayRun:
    """Run a layer on a weight-stationary array.

    Parameters
    ----------
    layer : Dense or Conv2d
    x : int array of shape (N, C) or (N, H, W, C), N at least 1
    array : ArraySize
    input_format : IntFormat, optional
        Of ``x``; it gives the widths in the traffic.  The narrowest that holds ``x`` if left out.

    Returns
    -------
    ArrayRun
        Its outputs equal those of ``simulate``.

    Raises
    ------
    VecqError
        ``x`` does not fit the layer or the format.
    """
    product, found = array_operands(layer, x, input_format)
    sums, cost = _Machine(product, found, array).run()
    return ArrayRun(outputs=layer_outputs(layer, found, sums), cost=cost)


class _Machine:
    """The registers of the array; the names of their wires are the indices below."""

    _ACTIVATION, _WAVE, _FIRST, _USED = range(4)  # rightwards
    _WEIGHT, _VALID, _MARK, _COLUMN = range(4)  # downwards; _COLUMN goes with the sums

    def __init__(self, product: Product, found: Operands, array: ArraySize) -> None:
        self.product, self.array = product, array
        rows, columns = array.rows, array.columns
        self.x = padded(found.x, rows)
        self.weights = padded(found.weights, rows, columns)
        self.bias = padded(found.bias, columns)
        groups, _, outputs = self.weights.shape
        self.tap_tiles = self.x.shape[-1] // rows
        self.output_tiles = outputs // columns
        self.tiles = groups * self.output_tiles * self.tap_tiles
        self.interval = max(product.positions, rows)
        self.buffer = np.zeros((groups, product.positions, outputs), np.int64)

        grid = (rows, columns)
        self.row_skew, self.column_skew = Skew(4, rows), Skew(4, columns)
        self.across = np.zeros((4, *grid), np.int64)
        self.bus = np.zeros((3, *grid), np.int64)
        self.next_is_mine = np.zeros(grid, np.int64)
        self.next_weight = np.zeros(grid, np.int64)
        self.weight = np.zeros(grid, np.int64)
        self.sums = np.zeros((2, *grid), np.int64)  # value, valid
        self.waves = np.zeros(columns, np.int64)  # that have left each column

        self.tally = Tally()

    def run(self) -> tuple[Int64Array, ArrayCost]:
        """Clock until the last wave has left the last column."""
        cycles = 0
        while self.waves[-1] < self.tiles * self.product.positions:
            self._accumulate()
            self._clock(self._row_words(cycles), self._column_words(cycles))
            cycles += 1
        cost = self.tally.cost(self.product, self.array, cycles)
        return self.buffer[:, :, : self.product.outputs], cost

    def _tile(self, tile: Any) -> tuple[Any, Any, Any]:
        """Group, tile of outputs, tile of taps; of an integer or of an array of them."""
        rest, taps = divmod(tile, self.tap_tiles)
        group, outputs = divmod(rest, self.output_tiles)
        return group, outputs, taps

    def _row_words(self, clock: int) -> Int64Array:
        """The taps of one position.  The first tile's weights go ahead of it by ``rows``."""
        words = np.zeros((4, self.array.rows), np.int64)
        tile, position = divmod(clock - self.array.rows, self.interval)
        if 0 <= tile < self.tiles and position < self.product.positions:
            group, _, taps = self._tile(tile)
            start = taps * self.array.rows
            used = min(self.array.rows, self.product.taps - start)
            words[self._ACTIVATION] = self.x[group, position, start : start + self.array.rows]
            words[self._WAVE] = 1
            words[self._FIRST] = position == 0
            words[self._USED, :used] = 1
            self.tally.activation_moves += used
        return words

    def _column_words(self, clock: int) -> Int64Array:
        """A row of weights of the tile to come; beside it, which columns the present one uses."""
        words = np.zeros((4, self.array.columns), np.int64)
        tile, row = divmod(clock, self.interval)
        if tile < self.tiles and row < self.array.rows:
            group, outputs, taps = self._tile(tile)
            tap, start = taps * self.array.rows + row, outputs * self.array.columns
            if tap < self.product.taps:
                used = min(self.array.columns, self.product.outputs - start)
                words[self._WEIGHT] = self.weights[group, tap, start : start + self.array.columns]
                words[self._VALID, :used] = 1
                words[self._MARK] = row == 0
                self.tally.weight_moves += used
        tile, position = divmod(clock - self.array.rows, self.interval)
        if 0 <= tile < self.tiles and position < self.product.positions:
            start = self._tile(tile)[1] * self.array.columns
            words[self._COLUMN, : self.product.outputs - start] = 1
        return words

    def _clock(self, row_words: Int64Array, column_words: Int64Array) -> None:
        left = from_left(self.across, self.row_skew.clock(row_words))
        top = self.column_skew.clock(column_words)
        above = from_above(self.bus, top[:3])
        sums_edge = np.stack([np.zeros_like(top[self._COLUMN]), top[self._COLUMN]])
        sums_above = from_above(self.sums, sums_edge)
        self.across = left

        # The first position takes the kept weight at once, before the next tile's may replace it.
        first = left[self._FIRST] != 0
        self.weight = np.where(first, self.next_weight, self.weight)
        self.sums = sums_above
        self.sums[0] += self.weight * left[self._ACTIVATION]

        valid = above[self._VALID] != 0
        kept = valid & (above[self._MARK] != 0)
        self.next_weight = np.where(kept, above[self._WEIGHT], self.next_weight)
        self.bus = above
        self.bus[self._VALID] = valid & ~kept
        self.bus[self._MARK] = self.next_is_mine
        self.next_is_mine = np.where(valid, kept, self.next_is_mine)

        working = (left[self._USED] & sums_above[1]) != 0
        self.tally.operations += count(working)
        self.tally.activation_loads += count(left[self._USED])
        self.tally.weight_loads += count(self.bus[self._VALID])
        self.tally.weight_loads += count(kept) + count(working & first)
        self.tally.sum_loads += count(sums_above[1])

    def _accumulate(self) -> None:
        """Add what stands in the last row to the buffer; an output's first tile adds the bias."""
        leaving = self.across[self._WAVE, -1] != 0
        if not leaving.any():
            return
        used = np.flatnonzero(self.sums[1, -1])
        tile, position = np.divmod(self.waves[used], self.product.positions)
        group, outputs, taps = self._tile(tile)
        output = outputs * self.array.columns + used
        old = self.buffer[group, position, output]
        start = np.where(taps == 0, self.bias[group, output], old)
        self.buffer[group, position, output] = start + self.sums[0, -1, used]
        self.tally.sum_moves += len(used) + count(taps)
        if self.product.bias:  # a column holds its bias while the tile's positions pass
            self.tally.sum_moves += count((taps == 0) & (position == 0))
        self.waves += leaving
