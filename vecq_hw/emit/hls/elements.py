"""The calls of layers that take each element, or those of several streams, by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from vecq_hw.accelerator.cells import Comparison, Join, Ranking
from vecq_hw.emit.hls.calls import LayerCall, Site, StreamVariable, pixels
from vecq_hw.emit.literals import cpp_array
from vecq_hw.formats import signed_bits
from vecq_hw.layers import (
    Add,
    CodeLayer,
    Concat,
    Lookup,
    Multiply,
    Rescale,
    Subtract,
    Tensor,
    Threshold,
)


def elementwise(layer: CodeLayer, site: Site) -> LayerCall:
    """The call of a layer that makes codes."""
    match layer:
        case Rescale():
            return rescale(layer, site)
        case Threshold():
            return _threshold(layer, site)
        case Lookup():
            return _lookup(layer, site)
        case _:
            assert_never(layer)


def rescale(layer: Rescale, site: Site) -> LayerCall:
    """The call of a Rescale, which may belong to the cell of an unrolled matrix, too."""
    name = site.name
    parameters = [
        cpp_array(f"{name}_mantissa", layer.mantissa.ravel()),
        cpp_array(f"{name}_offset", layer.offset.ravel()),
    ]
    shift, arguments = f"{layer.shift}, ", f"{name}_mantissa, {name}_offset"
    if not isinstance(layer.shift, int):
        parameters.append(cpp_array(f"{name}_shift", layer.shift))
        shift, arguments = "", f"{arguments}, {name}_shift"
    function = "rescale"
    if layer.rows is not None:
        parameters.append(cpp_array(f"{name}_rows", layer.rows))
        function, arguments = "rescale_rows", f"{arguments}, {name}_rows"
    text = (
        f"{function}<{site.formats},"
        f" {site.pixels}, {layer.channels}, {site.source.lanes}, {shift}"
        f"{signed_bits(layer.mantissa)}>({site.variables}, {arguments})"
    )
    return LayerCall(layer, "rescale", text, parameters)


def _threshold(layer: Threshold, site: Site) -> LayerCall:
    channels, levels = site.read.channels, layer.thresholds.shape[1]
    if levels == 0:  # C++ has no empty arrays; where there is one output, the clamp makes it
        zeros = np.zeros(channels, np.int64)
        constant = Rescale(
            name=layer.name,
            input=layer.input,
            mantissa=zeros,
            offset=zeros,
            shift=1,
            format=layer.format,
        )
        return rescale(constant, site)
    name = site.name
    parameters = [
        cpp_array(f"{name}_thresholds", layer.thresholds),
        cpp_array(f"{name}_falling", layer.falling),
    ]
    text = (
        f"threshold<{site.formats},"
        f" {site.pixels}, {channels}, {levels}, {site.source.lanes}>"
        f"({site.variables}, {name}_thresholds, {name}_falling)"
    )
    return LayerCall(layer, "threshold", text, parameters)


def _lookup(layer: Lookup, site: Site) -> LayerCall:
    tables, entries = layer.table.shape
    text = (
        f"lookup<{site.formats},"
        f" {site.pixels}, {site.read.channels}, {site.source.lanes}, {tables}, {entries}>"
        f"({site.variables}, {site.name}_table)"
    )
    return LayerCall(layer, "lookup", text, [cpp_array(f"{site.name}_table", layer.table)])


def argmax(cell: Comparison, site: Site) -> LayerCall:
    """The call that finds the greatest channel."""
    lanes = site.source.lanes
    channels = cell.period * lanes
    text = f"argmax<{site.formats}, {channels}, {site.result.words}, {lanes}>({site.variables})"
    return LayerCall(cell.layer, "argmax", text)


def topk(cell: Ranking, site: Site) -> LayerCall:
    """The call that finds the greatest channels."""
    text = (
        f"topk<{site.formats}, {cell.period}, {cell.layer.count}, {site.pixels}>({site.variables})"
    )
    return LayerCall(cell.layer, "topk", text)


def join(
    cell: Join, sources: Sequence[StreamVariable], result: StreamVariable, made: Tensor
) -> LayerCall:
    """The call that makes one stream of several."""
    variables = ", ".join(stream.name for stream in (result, *sources))
    match cell.layer:
        case Add():
            text = f"add<{result.format_name}, {result.words}>({variables})"
        case Subtract():
            text = f"subtract<{result.format_name}, {result.words}>({variables})"
        case Multiply() if cell.kept is not None:
            counts = f"{cell.positions}, {cell.kept.words}"
            text = f"multiply_kept<{result.format_name}, {counts}>({variables})"
        case Multiply():
            text = f"multiply<{result.format_name}, {result.words}>({variables})"
        case Concat():
            positions = pixels(made)
            counts = ", ".join(str(stream.words // positions) for stream in sources)
            text = f"concat<{result.format_name}, {positions}, {counts}>({variables})"
        case _:
            assert_never(cell.layer)
    return LayerCall(cell.layer, "join", text)
