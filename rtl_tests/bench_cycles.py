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
