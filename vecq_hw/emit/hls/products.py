"""The calls of layers that multiply by weights, and of those that look rows of weights up."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from vecq_hw.accelerator.base_passes import base_passes
from vecq_hw.accelerator.buffered_units import is_identity
from vecq_hw.accelerator.cells import Recurrence, Rows
from vecq_hw.accelerator.memories.compact import turn_indices
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.emit.hls.calls import LayerCall, Site, window
from vecq_hw.emit.hls.packing import book_definition, packed_words, stored
from vecq_hw.emit.literals import cpp_array, cpp_words
from vecq_hw.layers import (
    BinaryBases,
    Conv2d,
    Dense,
    Gru,
    Lstm,
    MacLayer,
    ProductWeights,
    Weights,
)
from vecq_hw.schedule import Fold, FoldKind


def sums(layer: MacLayer, fold: Fold, site: Site) -> LayerCall:
    """The call of a Dense or Conv2d, with its weights and biases."""
    name = site.name
    outputs, inputs = layer.outputs, layer.inputs_of_one_output
    bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
    match layer.weights:
        case BinaryBases() if fold.kind is FoldKind.BASE_SERIAL:
            return _base_serial(layer, layer.weights, fold, site)
        case ProductWeights() if fold.kind is FoldKind.PARTIAL_SUMS:
            return _partial_sums(layer, layer.weights, fold, site)
        case ProductWeights() if fold.kind is FoldKind.CODE_BOOK:
            kind, bits = "TwosComplement", layer.weights.book_planes.bits
            folds = outputs // fold.pe * inputs // fold.simd
            rom = book_definition(f"{name}_weights", layer.weights, fold, folds)
        case Weights() | ProductWeights() | BinaryBases():
            kind, bits, codes = stored(layer.weights)
            words, word_bits = packed_words(codes.reshape(outputs, inputs), bits, fold)
            rom = cpp_words(f"{name}_weights", words, word_bits)
        case _:
            assert_never(layer.weights)
    parameters = [rom, cpp_array(f"{name}_bias", bias)]
    arguments = f"{site.variables}, {name}_weights, {name}_bias"
    formats = f"{site.formats}, vecq::{kind}<{bits}>"
    match layer:
        case Dense():
            text = f"dense<{formats}, {inputs}, {outputs}, {fold.pe}, {fold.simd}>"
            return LayerCall(layer, "dense", f"{text}({arguments})", parameters)
        case Conv2d():
            grouping = (
                f"using {name}_grouping = vecq::Grouping<{layer.group_channels}, {outputs},"
                f" {layer.groups}, {fold.pe}, {fold.simd}>;"
            )
            text = f"conv2d<{formats}, {name}_window, {name}_grouping{_pad(layer)}>"
            shapes = [window(layer, site), grouping]
            return LayerCall(layer, "conv2d", f"{text}({arguments})", parameters, shapes)
        case _:
            assert_never(layer)


def _partial_sums(layer: MacLayer, weights: ProductWeights, fold: Fold, site: Site) -> LayerCall:
    """The call of a layer that looks up the dot products of its inputs with a book."""
    name, tables = site.name, sum_tables(layer, weights, fold)
    indices = turn_indices(layer, weights, fold).astype(np.uint32)
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias
    parameters = [
        cpp_array(f"{name}_book", weights.book_values),
        cpp_words(f"{name}_indices", indices, weights.index_bits),
        cpp_array(f"{name}_bias", bias),
    ]
    words, block = weights.book.shape
    shapes = [
        f"using {name}_tables = vecq::SumTables<{tables.words}, {tables.taps}, {tables.groups},"
        f" {layer.outputs}, {fold.pe}, {fold.simd}, {words}, {block}>;"
    ]
    arrays = ("book", "indices", "bias")
    arguments = ", ".join([site.variables, *(f"{name}_{array}" for array in arrays)])
    formats = f"{site.formats}, vecq::TwosComplement<{weights.book_planes.bits}>"
    text = f"partial_sums<{formats}, {site.pixels}, {name}_tables>"
    if isinstance(layer, Conv2d) and not is_identity(layer):
        shapes.append(window(layer, site))
        text = f"windows_by_sums<{formats}, {name}_window, {name}_tables{_pad(layer)}>"
    return LayerCall(layer, "partial_sums", f"{text}({arguments})", parameters, shapes)


def _base_serial(layer: MacLayer, weights: BinaryBases, fold: Fold, site: Site) -> LayerCall:
    """The call of a layer whose weights are sums of binary bases."""
    name, passes = site.name, base_passes(layer, weights, fold)
    codes = passes.bases.astype(np.int64).reshape(-1, weights.group) - 1
    words, word_bits = packed_words(codes, 1, fold)
    bias = np.zeros(layer.outputs, np.int64) if layer.bias is None else layer.bias
    parameters = [
        cpp_words(f"{name}_bases", words, word_bits),
        cpp_array(f"{name}_coordinates", passes.coordinates),
        cpp_array(f"{name}_addresses", passes.addresses),
        cpp_array(f"{name}_ends", passes.last.astype(np.int64)),
        cpp_array(f"{name}_bias", bias),
    ]
    frame = layer.inputs_of_one_output * layer.groups // fold.simd
    shapes = [
        f"using {name}_passes = vecq::BasePasses<{frame}, {weights.group // fold.simd},"
        f" {passes.last.size}, {fold.pe}, {fold.simd}>;"
    ]
    arrays = ("bases", "coordinates", "addresses", "ends", "bias")
    arguments = ", ".join([site.variables, *(f"{name}_{array}" for array in arrays)])
    text = f"base_serial<{site.formats}, {site.pixels}, {name}_passes>"
    if isinstance(layer, Conv2d) and not is_identity(layer):
        shapes.append(window(layer, site))
        text = f"windows_by_bases<{site.formats}, {name}_window, {name}_passes{_pad(layer)}>"
    return LayerCall(layer, "base_serial", f"{text}({arguments})", parameters, shapes)


def _pad(layer: Conv2d) -> str:
    return f", {layer.pad_code}" * (any(layer.padding) and layer.pad_code != 0)


def recurrence(cell: Recurrence, site: Site) -> LayerCall:
    """The call of a layer that reads its own last outputs."""
    layer, fold, name = cell.layer, cell.fold, site.name
    kind, bits, codes = stored(layer.weights)
    words, word_bits = packed_words(codes, bits, fold)
    constants = {
        "mantissa_x": layer.mantissa_x,
        "mantissa_h": layer.mantissa_h,
        "offset": layer.offset,
    }
    match layer:
        case Lstm():
            function = "lstm"
        case Gru():
            function = "gru"
            constants["part_offset"] = layer.state_offset
        case _:
            assert_never(layer)
    parameters = [
        cpp_words(f"{name}_weights", words, word_bits),
        *(cpp_array(f"{name}_{what}", values) for what, values in constants.items()),
    ]
    _, length, _ = site.read.shape
    sequence = "true" if layer.sequence else "false"
    shape = (
        f"using {name}_recurrence = vecq::Recurrence<{layer.gates}, {layer.elements}, {length},"
        f" {sequence}, {fold.pe}, {fold.simd}, {layer.shift}>;"
    )
    arguments = [site.variables, f"{name}_weights", *(f"{name}_{what}" for what in constants)]
    text = (
        f"{function}<{site.formats},"
        f" vecq::IntFormat<{layer.state_sums.bits}, true>, vecq::{kind}<{bits}>,"
        f" {name}_recurrence>({', '.join(arguments)})"
    )
    return LayerCall(layer, "recurrent", text, parameters, [shape])


def embedding(cell: Rows, site: Site) -> LayerCall:
    """The call that gives the row of each index."""
    values = cell.layer.weights.values
    rows, channels = values.shape
    text = (
        f"embedding<{site.formats}, {site.source.words}, {channels},"
        f" {site.result.lanes}, {rows}>({site.variables}, {site.name}_table)"
    )
    return LayerCall(cell.layer, "embedding", text, [cpp_array(f"{site.name}_table", values)])
