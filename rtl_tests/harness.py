"""One top with an instance of a cell for each case, so that one build serves a whole regression."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cocotb
import numpy as np

from vecq_hw import assets
from vecq_hw.bench.runner import COVERAGE
from vecq_hw.bench.stream import Sink, StreamSignals, no_stalls, random_stalls, reset, send, wait
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray
from vecq_hw.processes import run_process

TOP = "cells"
PATIENCE = 5000
# A build takes longer than few cycles, which are run in no time either way.
QUICK_BUILD = MappingProxyType({"GNUMAKEFLAGS": "OPT_FAST=-O0"})
# What the two ends of a cell do, for the record of coverage: of all its streams on a side, any.
SITUATIONS = {
    "sender_pauses": "rst_ni && |( ready_o & ~ valid_i )",
    "sender_waits": "rst_ni && |( valid_i & ~ ready_o )",
    "receiver_pauses": "rst_ni && |( valid_o & ~ ready_i )",
    "receiver_waits": "rst_ni && |( ready_i & ~ valid_o )",
    "both_wait": "rst_ni && |( valid_i & ~ ready_o ) && |( ready_i & ~ valid_o )",
    "both_move": "rst_ni && |( valid_i & ready_o ) && |( valid_o & ready_i )",
    "blocked": "rst_ni && |( valid_i & ~ ready_o ) && |( valid_o & ~ ready_i )",
    "reset_while_offered": "! rst_ni && |( valid_o )",
}


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Contents of a memory of ``lanes`` values of ``bits`` bits a word."""

    values: IntArray
    lanes: int
    bits: int

    def text(self) -> str:
        return "".join(f"{word:x}\n" for word in pack_rows(self.values, self.lanes, self.bits))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One instance: parameters, widths of its words, memories by parameter, own sources.

    Cells of several input or output streams have vectors of valid and ready, and all words in data;
    the widths of their inputs may differ.
    """

    module: str
    parameters: Mapping[str, object]
    input_bits: int | tuple[int, ...]
    output_bits: int
    memories: Mapping[str, Memory] = field(default_factory=dict)
    inputs: int = 1
    outputs: int = 1
    sources: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.module, *(f"{n}={value}" for n, value in self.parameters.items())])


def top(cases: Mapping[int, Case]) -> str:
    """A module with an instance of each case; their numbers are in the names of their streams."""
    ports = ["input logic clk_i", "input logic rst_ni"]
    body = []
    for index, case in cases.items():
        wires: dict[str, list[str]] = {}
        for names, count, bits in (
            (("valid_i", "ready_o", "data_i"), case.inputs, case.input_bits),
            (("valid_o", "ready_i", "data_o"), case.outputs, case.output_bits),
        ):
            widths = bits if isinstance(bits, tuple) else (bits,) * count
            for name in names:
                direction = "input" if name.endswith("_i") else "output"
                wires[name] = [f"c{index}_{stream}_{name}" for stream in range(count)]
                for wire, wide in zip(wires[name], widths, strict=True):
                    width = f"[{wide - 1}:0] " if name.startswith("data") else ""
                    ports.append(f"{direction} logic {width}{wire}")
        files = {name: f'"c{index}_{name}.mem"' for name in case.memories}
        values = {**case.parameters, **files}.items()
        connections = [f".{name}({{{', '.join(w[::-1])}}})" for name, w in wires.items() if w]
        given = ", ".join(f".{name}({value})" for name, value in values)
        parameters = f"#({given}) " if given else ""
        body.append(
            f"  {case.module} {parameters}c{index}_unit"
            f" (.clk_i, .rst_ni, {', '.join(connections)});\n"
        )
        ends = {n: f"{{{', '.join(w)}}}" for n, w in wires.items()}
        for situation, text in SITUATIONS.items() if case.inputs else ():
            condition = " ".join(
                f"({ends[word]})" if word in ends else word for word in text.split()
            )
            body.append(f"  c{index}_{situation}: cover property (@(posedge clk_i) {condition});\n")
    port_list = ",\n  ".join(ports)
    return f"module {TOP} (\n  {port_list}\n);\n{''.join(body)}endmodule\n"


def share(every: int) -> int:
    """One in how many cases runs: ``every``, but all where coverage is counted."""
    return 1 if os.environ.get(COVERAGE) else every


def run(
    folder: Path, bench: str, cases: Sequence[Case], every: int = 1, also: Collection[int] = ()
) -> None:
    """Build cases as one top and run the cocotb tests of the module ``rtl_tests.<bench>``.

    Of all cases, one in ``every`` and those that ``also`` numbers; where coverage is counted, all.
    """
    run_bench(folder, TOP, f"rtl_tests.{bench}", prepare(folder, cases, every, also))


def prepare(
    folder: Path, cases: Sequence[Case], every: int = 1, also: Collection[int] = ()
) -> dict[str, str]:
    """Write cells, top and memories of :func:`run`; the environment that its bench wants."""
    every = share(every)
    chosen = {n: case for n, case in enumerate(cases) if n % every == 0 or n in also}
    rtl = folder / "rtl"
    shutil.copytree(assets.rtl(), rtl)
    (rtl / f"{TOP}.sv").write_text(top(chosen))
    for index, case in chosen.items():
        for name, text in case.sources.items():
            (rtl / name).write_text(text)
        for name, memory in case.memories.items():
            (rtl / f"c{index}_{name}.mem").write_text(memory.text())
    numbers = "|".join(map(str, chosen))
    only = {"COCOTB_TEST_FILTER": rf"^[^/]*$|/(.*/)?index=({numbers})(/|$)"}
    return {**only, **QUICK_BUILD}


def run_bench(
    folder: Path, top_name: str, bench: str, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run a bench on ``folder``/rtl in a process of its own; raise what went wrong.

    ``more`` are variables of its environment.
    """
    code = (
        "import sys; from pathlib import Path; from vecq_hw.bench.runner import main;"
        " raise SystemExit(main(Path(sys.argv[1]), *sys.argv[2:]))"
    )
    root = Path(__file__).resolve().parent.parent
    paths = [str(root), str(folder), os.environ.get("PYTHONPATH", "")]
    status, output = run_process(
        [sys.executable, "-c", code, str(folder), top_name, bench],
        folder,
        {**more, **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=3000,  # for what hangs, not for a busy machine
    )
    assert not status, output[-6000:]


def streams(dut: Any, index: int) -> tuple[StreamSignals, StreamSignals]:
    """The input and the output stream of a case, the first where it has several."""
    sources, targets = all_streams(dut, index)
    return sources[0], targets[0]


def all_streams(dut: Any, index: int) -> tuple[list[StreamSignals], list[StreamSignals]]:
    """The input and the output streams of a case."""

    def some(what: str, forward: str, backward: str) -> list[StreamSignals]:
        found: list[StreamSignals] = []
        while hasattr(dut, f"c{index}_{len(found)}_valid{forward}"):
            number = len(found)
            handles = {
                name: getattr(dut, f"c{index}_{number}_{name}{suffix}")
                for name, suffix in (("valid", forward), ("ready", backward), ("data", forward))
            }
            name = f"{what} {number} of case {index}"
            found.append(StreamSignals(name=name, clock=dut.clk_i, **handles))
        return found

    return some("input", "_i", "_o"), some("output", "_o", "_i")


async def restart(dut: Any, index: int) -> None:
    """Reset while the case's streams are idle."""
    sources, targets = all_streams(dut, index)
    for source in sources:
        source.valid.value = 0
    for target in targets:
        target.ready.value = 0
    await reset(dut.clk_i, dut.rst_ni)


async def exchange(
    dut: Any, index: int, words: Sequence[Sequence[int]], counts: Sequence[int], seed: int | None
) -> list[Sink]:
    """Send the words of each input, receive exactly so many of each output.

    All streams pause unless ``seed`` is None.
    """

    def stalls(number: int) -> Iterator[bool]:
        return no_stalls() if seed is None else random_stalls(2 * seed + number)

    sources, targets = all_streams(dut, index)
    sinks = [Sink(target, stalls(2 * n + 1), frame=1) for n, target in enumerate(targets)]
    tasks = [
        cocotb.start_soon(send(source, some, stalls(2 * n), frame=1, patience=PATIENCE))
        for n, (source, some) in enumerate(zip(sources, words, strict=True))
    ]
    tasks += [
        cocotb.start_soon(sink.receive(count, PATIENCE))
        for sink, count in zip(sinks, counts, strict=True)
    ]
    for task in tasks:
        await task
    for sink in sinks:
        await sink.stay_empty(20)
    return sinks


async def transfer(
    dut: Any, index: int, words: Sequence[int], count: int, seed: int | None
) -> Sink:
    """:func:`exchange` for a cell of one input and one output."""
    (sink,) = await exchange(dut, index, [words], [count], seed)
    return sink


async def interrupt(
    dut: Any, index: int, words: Sequence[int] | Sequence[Sequence[int]], cycles: int, ready: int
) -> None:
    """Send for some cycles, to one input or to each of them, then reset in the middle.

    Bit n of ``ready`` is that of output n; -1 is all of them.
    """
    sources, targets = all_streams(dut, index)
    several = [words] if isinstance(words[0], int) else words
    for number, target in enumerate(targets):
        target.ready.value = ready >> number & 1
    tasks = [
        cocotb.start_soon(send(source, some, no_stalls(), frame=1, patience=cycles + 1))
        for source, some in zip(sources, several, strict=True)
    ]
    await wait(dut.clk_i, cycles)
    for task in tasks:
        task.cancel()
    await restart(dut, index)


def corners(lo: int, hi: int, elements: int) -> IntArray:
    """Frames of all zero, all maximum, all minimum, and both in turn; shape (5, elements)."""
    turn = np.where(np.arange(elements) % 2, lo, hi)
    rows = [np.full(elements, value) for value in (min(max(0, lo), hi), hi, lo)]
    return np.array([*rows, turn, turn[::-1]], dtype=np.int64)


def frames(seed: int, count: int, lo: int, hi: int, elements: int) -> IntArray:
    """Corner frames, then random ones; shape (5 + count, elements)."""
    drawn = np.random.default_rng(seed).integers(lo, hi, (count, elements), endpoint=True)
    return np.concatenate([corners(lo, hi, elements), drawn])


def equal(what: str, actual: Sequence[int], expected: Sequence[int]) -> None:
    """Assert that two lists are equal; pytest takes minutes to explain how long ones differ."""
    same = len(actual) == len(expected)
    assert same, f"{what}: {len(actual)} items instead of {len(expected)}"
    for place, (found, wanted) in enumerate(zip(actual, expected, strict=True)):
        same = found == wanted
        assert same, f"{what}: item {place} is {found}, but must be {wanted}"
