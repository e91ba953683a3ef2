"""Cells as they are emitted for a layer: kinds of weights, sums of graphs, states of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.cell_alone import Cell
from vecq_hw.accelerator.plan import plan
from vecq_hw.emit.systemverilog.top_module import top_module
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.layers import (
    AnyWeights,
    BinaryBases,
    Dense,
    GatherSum,
    Gru,
    Input,
    Layer,
    Lstm,
    ProductWeights,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule

PE = SIMD = 16
INPUTS, OUTPUTS = 1024, 64
LENET = 800, 500
"""Inputs and outputs of LeNet5's first fully connected layer; 20 of 500 are 25 turns."""
LENET_FOLD = 20, 16
U8 = IntFormat(8, signed=False)
_RNG = np.random.default_rng(0)


def _cell(what: str, layer: Layer, source: Input, schedule: Schedule, lanes: int) -> Cell:
    """The cell that a network of one layer becomes."""
    network = Network(name="one", inputs=(source,), layers=(layer,), outputs=(layer.name,))
    top = top_module(plan(network, schedule), {})
    links = "vecq_stream_register", "vecq_stream_width"
    (found,) = (instance for instance in top.instances if instance.module not in links)
    files = {name: str(value) for name, value in found.parameters if name.endswith("File")}
    return Cell(
        what=what,
        module=found.module,
        parameters={name: value for name, value in found.parameters if name not in files},
        input_bits=found.sources[0].word,
        output_bits=found.targets[0].word,
        memories={
            name: top.contents["rtl/" + value.split('"')[1]] for name, value in files.items()
        },
        lanes=lanes,
    )


def _dense(
    what: str,
    weights: AnyWeights,
    kind: FoldKind = FoldKind.STREAMING,
    lanes: tuple[int, int] = (PE, SIMD),
) -> Cell:
    """A Dense without its Rescale, by default of 1,024 inputs and 64 outputs; LUTs a MAC."""
    (pe, simd), (_, inputs) = lanes, weights.shape
    layer = Dense(name="mac", input="x", weights=weights, accumulator_bits=24)
    source = Input(name="x", shape=(inputs,), format=U8)
    schedule = Schedule(folds={"mac": Fold(pe=pe, simd=simd, kind=kind)})
    return _cell(what, layer, source, schedule, pe * simd)


def _lenet(words: int, block: int, kind: FoldKind) -> Cell:
    """LeNet5's layer by words of 8 bits a weight."""
    what = f"{kind.value.replace('_', ' ')}, 800 to 500, {words} words of {block} × 8 bits"
    return _dense(what, _product(words, block, 8, *LENET), kind, LENET_FOLD)


def _scalar(grid: MidRise | TwosComplement) -> Weights:
    fmt = grid.code_format
    return Weights(codes=_RNG.integers(fmt.lo, fmt.hi + 1, (OUTPUTS, INPUTS)), grid=grid)


