"""Integer networks for what no model here makes: formats, kinds of weights, graphs, odd numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests import graph_networks
from tests.random_networks import Seeded, random_bases, random_product
from tests.zoo import Case
from vecq_hw.formats import CodeBook, Grid, IntFormat, MidRise, MiniFloat, TwosComplement
from vecq_hw.layers import (
    Add,
    Constant,
    Conv2d,
    Dense,
    GatherSum,
    Input,
    Layer,
    Lookup,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    SumPool2d,
    Take,
    Tensor,
    TopK,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of

UNSIGNED, SIGNED = IntFormat(8, signed=False), IntFormat(8, signed=True)
SHAPE = (6, 5, 4)


def generator() -> np.random.Generator:
    """The same numbers for every network."""
    return np.random.default_rng(3)


def weights(*shape: int, grid: Grid = MidRise(4)) -> Weights:  # noqa: B008  (frozen)
    """Random codes of a grid."""
    fmt = grid.code_format
    return Weights(codes=generator().integers(fmt.lo, fmt.hi, shape, endpoint=True), grid=grid)


def rescale(name: str, source: str, tensor: Tensor, fmt: IntFormat = UNSIGNED) -> Rescale:
    """A gain for each channel that brings the proven range to about that of the format."""
    channels, reach = tensor.channels, max(tensor.format.magnitude, 1)
    mantissa = generator().integers(1 << 12, 1 << 13, channels)
    shift = max(13 + reach.bit_length() - fmt.bits - 1, 1)
    offset = generator().integers(-(1 << shift), 1 << shift, channels)
    return Rescale(
        name=name, input=source, mantissa=mantissa, offset=offset, shift=shift, format=fmt
    )


Make = Callable[[str, Tensor], Layer]


def chain(*makes: Make, shape: tuple[int, ...] = SHAPE, fmt: IntFormat = UNSIGNED) -> Network:
    """Layers one behind the other; each is made from the name and tensor before it."""
    source = Input(name="x", shape=shape, format=fmt)
    name, tensor = "x", Tensor(shape=shape, format=fmt, step=1.0)
    layers: list[Layer] = []
    for make in makes:
        layer = make(name, tensor)
        layers.append(layer)
        name, tensor = layer.name, layer.output(tensor)
    return Network(name="network", inputs=(source,), layers=tuple(layers), outputs=(name,))


def dense(held: object = None, outputs: int = 5, **settings: object) -> Make:
    """A Dense, of 12 inputs where weights are given."""

    def make(source: str, tensor: Tensor) -> Layer:
        given = weights(outputs, tensor.channels) if held is None else held
        return Dense(name="dense", input=source, weights=given, **settings)

    return make


def conv(held: object = None, **settings: object) -> Make:
    """A 3 × 3 convolution of 4 channels to 6."""

    def make(source: str, tensor: Tensor) -> Layer:
        given = weights(6, 3, 3, tensor.channels) if held is None else held
        return Conv2d(name="conv", input=source, weights=given, **settings)

    return make


def rescaled(source: str, tensor: Tensor) -> Layer:
    """To unsigned bytes."""
    return rescale("rescale", source, tensor)


def own_shifts(source: str, tensor: Tensor) -> Layer:
    """A shift for each channel."""
    layer = rescale("rescale", source, tensor)
    assert isinstance(layer.shift, int)
    more = np.arange(tensor.channels) % 5
    return replace(layer, shift=layer.shift + more, mantissa=layer.mantissa << more)


def by_rows(source: str, tensor: Tensor) -> Layer:
    """A line for each of three classes of positions."""
    layer = rescale("rescale", source, tensor)
    lines = [layer.mantissa + 900 * number for number in range(3)]
    offsets = [layer.offset - 77 * number for number in range(3)]
    return replace(
        layer,
        mantissa=np.stack(lines),
        offset=np.stack(offsets),
        rows=np.arange(tensor.positions) % 3,
    )


def thresholds(source: str, tensor: Tensor) -> Layer:
    """To four bits, by thresholds."""
    layer = rescale("rescale", source, tensor, IntFormat(4, signed=False))
    return thresholds_of(layer, tensor.format)


def table(rows: int) -> Make:
    """A table, one for all channels or one for each."""

    def make(source: str, tensor: Tensor) -> Layer:
        entries = tensor.format.hi - tensor.format.lo + 1
        values = generator().integers(-8, 8, (rows or tensor.channels, entries))
        return Lookup(
            name="lookup", input=source, table=values, format=IntFormat(4, signed=True), step=1.0
        )

    return make


def with_constant(kind: type[Add | Multiply]) -> Network:
    """An operand that is the same for every sample."""
    values = generator().integers(-8, 7, SHAPE, endpoint=True)
    constant = Constant(name="constant", values=values, format=IntFormat(4, True), step=1.0)
    joined = kind(name="joined", inputs=("x", "constant"))
    source = Input(name="x", shape=SHAPE, format=SIGNED)
    return Network(name="network", inputs=(source,), layers=(constant, joined), outputs=("joined",))


def take(**settings: object) -> Make:
    """A Take of an image."""
    return lambda source, tensor: Take(name="take", input=source, **settings)


def gather(source: str, tensor: Tensor) -> Layer:
    """Sums of listed positions, each with a shift of its own."""
    rng = generator()
    ends = np.concatenate([[0], np.cumsum(rng.integers(0, 5, 9))])
    return GatherSum(
        name="gather",
        input=source,
        indptr=ends,
        indices=rng.integers(0, tensor.positions, int(ends[-1])),
        shifts=rng.integers(0, 3, tensor.positions),
    )


def grid(of: Grid) -> Callable[[], Network]:
    """A convolution of weights on a grid."""
    return lambda: chain(conv(weights(6, 3, 3, 4, grid=of)), rescaled)


NETWORKS: dict[str, Callable[[], Network]] = {
    **{f"MidRise({bits})": grid(MidRise(bits)) for bits in (1, 2, 3, 8, 12)},
    "TwosComplement(2)": grid(TwosComplement(2)),
    "CodeBook": grid(CodeBook((-9, -2, 0, 1, 3, 4, 40, 0))),
    "MiniFloat(4, 1)": grid(MiniFloat(4, 1)),
    "ProductWeights": lambda: chain(conv(random_product(Seeded(1), (6, 3, 3, 4))), rescaled),
    "BinaryBases": lambda: chain(conv(random_bases(Seeded(1), (6, 3, 3, 4))), rescaled),
    "accumulators that wrap": lambda: chain(conv(accumulator_bits=9)),
    "padding by sides and a code": lambda: chain(conv(padding=(0, 1, 2, 1), pad_code=7), rescaled),
    "SAME, stride 2": lambda: chain(
        conv(padding=(0, 0, 1, 1), stride=(2, 2)), rescaled, shape=(8, 8, 4)
    ),
    "a shift for each channel": lambda: chain(conv(), own_shifts),
    "a line for each class of positions": lambda: chain(conv(), by_rows),
    "thresholds": lambda: chain(conv(), thresholds),
    "one table": lambda: chain(conv(), rescaled, table(1)),
    "a table for each channel": lambda: chain(conv(), rescaled, table(0)),
    "a constant added": lambda: with_constant(Add),
    "a constant multiplied": lambda: with_constant(Multiply),
    "rows and columns, some of them a code": lambda: chain(
        take(rows=np.array([-1, 0, 0, 2, 5]), columns=np.array([4, 2, -1]), code=9), conv()
    ),
    "channels in another order": lambda: chain(take(channels=np.array([3, 1, 1, 0, -1]))),
    "pixel shuffle": lambda: chain(
        lambda source, tensor: Permute(
            name="shuffle",
            input=source,
            split=(6, 5, 1, 2, 2),
            order=(0, 3, 1, 4, 2),
            shape=(12, 10, 1),
        )
    ),
    "sums of a pool": lambda: chain(
        lambda source, tensor: SumPool2d(name="sum", input=source, kernel=(2, 3), stride=(1, 2))
    ),
    "largest of signed codes, padded": lambda: chain(
        lambda source, tensor: MaxPool2d(
            name="pool", input=source, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1)
        ),
        fmt=SIGNED,
    ),
    "the largest three": lambda: chain(
        dense(), lambda source, tensor: TopK(name="top", input=source, count=3), shape=(12,)
    ),
    "gathered positions": lambda: chain(gather, rescaled),
    "graph convolutional network": graph_networks.gcn,
    "a vector of one element": lambda: chain(dense(outputs=1), rescaled, shape=(1,)),
    "codes of one bit": lambda: chain(dense(), shape=(12,), fmt=IntFormat(1, signed=False)),
    "codes of 16 bits": lambda: chain(dense(), shape=(12,), fmt=IntFormat(16, signed=True)),
}

CASES = [Case(name=name, kind="Integer networks", make=make) for name, make in NETWORKS.items()]
