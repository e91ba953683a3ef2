"""Random networks of the one generator on the simulator, in C++ and in RTL: counts and faults.

python -m tests.random_record [--plain 10000] [--hls 300] [--rtl 100] [--onnx 500]
                                   [--qonnx 500] [--first SEED] [--jobs 2]

``plain`` networks are computed by the simulator and by plain Python, every tensor of each; the
others are emitted, built and run.  The executors of ``onnx`` and ``qonnx`` run in this process
(tests/onnx_models.py); what they refuse is counted apart.  The counts, by kind of layer, go to
docs/results/random_networks.json.  A network that fails is named by its seed:
``random_pair(MAKERS[seed % len(MAKERS)], "net", seed)`` makes it again with its schedule.

What each part gave is kept in ``--kept`` beside the state of the sources that gave it; a run that
was stopped goes on where it was, and a change of the sources runs all again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from tests import plain
from tests.kept import PACKAGE, Kept, state
from tests.random_networks import (
    random_chain,
    random_ends,
    random_graph,
    random_pair,
    random_sequence,
)
from tests.workers import workers
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.interrupts import interrupt_on_signals
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose

VECTORS = {"plain": 2, "hls": 8, "rtl": 4, "onnx": 8, "qonnx": 8}
PART = 50
"""Networks of one task of what runs in this process."""
MODELS = ("onnx", "qonnx")
WANTED = {"plain": 10_000, "hls": 300, "rtl": 100, "onnx": 600, "qonnx": 1000}
"""Networks of each target; QONNX refuses a third of them."""
MAKERS = (random_graph, random_chain, random_graph, random_sequence, random_graph, random_ends)
"""Which of them makes a network, by the seed."""


@dataclass
class Counts:
    """What came of some networks of one target."""

    networks: int = 0
    refused: int = 0
    integers: int = 0
    mismatches: int = 0
    layers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Take in the counts of further networks."""
        self.networks += other.networks
        self.refused += other.refused
        self.integers += other.integers
        self.mismatches += other.mismatches
        self.layers += other.layers
        self.faults += other.faults


def of_seeds(target: str, seeds: range) -> Counts:
    """The networks of these seeds on one target."""
    total = Counts()
    for seed in seeds:
        network, schedule = random_pair(MAKERS[seed % len(MAKERS)], "net", seed)
        try:
            if target == "plain":
                total.add(_in_plain_python(network, seed))
            elif target in MODELS:
                total.add(_as_model(network, target, seed))
            else:
                total.add(_on_target(network, schedule, target, seed))
        except Exception as error:  # a fault, to be shown with its seed
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            total.faults.append(f"{target} {seed}: {said} ({Path(place.filename).name})")
    return total


def inputs_of(network: Network, count: int, seed: int) -> dict[str, Any]:
    """Random codes of each input; the first sample at one end, the second at the other."""
    generator = np.random.default_rng(seed)
    given = {}
    for source in network.inputs:
        lo, hi = source.format.lo, source.format.hi
        x = generator.integers(lo, hi, (count, *source.shape), endpoint=True)
        if seed % 3 == 0:
            x[0], x[-1] = lo, hi
        given[source.name] = x
    return given


def _in_plain_python(network: Network, seed: int) -> Counts:
    x = inputs_of(network, VECTORS["plain"], seed)
    names = list(network.tensors)
    one = len(network.inputs) == 1
    taps = simulate(network, next(iter(x.values())) if one else x, taps=names)
    counts = Counts(networks=1, layers=kinds(network))
    for index in range(VECTORS["plain"]):
        sample: Any = {name: array[index].tolist() for name, array in x.items()}
        values = plain.evaluate(network, next(iter(sample.values())) if one else sample)
        for name in names:
            differing = np.asarray(values[name]) != taps[name][index]
            counts.integers += differing.size
            if differing.any():
                counts.mismatches += int(differing.sum())
                counts.faults.append(f"plain {seed}: '{name}' differs")
    return counts


