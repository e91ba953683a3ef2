"""Networks for the tests of generators, with random contents and schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.random_networks import own_shifts
from vecq_hw import schedule as schedules
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import Grid, IntArray, IntFormat, MidRise
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    GatherSum,
    Input,
    Layer,
    Lookup,
    MaxPool2d,
    Rescale,
    SumPool2d,
    TopK,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.schedule import Fold, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import one_or_all

U8 = IntFormat(8, signed=False)


@dataclass(frozen=True)
class Case:
    network: Network
    schedule: Schedule
    vectors: Vectors


class Builder:
    """A chain of layers with random contents; names begin with that of the network."""

    def __init__(self, name: str, shape: tuple[int, ...], fmt: IntFormat = U8, seed: int = 0):
        self.name, self.rng = name, np.random.default_rng(seed)
        self.input = Input(name=f"{name}_x", shape=shape, format=fmt)
        self.layers: list[Layer] = []
        self.folds: dict[str, Fold] = {}
        self._source: str | None = None

    @property
    def last(self) -> str:
        """What the next layer reads."""
        if self._source is not None:
            return self._source
        return self.layers[-1].name if self.layers else self.input.name

    def branch(self, index: int) -> Builder:
        """The next layer reads that of this index; -1 is the input."""
        self._source = self._tensor_name(index)
        return self

    def _tensor_name(self, index: int) -> str:
        return self.layers[index].name if index >= 0 else self.input.name

    @property
    def tensor(self):
        return self.network().tensors[self.last]

    def network(self) -> Network:
        return Network(
            name=self.name, inputs=(self.input,), layers=tuple(self.layers), outputs=(self.last,)
        )

    def _next(self) -> dict[str, str]:
        names = {"name": f"{self.name}_{len(self.layers)}", "input": self.last}
        self._source = None
        return names

    def _weights(self, bits: int | Grid, *shape: int) -> Weights:
        """Random codes, of the mid-rise grid where only bits are given."""
        grid = MidRise(bits) if isinstance(bits, int) else bits
        codes = grid.code_format
        return Weights(codes=self.rng.integers(codes.lo, codes.hi + 1, shape), grid=grid)

    def _fold(self, fold: Fold | None) -> None:
        if fold is not None:
            self.folds[self.layers[-1].name] = fold

    def dense(self, outputs: int, bits: int | Grid, *, bias=None, wrap=None, fold=None) -> Builder:
        weights = self._weights(bits, outputs, self.tensor.shape[0])
        if bias is not None:
            bias = self.rng.integers(-bias, bias + 1, outputs)
        self.layers.append(Dense(weights=weights, bias=bias, accumulator_bits=wrap, **self._next()))
        self._fold(fold)
        return self

    def conv(
        self,
        outputs,
        bits,
        kernel,
        stride=(1, 1),
        padding=(0, 0),
        *,
        groups=1,
        dilation=(1, 1),
        bias=None,
        wrap=None,
        fold=None,
        pad_code=0,
    ) -> Builder:
        weights = self._weights(bits, outputs, *kernel, self.tensor.shape[2] // groups)
        if bias is not None:
            bias = self.rng.integers(-bias, bias + 1, outputs)
        self.layers.append(
            Conv2d(
                weights=weights,
                bias=bias,
                stride=stride,
                padding=padding,
                pad_code=pad_code,
                dilation=dilation,
                groups=groups,
                accumulator_bits=wrap,
                **self._next(),
            )
        )
        self._fold(fold)
        return self

    def rescale(self, fmt: IntFormat = U8, shift: int | None = None) -> Builder:
        """Mantissas of both signs, one of them zero; the outputs fill the format."""
        tensor = self.tensor
        channels, widest = tensor.shape[-1], max(tensor.format.magnitude, 1)
        if shift is None:
            shift = min(max(widest.bit_length() + 6 - fmt.bits, 1), 40)
        span = (fmt.hi - fmt.lo + 1) << shift
        limit = max(min(2 * span // widest, (1 << 61) // widest - 1), 1)
        mantissa = self.rng.integers(-limit, limit + 1, channels)
        mantissa[:1] = 0 if channels > 2 else limit
        least = max(fmt.lo << shift, -(1 << 61))
        most = min(least + span, (1 << 61) - 1)
        offset = self.rng.integers(least, most, channels)
        offset[-2:] = (least, most)[:channels]  # with a shift of 62 only these leave 0
        self.layers.append(
            Rescale(mantissa=mantissa, offset=offset, shift=shift, format=fmt, **self._next())
        )
        return self

    def own_shifts(self) -> Builder:
        """The rescale that was added last with a shift for each channel."""
        layer = self.layers[-1]
        assert isinstance(layer, Rescale)
        source = self.network().tensors[layer.input].format
        self.layers[-1] = own_shifts(layer, source, self.rng)
        return self

    def pool(self, kernel, stride, padding=(0, 0)) -> Builder:
        self.layers.append(MaxPool2d(kernel=kernel, stride=stride, padding=padding, **self._next()))
        return self

    def sum(self, kernel, stride, padding=(0, 0)) -> Builder:
        self.layers.append(SumPool2d(kernel=kernel, stride=stride, padding=padding, **self._next()))
        return self

    def upsample(self, *factor: int) -> Builder:
        self.layers.append(Upsample2d(factor=factor, **self._next()))
        return self

    def gather(self, *counts: int, shifts: int | None = None) -> Builder:
        """Sums of so many positions each; shifts up to one for each position."""
        positions = self.tensor.positions
        self.layers.append(
            GatherSum(
                indptr=np.cumsum([0, *counts]),
                indices=self.rng.integers(0, positions, sum(counts)),
                shifts=None if shifts is None else self.rng.integers(0, shifts + 1, positions),
                **self._next(),
            )
        )
        return self

    def argmax(self) -> Builder:
        self.layers.append(ArgMax(**self._next()))
        return self

    def topk(self, count: int) -> Builder:
        self.layers.append(TopK(count=count, **self._next()))
        return self

    def lookup(self, fmt: IntFormat = U8, own: bool = False) -> Builder:
        """Any function, or one for each channel."""
        tensor = self.tensor
        shape = (tensor.channels if own else 1, tensor.format.hi - tensor.format.lo + 1)
        table = self.rng.integers(fmt.lo, fmt.hi, shape, endpoint=True)
        self.layers.append(Lookup(table=table, format=fmt, **self._next()))
        return self

    def threshold(self, fmt: IntFormat) -> Builder:
        """A rescale in its other form."""
        source = self.tensor.format
        self.rescale(fmt)
        self.layers[-1] = thresholds_of(self.layers[-1], source)
        return self

    def one_row(self) -> Builder:
        """The last layer, a rescale or thresholds, as the thresholds of its first channel."""
        rule = self.layers.pop()
        if isinstance(rule, Rescale):
            rule = thresholds_of(rule, self.tensor.format)
        rows = {"thresholds": rule.thresholds[:1], "falling": rule.falling[:1]}
        self.layers.append(replace(rule, **rows))
        return self

    def _join(self, kind, others) -> Builder:
        """With the layers of these indices, -1 being the input."""
        own = self._next()
        inputs = (own["input"], *map(self._tensor_name, others))
        self.layers.append(kind(name=own["name"], inputs=inputs))
        return self

    def add(self, *others: int) -> Builder:
        return self._join(Add, others)

    def concat(self, *others: int) -> Builder:
        return self._join(Concat, others)

    def flatten(self) -> Builder:
        self.layers.append(Flatten(**self._next()))
        return self

    def case(self, count: int = 20) -> Case:
        network = self.network()
        defaults = schedules.default_schedule(network)
        schedule = Schedule(folds={**defaults.folds, **self.folds})
        x = corner_inputs(network.inputs[0], count, self.rng)
        return Case(network, schedule, Vectors(inputs=x, outputs=simulate(network, x)))


class Calibrated(Builder):
    """Rescales that spread what random inputs give, as a batch norm does."""

    def __init__(self, name: str, shape: tuple[int, ...], seed: int) -> None:
        super().__init__(name, shape, seed=seed)
        self.sample = self.rng.integers(0, 256, (4, *shape))

    def norm(self, zero: int = 30) -> Calibrated:
        sums = simulate(self.network(), self.sample).astype(np.float64)
        sums = sums.reshape(-1, sums.shape[-1])
        scale = 80 / (sums.std(0) + 1)
        shift = 16 - int(np.ceil(np.log2(scale.max())))
        self.rescale(shift=shift)
        layer = self.layers.pop()
        offset = np.ldexp(zero - sums.mean(0) * scale, shift)
        changes = {"mantissa": np.rint(np.ldexp(scale, shift)), "offset": np.rint(offset)}
        changes = {key: values.astype(np.int64) for key, values in changes.items()}
        self.layers.append(type(layer)(name=layer.name, input=layer.input, shift=shift,
                                       format=layer.format, **changes))  # fmt: skip
        return self


def case_of(network: Network, prefix: str, count: int, seed: int) -> Case:
    """Random codes for ``network``; its names begin with ``prefix``."""

    def renamed(layer: Layer) -> Layer:
        changes = {"name": prefix + layer.name}
        if isinstance(layer, Add | Concat):
            changes["inputs"] = tuple(prefix + name for name in layer.inputs)
        else:
            changes["input"] = prefix + layer.input
        return replace(layer, **changes)

    (source,) = network.inputs
    network = Network(
        name=prefix + network.name,
        inputs=(replace(source, name=prefix + source.name),),
        layers=tuple(map(renamed, network.layers)),
        outputs=tuple(prefix + name for name in network.outputs),
    )
    return drawn_case(network, schedules.default_schedule(network), count, seed)


def drawn_case(network: Network, schedule: Schedule, count: int, seed: int = 0) -> Case:
    """With corners, where there is room for them, and random codes."""
    rng = np.random.default_rng(seed)
    x = {
        source.name: corner_inputs(source, max(count, 4), rng)[-count:] for source in network.inputs
    }
    vectors = Vectors(inputs=one_or_all(x), outputs=simulate(network, one_or_all(x)))
    return Case(network, schedule, vectors)


def corner_inputs(source: Input, count: int, rng: np.random.Generator) -> IntArray:
    """Random codes after the corners: least, zero, greatest, alternating."""
    lo, hi = source.format.lo, source.format.hi
    x = rng.integers(lo, hi, (count, *source.shape), endpoint=True)
    x[0], x[1], x[2] = lo, min(max(lo, 0), hi), hi
    x[3] = np.where(np.arange(x[3].size) % 2, lo, hi).reshape(x[3].shape)
    return x


def mlp(name: str, bits: int, **more) -> Builder:
    return (
        Builder(name, (24,), seed=bits)
        .dense(16, bits, **more)
        .rescale()
        .dense(12, bits)
        .rescale(IntFormat(6, signed=True))
        .dense(10, bits, bias=50)
    )


def cnn(name: str, bits: int) -> Builder:
    return (
        Builder(name, (8, 8, 1), seed=bits)
        .conv(4, bits, (3, 3), padding=(1, 1))
        .rescale()
        .pool((2, 2), (2, 2))
        .conv(6, bits, (3, 3))
        .rescale(IntFormat(5, signed=False))
        .flatten()
        .dense(10, bits)
    )


def all_layers() -> Builder:
    """One of each layer: all headers."""
    return (
        Builder("net", (6, 6, 4))
        .conv(4, 2, (3, 3), padding=(1, 1), groups=4)
        .rescale()
        .pool((3, 3), (1, 1), (1, 1))
        .concat(-1, 1)
        .conv(12, 5, (1, 1))
        .threshold(IntFormat(2, False))
        .add(5)
        .sum((2, 2), (2, 2))
        .threshold(IntFormat(3, False))
        .one_row()
        .upsample(1, 2)
        .lookup(own=True)
        .flatten()
        .dense(3, 1)
        .topk(2)
    )
