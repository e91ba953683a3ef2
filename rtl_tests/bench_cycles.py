"""Which words move in whole networks and at which cycles, with and without pauses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

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

FRAMES = 4
PAUSED_CYCLES = 300
RESULT = "cycles.json"
PATIENCE = 100_000


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """In which cycles each input begins no word and each output takes none."""

    inputs: Sequence[Sequence[bool]]
    outputs: Sequence[Sequence[bool]]


def pauses(index: int, inputs: int = 1, outputs: int = 1) -> dict[str, Pauses]:
    """The pauses of each run of a configuration; in ``late`` the last input is."""

    def drawn(end: int, count: int) -> list[list[bool]]:
        seeds = (3 * index + end + 1000 * place for place in range(count))
        return [list(islice(random_stalls(seed), PAUSED_CYCLES)) for seed in seeds]

    never, always = [False], [True] * PAUSED_CYCLES
    in_free, out_free = [never] * inputs, [never] * outputs
    return {
        "free": Pauses(inputs=in_free, outputs=out_free),
        "both": Pauses(inputs=drawn(0, inputs), outputs=drawn(1, outputs)),
        "input": Pauses(inputs=drawn(1, inputs), outputs=out_free),
        "output": Pauses(inputs=in_free, outputs=drawn(0, outputs)),
        "blocked": Pauses(inputs=in_free, outputs=[always] * outputs),
        "late": Pauses(inputs=[*in_free[1:], always], outputs=out_free),
    }


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
    result: dict[str, dict[str, tuple[list[list[int]], list[tuple[list[int], list[int]]]]]] = {}
    for run in pauses(0):
        ends = {
            top: [[axi_stream(dut, f"{top}_{name}") for name in some] for some in both]
            for top, both in plan.items()
        }
        for sources, targets in ends.values():
            for source in sources:
                source.valid.value = 0
            for target in targets:
                target.ready.value = 0
        await reset(dut.aclk, dut.aresetn)
        tasks = {}
        for index, (top, (inputs, counts)) in enumerate(plan.items()):
            chosen = pauses(index, len(inputs), len(counts))[run]
            sources, targets = ends[top]
            tasks[top] = (
                [
                    cocotb.start_soon(drive(source, len(words), paused, words))
                    for source, words, paused in zip(
                        sources, inputs.values(), chosen.inputs, strict=True
                    )
                ],
                [
                    cocotb.start_soon(drain(target, count, paused))
                    for target, count, paused in zip(
                        targets, counts.values(), chosen.outputs, strict=True
                    )
                ],
            )
        result[run] = {
            top: ([await task for task in driven], [await task for task in drained])
            for top, (driven, drained) in tasks.items()
        }
        await wait(dut.aclk, 50)
        early = [
            top for top, (_, targets) in ends.items() if any(end.valid.value for end in targets)
        ]
        assert not early, f"{early} offer words of a frame that has not begun"
    write_atomically(Path("results") / RESULT, json.dumps(result).encode())
