"""A small network, its schedule and vectors, for the tests of SystemVerilog."""

from __future__ import annotations

import numpy as np

from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Dense, Input, Layer, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.rtl import emit

U8, S8 = IntFormat(8, signed=False), IntFormat(8, signed=True)
CODES = np.array([[-2, -1, 0, 1], [1, 0, -1, -2], [0, 0, 1, 1]])


def dense(name: str, source: str, codes: np.ndarray = CODES) -> Dense:
    return Dense(name=name, input=source, weights=Weights(codes=codes, grid=MidRise(2)))


def rescale(name: str, source: str, channels: int) -> Rescale:
    mantissa = np.arange(90, 90 + 7 * channels, 7)
    return Rescale(
        name=name,
        input=source,
        mantissa=mantissa,
        offset=12345 - 9000 * np.arange(channels),
        shift=9,
        format=U8,
    )


def mlp(name: str = "mlp", names: tuple[str, str, str] = ("fc1", "act1", "fc2")) -> Network:
    first, act, second = names
    layers = (dense(first, "x"), rescale(act, first, 3), dense(second, act, CODES.T))
    return Network(
        name=name,
        inputs=(Input(name="x", shape=(4,), format=U8),),
        layers=layers,
        outputs=(second,),
    )


def vectors(network: Network, count: int = 40) -> Vectors:
    fmt = network.inputs[0].format
    shape = (count, *network.inputs[0].shape)
    inputs = np.random.default_rng(0).integers(fmt.lo, fmt.hi + 1, shape)
    return Vectors(inputs=inputs, outputs=simulate(network, inputs))


def schedule(network: Network) -> Schedule:
    """Folds of :func:`mlp` that need a width converter."""
    first, _, second = (layer.name for layer in network.layers)
    return Schedule(folds={first: Fold(pe=3, simd=2), second: Fold(pe=2, simd=1)})


def files(network: Network) -> dict[str, str]:
    return dict(emit(network, schedule(network), vectors(network)).files)


def network_of(*layers: Layer, shape: tuple[int, ...] = (4,)) -> Network:
    source = Input(name="x", shape=shape, format=U8)
    return Network(name="net", inputs=(source,), layers=layers, outputs=(layers[-1].name,))
