"""The parts of the cells that multiply by weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator import units
from vecq_hw.accelerator.base_passes import base_passes
from vecq_hw.accelerator.cells import MatrixVector
from vecq_hw.accelerator.memories.compact import (
    base_memories,
    book_memory,
    index_memory,
    sum_memories,
)
from vecq_hw.accelerator.memories.folded import unit_memories
from vecq_hw.accelerator.memories.popcount import fits as fits_popcount
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.cost import multipliers
from vecq_hw.cost.arrays import STAGE_LANES, pair_rows, planes_of, popcount, quad_rows
from vecq_hw.cost.contents import Contents, Keys, contents, unknown
from vecq_hw.cost.positions import frame_buffer, group_buffer, replay
from vecq_hw.cost.structure import Structure, bits_of, log2, pipeline_end
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, ProductWeights
from vecq_hw.schedule import Fabric, Fold, FoldKind

TOGETHER = 4
"""Bits of a memory of tables that synthesis keeps or drops together, as on ECP5 and Gowin."""


def matrix_vector(
    cell: MatrixVector, source: IntFormat, accumulator: int, fabric: Fabric
) -> Structure:
    """The unit of a folded Dense or Conv2d."""
    layer, fold = cell.layer, cell.fold
    if isinstance(layer.weights, BinaryBases) and fold.kind is FoldKind.BASE_SERIAL:
        return _base_serial(cell, layer.weights, source, accumulator)
    if isinstance(layer.weights, ProductWeights) and fold.kind is FoldKind.PARTIAL_SUMS:
        return _partial_sums(cell, layer.weights, source, accumulator)
    planes = units.array_planes(layer, fold)
    serial = fold.kind is FoldKind.BIT_SERIAL
    array_bits = 1 if serial else planes.bits
    passes_of_one = planes.bits if serial else 1
    pe, simd = fold.pe, fold.simd
    group_outputs = layer.outputs // layer.groups
    span = pe // group_outputs if pe > group_outputs else 1
    folds = layer.inputs_of_one_output // simd
    output_folds = layer.outputs // pe
    passes = output_folds * passes_of_one
    steps = folds * passes
    quads = fabric is Fabric.ECP5 and planes.signs
    counts = not quads and fits_popcount(planes, source)
    kind = "quad rows" if quads else "popcount" if counts else "pair rows"
    if not planes.signs:
        kind = "two's complement rows"
    made = Structure(f"{kind}{', bit-serial' * serial}")
    fits = units.STRUCTURES[fabric]
    memories = unit_memories(layer, fold, source, fabric)
    codes = contents(memories.steps, memories.step_bits)
    biases = contents(memories.starts.reshape(-1, pe), accumulator)
    stages, behind = fits.stages(simd), fits.registers
    if isinstance(layer.weights, ProductWeights) and fold.kind is FoldKind.CODE_BOOK:
        made.kind = "code book"
        found = _code_book(made, layer.weights, fold, steps, behind, accumulator)
        codes = codes if found is None else found
    else:
        codes = replace(codes, most=accumulator)  # planes beyond the sums are never read
        made.register((stages - quads * (stages > 1)) * bits_of(steps))
        for first in range(0, simd, 2 * fits.rows):
            lanes = min(2 * fits.rows, simd - first)
            made.rom(
                steps,
                lanes * pe * array_bits,
                most_in_luts=fits.most_in_luts,
                registers=behind - quads,
                first=first * pe * array_bits,
                found=codes,
            )
    rows = planes_of(codes, simd, pe, array_bits).reshape(simd, array_bits, span, -1)
    # What no weight reads is not stored: lanes of zeros, and bits beyond the sums.
    lanes_read = span * simd if planes.signs else int((rows != 0).any(axis=(1, 3)).sum())
    word = lanes_read * min(source.bits, accumulator)
    made.register((fits.registers - 1) * word)
    if layer.groups // span == 1:
        replay(made, folds, passes, word)
    else:
        taps = layer.inputs_of_one_output // layer.group_channels
        blocks = layer.groups // span
        group_buffer(made, taps, blocks, folds // taps, passes // blocks, word)
    for group in range(span):
        own = rows[:, :, group].reshape(simd, -1)
        if quads:
            quad_rows(made, own, pe // span, source.bits, accumulator)
        elif counts:
            popcount(made, pe // span, simd, bits_of(-(-simd // 16) * 16 + 1))
        else:
            pair_rows(
                made,
                own,
                pe // span,
                source.bits,
                accumulator,
                signs=planes.signs,
                rows=fits.rows,
                registers=1,
            )
    latency = 2 + behind + stages + log2(array_bits)
    made.register(latency)  # these have a reset
    made.delay(latency, 3 if serial else 2)
    made.rom(
        output_folds,
        pe * accumulator,
        most_in_luts=fits.most_in_luts,
        registers=behind,
        found=biases,
    )
    one_step = folds * passes_of_one == 1  # nothing is accumulated
    if one_step and not quads:  # a constant is added, from its lowest bit that is not 0 on
        for zeros in (biases.keys == 0).cumprod(axis=1).sum(axis=1).tolist():
            made.add(accumulator - zeros)
    else:
        fronts = 0 if one_step else accumulator
        made.add(accumulator, pe, fronts=fronts, chosen=quads and not serial)
    made.register(pe * accumulator)
    pipeline_end(made, pe * accumulator, cell.unit.room)
    if serial:
        made.table(4, pe * accumulator)
        made.choose(planes.bits, pe)
        made.count(planes.bits)
        made.register(pe * bits_of(planes.bits))
    made.count(steps)
    made.count(folds)
    made.count(passes)
    made.count(output_folds)
    made.control += 5
    return made


def _code_book(
    made: Structure, weights: ProductWeights, fold: Fold, steps: int, behind: int, accumulator: int
) -> Contents | None:
    """``vecq_code_book``: indices, and a book for each word of each processing element.

    Planes of the book beyond the ``accumulator`` bits of the sums are never read.  The result are
    the codes that it gives; None where a single step makes them constants.
    """
    pe, simd = fold.pe, fold.simd
    block, book = weights.block, len(weights.book)
    parts = block // simd if block > simd else 1
    lanes = min(block, simd)
    fetches, index = steps // parts, weights.index_bits
    bits = weights.book_planes.bits
    stages = -(-simd // STAGE_LANES)
    made.count(fetches)
    made.register((stages - 1) * bits_of(fetches))
    if parts > 1:
        made.count(parts)
        made.register((behind + stages) * bits_of(parts))
    if steps == 1:
        return None
    indices = contents(index_memory(weights, fold), index)
    books = replace(contents(book_memory(weights, fold), bits), most=accumulator)
    for first in range(0, simd, STAGE_LANES):
        end = min(first + STAGE_LANES, simd)
        words = (end - 1) // lanes - first // lanes + 1
        made.rom(
            fetches,
            words * pe * index,
            registers=behind,
            first=first // lanes * pe * index,
            found=indices,
        )
        for word in range(words):
            begin = (first // lanes + word) * lanes
            held = min(begin + lanes, end) - max(begin, first)
            at = (max(begin, first) - begin) * bits
            for _ in range(pe):
                made.rom(book * parts, held * bits, first=at, found=books)
    # A column of the book that never changes is the same for all that read it.
    columns = books.keys[np.arange(simd) % lanes][:, np.newaxis]
    each = unknown(simd * pe, bits).keys.reshape(simd, pe, bits)
    return Contents(np.where(columns > 1, each, columns).reshape(-1, bits))


def _partial_sums(
    cell: MatrixVector, weights: ProductWeights, source: IntFormat, accumulator: int
) -> Structure:
    """``vecq_partial_sums``: a table of dot products for each block, looked up in turns."""
    made = Structure("partial sums")
    layer, fold = cell.layer, cell.fold
    tables = sum_tables(layer, weights, fold)
    bits, block = weights.book_planes.bits, weights.block
    sums = min(source.bits + 1 + log2(-(-block // 2)) + bits, accumulator)
    term = min(sums + log2(tables.blocks), accumulator)
    steps, output_folds = tables.words * tables.turns, layer.outputs // fold.pe
    replay(made, 1, 1, fold.simd * source.bits)
    memories = sum_memories(layer, weights, fold, source)
    codes = contents(memories.book, bits)
    indices = contents(memories.indices, weights.index_bits)
    made.rom(tables.lines, block * tables.parallel * bits, found=codes)
    made.rom(steps, tables.blocks * fold.pe * weights.index_bits, found=indices)
    choices = indices.keys[:, : log2(tables.parallel)].reshape(tables.blocks, fold.pe, -1)
    readable = _chosen(choices, tables.parallel)
    places = np.repeat(readable, sums, axis=2)  # (blocks, PE, bits of a line)
    rows = planes_of(codes, block, tables.parallel, bits).reshape(block, bits, -1)
    read_bits = np.asarray(places.any(axis=1))
    made.by_memory = (Structure(made.kind), Structure(made.kind))
    for filled, bits_kept in zip(made.by_memory, (_written(read_bits), read_bits), strict=True):
        for kept in bits_kept.reshape(tables.blocks, -1, sums):
            used = kept.any(axis=1)
            own, read_of = rows[:, :, used].reshape(block, -1), kept[used]
            most, least = sums - read_of[:, ::-1].argmax(axis=1), read_of.argmax(axis=1)
            pair_rows(filled, own, len(read_of), source.bits, most, signs=False, least=least)
    kinds, kind_of = np.unique(rows.reshape(-1, tables.parallel), axis=1, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    zero = set(np.flatnonzero(~kinds.any(axis=0)).tolist())
    for read in readable:
        held = {*zero}  # dot products of the block that some memory has, or that are always 0
        for words in read:
            line, own = np.repeat(words, sums), kind_of[words].tolist()
            repeated = sums * (len(own) - len({*own} - held))
            bits_read = int(line.sum())
            made.ram(
                2 * tables.lines,
                bits_read,
                places=np.flatnonzero(line),
                of=line.size,
                repeated=repeated,
            )
            made.choose(bits_read // sums, sums)
            held.update(own)
    # Of memories made of tables no two are found to be equal, and of several lines none.
    each = 1 + np.arange(fold.pe * tables.blocks).reshape(fold.pe, tables.blocks)
    terms = _terms(readable, kind_of, zero, each, shared=tables.lines == 1)
    for filled, own_terms in zip(made.by_memory, (each.tolist(), terms), strict=True):
        term_sums(filled, own_terms, sums, term, chosen=tables.parallel > 1)
    biases = contents(memories.starts.reshape(-1, fold.pe), accumulator)
    made.rom(output_folds, fold.pe * accumulator, found=biases)
    if output_folds > 1:
        made.ram(output_folds, fold.pe * accumulator)
    # A sum starts with its bias: synthesis makes this flat, from the counters, and keeps those of
    # one value, too.  So even the sum of a single word has a table in front of each bit.
    inputs = bits_of(tables.taps) + bits_of(tables.inner) + 1 + (biases.keys > 1)
    fronts = np.maximum(inputs - 3, 1).sum()
    made.add(accumulator, fold.pe, fronts=float(fronts) / fold.pe)
    made.register(fold.pe * accumulator)
    for most in (
        tables.turns,
        tables.turns,
        steps,
        tables.lines,
        output_folds,
        tables.inner,
        tables.taps,
    ):
        made.count(most)
    made.control += 8
    made.register(2 * cell.unit.depth)
    return made


def _terms(
    readable: npt.NDArray[np.bool_], kind_of: Keys, zero: set[int], each: Keys, *, shared: bool
) -> list[list[int]]:
    """For each output the dot products that it adds: equal numbers are equal ones, 0 is always 0.

    Parameters
    ----------
    readable : bool array of shape (blocks, outputs, words of a line)
        Which words an output may choose.
    kind_of : int64 array of shape (words of a line,)
        Of which dot product each word is.
    zero : set of int
        Those that are always 0.
    each : int64 array of shape (outputs, blocks)
        A number from 1 on for each, unless it is ``shared``.
    """
    first, kinds = each.size + 1, int(kind_of.max()) + 1
    terms: list[list[int]] = each.tolist()
    for block, output in np.ndindex(*readable.shape[:2]):
        words = {*kind_of[readable[block, output]].tolist()}
        if words <= zero:
            terms[output][block] = 0
        elif shared and len(words) == 1:
            terms[output][block] = first + block * kinds + min(words)
    return terms


def term_sums(
    made: Structure, terms: list[list[int]], bits: int, most: int, *, chosen: bool
) -> None:
    """The trees that add the terms of each output, equal sums once; ``chosen`` with a register."""
    width, known = bits, dict[tuple[int, int], int]()
    if chosen:
        made.register(width * len({term for own in terms for term in own} - {0}))
    while len(terms[0]) > 1:
        width = min(width + 1, most)
        before = len(known)
        terms = [
            [_sum_of(pair, known) for pair in zip(own[::2], own[1::2], strict=False)]
            + own[len(own) // 2 * 2 :]
            for own in terms
        ]
        made.add(width, len(known) - before)
        made.register(width * len({term for own in terms for term in own} - {0}))


def _sum_of(pair: tuple[int, int], known: dict[tuple[int, int], int]) -> int:
    """The number of the sum of two numbered terms, a new one if it is not known yet."""
    if 0 in pair:
        return pair[0] or pair[1]
    return known.setdefault(pair, -1 - len(known))


def _chosen(choices: Keys, words: int) -> npt.NDArray[np.bool_]:
    """Which words of a line some index can choose, as synthesis sees it; shape (..., words).

    ``choices`` are the keys of the index's bits, shape (..., bits): bits that never change, and
    equal ones, leave words out.
    """
    wanted = np.arange(words)[:, np.newaxis] >> np.arange(choices.shape[-1]) & 1
    certain = choices[..., np.newaxis, :] == wanted
    fits = ((choices > 1)[..., np.newaxis, :] | certain).all(axis=-1)
    alike = (choices[..., np.newaxis] == choices[..., np.newaxis, :])[..., np.newaxis, :, :]
    same = wanted[:, :, np.newaxis] == wanted[:, np.newaxis, :]
    return np.asarray(fits & (~alike | same).all(axis=(-2, -1)))


def _written(read: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which bits of a line are written: those that share a memory of tables with one that is read.

    Synthesis drops a memory only if none of its bits is read; both have the shape (blocks, bits).
    """
    padded = np.pad(read, ((0, 0), (0, -read.shape[1] % TOGETHER)))
    together = padded.reshape(len(read), -1, TOGETHER).any(axis=2)
    return np.repeat(together, TOGETHER, axis=1)[:, : read.shape[1]]