def _product(
    words: int, block: int, bits: int, inputs: int = INPUTS, outputs: int = OUTPUTS
) -> ProductWeights:
    grid, half = TwosComplement(bits), 1 << (bits - 1)
    return ProductWeights(
        indices=_RNG.integers(0, words, (outputs, inputs // block)),
        book=_RNG.integers(-half, half, (words, block)),
        grid=grid,
    )


def _bases(group: int, most: int) -> BinaryBases:
    """As many bases in each group, coordinates of 8 bits."""
    shape = OUTPUTS, INPUTS // group, most
    return BinaryBases(
        bases=_RNG.integers(0, 2, (*shape, group)), coordinates=_RNG.integers(1, 256, shape)
    )


def weight_cells() -> Sequence[Cell]:
    """The unit with each kind of weights, the plain one beside those that keep what is stored."""
    book, serial, sums = FoldKind.CODE_BOOK, FoldKind.BASE_SERIAL, FoldKind.PARTIAL_SUMS
    small, fine, large = _product(16, 4, 4), _product(16, 4, 8), _product(256, 8, 8)
    return [
        _dense("unit, 1-bit mid-rise", _scalar(MidRise(1))),
        _dense("unit, 2-bit mid-rise", _scalar(MidRise(2))),
        _dense("unit, 4 bits", _scalar(TwosComplement(4))),
        _dense("unit, 8 bits", _scalar(TwosComplement(8))),
        _dense("code book, 16 words of 4 × 4 bits", small, book),
        _dense("code book, 16 words of 4 × 8 bits", fine, book),
        _dense("code book, 256 words of 8 × 8 bits", large, book),
        _dense("base-serial, 1 base per 128 inputs", _bases(128, 1), serial),
        _dense("base-serial, 2 bases per 128 inputs", _bases(128, 2), serial),
        _dense("partial sums, 16 words of 4 × 4 bits", small, sums),
        _dense("partial sums, 16 words of 4 × 8 bits", fine, sums),
        _lenet(16, 8, book),
        _lenet(16, 4, sums),
        *(_lenet(words, 8, sums) for words in (16, 64, 256)),
    ]


def gather_cells() -> Sequence[Cell]:
    """Sums over 4 neighbours of 1,024 nodes of 16 features, with and without shifts."""
    nodes, features, degree = 1024, 16, 4
    made = []
    for bits, lanes, shifts in ((4, 1, None), (4, 4, None), (8, 4, None), (4, 4, 3)):
        layer = GatherSum(
            name="sums",
            input="x",
            indptr=np.arange(nodes + 1) * degree,
            indices=_RNG.integers(0, nodes, nodes * degree),
            shifts=None if shifts is None else _RNG.integers(0, shifts + 1, nodes),
        )
        source = Input(name="x", shape=(1, nodes, features), format=IntFormat(bits, signed=False))
        what = f"GatherSum, {bits} bits, {lanes} lanes" + ", shifts to 3" * (shifts is not None)
        cell = _cell(what, layer, source, Schedule(), 1)
        folds = {"Folds": features // lanes, "Lanes": lanes}
        made.append(
            Cell(
                what=what,
                module=cell.module,
                parameters={**cell.parameters, **folds},
                input_bits=cell.input_bits * lanes,
                output_bits=cell.output_bits * lanes,
                memories=cell.memories,
                lanes=lanes,
            )
        )
    return made


def recurrent_layer(
    kind: type[Lstm] | type[Gru], weight_bits: int, elements: int, sequence: bool = True
) -> Lstm | Gru:
    """A layer 'states' on 'x', its mantissas of 18 bits, that gives each state or the last."""
    generator, shift = np.random.default_rng(weight_bits), 22
    outputs = elements * (4 if kind is Lstm else 3)
    limit = 1 << (weight_bits - 1)
    fields: dict[str, Any] = {
        "name": "states",
        "input": "x",
        "weights": Weights(
            codes=generator.integers(-limit, limit, (outputs, elements)), grid=MidRise(weight_bits)
        ),
        "mantissa_x": generator.integers(1 << 16, 1 << 17, outputs),
        "mantissa_h": generator.integers(1 << 16, 1 << 17, outputs),
        "offset": generator.integers(-16 << shift, 16 << shift, outputs),
        "shift": shift,
        "sequence": sequence,
    }
    if kind is Gru:
        fields["state_offset"] = generator.integers(-16 << shift, 16 << shift, elements)
    return kind(**fields)


TEXTS = {"IMDB": (70, 64, 24, (8, 10)), "THUCNews": (128, 128, 32, (8, 16))}
"""By data set: elements, inputs and steps of VecQ's LSTM, and the fewest lanes for its pace."""


def state_cells() -> Sequence[Cell]:
    """The LSTMs of VecQ's two networks for texts, by bits of a weight; LUTs a MAC."""
    made = []
    for name, (elements, inputs, length, (pe, simd)) in TEXTS.items():
        for bits in (2, 4, 8):
            layer = recurrent_layer(Lstm, bits, elements, sequence=False)
            most = ((1 << bits) - 1) * 255 * inputs
            fmt = IntFormat.covering(-most, most, signed=True)
            source = Input(name="x", shape=(1, length, 4 * elements), format=fmt)
            schedule = Schedule(folds={"states": Fold(pe=pe, simd=simd)})
            what = f"LSTM of {name}, {elements} elements, {bits}-bit weights, PE {pe} × SIMD {simd}"
            made.append(_cell(what, layer, source, schedule, pe * simd))
    return made
