"""Random networks with their folds: every width and grid, wrapping sums, either sign, any lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from rtl_tests.harness import frames
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.formats import CodeBook, Grid, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import ArgMax, Dense, Flatten, Input, Layer, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.rtl import emit

U8, S8, S16 = IntFormat(8, signed=False), IntFormat(8, signed=True), IntFormat(16, signed=True)
# What TTQ, INQ of 5 bits and odd levels alone lower to.
TTQ, ODD = CodeBook((0, 100, -73, 0)), CodeBook((-5, -1, 3, 7))
INQ = CodeBook(
    (*(-(1 << n) for n in reversed(range(8))), 0, *(1 << n for n in range(8)), *[128] * 15)
)


# Words as the folds make them, or of a width that is chosen.
AXIS = (None, 32, None, 64, 256)


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """What a random network is made from: a Dense for each fold, a Rescale after most of them."""

    sizes: Sequence[int]
    folds: Sequence[tuple[int, int]]  # PE and SIMD
    unrolled: Sequence[int] = ()  # places
    bits: Sequence[int | Grid]  # bits alone: of the mid-rise grid
    input: IntFormat = U8
    hidden: IntFormat = U8
    output: IntFormat | None = S16  # None: accumulators come out
    accumulator_bits: int | None = None
    rescale_first: bool = False
    rescale_hidden: bool = True
    argmax: bool = False


SKETCHES = [
    *(Sketch(sizes=(12, 8, 6), folds=((4, 3), (3, 4)), bits=(k, k)) for k in (1, 2, 3, 4, 8)),
    Sketch(sizes=(16, 12, 8, 10), folds=((4, 8), (4, 6), (5, 2)), bits=(8, 1, 4)),
    Sketch(sizes=(16, 12, 8, 10), folds=((1, 1), (1, 1), (1, 1)), bits=(2, 3, 2)),
    Sketch(sizes=(16, 12, 8, 10), folds=((12, 16), (8, 12), (10, 8)), bits=(2, 2, 2)),
    Sketch(sizes=(16, 12, 8), folds=((12, 16), (1, 1)), bits=(2, 2), input=S8, hidden=S8),
    Sketch(sizes=(16, 12, 8), folds=((1, 1), (8, 12)), bits=(4, 1), input=S8),
    Sketch(
        sizes=(10, 6, 5),
        folds=((3, 5), (5, 2)),
        bits=(2, 3),
        input=IntFormat(5, signed=True),
        hidden=IntFormat(3, signed=False, lo=0, hi=6),
        output=None,
        accumulator_bits=7,
    ),
    Sketch(sizes=(10, 6, 5), folds=((2, 5), (5, 3)), bits=(4, 8), rescale_hidden=False),
    Sketch(
        sizes=(9, 6, 4),
        folds=((2, 3), (2, 2)),
        bits=(2, 2),
        input=S16,
        hidden=IntFormat(1, signed=False),
        output=None,
        rescale_first=True,
    ),
    Sketch(sizes=(1, 1), folds=((1, 1),), bits=(2,)),
    *(
        Sketch(sizes=(6, 10), folds=((pe, 3),), bits=(2,), output=fmt, argmax=True)
        for pe, fmt in ((1, None), (5, IntFormat(2, signed=True)), (10, IntFormat(3, signed=False)))
    ),
    Sketch(sizes=(24, 3), folds=((3, 2),), bits=(3,), output=IntFormat(1, signed=True)),
    # One layer unrolled, and all of them: a Rescale by a product, by a search, and none.
    Sketch(sizes=(12, 8, 9, 4), folds=((4, 3), (9, 8), (2, 3)), bits=(2, 2, 3), unrolled=(1,)),
    Sketch(
        sizes=(16, 9, 6, 3),
        folds=((9, 16), (6, 9), (3, 6)),
        bits=(1, 2, 4),
        hidden=IntFormat(4, signed=True),
        unrolled=(0, 1, 2),
    ),
    Sketch(
        sizes=(10, 6, 5),
        folds=((6, 10), (5, 6)),
        bits=(2, 3),
        input=IntFormat(5, signed=True, lo=-9, hi=6),
        output=None,
        rescale_hidden=False,
        unrolled=(0, 1),
    ),
    Sketch(sizes=(1, 1), folds=((1, 1),), bits=(1,), unrolled=(0,)),
    # Weights off VecQ's grid: ternary, code books, two's complement; the last ones unrolled.
    Sketch(sizes=(18, 12, 6), folds=((4, 9), (3, 4)), bits=(TwosComplement(2), TTQ)),
    Sketch(sizes=(10, 6, 8), folds=((6, 10), (1, 3)), bits=(TwosComplement(4), INQ), input=S8),
    Sketch(
        sizes=(10, 6, 5),
        folds=((3, 5), (5, 2)),
        bits=(ODD, TwosComplement(1)),
        hidden=IntFormat(5, signed=True),
        output=None,
        accumulator_bits=7,
    ),
    Sketch(
        sizes=(10, 6, 5),
        folds=((6, 10), (5, 6)),
        bits=(TwosComplement(2), TTQ),
        hidden=IntFormat(4, signed=True),
        unrolled=(0, 1),
    ),
]
TOPS = [f"random{index}" for index in range(len(SKETCHES))]


def _rescale(name: str, source: Network, fmt: IntFormat, generator: np.random.Generator) -> Rescale:
    """A Rescale after the last layer so far: the outputs spread over ``fmt`` and its clamps."""
    entry = source.inputs[0]
    sample = generator.integers(entry.format.lo, entry.format.hi + 1, (50, *entry.shape))
    sums = simulate(source, sample).astype(np.int64)
    channels, middle = sums.shape[1], np.median(sums, axis=0).astype(np.int64)
    span = int(np.ptp(sums, axis=0).max()) + 1
    shift = 10 + span.bit_length()
    largest = (2 * (fmt.hi - fmt.lo + 1) << shift) // span
    mantissa = generator.choice((-1, 1), channels) * generator.integers(
        largest // 2, largest, channels
    )
    offset = ((fmt.lo + fmt.hi << shift) >> 1) - mantissa * middle
    return Rescale(
        name=name,
        input=source.outputs[0],
        mantissa=mantissa,
        offset=offset,
        shift=shift,
        format=fmt,
    )


def network(index: int) -> Network:
    sketch, generator = SKETCHES[index], np.random.default_rng(index)
    source = Input(name="x", shape=(sketch.sizes[0],), format=sketch.input)

    def grown(*layers: Layer) -> Network:
        last = layers[-1].name if layers else source.name
        return Network(name=TOPS[index], inputs=(source,), layers=layers, outputs=(last,))

    result = grown()
    if sketch.rescale_first:
        result = grown(_rescale(f"first{index}", result, sketch.hidden, generator))
    for place, bits in enumerate(sketch.bits):
        grid = MidRise(bits) if isinstance(bits, int) else bits
        inputs, outputs = sketch.sizes[place : place + 2]
        shape, limits = (outputs, inputs), grid.code_format
        dense = Dense(
            name=f"dense{index}_{place}",
            input=result.outputs[0],
            weights=Weights(codes=generator.integers(limits.lo, limits.hi + 1, shape), grid=grid),
            bias=generator.integers(-50, 50, outputs) if place % 2 == 0 else None,
            accumulator_bits=sketch.accumulator_bits,
        )
        result = grown(*result.layers, dense)
        last = place == len(sketch.bits) - 1
        fmt = sketch.output if last else sketch.hidden
        if fmt is not None and (last or sketch.rescale_hidden):
            name = f"rescale{index}_{place}"
            result = grown(*result.layers, _rescale(name, result, fmt, generator))
        if place == 0:
            flatten = Flatten(name=f"flatten{index}", input=result.outputs[0])
            result = grown(*result.layers, flatten)
    if sketch.argmax:
        result = grown(*result.layers, ArgMax(name=f"argmax{index}", input=result.outputs[0]))
    return result


def schedule(index: int) -> Schedule:
    names = [layer.name for layer in network(index).layers if isinstance(layer, Dense)]
    sketch = SKETCHES[index]
    kinds = FoldKind.STREAMING, FoldKind.UNROLLED
    folds = [
        Fold(pe=pe, simd=simd, kind=kinds[place in sketch.unrolled])
        for place, (pe, simd) in enumerate(sketch.folds)
    ]
    return Schedule(folds=dict(zip(names, folds, strict=True)), axis_bits=AXIS[index % len(AXIS)])


@cache
def project(index: int) -> Project:
    """The emitted project, with the corner vectors and 25 random ones."""
    net = network(index)
    fmt = net.inputs[0].format
    inputs = frames(index, 25, fmt.lo, fmt.hi, net.inputs[0].shape[0])
    return emit(net, schedule(index), Vectors(inputs=inputs, outputs=simulate(net, inputs)))
