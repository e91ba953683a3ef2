"""The calls of the cells that need no more than one stream in and one out."""

from __future__ import annotations

from typing import assert_never

from vecq_hw.accelerator.cells import (
    Comparison,
    Elementwise,
    Gathering,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Upsampling,
)
from vecq_hw.emit.hls import elements, positions, products
from vecq_hw.emit.hls.calls import LayerCall, Site

OneStreamCell = (
    Elementwise
    | SerialRescale
    | Comparison
    | Ranking
    | Pool
    | Upsampling
    | Rows
    | Recurrence
    | Gathering
    | Reordering
)


def one_stream_call(cell: OneStreamCell, site: Site) -> LayerCall:
    """The call of a cell that needs no more than one stream in and one out."""
    match cell:
        case Elementwise() | SerialRescale():
            return elements.elementwise(cell.layer, site)
        case Comparison():
            return elements.argmax(cell, site)
        case Ranking():
            return elements.topk(cell, site)
        case Pool():
            return positions.pool(cell, site)
        case Upsampling():
            return positions.upsampling(cell, site)
        case Gathering():
            return positions.gathering(cell, site)
        case Reordering():
            return positions.reordering(cell, site)
        case Rows():
            return products.embedding(cell, site)
        case Recurrence():
            return products.recurrence(cell, site)
        case _:
            assert_never(cell)
