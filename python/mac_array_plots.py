"""Compare three MAC arrays on LeNet-5: cycles, utilisation and traffic, and a plot.

Run it with ``python python/mac_array_plots.py [FOLDER]``; it writes utilisation bars for arrays of
8×8 and 16×16 elements to FOLDER.  The weights are random: cycles do not depend on them.
"""

import sys
from pathlib import Path

import numpy as np

from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Conv2d, Dense, Flatten, Input, MaxPool2d, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.simulate.mac_array import (
    ArrayKind,
    ArraySize,
    bit_serial,
    network_costs,
    output_stationary,
    weight_stationary,
)
from vecq_hw.simulate.mac_array.plots import plot_utilisation

rng = np.random.default_rng(0)


def weights(*shape: int) -> Weights:
    """Random 2-bit codes."""
    return Weights(codes=rng.integers(-2, 2, shape), grid=MidRise(2))


def rescale(name: str, source: str, channels: int) -> Rescale:
    """Back to eight bits."""
    mantissa, offset = np.full(channels, 1 << 14), np.zeros(channels, int)
    byte = IntFormat(8, signed=False)
    return Rescale(name=name, input=source, mantissa=mantissa, offset=offset, shift=22, format=byte)


def pool(name: str, source: str) -> MaxPool2d:
    """Half the height and the width."""
    return MaxPool2d(name=name, input=source, kernel=(2, 2), stride=(2, 2))


lenet5 = Network(
    name="LeNet-5",
    inputs=(Input(name="x", shape=(28, 28, 1), format=IntFormat(8, signed=False)),),
    layers=(
        Conv2d(name="conv1", input="x", weights=weights(32, 5, 5, 1), padding=(2, 2, 2, 2)),
        rescale("relu1", "conv1", 32),
        pool("pool1", "relu1"),
        Conv2d(name="conv2", input="pool1", weights=weights(64, 5, 5, 32), padding=(2, 2, 2, 2)),
        rescale("relu2", "conv2", 64),
        pool("pool2", "relu2"),
        Flatten(name="flatten", input="pool2"),
        Dense(name="fc1", input="flatten", weights=weights(512, 3136)),
        rescale("relu3", "fc1", 512),
        Dense(name="fc2", input="relu3", weights=weights(10, 512)),
    ),
    outputs=("fc2",),
)

# The closed forms: the whole network at once.
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
for size in (ArraySize(rows=8, columns=8), ArraySize(rows=16, columns=16)):
    costs = {kind.value: network_costs(lenet5, kind, size) for kind in ArrayKind}
    for kind, by_layer in costs.items():
        cycles = sum(cost.cycles for cost in by_layer.values())
        buffer = sum(cost.traffic.buffer.total for cost in by_layer.values())
        print(f"{size} {kind:18} {cycles:8} cycles a frame, {buffer:8} bytes at the buffers")
    path = folder / f"mac_arrays_{size.rows}x{size.columns}.png"
    plot_utilisation(costs, path, f"LeNet-5, {size} elements")
    print(f"wrote {path}")

# The models: registers that move clock by clock, and give the simulator's integers.
image = rng.integers(0, 256, (1, 28, 28, 1))
conv1, size = lenet5.layers[0], ArraySize(rows=16, columns=16)
expected = simulate(lenet5, image, taps=["conv1"])["conv1"]
assert isinstance(conv1, Conv2d)
for model in (weight_stationary, output_stationary, bit_serial):
    run = model(conv1, image, size, lenet5.inputs[0].format)
    print(
        f"conv1 {model.__name__}: {run.cycles} cycles, {run.utilisation:.1%} busy,"
        f" {np.count_nonzero(run.outputs != expected)} integers differ"
    )
