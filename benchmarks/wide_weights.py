"""How much faster is the engine int8 than float on layers of 7-bit weights?

Without VNNI such weights are split or left to floats (``vecq_hw.simulate.bytes.in_parts``); a
machine with VNNI is held back to AVX2 by the environment.  Both sides run in turns in one process;
the ratio of processor times is what to quote, above 1 where int8 is faster.

    ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell python -m benchmarks.wide_weights
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.networks import CODES
from benchmarks.origin import origin
from benchmarks.simulator import interleaved
from vecq_hw.files import write_atomically
from vecq_hw.formats import MidRise
from vecq_hw.layers import Conv2d, Dense, Input, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.simulate.bytes import in_parts

CONVOLUTIONS = {  # input channels, outputs, side of the kernel, groups, side of the image
    "conv 3 to 32, 3 × 3": (3, 32, 3, 1, 32),
    "conv 16 to 32, 3 × 3": (16, 32, 3, 1, 32),
    "conv 64 to 64, 3 × 3": (64, 64, 3, 1, 16),
    "conv 128 to 128, 1 × 1": (128, 128, 1, 1, 16),
    "conv 32 to 64 in 4 groups, 3 × 3": (32, 64, 3, 4, 16),
    "depthwise 32, 3 × 3": (32, 32, 3, 32, 32),
}
DENSE = {"dense 784 to 128": (784, 128), "dense 512 to 512": (512, 512)}


def layers(bits: int) -> dict[str, Network]:
    """Networks of one layer of random weights."""
    grid, rng = MidRise(bits), np.random.default_rng(0)

    def weights(*shape: int) -> Weights:
        codes = rng.integers(grid.code_format.lo, grid.code_format.hi + 1, shape)
        return Weights(codes=codes, grid=grid)

    def network(layer: Conv2d | Dense, shape: tuple[int, ...]) -> Network:
        source = Input(name="x", shape=shape, format=CODES)
        return Network(name="one", inputs=(source,), layers=(layer,), outputs=("mac",))

    found = {}
    for name, (inputs, outputs, side, groups, image) in CONVOLUTIONS.items():
        codes = weights(outputs, side, side, inputs // groups)
        pad = (side // 2,) * 4
        conv = Conv2d(name="mac", input="x", weights=codes, padding=pad, groups=groups)
        found[name] = network(conv, (image, image, inputs))
    for name, (inputs, outputs) in DENSE.items():
        found[name] = network(
            Dense(name="mac", input="x", weights=weights(outputs, inputs)), (inputs,)
        )
    return found


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the results as JSON.")
def main(rounds: int, out: Path | None) -> None:
    """Run both engines in turns and print the ratios."""
    names = ("ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
    rows: dict[str, Any] = {}
    for bits in (6, 7):
        for name, network in layers(bits).items():
            x = np.random.default_rng(1).integers(0, 256, (64, *network.inputs[0].shape))
            x = np.tile(x, (32, 1)) if x.ndim == 2 else x
            sides: dict[str, Callable[[], Any]] = {
                "float": partial(simulate, network, x),
                "int8": partial(simulate, network, x, engine="int8"),
            }
            assert np.array_equal(sides["float"](), sides["int8"]())
            (layer,) = network.layers
            assert isinstance(layer, Conv2d | Dense)
            seconds = interleaved(sides, rounds, time.process_time)
            row = {
                "weights_added_up": in_parts(layer, CODES),
                "times_faster": round(seconds["float"] / seconds["int8"], 2),
            }
            rows[f"{bits} bits, {name}"] = row
            print(bits, name, row, flush=True)
    if out is not None:
        environment = {name: os.environ.get(name) for name in names}
        results = {**origin(), "environment": environment, "rounds": rounds, "layers": rows}
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        write_atomically(out, text.encode())


if __name__ == "__main__":
    main()
