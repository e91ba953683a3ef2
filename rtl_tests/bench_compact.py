"""Weights as they are stored, in vecq_matrix_vector: the values' sums in the model's cycles."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.cells import MatrixVector
from vecq_hw.accelerator.plan import plan
from vecq_hw.emit.systemverilog.top_module import top_module
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.layers import BinaryBases, Conv2d, Dense, Input, MacLayer, ProductWeights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate

U8, S5, T4 = IntFormat(8, signed=False), IntFormat(5, signed=True), TwosComplement(4)


@dataclass(frozen=True)
class Book:
    """A Dense, or with groups a convolution of one pixel, by a book of words."""

    outputs: int
    inputs: int
    """The inputs of all groups together."""
    fold: tuple[int, int]
    block: int
    words: int
    grid: MidRise | TwosComplement = T4
    format: IntFormat = U8
    groups: int = 1
    accumulator_bits: int | None = None

    def weights(self, rng: np.random.Generator, shape: tuple[int, ...]) -> ProductWeights:
        fmt = self.grid.code_format
        return ProductWeights(
            indices=rng.integers(0, self.words, (*shape[:-1], shape[-1] // self.block)),
            book=rng.integers(fmt.lo, fmt.hi + 1, (self.words, self.block)),
            grid=self.grid,
        )

    kind = FoldKind.CODE_BOOK


@dataclass(frozen=True)
class Sums(Book):
    """The same by sums with all words, which are looked up."""

    kind = FoldKind.PARTIAL_SUMS


@dataclass(frozen=True)
class Bases:
    """The same by binary bases; ``kept`` is the share of them that is not pruned."""

    outputs: int
    inputs: int
    fold: tuple[int, int]
    group: int
    most: int
    kept: float = 0.6
    limits: tuple[int, int] = (1, 31)
    format: IntFormat = U8
    groups: int = 1
    accumulator_bits: int | None = None

    def weights(self, rng: np.random.Generator, shape: tuple[int, ...]) -> BinaryBases:
        places = (*shape[:-1], shape[-1] // self.group, self.most)
        lo, hi = self.limits
        coordinates = rng.integers(lo, hi + 1, places) * (rng.random(places) < self.kept)
        return BinaryBases(bases=rng.integers(0, 2, (*places, self.group)), coordinates=coordinates)

    kind = FoldKind.BASE_SERIAL


SHAPES: list[Book | Bases] = [
    # Words within the lanes of a step: one, several, as many.
    *(Book(4, 12, (2, simd), 2, 4) for simd in (2, 4, 6, 12)),
    Book(6, 12, (6, 12), 12, 2),
    Book(3, 8, (1, 4), 1, 8),
    # Words of several steps, among them a number that is no power of two.
    *(Book(4, 12, (2, simd), 12, 4) for simd in (1, 2, 4, 6)),
    Book(2, 24, (1, 2), 6, 16),
    # Several stages of lanes, words that cross them.
    *(Book(4, 24, (2, 24), block, 4) for block in (3, 4, 6, 12, 24)),
    Book(2, 36, (2, 12), 36, 2),
    # Widths, odd values, signed activations, sums that wrap, groups within and across the outputs.
    Book(4, 8, (4, 4), 4, 32, TwosComplement(8), S5),
    Book(4, 8, (2, 4), 2, 4, MidRise(3), S5),
    Book(4, 8, (2, 4), 2, 4, TwosComplement(1)),
    Book(4, 8, (2, 4), 4, 4, accumulator_bits=7),
    Book(8, 12, (2, 2), 6, 4, groups=2),
    Book(8, 12, (8, 6), 3, 4, groups=2),
    # More words than look-up tables hold.
    Book(2, 8, (1, 4), 4, 128, TwosComplement(8)),
    # One word of all outputs: nothing is replayed.
    Book(1, 4, (1, 4), 2, 2),
    # Bases: groups of one word and of several, one lane and all, one output at a time and all.
    *(Bases(4, 12, (2, simd), 6, 3) for simd in (1, 2, 3, 6)),
    *(Bases(6, 12, (pe, 4), 12, 2) for pe in (1, 2, 3, 6)),
    Bases(4, 8, (4, 2), 2, 2),
    # None pruned, most, all of them: passes of a group, of an output word, of the whole.
    *(Bases(4, 12, (2, 2), 4, 2, kept) for kept in (1.0, 0.1, 0.0)),
    Bases(1, 4, (1, 4), 4, 1, 1.0),
    # Coordinates of either sign, of one bit; signed activations; sums that wrap; several stages.
    Bases(4, 8, (2, 4), 4, 3, limits=(-128, 127), format=S5),
    Bases(4, 8, (2, 2), 4, 2, limits=(1, 1), format=S5),
    Bases(4, 8, (2, 4), 4, 3, limits=(-9, 200), accumulator_bits=6),
    Bases(4, 8, (2, 4), 8, 2, accumulator_bits=1),
    Bases(2, 40, (2, 20), 20, 2),
    # Coordinates bit by bit: as many words as bits and more, one bit, either sign, sums that wrap.
    Bases(4, 32, (2, 2), 16, 3, limits=(-128, 127), format=S5),
    Bases(4, 24, (2, 1), 12, 2, limits=(-9, 200), accumulator_bits=6),
    *(Bases(4, 16, (2, 1), group, 2, limits=(1, 255)) for group in (8, 16)),
    Bases(2, 8, (2, 2), 4, 2, limits=(-1, 0)),
    # Outputs of a group of the convolution.
    Bases(8, 12, (2, 3), 6, 2, groups=2),
    Bases(6, 6, (1, 1), 1, 2, groups=6),
    # Sums: one block and several in a word, a table filled in one cycle, in several, in as many as
    # its words.
    *(Sums(24, 12, (pe, 4), 2, 4) for pe in (1, 2, 6, 8, 12, 24)),
    *(Sums(12, 24, (2, simd), 4, 8) for simd in (4, 8, 12, 24)),
    Sums(8, 6, (4, 6), 6, 16),
    Sums(5, 12, (1, 3), 3, 2),
    # Words of an odd number of weights, an odd number of them.
    Sums(6, 18, (2, 9), 3, 4),
    # Several stages of lanes; a word of one weight; words of signs alone.
    Sums(6, 40, (3, 20), 20, 4),
    Sums(6, 4, (2, 2), 1, 4),
    Sums(4, 8, (2, 4), 2, 4, TwosComplement(1)),
    # Widths, odd values, signed activations, sums that wrap.
    Sums(8, 8, (2, 4), 4, 32, TwosComplement(8), S5),
    Sums(8, 8, (2, 4), 2, 4, MidRise(3), S5),
    Sums(8, 16, (2, 8), 4, 4, accumulator_bits=7),
    Sums(8, 16, (8, 8), 4, 4, format=S5, accumulator_bits=5),
    # Groups: a word of a group and several, one word of its outputs and several.
    Sums(12, 8, (2, 2), 2, 4, groups=2),
    Sums(12, 12, (2, 2), 2, 4, groups=2),
    Sums(6, 18, (2, 3), 3, 4, groups=3),
    Sums(4, 4, (1, 1), 1, 2, groups=4),
    # One word in, one word out; more words than look-up tables hold.
    Sums(4, 4, (4, 4), 4, 2),
    Sums(1, 4, (1, 4), 2, 2),
    Sums(96, 8, (1, 4), 4, 64, TwosComplement(8)),
]

# Of which one case in a few has none: several passes, coordinates of several bits, in turn; sums of
# odd blocks; groups whose outputs are one word.
ALSO = [
    SHAPES.index(Bases(4, 32, (2, 2), 16, 3, limits=(-128, 127), format=S5)),
    SHAPES.index(Sums(6, 18, (2, 9), 3, 4)),
    SHAPES.index(Sums(6, 18, (2, 3), 3, 4, groups=3)),
]


def network(index: int) -> tuple[Network, Schedule]:
    shape, rng = SHAPES[index], np.random.default_rng(index)
    bias = rng.integers(-300, 300, shape.outputs)
    given = {"name": "mac", "input": "x", "bias": bias}
    given["accumulator_bits"] = shape.accumulator_bits
    layer: MacLayer
    if shape.groups == 1:
        size: tuple[int, ...] = (shape.inputs,)
        layer = Dense(weights=shape.weights(rng, (shape.outputs, shape.inputs)), **given)
    else:
        size = (1, 1, shape.inputs)
        kernel = shape.outputs, 1, 1, shape.inputs // shape.groups
        layer = Conv2d(weights=shape.weights(rng, kernel), groups=shape.groups, **given)
    source = Input(name="x", shape=size, format=shape.format)
    net = Network(name="one", inputs=(source,), layers=(layer,), outputs=("mac",))
    pe, simd = shape.fold
    return net, Schedule(folds={"mac": Fold(pe=pe, simd=simd, kind=shape.kind)})


def unit(index: int) -> MatrixVector:
    (found,) = (cell for cell in plan(*network(index)).cells if isinstance(cell, MatrixVector))
    return found


def memories(instance: Any, contents: Any) -> Iterator[tuple[str, str]]:
    """The parameters of files with what they hold."""
    for name, value in instance.parameters:
        if name.endswith("File"):
            yield name, contents["rtl/" + str(value).split('"')[1]]


@dataclass(frozen=True, kw_only=True)
class Text(Memory):
    """A memory as it was emitted."""

    content: str

    def text(self) -> str:
        return self.content


def case(index: int) -> Case:
    top = top_module(plan(*network(index)), {})
    units = "vecq_matrix_vector", "vecq_base_serial", "vecq_partial_sums"
    (instance,) = (instance for instance in top.instances if instance.module in units)
    none = np.zeros(0, np.int64)
    return Case(
        module=instance.module,
        parameters={n: v for n, v in instance.parameters if not n.endswith("File")},
        input_bits=instance.sources[0].word,
        output_bits=instance.targets[0].word,
        memories={
            name: Text(values=none, lanes=1, bits=1, content=text)
            for name, text in memories(instance, top.contents)
        },
    )


CASES = [case(index) for index in range(len(SHAPES))]


def words(index: int) -> Words:
    (net, _), cell, fmt = network(index), unit(index), SHAPES[index].format
    shape = net.inputs[0].shape
    given = frames(index, 3, fmt.lo, fmt.hi, SHAPES[index].inputs).reshape(-1, *shape)
    result = net.tensors["mac"].format
    return Words(
        given=pack_rows(given, cell.source.lanes, fmt.bits),
        expected=pack_rows(simulate(net, given), cell.target.lanes, result.bits),
        unit=cell.unit,
        periods=len(given),
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def sums_are_exact_and_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
