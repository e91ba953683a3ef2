"""The parts of the cells that multiply by weights."""

from __future__ import annotations

from vecq_hw.accelerator import units
from vecq_hw.accelerator.base_passes import base_passes
from vecq_hw.accelerator.cells import MatrixVector
from vecq_hw.accelerator.sum_tables import sum_tables
from vecq_hw.cost.positions import frame_buffer, group_buffer, replay
from vecq_hw.cost.structure import Structure, bits_of, log2, pipeline_end
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, ProductWeights
from vecq_hw.schedule import Fabric, FoldKind

TWOS_FRONT = 1.5
"""Tables of four inputs in front of each bit of a row of two's complement: five inputs."""
ROWS = 4
"""Pair rows of a stage."""
STAGE_LANES = 2 * ROWS


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
    popcount = (
        not quads and planes.signs and planes.bits == 1 and source.bits == 1 and not source.signed
    )
    kind = "quad rows" if quads else "popcount" if popcount else "pair rows"
    if not planes.signs:
        kind = "two's complement rows"
    made = Structure(f"{kind}{', bit-serial' * serial}")
    word = span * simd * source.bits
    if layer.groups // span == 1:
        replay(made, folds, passes, word)
    else:
        taps = layer.inputs_of_one_output // layer.group_channels
        blocks = layer.groups // span
        group_buffer(made, taps, blocks, folds // taps, passes // blocks, word)
    fits = units.STRUCTURES[fabric]
    made.register((fits.registers - 1) * word)
    stages, behind = fits.stages(simd), fits.registers
    if isinstance(layer.weights, ProductWeights) and fold.kind is FoldKind.CODE_BOOK:
        made.kind = "code book"
        _code_book(made, layer.weights, pe, simd, steps, behind)
    else:
        made.register((stages - quads * (stages > 1)) * bits_of(steps))
        for first in range(0, simd, 2 * fits.rows):
            lanes = min(2 * fits.rows, simd - first)
            made.rom(
                steps,
                lanes * pe * array_bits,
                most_in_luts=fits.most_in_luts,
                registers=behind - quads,
                first=first * pe * array_bits,
                of=simd * pe * array_bits,
            )
    for _ in range(span):
        if quads:
            quad_rows(made, pe // span, simd, array_bits, source.bits, steps)
        elif popcount:
            _popcount(made, pe // span, simd)
        else:
            pair_rows(
                made,
                pe // span,
                simd,
                array_bits,
                source.bits,
                steps,
                signs=planes.signs,
                rows=fits.rows,
                registers=1,
            )
    latency = 2 + behind + stages + log2(array_bits)
    made.register((4 if serial else 3) * latency)
    made.rom(output_folds, pe * accumulator, most_in_luts=fits.most_in_luts, registers=behind)
    made.add(accumulator, pe, fronts=accumulator, chosen=quads and not serial)
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


def changing(words: int) -> float:
    """The share of a memory's columns that are no constants, of words drawn at random."""
    return 1 - 2.0 ** (1 - min(words, 40))


def pair_sums(
    made: Structure, simd: int, bits: int, *, alone: bool, rows: int, registers: int, early: bool
) -> None:
    """``vecq_pair_sums``: the sum and difference of each two lanes, delayed by their stage."""
    for pair in range(-(-simd // 2)):
        lanes = 2 if 2 * pair + 1 < simd else 1
        stage = pair // rows
        made.register((stage - (early and stage > 0)) * lanes * bits)
        if lanes == 2:
            made.add(bits + 1, 1 if alone else 2)
            made.register((1 + registers) * (1 if alone else 2) * (bits + 1))
        else:
            made.register((1 + registers) * bits)
        if alone:
            made.register((1 + registers) * lanes * bits)


def quad_rows(made: Structure, pe: int, simd: int, planes: int, bits: int, words: int) -> None:
    """``vecq_quad_row_array``: four lanes a row, the choice inside the carry cells."""
    pair_sums(made, simd, bits, alone=False, rows=2, registers=0, early=True)
    pairs, rows = -(-simd // 2), -(-simd // 4)
    row, kept, count = bits + 1, changing(words), pe * planes
    made.register(2 * max(pairs // 2 - 1, 0) * row)  # second pairs, of all rows but the first
    for quad in range(rows):
        lanes = min(4, simd - 4 * quad)
        wide = row + 1 if lanes > 2 else row
        made.table(4 if lanes > 1 else 2, round(kept * count * row))
        both = not quad and lanes > 2
        made.register(count * ((1 + both) * row + wide + (0 if both else 1)))
        if lanes > 2:
            # The first row chooses both of its operands in front of the sum.
            made.add(wide, count, chosen=quad > 0, fronts=kept * row)
        width = row + log2(min(2 * quad + 2, pairs))
        if quad:
            made.add(width, count, chosen=True, fronts=wide)
            made.register(count * (width + 2))
    _plane_sum(made, pe, planes, row + log2(pairs))


def pair_rows(
    made: Structure,
    pe: int,
    simd: int,
    planes: int,
    bits: int,
    words: int,
    *,
    signs: bool,
    rows: int = ROWS,
    registers: int = 0,
) -> None:
    """``vecq_pair_row_array``: two lanes a row, chosen in front of its sum."""
    pair_sums(made, simd, bits, alone=not signs, rows=rows, registers=registers, early=False)
    pairs, row, count = -(-simd // 2), bits + 1, pe * planes
    for pair in range(pairs):
        two = 2 * pair + 1 < simd
        width = _chain_bits(row, pair + 1)
        fronts = changing(words) * row * (1.0 if signs else TWOS_FRONT)
        if pair:
            made.add(width, count, fronts=fronts)
        else:
            made.table((4 if signs else 5) if two else 2, round(changing(words) * count * row))
        if pair % rows == rows - 1 or pair == pairs - 1:
            made.register(count * width)
    _plane_sum(made, pe, planes, _chain_bits(row, pairs))


def _chain_bits(row: int, rows: int) -> int:
    """The bits of the sum of so many rows."""
    if row < log2(rows):
        return log2((rows << row) - rows + 1)
    return row + log2(rows)


def _plane_sum(made: Structure, pe: int, planes: int, bits: int) -> None:
    """``vecq_plane_sum``: a tree over the planes of a weight."""
    width, left, shift = [bits] * planes, planes, 1
    while left > 1:
        joined: list[int] = []
        for low, high in zip(width[::2], width[1::2], strict=False):
            total = max(high, low - shift) + 1
            made.add(total, pe)
            joined.append(total + shift)
        if len(width) % 2:
            joined.append(width[-1])
        made.register(pe * sum(joined))
        width, left, shift = joined, len(joined), 2 * shift


def _popcount(made: Structure, pe: int, simd: int) -> None:
    """``vecq_popcount_array``: threes, sixes and their sums."""
    leaves = -(-simd // 16)
    count = bits_of(leaves * 16 + 1)
    for leaf in range(leaves):
        lanes = min(16, simd - 16 * leaf)
        made.register((2 * leaf + 1) * lanes)
        threes = -(-lanes // 3)
        made.table(6, pe * 2 * threes)
        made.table(6, pe * 10)
        if lanes > 8:
            made.register(pe * 2 * threes)
        if leaf:
            made.add(count, pe)
        made.register(pe * count * (2 if leaf and lanes > 8 else 1))


def _code_book(
    made: Structure, weights: ProductWeights, pe: int, simd: int, steps: int, behind: int
) -> None:
    """``vecq_code_book``: indices, and a book for each word of each processing element."""
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
    for first in range(0, simd, STAGE_LANES):
        end = min(first + STAGE_LANES, simd)
        words = (end - 1) // lanes - first // lanes + 1
        made.rom(
            fetches,
            words * pe * index,
            registers=behind,
            first=first // lanes * pe * index,
            of=max(simd // lanes, 1) * pe * index,
        )
        for word in range(words):
            begin = (first // lanes + word) * lanes
            held = min(begin + lanes, end) - max(begin, first)
            for _ in range(pe):
                made.rom(book * parts, held * bits)


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
    made.rom(tables.lines, block * tables.parallel * bits)
    made.rom(steps, tables.blocks * fold.pe * weights.index_bits)
    for _ in range(tables.blocks):
        pair_rows(made, tables.parallel, block, bits, source.bits, tables.lines, signs=False)
    for _ in range(fold.pe * tables.blocks):
        made.ram(2 * tables.lines, tables.parallel * sums)
    if tables.parallel > 1:
        made.choose(tables.parallel, fold.pe * tables.blocks * sums)
        made.register(fold.pe * tables.blocks * sums)
    terms, width = tables.blocks, sums
    while terms > 1:
        width = min(width + 1, term)
        made.add(width, fold.pe * (terms // 2))
        terms = -(-terms // 2)
        made.register(fold.pe * terms * width)
    made.rom(output_folds, fold.pe * accumulator)
    made.ram(output_folds, fold.pe * accumulator)
    made.add(accumulator, fold.pe, fronts=accumulator)
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
    made.register(stages * bits_of(steps))
    for first in range(0, fold.simd, STAGE_LANES):
        bits = min(STAGE_LANES, fold.simd - first) * fold.pe
        made.rom(steps, bits, first=first * fold.pe, of=fold.simd * fold.pe)
    pair_rows(made, fold.pe, fold.simd, 1, source.bits, steps, signs=True)
    made.rom(passes, fold.pe * coordinate)
    made.rom(output_folds, fold.pe * accumulator)
    made.add(partial, fold.pe, fronts=partial)
    made.register(fold.pe * partial)
    if group >= coordinate:
        made.table(2, fold.pe * (accumulator + coordinate))
        made.register(fold.pe * (accumulator + coordinate))
        made.add(accumulator, fold.pe, fronts=2 * accumulator)
    else:
        made.multiply(partial + 1, coordinate + 1, fold.pe)
        made.register(fold.pe * accumulator)
        made.add(accumulator, fold.pe, fronts=accumulator)
    made.register(fold.pe * accumulator)
    made.register(4 * (2 + stages))
    for most in (steps, passes, group, passes, output_folds, coordinate):
        made.count(most)
    made.control += 5
    return made
