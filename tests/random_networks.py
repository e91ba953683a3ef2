"""Random networks of every layer, grid and fold, for the tests of all targets.

What is drawn depends on a :class:`Draw` alone: on a seed here, on hypothesis in ``strategies.py``.
Benches run this inside the simulator, so it imports neither hypothesis nor torch.  A target that
cannot take a network says so by its ``unsupported``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from vecq_hw.bench.words import slot_bits
from vecq_hw.formats import (
    CodeBook,
    Grid,
    IntArray,
    IntFormat,
    MidRise,
    MiniFloat,
    TwosComplement,
)
from vecq_hw.layers import (
    MOST_LOOKUP_BITS,
    Add,
    AnyWeights,
    ArgMax,
    BinaryBases,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Input,
    Layer,
    Lookup,
    Lstm,
    MaxPool2d,
    Multiply,
    Permute,
    ProductWeights,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
    Weights,
    as_recurrent_layer,
)
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.schedule import (
    AXIS_BITS,
    Fabric,
    Fold,
    FoldKind,
    Schedule,
    divisors,
    foldable,
    kind_problems,
    streaming_folds,
)

ANY_GRID = (MidRise, TwosComplement, CodeBook, MiniFloat)
ANY_KIND = (*ANY_GRID, *ANY_GRID, ProductWeights, BinaryBases)
"""Of weights: each by itself on a grid, or one of the other kinds."""
WIDEST = 20
"""Bits of a tensor that a Dense or Conv2d reads at most, so that its sums stay within 62."""
KINDS = (
    "conv",
    "conv",
    "conv",
    "add",
    "add",
    "concat",
    "pool",
    "sum",
    "upsample",
    "activation",
    "lookup",
    "subtract",
    "product",
    "gate",
    "constant",
    "gather",
    "take",
    "permute",
)

Option = TypeVar("Option")


class Draw(Protocol):
    """Where choices come from; the first option and the least integer are the simplest."""

    def integer(self, least: int, most: int) -> int:
        """Either end included."""

    def choice(self, options: Sequence[Option]) -> Option:
        """One of them."""


class Seeded:
    """Draws that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def integer(self, least: int, most: int) -> int:
        return int(self._rng.integers(least, most, endpoint=True))

    def choice(self, options: Sequence[Option]) -> Option:
        return options[self._rng.integers(len(options))]


def chance(draw: Draw, one_in: int = 2) -> bool:
    return draw.integer(0, one_in - 1) == one_in - 1


def generator(draw: Draw) -> np.random.Generator:
    """For the contents of arrays, which are too many to be drawn one by one."""
    return np.random.default_rng(draw.integer(0, 2**32))


def pair(draw: Draw, least: int, most: int) -> tuple[int, int]:
    return draw.integer(least, most), draw.integer(least, most)


def random_format(draw: Draw, min_bits: int = 1, max_bits: int = 16) -> IntFormat:
    """Some formats have a range tighter than their bits."""
    bits, signed = draw.integer(min_bits, max_bits), chance(draw)
    full = IntFormat(bits, signed)
    if not chance(draw):
        return full
    lo = draw.integer(full.lo, full.hi)
    return IntFormat(bits, signed, lo, draw.integer(lo, full.hi))


def random_grid(draw: Draw, kinds: Sequence[type[Grid]] = ANY_GRID) -> Grid:
    """Code books hold small and very large values, in any order."""
    kind = draw.choice(kinds)
    if kind is CodeBook:
        most = draw.choice([1, 127, 2**31 - 1])
        size = 1 << draw.integer(1, 6)
        values = generator(draw).integers(-most, most, size, endpoint=True)
        return CodeBook(tuple(values.tolist()))
    if kind is MiniFloat:
        fraction, exponent = draw.integer(0, 3), draw.integer(1, 4)
        return MiniFloat(1 + exponent + fraction, fraction)
    bits = draw.choice([1, 2, 3, 4, 8, draw.integer(1, 16)])
    return MidRise(bits) if kind is MidRise else TwosComplement(bits)


