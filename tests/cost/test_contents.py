"""What the constants of a network save, and memories where yosys puts them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vecq_hw.accelerator.cells import MatrixVector, Pool, Unrolled
from vecq_hw.accelerator.plan import plan
from vecq_hw.cost import resources_of
from vecq_hw.cost.arrays import pair_rows
from vecq_hw.cost.circuits import unrolled
from vecq_hw.cost.constants import Resources
from vecq_hw.cost.contents import contents
from vecq_hw.cost.fabric import FABRICS, raw
from vecq_hw.cost.positions import pool
from vecq_hw.cost.products import matrix_vector, term_sums
from vecq_hw.cost.structure import Structure
from vecq_hw.devices import device
from vecq_hw.formats import IntArray, IntFormat, TwosComplement
from vecq_hw.layers import Dense, Input, ProductWeights, Rescale, SumPool2d, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Fold, FoldKind, Schedule

ECP5 = device("ecp5-25k").family
RNG = np.random.default_rng(0)
DRAWN = RNG.integers(-8, 8, (16, 16))


def taken(codes: IntArray, fold: Fold, mantissas: IntArray | None = None) -> Resources:
    """What a Dense of these codes takes, perhaps with a Rescale in tables."""
    fmt = IntFormat(6, signed=False)
    dense = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=TwosComplement(4)))
    layers: tuple[Dense | Rescale, ...] = (dense,)
    if mantissas is not None:
        offset = np.zeros(len(codes), np.int64)
        rescale = Rescale(
            name="r", input="fc", mantissa=mantissas, offset=offset, shift=20, format=fmt
        )
        layers = (dense, rescale)
    source = Input(name="x", shape=(codes.shape[1],), format=fmt)
    network = Network(name="any", inputs=(source,), layers=layers, outputs=(layers[-1].name,))
    return resources_of(network, Schedule(folds={"fc": fold}, fabric=Fabric.ECP5), ECP5)


def unit_of(layer: Dense, fold: Fold, bits: int, accumulator: int) -> Structure:
    """The parts of the unit of a Dense that reads unsigned codes of so many bits."""
    shape = (layer.inputs_of_one_output,)
    source = Input(name="x", shape=shape, format=IntFormat(bits, signed=False))
    network = Network(name="any", inputs=(source,), layers=(layer,), outputs=("fc",))
    planned = plan(network, Schedule(folds={"fc": fold}, fabric=Fabric.ECP5))
    (unit,) = (cell for cell in planned.cells if isinstance(cell, MatrixVector))
    return matrix_vector(unit, source.format, accumulator, Fabric.ECP5)


def partial_sums(indices: list[list[int]], accumulator: int, *, inputs: int = 2) -> Structure:
    """The parts of partial sums of blocks of two inputs, from a book of four words."""
    book = np.array([[1, -3], [2, 3], [-4, 1], [3, -2]])
    weights = ProductWeights(indices=np.array(indices), book=book, grid=TwosComplement(3))
    layer = Dense(name="fc", input="x", weights=weights)
    fold = Fold(pe=len(indices), simd=inputs, kind=FoldKind.PARTIAL_SUMS)
    return unit_of(layer, fold, 4, accumulator)


ALL = Fold(pe=16, simd=16)
FOLDED = Fold(pe=4, simd=4)


@pytest.mark.parametrize("fold", [ALL, FOLDED, replace(ALL, kind=FoldKind.UNROLLED)])
def test_weights_of_nothing_take_little(fold: Fold) -> None:
    pruned = DRAWN.copy()
    pruned[4:, 4:] = 0
    whole, rest = taken(DRAWN, fold), taken(pruned, fold)
    assert rest.luts < (0.6 if fold.kind is FoldKind.UNROLLED or fold is ALL else 1) * whole.luts


def test_outputs_of_equal_weights_share_their_rows() -> None:
    equal = np.broadcast_to(DRAWN[:1], DRAWN.shape)
    assert taken(equal, ALL).luts < 0.5 * taken(DRAWN, ALL).luts


def test_planes_that_no_accumulator_reads_take_nothing() -> None:
    # Weights of 4 bits, of which 0 and 1 need one: the sums are as wide as those of 1 bit.
    small = (DRAWN > 0).astype(np.int64)
    assert taken(small, FOLDED).luts < 0.75 * taken(DRAWN, FOLDED).luts


@pytest.mark.parametrize(("family", "share"), [("ice40", 20 / 32), ("ecp5", 1)])
def test_codes_that_a_table_does_not_have_save_tables_without_multiplexers(
    family: str, share: float
) -> None:
    tables = []
    for used in (20, 32):
        made = Structure("lookup")
        made.rom(32, 8, used=used)
        tables.append(raw(made, FABRICS[family], dsp=False).tables)
    assert tables[0] == pytest.approx(share * tables[1])


def test_planes_of_a_code_book_that_no_accumulator_reads_are_not_there() -> None:
    book = np.array([[1, -3], [2, 3], [-4, 1], [3, -2]])
    weights = ProductWeights(indices=[[0, 1], [3, 2]], book=book, grid=TwosComplement(3))
    layer = Dense(name="fc", input="x", weights=weights)
    fold = Fold(pe=1, simd=2, kind=FoldKind.CODE_BOOK)
    narrow, wide = (unit_of(layer, fold, 4, bits) for bits in (1, 8))
    # Of six columns of the book two are the lowest bits of its elements.
    few, whole = (
        [memory.bits for memory in made.memories if memory.of == 6] for made in (narrow, wide)
    )
    assert (few, whole) == ([2], [6])


def test_a_product_with_one_mantissa_takes_what_its_digits_take() -> None:
    fold = Fold(pe=1, simd=16)
    drawn = RNG.integers(1 << 16, 1 << 17, 16)
    shifted = np.full(16, 1 << 16)
    many = np.full(16, 0x15A95)  # nine digits, of which few pairs are alike
    sizes = [taken(DRAWN, fold, mantissas).luts for mantissas in (shifted, many, drawn)]
    assert sizes[0] + 80 < sizes[1] < sizes[2] - 80 < sizes[0] + 220


@pytest.mark.parametrize(
    ("words", "bits", "of", "blocks"),
    # As yosys 0.70 mapped them.
    [(256, 4, 12, 1), (256, 4, 4, 0), (256, 9, 9, 1), (300, 4, 4, 1), (64, 16, 16, 0)],
)
def test_constants_are_blocks_where_yosys_finds_them_cheaper(
    words: int, bits: int, of: int, blocks: int
) -> None:
    values = RNG.integers(0, 1 << bits, (words, of // bits))
    made = Structure("any")
    made.rom(words, bits, most_in_luts=256, found=contents(values, bits))
    assert raw(made, FABRICS["ecp5"], dsp=False).brams == blocks


@pytest.mark.parametrize(("words", "bits", "blocks"), [(256, 5, 1), (128, 9, 1), (128, 8, 0)])
def test_written_memories_are_blocks_where_yosys_finds_them_cheaper(
    words: int, bits: int, blocks: int
) -> None:
    made = Structure("any")
    made.ram(words, bits)
    assert raw(made, FABRICS["ecp5"], dsp=False).brams == blocks


@pytest.mark.parametrize(("lanes", "accumulator", "bits"), [(16, 12, 96), (8, 12, 48), (8, 4, 32)])
def test_what_no_weight_reads_is_not_stored(lanes: int, accumulator: int, bits: int) -> None:
    codes = DRAWN.copy()
    codes[:, lanes:] = 0
    dense = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=TwosComplement(4)))
    made = unit_of(dense, Fold(pe=4, simd=16), 6, accumulator)
    assert [m.bits for m in made.memories if m.most_in_luts is None] == [bits]


def test_outputs_with_the_same_weights_share_their_sums() -> None:
    found = []
    for columns in ([[2, 2], [3, 3]], [[2, 4], [3, 5]], [[2], [3]]):
        made = Structure("any")
        codes = np.array(columns, np.int64)
        pair_rows(made, codes, codes.shape[1], 6, 12, signs=False)
        found.append((made.registers, made.tables.total()))
    same, different, alone = found
    assert same == alone
    assert different > alone


def test_a_lane_read_alone_has_no_copies_of_its_sign() -> None:
    registers = []
    for constants in ([[1], [0]], [[1], [1]]):
        made = Structure("any")
        pair_rows(made, np.array(constants, np.int64), 1, 6, 12, signs=False)
        registers.append(made.registers)
    assert registers == [6 + 6, 7 + 7]  # what rows read, and their sum


@pytest.mark.parametrize(
    ("indices", "read"),
    [
        ([[1, 1]], [1]),
        ([[0, 1]], [0, 1]),
        ([[0, 3]], [0, 3]),  # both bits of the index are equal
        ([[1, 2]], [0, 1, 2, 3]),  # opposite ones are not seen
    ],
)
def test_words_of_a_line_that_no_index_chooses_are_not_kept(
    indices: list[list[int]], read: list[int]
) -> None:
    (memory,) = (memory for memory in partial_sums(indices, 8).memories if memory.of == 4 * 8)
    assert memory.places == tuple(8 * word + bit for word in read for bit in range(8))


def test_words_beside_one_that_is_read_are_made_where_a_table_holds_bits_of_both() -> None:
    alone, beside = (partial_sums([[1, 1]], bits) for bits in (8, 7))
    for family, is_made in (("ecp5", True), ("ice40", False)):  # there in flip-flops
        found = [raw(made, FABRICS[family], dsp=False).registers for made in (alone, beside)]
        assert (found[1] > found[0]) is is_made


def test_equal_sums_of_dot_products_are_there_once_where_memories_are_flip_flops() -> None:
    one, equal, other = (
        partial_sums(indices, 10, inputs=4)
        for indices in ([[1, 2]], [[1, 2], [1, 2]], [[1, 2], [2, 3]])
    )
    for family, is_shared in (("gowin", False), ("ice40", True)):
        single, twice, different = (
            raw(made, FABRICS[family], dsp=False).carries for made in (one, equal, other)
        )
        assert (twice - single == 10) is is_shared  # the accumulator's alone
        assert different - single > 2 * 10


def test_nothing_is_added_to_terms_that_are_zero() -> None:
    made = Structure("tree")
    term_sums(made, [[0, 0, 2, 3, 1, 4, 5, 6]], 4, 20, chosen=False)
    assert [(part.bits, part.count) for part in made.sums] == [(5, 3), (6, 1), (7, 1)]
    assert made.registers == 3 * 5 + 2 * 6 + 7


@pytest.mark.parametrize(("planes", "tables"), [(1, 7), (2, 7 + 2 * 7)])
def test_plain_rows_behind_the_first_take_inverters_and_inverted_ones_do_not(
    planes: int, tables: int
) -> None:
    """Three rows: the highest plane, which is inverted, has inverters in its first row alone."""
    made = Structure("any")
    pair_rows(made, np.ones((6, planes), np.int64), 1, 6, 20, signs=False)
    assert made.tables[4] == 7
    assert made.tables[4] + made.fronts == tables


@pytest.mark.parametrize(("bias", "bits"), [(254, []), (254 + 16, [8]), (255, [12])])
def test_a_constant_is_added_from_its_lowest_one_on(bias: int, bits: list[int]) -> None:
    # The offset of the inverted plane of one lane is 2 * 127.
    weights = Weights(codes=np.array([[-2]]), grid=TwosComplement(2))
    dense = Dense(name="fc", input="x", weights=weights, bias=np.array([bias]))
    made = unit_of(dense, Fold(pe=1, simd=1), 6, 12)
    assert [part.bits for part in made.sums if part.bits] == bits


def test_bits_of_a_product_that_are_always_zero_have_no_registers() -> None:
    """Four lanes multiply by 1,024, which leaves ten bits of each at zero."""
    even, odd = (taken(DRAWN, FOLDED, np.full(16, factor)) for factor in (1024, 1025))
    assert even.ffs < odd.ffs - 0.75 * 4 * 10


def test_a_window_of_one_pixel_joins_nothing() -> None:
    source = Input(name="x", shape=(4, 4, 6), format=IntFormat(6, signed=False))
    partials = []
    for size in (1, 2):
        layer = SumPool2d(name="p", input="x", kernel=(size, size), stride=(2, 2))
        network = Network(name="any", inputs=(source,), layers=(layer,), outputs=("p",))
        cells = plan(network, Schedule(fabric=Fabric.ECP5)).cells
        (cell,) = (cell for cell in cells if isinstance(cell, Pool))
        made = pool(cell, network.tensors["x"], network.tensors["p"].format.bits)
        partials.append([memory.words for memory in made.memories[1:]])
    assert partials == [[], [6]]


@pytest.mark.parametrize(
    ("codes", "inverted"), [(DRAWN, True), (np.ones((16, 16), np.int64), False)]
)
def test_what_is_subtracted_is_inverted_where_carry_cells_do_not(
    codes: IntArray, inverted: bool
) -> None:
    dense = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=TwosComplement(4)))
    source = Input(name="x", shape=(16,), format=IntFormat(6, signed=False))
    network = Network(name="any", inputs=(source,), layers=(dense,), outputs=("fc",))
    fold = Fold(pe=16, simd=16, kind=FoldKind.UNROLLED)
    cells = plan(network, Schedule(folds={"fc": fold}, fabric=Fabric.ECP5)).cells
    (cell,) = (cell for cell in cells if isinstance(cell, Unrolled))
    made = unrolled(cell, network.tensors["fc"].format.bits, 1)
    assert any(part.off for part in made.sums) is inverted
