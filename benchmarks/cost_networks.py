"""The configurations from which the cost model's constants are fitted, and those it is tried on.

Units alone, small images, and random networks of every kind of layer; all are made from seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import networks
from tests.random_networks import (
    Seeded,
    random_chain,
    random_graph,
    random_schedule,
    random_sequence,
)
from vecq_hw.emit.systemverilog import unsupported
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.layers import (
    AnyWeights,
    BinaryBases,
    Conv2d,
    Dense,
    Input,
    Layer,
    Lookup,
    MaxPool2d,
    ProductWeights,
    Rescale,
    SumPool2d,
    Weights,
    as_code_layer,
)
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.schedule import Fabric, Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import one_or_all

FIT, HELD_OUT = "fit", "held out"
TRIED = 64
"""Inputs by which it is found whether a random network's codes ever change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A network with its schedule, for one part of the record.

    Attributes
    ----------
    part : str
        ``fit`` or ``held out``.
    make : callable
        Gives both; the fabric is chosen by the family that is synthesized for.
    whole : bool
        Whether it is a network that is measured flattened, as a whole.
    """

    name: str
    part: str
    make: Callable[[], tuple[Network, Schedule]]
    whole: bool = False

    def on(self, fabric: Fabric) -> tuple[Network, Schedule]:
        """The network, and the schedule for a fabric."""
        network, schedule = self.make()
        return network, replace(schedule, fabric=fabric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A Dense or a convolution with what follows it."""

    outputs: int
    inputs: int
    pe: int
    simd: int
    weight_bits: int = 2
    input_bits: int = 8
    kind: FoldKind = FoldKind.STREAMING
    signed_weights: bool = False
    end: str = "rescale"
    dsp: bool = True
    output_bits: int = 8
    image: tuple[int, int] | None = None
    kernel: int = 3
    padding: int = 0
    stride: int = 1
    pool: str = ""

    @property
    def name(self) -> str:
        """What it is, in short."""
        words = [f"{self.inputs}→{self.outputs} {self.pe}×{self.simd}"]
        words.append(f"{'T' if self.signed_weights else 'W'}{self.weight_bits}A{self.input_bits}")
        if self.kind is not FoldKind.STREAMING:
            words.append(self.kind.value)
        if self.image is not None:
            words.append(
                f"{self.image[0]}×{self.image[1]} k{self.kernel}p{self.padding}s{self.stride}"
            )
        words += [self.end + (" dsp" if self.dsp and self.end == "rescale" else ""), self.pool]
        if self.output_bits != 8:
            words.append(f"A{self.output_bits}")
        return " ".join(word for word in words if word)

    def make(self) -> tuple[Network, Schedule]:
        """The network and its schedule."""
        rng = np.random.default_rng(self.outputs * 131 + self.inputs)
        codes = IntFormat(self.input_bits, signed=False)
        shape = (self.inputs,) if self.image is None else (*self.image, self.inputs)
        inner = () if self.image is None else (self.kernel, self.kernel)
        weights = self._weights(rng, (self.outputs, *inner, self.inputs))
        layers: list[Layer]
        if self.image is None:
            layers = [Dense(name="fc", input="x", weights=weights)]
        else:
            layers = [
                Conv2d(
                    name="fc",
                    input="x",
                    weights=weights,
                    stride=(self.stride,) * 2,
                    padding=(self.padding,) * 4,
                )
            ]
        source = Input(name="x", shape=shape, format=codes)
        tensor = Network(
            name="unit", inputs=(source,), layers=tuple(layers), outputs=("fc",)
        ).tensors["fc"]
        spread = max(tensor.format.magnitude // 8, 1)
        shift = max(17 + spread.bit_length() - self.output_bits, 18)
        mantissa = rng.integers(1 << 15, 1 << 17, self.outputs)
        offset = rng.integers(-spread << 15, spread << 16, self.outputs)
        rescale = Rescale(
            name="rescale",
            input="fc",
            mantissa=mantissa,
            offset=offset,
            shift=shift,
            format=IntFormat(self.output_bits, signed=False),
        )
        match self.end:
            case "rescale":
                layers.append(rescale)
            case "threshold":
                layers.append(replace(thresholds_of(rescale, tensor.format), name="rescale"))
            case "lookup":
                table = rng.integers(0, 256, (1, 256))
                layers += [
                    rescale,
                    Lookup(name="lookup", input="rescale", table=table, format=codes),
                ]
            case "none":
                pass
        last = layers[-1].name
        if self.pool == "max":
            layers.append(MaxPool2d(name="pool", input=last, kernel=(2, 2), stride=(2, 2)))
        elif self.pool == "sum":
            layers.append(SumPool2d(name="pool", input=last, kernel=(2, 2), stride=(2, 2)))
        network = Network(
            name="unit", inputs=(source,), layers=tuple(layers), outputs=(layers[-1].name,)
        )
        dsp = self.dsp and self.end in ("rescale", "lookup") and self.kind is not FoldKind.UNROLLED
        fold = Fold(pe=self.pe, simd=self.simd, kind=self.kind, dsp=dsp)
        return network, Schedule(folds={"fc": fold})

    def _weights(self, rng: np.random.Generator, shape: tuple[int, ...]) -> AnyWeights:
        match self.kind:
            case FoldKind.CODE_BOOK | FoldKind.PARTIAL_SUMS:
                return ProductWeights(
                    indices=rng.integers(0, 16, (*shape[:-1], shape[-1] // 4)),
                    book=rng.integers(-8, 8, (16, 4)),
                    grid=TwosComplement(4),
                )
            case FoldKind.BASE_SERIAL:
                groups = (*shape[:-1], shape[-1] // 8, 2)
                return BinaryBases(
                    bases=rng.integers(0, 2, (*groups, 8)),
                    coordinates=rng.integers(1, 16, groups),
                )
            case _:
                pass
        bits = self.weight_bits
        values = np.rint(rng.normal(-0.5, (1 << bits) / 4, shape))
        codes = np.clip(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1).astype(np.int64)
        grid = TwosComplement(bits) if self.signed_weights else MidRise(bits)
        return Weights(codes=codes, grid=grid)


_SERIAL, _UNROLLED = FoldKind.BIT_SERIAL, FoldKind.UNROLLED
_UNITS: Mapping[str, tuple[Unit, ...]] = {
    FIT: (
        Unit(outputs=32, inputs=32, pe=4, simd=4),
        Unit(outputs=32, inputs=64, pe=4, simd=16, weight_bits=1),
        Unit(outputs=64, inputs=32, pe=2, simd=8, weight_bits=3, input_bits=4),
        Unit(outputs=24, inputs=48, pe=6, simd=12, weight_bits=4),
        Unit(outputs=16, inputs=64, pe=8, simd=8, weight_bits=2, input_bits=5),
        Unit(outputs=64, inputs=64, pe=8, simd=2, weight_bits=1, input_bits=4),
        Unit(outputs=48, inputs=64, pe=8, simd=16, weight_bits=2),
        Unit(outputs=32, inputs=64, pe=1, simd=1),
        Unit(outputs=32, inputs=64, pe=2, simd=2, dsp=False),
        Unit(outputs=64, inputs=64, pe=4, simd=2, dsp=False, output_bits=4),
        Unit(outputs=16, inputs=256, pe=8, simd=8, dsp=False, weight_bits=1),
        Unit(outputs=8, inputs=128, pe=4, simd=1, dsp=False, weight_bits=4, input_bits=6),
        Unit(outputs=32, inputs=32, pe=4, simd=8, kind=_SERIAL),
        Unit(outputs=16, inputs=64, pe=8, simd=4, kind=_SERIAL, weight_bits=4, input_bits=4),
        Unit(outputs=32, inputs=32, pe=4, simd=4, signed_weights=True, weight_bits=4),
        Unit(outputs=16, inputs=64, pe=4, simd=8, signed_weights=True, weight_bits=8),
        Unit(outputs=32, inputs=64, pe=4, simd=8, end="threshold", output_bits=2),
        Unit(outputs=32, inputs=64, pe=2, simd=8, end="threshold", output_bits=4, input_bits=4),
        Unit(outputs=16, inputs=32, pe=4, simd=4, end="lookup"),
        Unit(outputs=32, inputs=64, pe=8, simd=16, weight_bits=1, input_bits=1, end="none"),
        Unit(outputs=10, inputs=32, pe=2, simd=8, end="none"),
        Unit(outputs=32, inputs=32, pe=4, simd=8, kind=FoldKind.CODE_BOOK),
        Unit(outputs=32, inputs=32, pe=4, simd=8, kind=FoldKind.PARTIAL_SUMS),
        Unit(outputs=16, inputs=32, pe=4, simd=8, kind=FoldKind.BASE_SERIAL),
        Unit(outputs=8, inputs=8, pe=8, simd=8, kind=_UNROLLED, weight_bits=2),
        Unit(outputs=12, inputs=16, pe=12, simd=16, kind=_UNROLLED, weight_bits=3, end="none"),
        Unit(outputs=8, inputs=16, pe=8, simd=16, kind=_UNROLLED, output_bits=4),
        Unit(outputs=8, inputs=4, pe=4, simd=2, image=(12, 12), pool="max", dsp=False),
        Unit(outputs=8, inputs=8, pe=8, simd=8, image=(10, 14), padding=1, pool="sum"),
        Unit(outputs=16, inputs=1, pe=4, simd=1, image=(20, 20), kernel=5, pool="max", dsp=False),
        Unit(outputs=6, inputs=12, pe=2, simd=6, image=(9, 9), stride=2, padding=1, dsp=False),
        Unit(outputs=16, inputs=16, pe=4, simd=4, image=(24, 24), padding=1, pool="max"),
    ),
    HELD_OUT: (
        Unit(outputs=32, inputs=64, pe=4, simd=8),
        Unit(outputs=64, inputs=64, pe=8, simd=16),
        Unit(outputs=40, inputs=40, pe=5, simd=10, weight_bits=3, input_bits=5),
        Unit(outputs=48, inputs=96, pe=6, simd=6, weight_bits=1, input_bits=4),
        Unit(outputs=16, inputs=128, pe=4, simd=4, dsp=False, weight_bits=2),
        Unit(outputs=24, inputs=32, pe=6, simd=8, kind=_SERIAL, weight_bits=3),
        Unit(outputs=24, inputs=48, pe=4, simd=6, signed_weights=True, weight_bits=5),
        Unit(outputs=16, inputs=64, pe=4, simd=16, end="threshold", output_bits=3),
        Unit(outputs=10, inputs=12, pe=10, simd=12, kind=_UNROLLED, weight_bits=2),
        Unit(outputs=8, inputs=8, pe=4, simd=4, image=(16, 16), padding=1, pool="max", dsp=False),
        Unit(outputs=12, inputs=6, pe=4, simd=3, image=(11, 13), pool="sum"),
    ),
}


def _random(
    make: Callable[[Seeded, str], Network], name: str, seed: int, *, changing: bool
) -> tuple[Network, Schedule]:
    """What the first seed from ``seed`` on, in steps of a thousand, makes of use.

    It can be emitted, and logic would not be simplified by weights that are all alike nor, with
    ``changing``, by codes that are the same for every input.
    """
    while True:
        draw = Seeded(seed)
        network = make(draw, name)
        alike = any(np.ptp(layer.weights.values) == 0 for layer in network.products)
        legal = unsupported(network) is None and network.products and not alike
        if legal and (not changing or _changes(network)):
            return network, random_schedule(draw, network)
        seed += 1000


def _changes(network: Network) -> bool:
    """Whether there are codes, and every channel of them takes several values."""
    rng = np.random.default_rng(0)
    inputs = {
        entry.name: rng.integers(entry.format.lo, entry.format.hi + 1, (TRIED, *entry.shape))
        for entry in network.inputs
    }
    names = [layer.name for layer in network.layers if as_code_layer(layer) is not None]
    if not names:
        return False
    found = simulate(network, one_or_all(inputs), taps=names)
    codes = [found[name] for name in names]
    return all(np.ptp(np.reshape(c, (-1, c.shape[-1])), axis=0).all() for c in codes)


def _default(make: Callable[[], Network], lanes: int, dsp: bool) -> tuple[Network, Schedule]:
    """A network of the benchmarks; with ``dsp``, in every fold that a Rescale reads."""
    network = make()
    schedule = default_schedule(network, lanes)
    read = {layer.input for layer in network.layers if isinstance(layer, Rescale)}
    folds = {name: replace(fold, dsp=dsp and name in read) for name, fold in schedule.folds.items()}
    return network, replace(schedule, folds=folds)


_WHOLE = (
    (networks.digits_mlp, 8, True),
    (networks.digits_mlp, 2, False),
    (networks.lenet5_classic, 8, True),
)
_MAKERS: Mapping[str, Callable[[Seeded, str], Network]] = {
    "chain": random_chain,
    "graph": random_graph,
    "sequence": random_sequence,
}
_SEEDS: Mapping[str, Mapping[str, Iterable[int]]] = {
    FIT: {"chain": range(26), "graph": (*range(14), *range(15, 55)), "sequence": (1, 3, 4)},
    HELD_OUT: {
        "chain": (
            *range(100, 106),
            *range(700, 710),
            *range(800, 810),
            *range(900, 909),
            *range(1200, 1206),
        ),
        "graph": (
            *range(100, 110),
            *range(700, 714),
            *range(800, 814),
            *range(900, 910),
            *range(1200, 1206),
        ),
        "sequence": (),
    },
}
"""Seeds of random networks; those whose synthesis takes minutes are left out."""


def configurations() -> list[Configuration]:
    """All of them, in the order in which they are made."""
    found = [
        Configuration(name=unit.name, part=part, make=unit.make)
        for part, given in _UNITS.items()
        for unit in given
    ]
    for part, kinds in _SEEDS.items():
        for kind, seeds in kinds.items():
            for seed in seeds:
                changing = kind != "sequence"  # few of these have codes that all change
                make = partial(_random, _MAKERS[kind], kind, seed, changing=changing)
                found.append(Configuration(name=f"{kind} {seed}", part=part, make=make))
    for network, lanes, dsp in _WHOLE:
        found.append(
            Configuration(
                name=f"{network.__name__}, {lanes} lanes{', dsp' * dsp}",
                part=HELD_OUT,
                make=partial(_default, network, lanes, dsp),
                whole=True,
            )
        )
    return found