def random_weights(draw: Draw, shape: tuple[int, ...], grid: Grid) -> Weights:
    """Extremes are frequent."""
    fmt = grid.code_format
    kind = draw.choice(["random", "random", "lowest", "highest"])
    if kind == "random":
        codes = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
    else:
        codes = np.full(shape, fmt.lo if kind == "lowest" else fmt.hi)
    return Weights(codes=codes, grid=grid, step=draw.choice([1.0, 0.5, 0.0371]))


def random_product(draw: Draw, shape: tuple[int, ...]) -> ProductWeights:
    """Blocks of any length that divides the channels; large books and very small ones."""
    grid, rng = random_grid(draw, (MidRise, TwosComplement)), generator(draw)
    block = draw.choice(divisors(shape[-1]))
    words, fmt = 1 << draw.choice([1, 2, 4, draw.integer(1, 7)]), grid.code_format
    return ProductWeights(
        indices=rng.integers(0, words, (*shape[:-1], shape[-1] // block)),
        book=rng.integers(fmt.lo, fmt.hi, (words, block), endpoint=True),
        grid=grid,
        step=draw.choice([1.0, 0.5, 0.0371]),
    )


def random_bases(draw: Draw, shape: tuple[int, ...]) -> BinaryBases:
    """Up to four bases for each group of channels; some, or all of them, pruned."""
    rng, group = generator(draw), draw.choice(divisors(shape[-1]))
    groups = (*shape[:-1], shape[-1] // group, draw.integer(1, 4))
    limit = draw.choice([1, 15, 127])
    coordinates = rng.integers(-limit if chance(draw, 4) else 0, limit, groups, endpoint=True)
    coordinates[rng.random(groups) < draw.choice([0.0, 0.4, 0.9])] = 0
    return BinaryBases(bases=rng.integers(0, 2, (*groups, group)), coordinates=coordinates)


def random_rescale(
    draw: Draw, name: str, source: str, tensor: Tensor, fmt: IntFormat | None = None
) -> Rescale:
    """A rescale that keeps most of the range, with mantissas of both signs and zero.

    Some have a shift for each channel: gains that differ, or equal gains more or less precise.
    """
    channels, fmt = tensor.shape[-1], fmt or random_format(draw, 1, 8)
    rng = generator(draw)
    # Rule 4: with an offset as large as the product, the sum stays below 2^62.
    fitting = max(62 - tensor.format.magnitude.bit_length(), 1)
    limit = (1 << (min(draw.integer(1, 18), fitting) - 1)) - 1
    mantissa = rng.integers(-limit - 1, limit + 1, channels)
    reach = max(tensor.format.magnitude * (limit + 1), 1)
    shift = draw.integer(1, 62)
    if draw.integer(0, 3):  # mostly a shift that lets something of the value through
        shift = min(max(reach.bit_length() - fmt.bits, 1), 62)
    room = min(reach, (1 << 61) - 1)
    offset = rng.integers(-room, room + 1, channels)
    layer = Rescale(
        name=name, input=source, mantissa=mantissa, offset=offset, shift=shift, format=fmt
    )
    return own_shifts(layer, tensor.format, rng) if chance(draw) else layer


def random_lookup(draw: Draw, name: str, source: str, tensor: Tensor) -> Lookup:
    """Any function of the codes, or one for each channel."""
    fmt, own = random_format(draw, 1, 8), chance(draw)
    shape = (tensor.channels if own else 1, tensor.format.hi - tensor.format.lo + 1)
    table = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
    return Lookup(name=name, input=source, table=table, format=fmt)


def random_rows(draw: Draw, layer: Rescale, positions: int) -> Rescale:
    """The rescale with classes of positions: the lines of each go to other channels."""
    classes = draw.integer(1, 4)
    mantissa, offset = (
        np.stack([np.roll(values, turn) for turn in range(classes)])
        for values in (layer.mantissa, layer.offset)
    )
    rows = generator(draw).integers(0, classes, positions)
    return replace(layer, mantissa=mantissa, offset=offset, rows=rows)


def own_shifts(layer: Rescale, source: IntFormat, rng: np.random.Generator) -> Rescale:
    """The rescale with a longer shift for some channels, as far as rule 4 lets it.

    Their offsets keep their real values; their mantissas too, or their gains become smaller.
    """
    columns = layer.mantissa.tolist(), layer.offset.tolist(), layer.shifts.tolist()
    drawn = []
    for m, b, s in zip(*columns, strict=True):
        more, gain = int(rng.integers(0, 25)), int(rng.integers(2))
        ends = [abs(end * (m << more * gain) + (b << more)) for end in (source.lo, source.hi)]
        fits = s + more <= 62 and max(ends) < 1 << 62 and abs(m) << more * gain < 1 << 31
        fits = fits and abs(b) << more < 1 << 62
        drawn.append((m << more * gain, b << more, s + more) if fits else (m, b, s))
    mantissa, offset, shift = (np.array(column) for column in zip(*drawn, strict=True))
    return replace(layer, mantissa=mantissa, offset=offset, shift=shift)


class _Growth:
    """A network that grows by layers that are drawn; names begin with the network's."""

    def __init__(self, draw: Draw, name: str, shape: tuple[int, ...], fmt: IntFormat, kinds):
        self.draw, self.name, self.kinds = draw, name, kinds
        self.inputs: list[Input] = []
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []
        self.enter(Input(name=f"{name}_x", shape=shape, format=fmt))

    @property
    def tensor(self) -> Tensor:
        return self.tensors[self.last]

    def network(self, *further: str) -> Network:
        """The last tensor is an output, and so are the ``further`` ones."""
        return Network(
            name=self.name,
            inputs=tuple(self.inputs),
            layers=tuple(self.layers),
            outputs=tuple(dict.fromkeys([*further, self.last])),
        )

    def enter(self, source: Input) -> None:
        """Go on from a further input."""
        self.inputs.append(source)
        self.tensors[source.name] = Tensor(
            shape=source.shape, format=source.format, step=source.step
        )
        self.last = source.name

    def label(self, kind: str) -> str:
        return f"{self.name}_{kind}{len(self.layers)}"

    def append(self, layer: Layer) -> None:
        sources = [self.tensors[name] for name in layer.inputs]
        self.tensors[layer.name] = layer.output(*sources)
        self.layers.append(layer)
        self.last = layer.name

    def weights(self, *shape: int) -> AnyWeights:
        kind = self.draw.choice(self.kinds)
        if kind is ProductWeights:
            return random_product(self.draw, shape)
        if kind is BinaryBases:
            return random_bases(self.draw, shape)
        return random_weights(self.draw, shape, random_grid(self.draw, (kind,)))

    def sums(self, outputs: int) -> dict:
        """A bias and an accumulator that wraps, or none."""
        bias = None
        if chance(self.draw):
            bias = generator(self.draw).integers(-1000, 1000, outputs, endpoint=True)
        return {
            "bias": bias,
            "accumulator_bits": self.draw.integer(2, 20) if chance(self.draw, 3) else None,
        }

    def readable(self) -> None:
        """A rescale where a layer with weights would read too wide a tensor."""
        if self.tensor.format.bits > WIDEST:
            self.rescale()

    def dense(self, outputs: int) -> None:
        self.readable()
        taken, sums = self.weights(outputs, self.tensor.shape[0]), self.sums(outputs)
        self.append(Dense(name=self.label("dense"), input=self.last, weights=taken, **sums))

    def convolution(self, outputs: int) -> None:
        """Any kernel that fits, and any padding with any code."""
        draw = self.draw
        self.readable()
        height, width, channels = self.tensor.shape
        groups = draw.choice([g for g in (1, 1, 2, channels) if channels % g == 0])
        top, left = pair(draw, 0, 2)
        bottom, right = pair(draw, 0, 2) if chance(draw) else (top, left)
        dilation, padded = pair(draw, 1, 2), (top + height + bottom, left + width + right)
        kernel = tuple(
            k if d * (k - 1) < n else 1
            for k, d, n in zip(pair(draw, 1, 3), dilation, padded, strict=True)
        )
        window = {
            "stride": pair(draw, 1, 3),
            "padding": (top, left, bottom, right),
            "pad_code": self.pad_code() if chance(draw, 3) else 0,
            "dilation": dilation,
        }
        self._conv(outputs, kernel, groups, **window)

    def pad_code(self) -> int:
        """Any code of codes; of sums one that they hold however narrow a test makes them."""
        fmt = self.tensor.format
        codes = not self.layers or isinstance(self.layers[-1], Rescale | Threshold)
        held = IntFormat(fmt.bits if codes else 1, fmt.signed)
        return self.draw.integer(held.lo, held.hi)

    def same(self, outputs: int) -> None:
        """A convolution that keeps the image's size."""
        self.readable()
        size, channels = self.draw.choice([1, 3]), self.tensor.shape[-1]
        groups = self.draw.choice([g for g in (1, channels) if outputs % g == 0])
        self._conv(outputs, (size, size), groups, padding=(size // 2, size // 2))

    def _conv(self, outputs: int, kernel: tuple[int, ...], groups: int, **window) -> None:
        outputs += -outputs % groups
        taken = self.weights(outputs, *kernel, self.tensor.shape[-1] // groups)
        sums = self.sums(outputs)
        name = self.label("conv")
        self.append(
            Conv2d(name=name, input=self.last, weights=taken, groups=groups, **window, **sums)
        )

    def rescale(self, fmt: IntFormat | None = None) -> None:
        """A Rescale, or the same as thresholds."""
        source = self.tensor
        layer = random_rescale(self.draw, self.label("rescale"), self.last, source, fmt)
        if source.is_image and chance(self.draw, 5):
            self.append(random_rows(self.draw, layer, source.positions))
        elif layer.format.bits <= 5 and chance(self.draw, 3):
            self.append(thresholds_of(layer, source.format))
        else:
            self.append(layer)

    def lookup(self) -> None:
        """Of the tensor as it is where a table can be so large, else behind a rescale."""
        if self.tensor.format.bits > MOST_LOOKUP_BITS:
            self.rescale()
        self.append(random_lookup(self.draw, self.label("lookup"), self.last, self.tensor))

    def pool(self, kind: type[MaxPool2d] | type[SumPool2d]) -> None:
        """Windows that all hold a pixel, also where they hang over the edges."""
        draw = self.draw
        kernel = tuple(map(min, pair(draw, 1, 3), self.tensor.shape[:2]))
        padding = tuple(draw.integer(0, k - 1) for k in (*kernel, *kernel))
        plain = kind(
            name=self.label("pool"), input=self.last, kernel=kernel, stride=pair(draw, 1, 3)
        )
        layer = replace(plain, padding=padding)
        if isinstance(layer, MaxPool2d) and chance(draw, 3):
            layer = replace(layer, dilation=pair(draw, 1, 2))
        self.append(plain if any(layer.problems(self.tensor)) else layer)

    def upsample(self) -> None:
        factor = pair(self.draw, 1, 2)
        self.append(Upsample2d(name=self.label("upsample"), input=self.last, factor=factor))

    def gather(self) -> None:
        """Rows of any length, some empty; shifts for some."""
        draw, positions = self.draw, self.tensor.positions
        rng = generator(draw)
        counts = rng.integers(0, 4, draw.integer(1, 7))
        self.append(
            GatherSum(
                name=self.label("gather"),
                input=self.last,
                indptr=np.append(0, counts.cumsum()),
                indices=rng.integers(0, positions, counts.sum()),
                shifts=rng.integers(0, 3, positions) if chance(draw) else None,
            )
        )

    def flatten(self) -> None:
        self.append(Flatten(name=self.label("flatten"), input=self.last))

    def choice(self) -> None:
        """The largest channel, or several."""
        if chance(self.draw):
            self.append(ArgMax(name=self.label("argmax"), input=self.last))
            return
        count = self.draw.integer(1, min(self.tensor.channels, 6))
        self.append(TopK(name=self.label("topk"), input=self.last, count=count))

    def take(self) -> None:
        """Of each axis nothing new, or a slice, a border, zeros between, or any indices at all."""
        draw, source = self.draw, self.tensor
        axes = [self._indices(size) for size in source.shape]
        names = ("rows", "columns", "channels")[-len(axes) :]
        bits = IntFormat(source.format.bits, source.format.signed)
        self.append(
            Take(
                name=self.label("take"),
                input=self.last,
                code=draw.choice([0, bits.hi, bits.lo]),
                **dict(zip(names, axes, strict=True)),
            )
        )

    def _indices(self, size: int) -> IntArray | None:
        draw = self.draw
        every = np.arange(size)
        match draw.choice(["all", "all", "slice", "border", "zeros", "shuffle", "any"]):
            case "all":
                return None
            case "slice":
                start = draw.integer(0, size - 1)
                return every[start :: draw.integer(1, 2)][:: draw.choice([1, -1])]
            case "border":
                width, mode = draw.integer(1, 2), draw.choice(["edge", "reflect", "wrap", "code"])
                if mode == "code":
                    return np.pad(every, width, constant_values=-1)
                return np.pad(every, width, mode=mode)
            case "zeros":
                stride = draw.integer(2, 3)
                spread = np.full(size * stride, -1)
                spread[draw.integer(0, stride - 1) :: stride] = every
                return spread
            case "shuffle":
                groups = draw.choice([g for g in (2, 3, 1) if size % g == 0])
                return every.reshape(groups, -1).T.ravel()
            case _:
                drawn = generator(draw).integers(-1, size, draw.integer(1, size + 2))
                return drawn if drawn.max() >= 0 else every[:1]

    def permute(self, shape: tuple[int, ...] | None = None) -> None:
        """The axes of the tensor, some of them split, in any order, as any shape."""
        draw = self.draw
        split: list[int] = []
        for size in self.tensor.shape:
            part = draw.choice([p for p in (1, 2, 3) if size % p == 0])
            parts = [size // part, part] if part > 1 else [size]
            split += parts[:: draw.choice([1, -1])]
        order = generator(draw).permutation(len(split)).tolist()
        sizes = [split[axis] for axis in order]
        cuts = sorted(draw.integer(0, len(sizes)) for _ in range(2))
        ends = list(zip([0, *cuts], [*cuts, len(sizes)], strict=True))
        shape = shape or tuple(math.prod(sizes[first:last]) for first, last in ends)
        self.append(
            Permute(
                name=self.label("permute"),
                input=self.last,
                split=tuple(split),
                order=tuple(order),
                shape=shape,
            )
        )

    def join(self, kind: type[Add] | type[Subtract] | type[Concat]) -> None:
        """One or two branches from the tensor so far, and the tensor itself, in any order."""
        fork, tensor = self.last, self.tensor
        ends = [fork]
        for _ in range(1 if kind is Subtract else self.draw.integer(1, 2)):
            self.last = fork
            self.same(self.draw.integer(1, 4) if kind is Concat else tensor.shape[-1])
            self.rescale(tensor.format if kind is Concat or chance(self.draw) else None)
            made = self.layers[-1]
            self.layers[-1] = replace(made, step=tensor.step)
            self.tensors[self.last] = replace(self.tensor, step=tensor.step)
            ends.insert(self.draw.integer(0, len(ends)), self.last)
        self.append(kind(name=self.label("join"), inputs=tuple(ends)))

    def meet(self) -> None:
        """A further input joins, as it is or behind a layer."""
        draw, trunk, tensor = self.draw, self.last, self.tensor
        name = f"{self.name}_x{len(self.inputs)}"
        kind = draw.choice([Add, Concat])
        if chance(draw):
            self.enter(Input(name=name, shape=tensor.shape, format=tensor.format, step=tensor.step))
        else:
            channels = draw.integer(1, 4)
            fmt = random_format(draw, 1, 6)
            self.enter(Input(name=name, shape=(*tensor.shape[:-1], channels), format=fmt))
            outputs = tensor.shape[-1] if kind is Add else draw.integer(1, 4)
            if len(tensor.shape) == 3:
                self.same(outputs)
            else:
                self.dense(outputs)
            if self.tensor.shape[-1] != outputs:
                outputs = self.tensor.shape[-1]
                kind = Concat
            self.rescale(tensor.format)
            self.layers[-1] = replace(self.layers[-1], step=tensor.step)
            self.tensors[self.last] = replace(self.tensor, step=tensor.step)
        ends = [trunk, self.last]
        self.append(
            kind(name=self.label("meet"), inputs=tuple(ends if chance(draw) else ends[::-1]))
        )
        if self.tensor.format.bits > 8:
            self.rescale()

    def head(self, source: str) -> str:
        """A branch to an output of its own; its last tensor."""
        trunk, self.last = self.last, source
        if len(self.tensor.shape) == 3 and chance(self.draw):
            self.flatten()
        if len(self.tensor.shape) == 1:
            self.dense(self.draw.integer(1, 4))
        else:
            self.same(self.draw.integer(1, 4))
        if chance(self.draw, 3):
            self.choice()
        found, self.last = self.last, trunk
        return found

    def product(self) -> None:
        """The tensor so far by a branch from it, in any order, or by itself."""
        ends = [self.last]
        if not chance(self.draw, 4):
            self.same(self.tensor.channels)
            self.rescale()
        ends.insert(self.draw.integer(0, 1), self.last)
        self.append(Multiply(name=self.label("product"), inputs=tuple(ends)))

    def gate(self) -> None:
        """The tensor so far by one value for each channel that comes from all of it."""
        whole, shape = self.last, self.tensor.shape
        self.append(
            SumPool2d(name=self.label("pool"), input=whole, kernel=shape[:2], stride=shape[:2])
        )
        self.rescale()
        if chance(self.draw):
            self.same(shape[-1])
            self.rescale()
        if chance(self.draw):
            self.flatten()
        self.append(Multiply(name=self.label("gate"), inputs=(whole, self.last)))

    def constant(self) -> None:
        """The tensor so far and a constant, in any order; a product may take one of channels."""
        last, tensor, draw = self.last, self.tensor, self.draw
        kind = draw.choice([Add, Subtract, Multiply, Concat])
        fmt = tensor.format if kind is Concat else random_format(draw, 1, 8)
        shape = tensor.shape[-1:] if kind is Multiply and chance(draw) else tensor.shape
        values = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
        name = self.label("constant")
        self.append(Constant(name=name, values=values, format=fmt, step=tensor.step))
        ends = [last, name]
        if shape == tensor.shape:
            ends = draw.choice([ends, ends[::-1]])
        if kind in (Add, Concat) and chance(draw, 3):
            ends.append(name)
        self.append(kind(name=self.label("join"), inputs=tuple(ends)))

    def grow(self) -> None:
        """One or several layers of a kind that is drawn."""
        match self.draw.choice(KINDS):
            case "conv":
                self.convolution(self.draw.integer(1, 5))
                self.rescale()
            case "activation":
                self.rescale()
            case "lookup":
                self.lookup()
            case "upsample":
                self.upsample()
            case "gather":
                self.gather()
            case "take":
                self.take()
            case "permute":
                self.permute()
            case "pool":
                self.pool(MaxPool2d)
            case "sum":
                self.pool(SumPool2d)
            case "add":
                self.join(Add)
            case "subtract":
                self.join(Subtract)
            case "product":
                self.product()
            case "gate":
                self.gate()
            case "constant":
                self.constant()
            case _:
                self.join(Concat)
        if self.tensor.format.bits > 8:
            self.rescale()


def random_chain(
    draw: Draw,
    name: str = "chain",
    *,
    images: bool | None = None,
    max_layers: int = 3,
    kinds: Sequence[type] = ANY_KIND,
) -> Network:
    """Layers with weights over a vector or a small image, a rescale or a pool behind most of them.

    ``images`` None: either; ``max_layers`` counts the layers with weights.
    """
    images = chance(draw) if images is None else images
    image = (*pair(draw, 1, 6), draw.integer(1, 3)) if images else None
    net = _Growth(draw, name, image or (draw.integer(1, 16),), random_format(draw, 1, 8), kinds)
    if chance(draw, 4):
        net.rescale()
    for _ in range(draw.integer(1, max_layers)):
        if chance(draw, 6):
            net.take()
        if chance(draw, 6):
            net.permute(None if images else (math.prod(net.tensor.shape),))
        if len(net.tensor.shape) == 3 and chance(draw, 3):
            net.flatten()
        if len(net.tensor.shape) == 3:
            net.convolution(draw.integer(1, 6))
        else:
            net.dense(draw.choice([1, 2, 3, 4, 5, 6, 8, 9, 12]))
        if not chance(draw, 4):
            net.rescale()
        if chance(draw, 4):
            net.lookup()
        if len(net.tensor.shape) == 3 and chance(draw):
            net.pool(MaxPool2d)
    if chance(draw, 4):
        net.choice()
    return net.network()


def random_recurrent(draw: Draw, name: str, source: str, tensor: Tensor, gru: bool) -> Lstm | Gru:
    """A recurrent layer over sums (1, L, gates * H), most of whose gates are not saturated."""
    rng = generator(draw)
    gates = 3 if gru else 4
    elements = tensor.channels // gates
    weights = random_weights(draw, (gates * elements, elements), random_grid(draw))
    shift = draw.integer(24, 28)
    reach = [
        max(tensor.format.magnitude, 1),
        max(int(np.abs(weights.values.astype(np.int64)).sum(axis=1).max()) * 127, 1),
    ]
    most = [min((100 << shift) // r, (1 << 20) - 1) for r in reach]
    mantissa_x, mantissa_h = (rng.integers(-m - 1, m + 1, gates * elements) for m in most)
    offset = rng.integers(-60 << shift, (60 << shift) + 1, gates * elements)
    fields = {
        "name": name,
        "input": source,
        "weights": weights,
        "mantissa_x": mantissa_x,
        "mantissa_h": mantissa_h,
        "offset": offset,
        "shift": shift,
        "sequence": chance(draw),
    }
    if not gru:
        return Lstm(**fields)
    return Gru(**fields, state_offset=rng.integers(-(1 << shift), 1 << shift, elements))


def random_sequence(draw: Draw, name: str = "sequence") -> Network:
    """Indices or vectors step by step, through recurrent layers, to a few sums."""
    length, channels, words = draw.integer(1, 5), draw.integer(1, 5), draw.integer(1, 9)
    if chance(draw):
        fmt = IntFormat.covering(0, words - 1, signed=False)
        net = _Growth(draw, name, (length,), fmt, ANY_GRID)
        taken = random_weights(draw, (words, channels), random_grid(draw))
        net.append(Embedding(name=net.label("embedding"), input=net.last, weights=taken))
    else:
        net = _Growth(draw, name, (1, length, channels), random_format(draw, 1, 8), ANY_GRID)
    for _ in range(draw.integer(1, 2)):
        if not net.tensor.is_image:
            break
        net.readable()
        gru, elements = chance(draw), draw.integer(1, 6)
        gates = (3 if gru else 4) * elements
        taken = net.weights(gates, 1, 1, net.tensor.channels)
        net.append(Conv2d(name=net.label("sums"), input=net.last, weights=taken))
        net.append(random_recurrent(draw, net.label("states"), net.last, net.tensor, gru))
    if chance(draw):
        net.flatten()
        net.dense(draw.integer(1, 3))
    return net.network()


def random_graph(draw: Draw, name: str = "graph", *, kinds: Sequence[type] = ANY_KIND) -> Network:
    """Images through every kind of layer, with branches that part and meet again."""
    shape = (*pair(draw, 1, 6), draw.integer(1, 4))
    net = _Growth(draw, name, shape, random_format(draw, 1, 6), kinds)
    for _ in range(draw.integer(1, 4)):
        net.grow()
    if chance(draw, 3):
        net.flatten()
        net.dense(3)
    if chance(draw, 4):
        net.choice()
    return net.network()


def random_ends(
    draw: Draw, name: str = "ends", *, kinds: Sequence[type[Grid]] = ANY_GRID
) -> Network:
    """One to three inputs and one to three outputs, not one of each.

    An input joins as it is, or behind a layer; an output is a tensor on the way, perhaps an input,
    or what a branch of its own makes of one.
    """
    images = draw.integer(0, 3) > 0
    shape = (*pair(draw, 1, 5), draw.integer(1, 4)) if images else (draw.integer(1, 9),)
    net = _Growth(draw, name, shape, random_format(draw, 1, 6), kinds)
    inputs = draw.integer(1, 3)
    passed = [net.last]
    for place in range(max(inputs, draw.integer(1, 3))):
        if chance(draw, 3):
            (net.grow if images else net.rescale)()
        if place < inputs - 1:
            net.meet()
        passed.append(net.last)
    if images and chance(draw, 3):
        net.flatten()
        net.dense(3)
    further = []
    for _ in range(draw.integer(1 if inputs == 1 else 0, 2)):
        tensor = draw.choice(passed)
        narrow = net.tensors[tensor].format.bits <= WIDEST
        further.append(net.head(tensor) if narrow and chance(draw) else tensor)
    if net.last in further and len(set(further)) == 1 and inputs == 1:
        further.append(net.head(net.last))
    network = net.network(*further)
    drawn = list(network.outputs)
    return replace(network, outputs=tuple(drawn[::-1] if chance(draw) else drawn))


def random_schedule(draw: Draw, network: Network) -> Schedule:
    """Every kind of fold that the layers take, on any fabric; large layers are not unrolled.

    The search for shared additions would take most of a test's time.
    """
    folds = {}
    recurrent = {layer.name for layer in network.layers if as_recurrent_layer(layer)}
    rescaled = {layer.input for layer in network.layers if isinstance(layer, Rescale)}
    for layer in network.products:
        if layer.name in recurrent:
            folds[layer.name] = draw.choice(streaming_folds(layer))
            continue
        fold = replace(
            draw.choice(streaming_folds(layer)), dsp=layer.name in rescaled and chance(draw, 3)
        )
        for kind in (FoldKind.CODE_BOOK, FoldKind.BASE_SERIAL, FoldKind.BIT_SERIAL):
            other = replace(fold, kind=kind)
            if not [*kind_problems(layer, other)] and chance(draw):
                fold = other
        folds[layer.name] = fold
        outputs, inputs = foldable(layer)
        small = isinstance(layer, Dense) and outputs * inputs <= 128
        # An emitter refuses sums of more bits than the search for shared additions holds.
        small = small and int(np.abs(layer.weights.values).max()) < 1 << 24
        if small and layer.accumulator_bits is None and chance(draw, 3):
            folds[layer.name] = Fold(pe=outputs, simd=inputs, kind=FoldKind.UNROLLED)
    return Schedule(folds=folds, fabric=draw.choice([Fabric.LUT6, Fabric.LUT6, Fabric.ECP5]))


def random_axis_bits(draw: Draw, network: Network) -> int | None:
    """A width of all AXI4-Streams into which an element of each end fits."""
    ends = [*(source.name for source in network.inputs), *network.outputs]
    least = max(slot_bits(network.tensors[name].format.bits) for name in ends)
    return draw.choice([None, *(bits for bits in AXIS_BITS if least <= bits <= 128)])


def random_pair(
    make: Callable[[Draw, str], Network], name: str, seed: int
) -> tuple[Network, Schedule]:
    """A network, and any schedule of it with any width of its ports, by the seed."""
    draw = Seeded(seed)
    network = make(draw, name)
    schedule = random_schedule(draw, network)
    return network, replace(schedule, axis_bits=random_axis_bits(draw, network))
