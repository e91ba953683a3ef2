"""Has the simulator become slower since another commit?

A process of each commit computes the same batch of the four networks of ``benchmarks.networks``,
in turns, on one thread; what counts is its processor time, which a busy machine disturbs least.
Each turn gives a ratio; a ratio above 1 means that this commit is faster.  There are several pairs
of processes, for where arrays happen to lie is the same for the whole life of a process.

    python -m benchmarks.simulator_before COMMIT [--out docs/results/simulator_before.json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.another_commit import checked_out, environment, resolved
from benchmarks.origin import ROOT, origin
from benchmarks.simulator import BATCH
from vecq_hw.files import write_atomically

NETWORKS = ("mlp", "lenet5", "vgg", "resnet8")
ENGINES = ("float", "int8")
CALLS = {"mlp": 40, "lenet5": 2}
"""How many calls of ``simulate`` make a turn, for networks whose single call takes little time."""
_PROCESS = """\
import hashlib, sys, time
import torch
from benchmarks import networks
from benchmarks.simulator import keep_freed_memory
from vecq_hw.simulate import simulate

torch.set_num_threads(1)
keep_freed_memory()
batch, made = int(sys.argv[1]), {}
print("ready", flush=True)
for line in sys.stdin:
    name, engine, calls = line.split()
    if name not in made:
        network = networks.NETWORKS[name]()
        made[name] = network, networks.inputs(network, batch)
    begin = time.process_time()
    for _ in range(int(calls)):
        outputs = simulate(*made[name], engine=engine)
    seconds = (time.process_time() - begin) / int(calls)
    digest = hashlib.sha256(outputs.astype("<i8").tobytes()).hexdigest()
    print(seconds, digest, flush=True)
"""
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}


class Side:
    """A process that simulates by the code of one commit."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._read()

    def _read(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise click.ClickException(
                "the simulator of one of the commits ended; its errors are above"
            )
        return line.split()

    def turn(self, name: str, engine: str) -> tuple[float, str]:
        """Processor seconds of a batch, and a digest of its outputs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {engine} {CALLS.get(name, 1)}\n")
        self._process.stdin.flush()
        seconds, digest = self._read()
        return float(seconds), digest


@contextmanager
def side(folder: Path) -> Iterator[Side]:
    """The process of the commit in ``folder``, which ends with the context."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS, str(BATCH)],
        cwd=folder,
        env={**environment(folder), **_ONE_THREAD},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Side(process)
    finally:
        process.kill()
        process.communicate()


def measured(
    before: Path, pairs: int, rounds: int, progress: Progress
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Seconds of both commits in each turn, by network and engine; the first turns warm up."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {
        (name, engine): [] for name in NETWORKS for engine in ENGINES
    }
    task = progress.add_task("rounds", total=pairs * (rounds + 1))
    for _ in range(pairs):
        with ExitStack() as stack:
            sides = [stack.enter_context(side(folder)) for folder in (before, ROOT)]
            for number in range(rounds + 1):
                for (name, engine), turns in found.items():
                    order = (0, 1) if number % 2 else (1, 0)
                    results = {place: sides[place].turn(name, engine) for place in order}
                    if results[0][1] != results[1][1]:
                        raise click.ClickException(f"{name}, {engine}: the outputs differ")
                    if number:
                        turns.append((results[0][0], results[1][0]))
                progress.update(task, advance=1)
    return found


def summary(turns: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Medians of both, and of the ratios of the turns with their quartiles."""
    seconds = np.array(turns)
    low, median, high = np.quantile(seconds[:, 0] / seconds[:, 1], (0.25, 0.5, 0.75))
    before, now = (float(f"{value:.4g}") for value in np.median(seconds, axis=0))
    return {
        "seconds_before": before,
        "seconds_now": now,
        "times_faster": round(float(median), 3),
        "quartiles": [round(float(low), 3), round(float(high), 3)],
        "turns": len(turns),
    }


@click.command(help=__doc__)
@click.argument("commit")
@click.option("--pairs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the results as JSON.")
def main(commit: str, pairs: int, rounds: int, out: Path | None) -> None:
    """Measure, print, record."""
    head: dict[str, Any] = {**origin(), "against": resolved(commit), "numpy": np.__version__}
    load = [round(os.getloadavg()[0], 1)]
    with checked_out(commit) as folder, Progress(transient=True) as progress:
        found = measured(folder, pairs, rounds, progress)
    load.append(round(os.getloadavg()[0], 1))
    rows = {f"{name}, {engine}": summary(turns) for (name, engine), turns in found.items()}
    shown = Table(title=f"Processor seconds of {BATCH} samples; ratios above 1: now faster")
    for column in ("network, engine", resolved(commit), "now", "ratio", "quartiles"):
        shown.add_column(column)
    for name, row in rows.items():
        cells = (row["seconds_before"], row["seconds_now"], row["times_faster"], row["quartiles"])
        shown.add_row(name, *map(str, cells))
    Console(width=100).print(shown)
    if out is not None:
        tree = {**head, "load": load, "batch": BATCH, "pairs": pairs, "networks": rows}
        write_atomically(out, (json.dumps(tree, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
