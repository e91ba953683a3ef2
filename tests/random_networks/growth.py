"""A network that grows by layers that are drawn, one behind the other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tests.random_networks.draws import (
    Draw,
    chance,
    generator,
    pair,
    random_bases,
    random_grid,
    random_lookup,
    random_product,
    random_rescale,
    random_rows,
    random_weights,
)
from vecq_hw.formats import (
    IntArray,
    IntFormat,
)
from vecq_hw.layers import (
    MOST_LOOKUP_BITS,
    AnyWeights,
    ArgMax,
    BinaryBases,
    Conv2d,
    Dense,
    Flatten,
    GatherSum,
    Input,
    Layer,
    MaxPool2d,
    Permute,
    ProductWeights,
    Rescale,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
)
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of

WIDEST = 20
"""Bits of a tensor that a Dense or Conv2d reads at most, so that its sums stay within 62."""


class Growth:
    """A network that grows by one layer at a time; names begin with the network's."""

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
            rule = thresholds_of(layer, source.format)
            if chance(self.draw):  # one row for all channels
                rule = replace(rule, thresholds=rule.thresholds[:1], falling=rule.falling[:1])
            self.append(rule)
        else:
            self.append(layer)

    def lookup(self) -> None:
        """A table for the tensor as it is where a table can be so large, else behind a rescale."""
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
        """For each axis nothing new, or a slice, a border, zeros between, or any indices at all."""
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
