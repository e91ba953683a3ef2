"""The calls of layers that put the positions of an image together, or elsewhere."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from vecq_hw.accelerator.cells import Gathering, Pool, Reordering, Upsampling
from vecq_hw.emit.hls.calls import LayerCall, Site, sizes, window
from vecq_hw.emit.hls.orders import order_type
from vecq_hw.emit.literals import cpp_array, cpp_integer
from vecq_hw.layers import MaxPool2d, SumPool2d


def pool(cell: Pool, site: Site) -> LayerCall:
    """The call of a MaxPool2d or SumPool2d."""
    match cell.layer:
        case MaxPool2d():
            header, formats = "max_pool2d", site.result.format_name
        case SumPool2d():
            header, formats = "sum_pool2d", site.formats
        case _:
            assert_never(cell.layer)
    text = f"{header}<{formats}, {site.name}_window, {site.source.lanes}>({site.variables})"
    return LayerCall(cell.layer, header, text, shapes=[window(cell.layer, site)])


def upsampling(cell: Upsampling, site: Site) -> LayerCall:
    """The call that repeats each position."""
    down, across = cell.layer.factor
    text = (
        f"upsample2d<{site.result.format_name}, {sizes('Image', site.read.shape)},"
        f" {down}, {across}, {site.source.lanes}>({site.variables})"
    )
    return LayerCall(cell.layer, "upsample2d", text)


def gathering(cell: Gathering, site: Site) -> LayerCall:
    """The call that adds the positions of a list."""
    name, entries = site.name, cell.layer.entries
    parameters = [
        cpp_array(f"{name}_positions", entries.positions),
        cpp_array(f"{name}_shifts", entries.shifts),
        cpp_array(f"{name}_ends", entries.last.astype(np.int64)),
    ]
    text = (
        f"gather_sum<{site.formats}, {site.read.positions},"
        f" {site.read.channels}, {entries.last.size}, {site.source.lanes}>({site.variables},"
        f" {name}_positions, {name}_shifts, {name}_ends)"
    )
    return LayerCall(cell.layer, "gather_sum", text, parameters)


def reordering(cell: Reordering, site: Site) -> LayerCall:
    """The call that gives the elements in another order."""
    order, tables = order_type(cell.order, site.name)
    text = f"reorder<{site.formats}, {site.name}_order, {cpp_integer(cell.code)}>({site.variables})"
    return LayerCall(cell.layer, "reorder", text, tables, [order])
