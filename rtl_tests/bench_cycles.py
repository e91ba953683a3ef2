"""Which words move in whole networks and at which cycles, with and without pauses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from rtl_tests import networks
from vecq_hw.bench.stream import (
    StreamError,
    StreamSignals,
    axi_stream,
    place,
    random_stalls,
    reset,
    start_clock,
    wait,
)
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.network import ArgMax, Dense, Input, Layer, Network, Rescale, Weights
from vecq_hw.schedule import Fold, Schedule, divisors

FRAMES = 4
PAUSED_CYCLES = 300
RANDOM = 32
RESULT = "cycles.json"
PATIENCE = 100_000


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """In which cycles the input begins no word and the output takes none."""

    input: Sequence[bool] = ()
    output: Sequence[bool] = ()


def pauses(index: int) -> dict[str, Pauses]:
    """Of each run of a configuration."""
    drawn = [list(islice(random_stalls(3 * index + end), PAUSED_CYCLES)) for end in range(2)]
    return {
        "free": Pauses(),
        "both": Pauses(input=drawn[0], output=drawn[1]),
        "input": Pauses(input=drawn[1]),
        "output": Pauses(output=drawn[0]),
        "blocked": Pauses(output=[True] * PAUSED_CYCLES),
    }


def random_network(index: int) -> tuple[Network, Schedule]:
    """One to four Dense of any width and fold; some have a Rescale before, between or behind."""
    generator = np.random.default_rng(index)
    sizes = generator.choice([1, 2, 3, 4, 5, 6, 8, 9, 12, 16], generator.integers(2, 6)).tolist()
    source = Input(name="x", shape=(sizes[0],), format=IntFormat(3, signed=False))
    layers: list[Layer] = []
    folds = {}

    def rescale() -> None:
        made = Network(
            name="sofar",
            inputs=(source,),
            layers=tuple(layers),
            outputs=(layers[-1].name if layers else "x",),
        )
        (tensor,) = (made.tensors[name] for name in made.outputs)
        layers.append(
            Rescale(
                name=f"r{index}_{len(layers)}",
                input=made.outputs[0],
                mantissa=generator.integers(-3, 4, tensor.shape),
                offset=generator.integers(-3, 4, tensor.shape),
                shift=2,
                format=IntFormat(3, signed=False),
            )
        )

    if generator.integers(4) == 0:
        rescale()
    for inputs, outputs in pairwise(sizes):
        grid = MidRise(int(generator.choice([1, 2, 3, 4, 7])))
        limits = grid.code_format
        name = f"d{index}_{len(layers)}"
        layers.append(
            Dense(
                name=name,
                input=layers[-1].name if layers else "x",
                weights=Weights(
                    codes=generator.integers(limits.lo, limits.hi + 1, (outputs, inputs)), grid=grid
                ),
                accumulator_bits=12,
            )
        )
        folds[name] = Fold(
            pe=int(generator.choice([d for d in divisors(outputs) if d <= 6])),
            simd=int(generator.choice([d for d in divisors(inputs) if d <= 6])),
        )
        if generator.integers(4):
            rescale()
    if index % 3 == 1:
        layers.append(ArgMax(name=f"argmax{index}", input=layers[-1].name))
    net = Network(
        name=f"chain{index}",
        inputs=(source,),
        layers=tuple(layers),
        outputs=(layers[-1].name,),
    )
    axis_bits = int(generator.choice([8, 16, 32, 64, 128])) if index % 2 else None
    return net, Schedule(folds=folds, axis_bits=axis_bits)


def configurations() -> dict[str, tuple[Network, Schedule]]:
    """Every network of the regression and random chains, by the name of their top."""
    known = {
        name: (networks.network(index), networks.schedule(index))
        for index, name in enumerate(networks.TOPS)
    }
    return known | {f"chain{index}": random_network(index) for index in range(RANDOM)}


async def drive(
    stream: StreamSignals, words: int, paused: Sequence[bool], data: Sequence[int] = ()
) -> list[int]:
    """Offer words, zero or ``data``, each until it is taken; the cycle in which each was."""
    edge, taken, cycle, held = RisingEdge(stream.clock), list[int](), 0, False
    stream.data.value = 0
    while len(taken) < words:
        if not held and (cycle >= len(paused) or not paused[cycle]):
            held = True
            if data:
                stream.data.value = data[len(taken)]
        stream.valid.value = int(held)
        await edge
        if held and stream.ready.value:
            taken.append(cycle)
            held = False
        cycle += 1
        if cycle > PATIENCE:
            here = place(stream.name, len(taken), words)
            raise StreamError(f"{here}: the words were not taken within {PATIENCE} cycles")
    stream.valid.value = 0
    return taken


async def drain(
    stream: StreamSignals, words: int, paused: Sequence[bool]
) -> tuple[list[int], list[int]]:
    """Take words; the cycle in which each was, and the words."""
    edge, taken, found, cycle = RisingEdge(stream.clock), list[int](), list[int](), 0
    while len(taken) < words:
        ready = cycle >= len(paused) or not paused[cycle]
        stream.ready.value = int(ready)
        await edge
        if ready and stream.valid.value:
            taken.append(cycle)
            found.append(stream.data.value.to_unsigned())
        cycle += 1
        if cycle > PATIENCE:
            here = place(stream.name, len(taken), words)
            raise StreamError(f"{here}: the words did not come within {PATIENCE} cycles")
    stream.ready.value = 0
    return taken, found


@cocotb.test()
async def record_all_words_and_their_cycles(dut: Any) -> None:
    plan = json.loads(Path("plan.json").read_text())
    start_clock(dut.aclk)
    result: dict[str, dict[str, tuple[list[int], list[int], list[int]]]] = {}
    for run in pauses(0):
        ends = {top: [axi_stream(dut, f"{top}_{end}_axis") for end in ("s", "m")] for top in plan}
        for source, target in ends.values():
            source.valid.value = 0
            target.ready.value = 0
        await reset(dut.aclk, dut.aresetn)
        tasks = {}
        for index, (top, (inputs, count)) in enumerate(plan.items()):
            chosen = pauses(index)[run]
            source, target = ends[top]
            tasks[top] = (
                cocotb.start_soon(drive(source, len(inputs), chosen.input, inputs)),
                cocotb.start_soon(drain(target, count, chosen.output)),
            )
        result[run] = {top: (await pair[0], *(await pair[1])) for top, pair in tasks.items()}
        await wait(dut.aclk, 50)
        early = [top for top, (_, target) in ends.items() if target.valid.value]
        assert not early, f"{early} offer words of a frame that has not begun"
    write_atomically(Path("results") / RESULT, json.dumps(result).encode())
