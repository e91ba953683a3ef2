"""The words of the RTL are the simulator's, and their cycles those of the dataflow model."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rtl_tests import bench_cycles, harness, networks
from rtl_tests.bench_cycles import FRAMES
from rtl_tests.test_networks import wrapper
from tests.random_networks import (
    random_chain,
    random_ends,
    random_graph,
    random_pair,
    random_sequence,
)
from tests.shares import nightly
from tests.simulate.dataflow.networks import branched, constant_first, inverted_residual
from vecq_hw.accelerator.plan import plan
from vecq_hw.bench.ports import load_ends
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.systemverilog import unsupported
from vecq_hw.layers import Add, Concat
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import fifo_depths, simulate_frames
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.verify.rtl import emit
from vecq_hw.verify.vectors import random_vectors

TOP = "cycles"
CHAINS, GRAPHS, SEQUENCES = 32, 52, 6
LONGEST = 700
"""Cycles that a frame of a random network takes at most, so that all of them are through soon."""


def chains() -> dict[str, tuple[Network, Schedule]]:
    """Every network of the regression and random chains, by the name of their top."""
    known = {
        name: (networks.network(index), networks.schedule(index))
        for index, name in enumerate(networks.TOPS)
    }
    return known | short(random_pair(random_chain, f"chain{n}", n) for n in range(CHAINS))


def graphs(first: int, last: int) -> dict[str, tuple[Network, Schedule]]:
    """Random graphs, by the name of their top."""
    return short(random_pair(random_graph, f"graph{n}", n) for n in range(first, last))


def several_ends(first: int, last: int) -> dict[str, tuple[Network, Schedule]]:
    """Random networks of several inputs and outputs, by the name of their top."""
    return short(random_pair(random_ends, f"ends{n}", n) for n in range(first, last))


def sequences(last: int) -> dict[str, tuple[Network, Schedule]]:
    """Random sequences, by the name of their top."""
    return short(random_pair(random_sequence, f"sequence{n}", n) for n in range(last))


def short(pairs: Iterable[tuple[Network, Schedule]]) -> dict[str, tuple[Network, Schedule]]:
    """What the target takes and whose frames are short."""
    return {
        network.name: (network, schedule)
        for network, schedule in pairs
        if unsupported(network) is None and max(plan(network, schedule).busy.values()) <= LONGEST
    }


def blocks() -> dict[str, tuple[Network, Schedule]]:
    """A frame that is kept until the gate that depends on all of it comes; a leading constant."""
    kept, leading = inverted_residual("blockx"), constant_first("leadingx")
    return {
        kept.name: (kept, default_schedule(kept, 4)),
        leading.name: (leading, default_schedule(leading, 1)),
    }


def branches() -> dict[str, tuple[Network, Schedule]]:
    """Branches that meet again; the first two stood still, in the model or under pauses."""
    shapes = [
        ((1, 2, 3), ("r", "", "1r"), Concat),
        ((2, 3, 4), ("3r", "r", "r"), Concat),
        ((2, 2, 2), ("rr", "r", ""), Add),
        ((2, 3, 2), ("r1r", "", "1r", "r"), Concat),
    ]
    made = [branched(*shape, f"branched{index}x") for index, shape in enumerate(shapes)]
    return {
        network.name: (network, default_schedule(network, 1 + index % 2))
        for index, network in enumerate(made)
    }


KINDS: dict[str, Callable[[], dict[str, tuple[Network, Schedule]]]] = {
    "chains": chains,
    "graphs": lambda: sequences(SEQUENCES) | branches() | graphs(0, GRAPHS),
    "more graphs": lambda: sequences(8 * SEQUENCES) | graphs(GRAPHS, 5 * GRAPHS),
    "several ends": lambda: several_ends(0, GRAPHS),
}


@pytest.mark.needs_verilator
@pytest.mark.parametrize(
    ("kind", "every"),
    [("chains", 12), ("graphs", 12), ("several ends", 7), *(nightly(kind, 1) for kind in KINDS)],
)
def test_every_word_moves_in_the_cycle_that_the_model_says(
    kind: str, every: int, tmp_path: Path
) -> None:
    drawn = KINDS[kind]()
    assert len(drawn) >= 40
    chosen = dict(list(drawn.items())[::every])
    compare(chosen | blocks() if kind == "graphs" else chosen, tmp_path)


def compare(configurations: Mapping[str, tuple[Network, Schedule]], folder: Path) -> None:
    """Run all of them in one top; assert words and cycles of every run."""
    sent: dict[str, tuple[dict[str, list[int]], dict[str, int]]] = {}
    wanted: dict[str, list[list[int]]] = {}
    expected: dict[str, dict[str, Any]] = {run: {} for run in bench_cycles.pauses(0)}
    for index, (name, (network, schedule)) in enumerate(configurations.items()):
        inputs = checked_inputs(network, random_vectors(network, FRAMES, index))
        outputs = simulate(network, inputs, taps=network.outputs)
        emit(network, schedule, Vectors(inputs=inputs, outputs=outputs)).write(folder / name)
        shutil.copytree(folder / name / "rtl", folder / "rtl", dirs_exist_ok=True)
        given, made = (
            {
                end.port.stream: [
                    word
                    for frame in arrays[end.port.tensor].reshape(FRAMES, -1).tolist()
                    for word in end.port.pack(frame)
                ]
                for end in ends
            }
            for ends, arrays in zip(
                load_ends(folder / name / "manifest.json"), (inputs, outputs), strict=True
            )
        )
        sent[name] = given, {stream: len(words) for stream, words in made.items()}
        wanted[name] = list(made.values())
        depths, planned = fifo_depths(network, schedule), plan(network, schedule)
        for run, chosen in bench_cycles.pauses(index, len(given), len(made)).items():
            expected[run][name] = simulate_frames(
                network,
                schedule,
                depths,
                frames=FRAMES,
                input_pauses=dict(zip(planned.inputs, chosen.inputs, strict=True)),
                output_pauses=dict(zip(planned.outputs, chosen.outputs, strict=True)),
            )
    (folder / "rtl" / f"{TOP}.sv").write_text(wrapper(folder, TOP, list(configurations)))
    (folder / "plan.json").write_text(json.dumps(sent))
    harness.run_bench(folder, TOP, "rtl_tests.bench_cycles", harness.QUICK_BUILD)

    measured = json.loads((folder / "results" / bench_cycles.RESULT).read_text())
    different = []
    for run, results in expected.items():
        for name, result in results.items():
            entered, left = measured[run][name]
            streams = [
                *zip(result.input_cycles.values(), entered, strict=True),
                *zip(result.output_cycles.values(), (cycles for cycles, _ in left), strict=True),
                *zip(wanted[name], (words for _, words in left), strict=True),
            ]
            for place, (should, found) in enumerate(streams):
                if found != list(should):
                    different.append(f"{name}, {run}: {place}: {found}, should be {list(should)}")
    assert not different, "\n".join([f"{len(different)} streams differ", *different[:3]])
    for name, result in expected["free"].items():
        cycles = [cycles for cycles, _ in measured["free"][name][1]]
        ends = [
            max(some[(frame + 1) * len(some) // FRAMES - 1] for some in cycles)
            for frame in range(FRAMES)
        ]
        assert result.first_output == min(some[0] for some in cycles)
        assert result.frame_ends == ends
