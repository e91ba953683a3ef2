"""An LSTM whose inputs are the codes of its gates, led through what its rules can meet."""

from __future__ import annotations

from itertools import product

import numpy as np

from vecq_hw import arithmetic
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Input, Lstm, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule

ELEMENTS = 64
CODES = np.arange(-128, 128)
KEEP, FORGET = 127, -128
"""Codes of the gate f: 255 and 0 of 256."""
FOLD = Schedule(folds={"states": Fold(pe=16, simd=8)})
"""The product of a step takes half as long as its gates."""


def network(length: int) -> Network:
    """Its weights of states count nothing, so that a gate has the code that comes in."""
    gates = 4 * ELEMENTS
    layer = Lstm(
        name="states",
        input="x",
        weights=Weights(codes=np.zeros((gates, ELEMENTS), int), grid=MidRise(1)),
        mantissa_x=np.full(gates, 2),
        mantissa_h=np.zeros(gates, int),
        offset=np.zeros(gates, int),
        shift=1,
        sequence=True,
    )
    source = Input(name="x", shape=(1, length, gates), format=IntFormat(8, signed=True))
    return Network(name="steered", inputs=(source,), layers=(layer,), outputs=("states",))


def _near(cell: int) -> int:
    """The code at which tanh is read."""
    return min(max((cell + 64) >> 7, -128), 127)


class _Walk:
    """Codes of i, f and g that lead the cells of all elements alike."""

    def __init__(self) -> None:
        self.cell, self.steps = 0, list[tuple[int, int, int]]()
        # For each product of the values of i and g one pair of codes.
        products = {
            int(i * g): (int(a), int(b))
            for (a, i), (b, g) in product(
                zip(CODES, arithmetic.sigmoid(CODES), strict=True),
                zip(CODES, arithmetic.tanh(CODES), strict=True),
            )
        }
        self.pairs = [products[key] for key in sorted(products)]
        codes = np.array(self.pairs)
        self.values = arithmetic.sigmoid(codes[:, 0]), arithmetic.tanh(codes[:, 1])

    def to(self, wanted: int) -> None:
        """One step towards a cell of ``wanted``."""
        kept = arithmetic.sigmoid(np.array([KEEP]))
        i, g = self.values
        cells = arithmetic.lstm_cell(kept, np.array([self.cell]), i, g)
        best = int(np.argmin(np.abs(cells - wanted)))
        self.cell = int(cells[best])
        self.steps.append((self.pairs[best][0], KEEP, self.pairs[best][1]))

    def until(self, wanted: int) -> None:
        """Begin at 0 and go there in as many steps as it takes."""
        self.steps.append((FORGET, FORGET, 0))
        self.cell = 0
        for _ in range(64):
            if self.cell == wanted:
                return
            self.to(wanted)
        raise AssertionError(f"a cell of {wanted} is not to be had")


def output_pairs() -> IntArray:
    """Frames that read all 256 × 256 pairs of the codes of o and of the cell.

    The cell goes up by one code a step, along the least cells of each, then down along the
    greatest, and to both ends of its 16 bits.
    """
    walk = _Walk()
    ways = (*((near, -64) for near in range(1, 128)), *((n, 63) for n in range(126, -129, -1)))
    for near, edge in ways:
        walk.to(near * 128 + edge)
        assert _near(walk.cell) == near
    for end in (-32768, 32767):
        while walk.cell != end:
            walk.to(end)
    frames = []
    for begin in range(0, 256, ELEMENTS):
        x = np.empty((1 + len(walk.steps), ELEMENTS, 4), np.int64)
        x[0, :, :3] = 0, KEEP, 0  # a cell of 0
        x[1:, :, :3] = np.array(walk.steps)[:, np.newaxis]
        x[..., 3] = CODES[begin : begin + ELEMENTS]
        frames.append(x.reshape(1, len(x), -1))
    return np.stack(frames)


CELLS = (-32768, -32767, -12345, -129, -1, 1, 127, 20001, 32766, 32767)
FORGETTING = (-128, -90, 0, 127)  # values 0, 1, 128, 255
ADDED = tuple(product((-128, -90, -1, 0, 62, 127), (-128, -40, -1, 0, 1, 2, 39, 127)))


def cell_grid() -> IntArray:
    """Frames that take each of some cells, with the ends, by a grid of f and of i and g."""
    grid = np.array([(i, f, g) for f in FORGETTING for i, g in ADDED])
    grid = np.resize(grid, (-(-len(grid) // ELEMENTS), ELEMENTS, 3))
    frames = []
    for part in grid:
        walk, steps = _Walk(), []
        for cell in CELLS:
            walk.until(cell)
            steps += [np.full((ELEMENTS, 3), step) for step in walk.steps] + [part]
            walk.steps.clear()
        x = np.full((len(steps), ELEMENTS, 4), 127, np.int64)
        x[..., :3] = steps
        frames.append(x.reshape(1, len(x), -1))
    return np.stack(frames)
