"""Cells that read images: the words that go in and come out, and the cycle in which each moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

import cocotb

from rtl_tests.bench_cycles import drive
from rtl_tests.harness import Case, equal, interrupt, restart, streams
from vecq_hw.accelerator.units import Unit
from vecq_hw.bench.stream import Sink, random_stalls, start_clock
from vecq_hw.simulate.dataflow.recurrences import sink, source, unit_process
from vecq_hw.simulate.dataflow.times import Channel, run

PATIENCE = 2000
PAUSED_CYCLES = 250


@dataclass(frozen=True, kw_only=True)
class Words:
    """What goes through a cell, and the unit of the cycle model that says when.

    Attributes
    ----------
    given, expected : sequence of int
        Words of some frames back to back.
    unit : Unit
    periods : int
        Of the unit, for all words.
    causal : bool
        Whether no word comes before an image; else words of padding may, in the first window.
    """

    given: Sequence[int]
    expected: Sequence[int]
    unit: Unit
    periods: int
    causal: bool = True

    def cycles(self, pauses: Sequence[Sequence[bool]]) -> tuple[list[int], list[int]]:
        """The cycle in which each word is taken in and out by the model."""
        origin, target = Channel(), Channel()
        assert len(self.given) == self.periods * self.unit.words
        assert len(self.expected) == self.periods * self.unit.outputs
        run(
            [
                source(origin, len(self.given), pauses[0]),
                unit_process(self.unit, origin, target, self.periods),
                sink(target, len(self.expected), pauses[1]),
            ]
        )
        return list(origin.takes), list(target.takes)


async def check(dut: Any, index: int, case: Case, words: Words) -> None:
    """Every word and its cycle, with and without pauses, and after a reset within a frame."""
    start_clock(dut.clk_i)
    await restart(dut, index)
    first, second = (
        list(islice(random_stalls(2 * index + end), PAUSED_CYCLES)) for end in range(2)
    )
    patterns: dict[str, tuple[list[bool], list[bool]]] = {
        "free": ([], []),
        "both": (first, second),
        "input": (second, []),
        "output": ([], first),
        "blocked": ([], [True] * PAUSED_CYCLES),
    }
    for name, pauses in patterns.items():
        await _compare(dut, index, f"case {index}, {case}, {name}", words, pauses)
        await restart(dut, index)
    frame = len(words.given) // words.periods
    for ready, cycles in ((1, frame // 2 + 1), (0, frame + 3), (1, 2 * frame + 1)):
        await interrupt(dut, index, words.given, cycles, ready)
        name = f"case {index}, {case}, reset after {cycles} cycles"
        await _compare(dut, index, name, words, patterns["free"])
        await restart(dut, index)


async def _compare(
    dut: Any, index: int, name: str, words: Words, pauses: Sequence[Sequence[bool]]
) -> None:
    source_stream, target = streams(dut, index)
    collected = Sink(target, chain(pauses[1], repeat(False)), frame=1)
    sending = cocotb.start_soon(drive(source_stream, len(words.given), pauses[0], words.given))
    await collected.receive(len(words.expected), PATIENCE)
    taken = await sending
    if words.causal:
        await collected.stay_empty(20)
    equal(f"{name}: words", collected.words, words.expected)
    expected = words.cycles(pauses)
    equal(f"{name}: cycles out", [cycle - 1 for cycle in collected.cycles], expected[1])
    equal(f"{name}: cycles in", taken, expected[0])
