"""The cell of Take and Permute among the cells alone: nothing kept, a pixel, a row, a frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cell_alone import Cell
from vecq_hw.accelerator.orders import word_order
from vecq_hw.emit.systemverilog.orders import order_parameters
from vecq_hw.emit.systemverilog.parameters import memory_text
from vecq_hw.formats import IntFormat
from vecq_hw.layers import OrderLayer, Permute, Take, Tensor

IMAGE = (16, 16, 16)
BITS = 8


def reordered(what: str, layer: OrderLayer, lanes: int) -> Cell:
    """A layer on an image of 16 × 16 pixels of 16 channels, 8 bits each."""
    tensor = Tensor(shape=IMAGE, format=IntFormat(BITS, signed=False), step=1.0)
    order, lanes = word_order(layer, IMAGE, lanes, layer.output(tensor).channels)
    parameters, tables = order_parameters(order, lanes * BITS, 0)
    return Cell(
        what=f"{what}, {order.slots} words kept",
        module="vecq_reorder",
        parameters=parameters,
        input_bits=lanes * BITS,
        output_bits=lanes * BITS,
        memories={
            f"Table{number}File": memory_text(lines, 1, bits)
            for number, (lines, bits) in enumerate(tables)
        },
        lanes=lanes,
    )


def order_cells() -> Sequence[Cell]:
    """A cell of each kind that the plan makes."""
    every = np.arange(16)
    spread = np.where(np.arange(32) % 2, -1, np.arange(32) // 2)
    edge = np.pad(every, 1, mode="edge")
    return [
        reordered(
            "Crop by 2 around",
            Take(name="order", input="x", rows=every[2:14], columns=every[2:14]),
            4,
        ),
        reordered(
            "Zeros between pixels", Take(name="order", input="x", rows=spread, columns=spread), 4
        ),
        reordered(
            "Channel shuffle of 4 groups",
            Take(name="order", input="x", channels=every.reshape(4, 4).T.ravel()),
            1,
        ),
        reordered("Border repeated", Take(name="order", input="x", rows=edge, columns=edge), 4),
        reordered(
            "Pixel shuffle, channels together",
            Permute(
                name="order",
                input="x",
                split=(16, 16, 2, 2, 4),
                order=(0, 2, 1, 3, 4),
                shape=(32, 32, 4),
            ),
            4,
        ),
        reordered(
            "Transpose of rows and columns",
            Permute(name="order", input="x", split=IMAGE, order=(1, 0, 2), shape=IMAGE),
            4,
        ),
    ]