def _base_serial(
    cell: MatrixVector, weights: BinaryBases, source: IntFormat, accumulator: int
) -> Structure:
    """``vecq_base_serial``: rows of one bit, and a multiplication by coordinates."""
    made = Structure("base serial")
    layer, fold = cell.layer, cell.fold
    passes = len(base_passes(layer, weights, fold).addresses)
    group = weights.group // fold.simd
    coordinate, output_folds = weights.coordinate_format.bits, layer.outputs // fold.pe
    words = cell.unit.words
    step = source.bits + 1 + log2(-(-fold.simd // 2))
    partial = min(step + log2(group), accumulator)
    steps = passes * group
    made.rom(passes, bits_of(words) + 1)
    frame_buffer(made, words, fold.simd * source.bits)
    stages = -(-fold.simd // STAGE_LANES)
    memories = base_memories(layer, weights, fold, source, words)
    codes = contents(memories.steps, 1)
    made.register(stages * bits_of(steps))
    for first in range(0, fold.simd, STAGE_LANES):
        bits = min(STAGE_LANES, fold.simd - first) * fold.pe
        made.rom(steps, bits, first=first * fold.pe, found=codes)
    rows = planes_of(codes, fold.simd, fold.pe, 1)
    pair_rows(made, rows, fold.pe, source.bits, accumulator, signs=True)
    coordinates = contents(memories.coordinates, coordinate)
    made.rom(passes, fold.pe * coordinate, found=coordinates)
    biases = contents(memories.starts.reshape(-1, fold.pe), accumulator)
    made.rom(output_folds, fold.pe * accumulator, found=biases)
    made.add(partial, fold.pe, fronts=partial)
    made.register(fold.pe * partial)
    if group >= coordinate:
        made.table(2, fold.pe * (accumulator + coordinate))
        made.register(fold.pe * (accumulator + coordinate))
        made.add(accumulator, fold.pe, fronts=2 * accumulator)
    else:
        signed = np.pad(coordinates.keys, ((0, 0), (0, 1)))
        tables = sum(multipliers.by_constants(partial + 1, keys) for keys in signed)
        made.multiply(partial + 1, coordinate + 1, fold.pe, tables=tables)
        made.register(fold.pe * accumulator)
        made.add(accumulator, fold.pe, fronts=accumulator)
    made.register(fold.pe * accumulator)
    made.register(4 * (2 + stages))
    for most in (steps, passes, group, passes, output_folds, coordinate):
        made.count(most)
    made.control += 5
    return made