def _as_model(network: Network, target: str, seed: int) -> Counts:
    from tests import onnx_models
    from vecq_hw.emit import onnx, qonnx

    emitter, execute = {
        "onnx": (onnx, onnx_models.in_onnxruntime),
        "qonnx": (qonnx, onnx_models.in_qonnx),
    }[target]
    if emitter.unsupported(network) is not None:
        return Counts(refused=1)
    integers, wrong = onnx_models.differing(
        network, seed, VECTORS[target], emitter.model(network), execute
    )
    faults = [f"{target} {seed}: {wrong} integers differ"] * bool(wrong)
    return Counts(
        networks=1, integers=integers, mismatches=wrong, layers=kinds(network), faults=faults
    )


def _on_target(network: Network, schedule: Any, target: str, seed: int) -> Counts:
    x = inputs_of(network, VECTORS[target], seed)
    given: Any = next(iter(x.values())) if len(network.inputs) == 1 else x
    with tempfile.TemporaryDirectory() as folder:
        (row,) = verify(
            network, given, targets=choose([target]), folder=Path(folder), schedule=schedule
        ).rows
    match row.status:
        case Status.PASSED:
            return Counts(networks=1, integers=row.outputs, layers=kinds(network))
        case Status.UNSUPPORTED:
            return Counts(refused=1)
        case Status.FAILED | Status.ERROR:
            fault = f"{target} {seed}: {' '.join(row.message.split())[-300:]}"
            return Counts(networks=1, mismatches=row.mismatches, faults=[fault])


def kinds(network: Network) -> Counter[str]:
    """How many layers of each kind it has."""
    return Counter(type(layer).__name__ for layer in network.layers)


def _parts(target: str, first: int, count: int) -> Iterator[range]:
    step = PART if target in ("plain", *MODELS) else 1
    for start in range(first, first + count, step):
        yield range(start, min(start + step, first + count))


SOURCES = (
    *PACKAGE,
    "tests/plain.py",
    "tests/random_networks",
    "tests/onnx_models.py",
    "tests/random_record.py",
)
"""All that a result depends on."""


def record(wanted: dict[str, int], first: int, jobs: int, kept: Kept) -> dict[str, Counts]:
    """All networks of all targets; the counts of each part are kept as soon as they are there."""
    totals = {target: Counts() for target in wanted}
    parts = [
        (name, seeds) for name, count in wanted.items() for seeds in _parts(name, first, count)
    ]
    with workers(_of_part, jobs) as results, Progress() as progress:
        task = progress.add_task("random networks", total=sum(wanted.values()))
        found = {part: kept.get(_name(*part)) for part in parts}
        known = [(part, counts) for part, counts in found.items() if counts is not None]
        left = [part for part, counts in found.items() if counts is None]
        for (target, seeds), counts in chain(known, results(left)):
            kept.put(_name(target, seeds), counts)
            totals[target].add(Counts(**counts))
            for fault in counts["faults"]:
                progress.console.print(fault, markup=False)
            progress.update(task, advance=len(seeds), description=target)
    return totals


def _of_part(part: tuple[str, range]) -> dict[str, Any]:
    return vars(of_seeds(*part))


def _name(target: str, seeds: range) -> str:
    return f"{target} {seeds.start} {seeds.stop}"


def main() -> None:
    """Run, write, and end with 1 where a network fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for target, count in WANTED.items():
        parser.add_argument(f"--{target}", type=int, default=count)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kept", type=Path, default=Path("build/random"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/random_networks.json"))
    arguments = parser.parse_args()
    wanted = {target: getattr(arguments, target) for target in VECTORS}
    interrupt_on_signals()
    kept = Kept(arguments.kept, state(*SOURCES))
    try:
        totals = record(wanted, arguments.first, arguments.jobs, kept)
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on where it was") from None
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    found = {
        target: {**vars(counts), "layers": dict(sorted(counts.layers.items()))}
        for target, counts in totals.items()
        if wanted[target]
    }
    text = json.dumps({"commit": commit, "first_seed": arguments.first, **found}, indent=1)
    write_atomically(arguments.out, f"{text}\n".encode())
    for target, counts in totals.items():
        print(
            f"{target}: {counts.networks} networks, {counts.refused} refused,"
            f" {counts.integers} integers, {counts.mismatches} mismatches,"
            f" {len(counts.faults)} faults"
        )
    raise SystemExit(any(counts.faults for counts in totals.values()))


if __name__ == "__main__":
    try:
        main()
    except VecqError as error:
        raise SystemExit(str(error)) from None
