"""The cells that multiply by weights, and those that give values of the network's own."""

from __future__ import annotations

from typing import assert_never

from vecq_hw.accelerator.cells import MatrixVector, Recurrence, Rows, Source
from vecq_hw.accelerator.memories.compact import (
    base_memories,
    book_memory,
    index_memory,
    sum_memories,
)
from vecq_hw.accelerator.memories.folded import unit_memories
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.accelerator.units import STRUCTURES
from vecq_hw.emit.systemverilog.instances import Memory, Placed
from vecq_hw.emit.systemverilog.parameters import bit, carry_choice
from vecq_hw.emit.systemverilog.recurrences import camel_case, recurrence
from vecq_hw.emit.systemverilog.streams import NamedStream
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, Gru, Lstm, ProductWeights, Tensor, Weights
from vecq_hw.schedule import Fabric, Fold, FoldKind


def matrix_vector(
    cell: MatrixVector, source: NamedStream, target: NamedStream, fabric: Fabric
) -> Placed:
    """The cell of a Dense or Conv2d."""
    layer, fold = cell.layer, cell.fold
    if isinstance(layer.weights, BinaryBases) and fold.kind is FoldKind.BASE_SERIAL:
        return _base_serial(cell, layer.weights, source, target)
    if isinstance(layer.weights, ProductWeights) and fold.kind is FoldKind.PARTIAL_SUMS:
        return _partial_sums(cell, layer.weights, source, target)
    activations = IntFormat(source.bits, source.signed)
    memories = unit_memories(layer, fold, activations, fabric)
    structure = STRUCTURES[fabric]
    lanes, more = fold.pe * fold.simd, dict[str, object]()
    match layer.weights:
        case ProductWeights() if fold.kind is FoldKind.CODE_BOOK:
            weights, more = _book(layer.weights, fold)
        case Weights() | ProductWeights() | BinaryBases():
            weights = Memory("weights", memories.steps, lanes, memories.step_bits)
        case _:
            assert_never(layer.weights)
    parameters: dict[str, object] = {
        "Inputs": layer.inputs_of_one_output,
        "Outputs": layer.outputs,
        "Pe": fold.pe,
        "Simd": fold.simd,
        "Groups": layer.groups,
        "Taps": layer.inputs_of_one_output // layer.group_channels,
        "WeightBits": memories.planes.bits,
        "TwosComplement": bit(not memories.planes.signs),
        "InputBits": source.bits,
        "InputSigned": bit(source.signed),
        "AccumulatorBits": target.bits,
        "WeightsFile": weights,
        "BiasFile": Memory("bias", memories.starts, fold.pe, target.bits),
        "BitSerial": bit(fold.kind is FoldKind.BIT_SERIAL),
        "QuadRows": bit(memories.quad_rows),
        "Popcount": bit(memories.popcount),
        "Rows": structure.rows,
        "Registers": structure.registers,
        "MostInLuts": structure.most_in_luts,
    }
    return Placed("vecq_matrix_vector", parameters | more)


def _base_serial(
    cell: MatrixVector, weights: BinaryBases, source: NamedStream, target: NamedStream
) -> Placed:
    layer, fold, words = cell.layer, cell.fold, cell.unit.words
    activations, fmt = IntFormat(source.bits, source.signed), weights.coordinate_format
    memories = base_memories(layer, weights, fold, activations, words)
    lanes, line_bits = fold.pe * fold.simd, memories.address_bits + 1
    parameters: dict[str, object] = {
        "Words": words,
        "Outputs": layer.outputs,
        "Pe": fold.pe,
        "Simd": fold.simd,
        "GroupWords": weights.group // fold.simd,
        "Passes": memories.passes.size,
        "InputBits": source.bits,
        "InputSigned": bit(source.signed),
        "CoordinateBits": fmt.bits,
        "CoordinateSigned": bit(fmt.signed),
        "AccumulatorBits": target.bits,
        "BasesFile": Memory("bases", memories.steps, lanes, 1),
        "CoordinatesFile": Memory("coordinates", memories.coordinates, fold.pe, fmt.bits),
        "PassesFile": Memory("passes", memories.passes, 1, line_bits),
        "BiasFile": Memory("bias", memories.starts, fold.pe, target.bits),
    }
    return Placed("vecq_base_serial", parameters)


def _partial_sums(
    cell: MatrixVector, weights: ProductWeights, source: NamedStream, target: NamedStream
) -> Placed:
    layer, fold = cell.layer, cell.fold
    tables = sum_tables(layer, weights, fold)
    activations = IntFormat(source.bits, source.signed)
    memories = sum_memories(layer, weights, fold, activations)
    indices, book, bits = memories.indices, memories.book, weights.book_planes.bits
    parameters: dict[str, object] = {
        "Words": tables.words,
        "Outputs": layer.outputs,
        "Pe": fold.pe,
        "Simd": fold.simd,
        "Groups": tables.groups,
        "Taps": tables.taps,
        "BookWords": len(weights.book),
        "BookLanes": weights.block,
        "WeightBits": bits,
        "InputBits": source.bits,
        "InputSigned": bit(source.signed),
        "AccumulatorBits": target.bits,
        "IndicesFile": Memory("indices", indices, indices.shape[1], weights.index_bits),
        "BookFile": Memory("book", book, book.shape[1], bits),
        "BiasFile": Memory("bias", memories.starts, fold.pe, target.bits),
    }
    return Placed("vecq_partial_sums", parameters)


def _book(weights: ProductWeights, fold: Fold) -> tuple[Memory, dict[str, object]]:
    """The memory of a layer's indices, and the parameters of the book that they lead to."""
    indices, book = index_memory(weights, fold), book_memory(weights, fold)
    parameters: dict[str, object] = {
        "BookWords": len(weights.book),
        "BookLanes": weights.block,
        "BookFile": Memory("book", book, book.shape[1], weights.book_planes.bits),
    }
    return Memory("indices", indices, indices.shape[1], weights.index_bits), parameters


def embedding(cell: Rows, source: NamedStream, target: NamedStream) -> Placed:
    """The cell that gives the row of each index."""
    values = cell.layer.weights.values
    rows, channels = values.shape
    parameters: dict[str, object] = {
        "Rows": rows,
        "Folds": channels // target.lanes,
        "IndexBits": source.bits,
        "WordBits": target.word,
        "File": Memory("table", values, target.lanes, target.bits),
    }
    return Placed("vecq_embedding", parameters)


def recurrent(cell: Recurrence, source: NamedStream, read: Tensor, fabric: Fabric) -> Placed:
    """The cell of a layer that reads its own last outputs."""
    parameters, memories = recurrence(cell.layer, cell.fold, read.format)
    match cell.layer:
        case Lstm():
            module = "vecq_lstm"
        case Gru():
            module = "vecq_gru"
        case _:
            assert_never(cell.layer)
    ends: dict[str, object] = {
        "Length": read.shape[1],
        "InputBits": source.bits,
        "InputSigned": bit(source.signed),
    }
    files = {f"{camel_case(name)}File": memory for name, memory in memories.items()}
    return Placed(module, ends | parameters | carry_choice(fabric) | files)


def constant(cell: Source, target: NamedStream) -> Placed:
    """The cell that gives the same values for each frame."""
    values, lanes = cell.layer.values, target.lanes
    parameters: dict[str, object] = {
        "Words": values.size // lanes,
        "WordBits": target.word,
        "ValuesFile": Memory(f"values_{lanes}", values, lanes, target.bits),
    }
    return Placed("vecq_constant", parameters)
