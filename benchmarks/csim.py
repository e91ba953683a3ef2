"""C simulation of our HLS C++ beside hls4ml's: throughput, and time to compile.

Both sides in turns in one run, the same network and inputs, every output compared with the
simulator.  Ours is the project that ``vecq emit hls`` writes, compiled by its Makefile (-O2) and
run by its own test, which reads text and writes text; hls4ml's is ``ModelGraph.compile`` (-O3) and
``predict``.  Times are CPU seconds, of child processes too: other work on the machine hardly
changes them.  One thread a side.

    python -m benchmarks.csim [--rounds 3] [--out docs/results/csim.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from vecq_hw.emit import hls, hls4ml
from vecq_hw.emit.project import Vectors, read_vectors
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.storage import write_atomically
from vecq_hw.toolchain import AP_TYPES, require

FRAMES = {"mlp": 400, "lenet5": 12}


def convolution() -> Network:
    """32 × 32 × 3 to 32 channels, 3 × 3: hls4ml's io_parallel compiles this for minutes."""
    net = networks._Builder("convolution", (32, 32, 3))
    net.convolution("conv", "x", 32, 3)
    return net.network()


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Of this process and its children, and what ``work`` returns."""

    def total() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    start = total()
    result = work()
    return total() - start, result


class Ours:
    """The project of ``vecq emit hls``."""

    def __init__(self, network: Network, x: IntArray, folder: Path) -> None:
        vectors = Vectors(inputs=x, outputs=simulate(network, x))
        self.folder = hls.emit(network, default_schedule(network), vectors).write(folder)

    def compile(self) -> None:
        """Compile all of it."""
        (ap_types,) = require(AP_TYPES)
        outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
        environment = {key: value for key, value in os.environ.items() if key not in outer}
        command = ["make", "-B", "build/test", f"AP_TYPES={ap_types}"]
        subprocess.run(
            command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )

    def run(self) -> IntArray:
        """The outputs of every frame."""
        command = ["build/test", "build/outputs.txt"]
        subprocess.run(command, cwd=self.folder, check=True, stderr=subprocess.DEVNULL)
        return read_vectors(self.folder / "build" / "outputs.txt")


class Theirs:
    """hls4ml's own compile and predict."""

    def __init__(self, network: Network, x: IntArray, folder: Path, io_type: str | None) -> None:
        self.model = hls4ml.convert(network, output_dir=folder, io_type=io_type)
        self.x = np.ascontiguousarray(x, dtype=np.float32)

    def compile(self) -> None:
        """Write and compile all of it."""
        with hls4ml.quiet():
            self.model.compile()

    def run(self) -> IntArray:
        """The outputs of every frame."""
        return np.asarray(self.model.predict(self.x)).reshape(len(self.x), -1).astype(np.int64)


def measure(network: Network, frames: int, rounds: int, io_type: str) -> dict[str, Any]:
    """Medians of both sides, and their ratios."""
    x = networks.inputs(network, frames)
    expected = simulate(network, x).reshape(frames, -1)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="vecq-csim-") as folder:
        sides = {
            "ours": Ours(network, x, Path(folder) / "ours"),
            "hls4ml": Theirs(network, x, Path(folder) / "hls4ml", io_type),
        }
        for _ in range(rounds):
            for name, side in sides.items():
                spent, _ = cpu_seconds(side.compile)
                seconds.setdefault(f"{name}_compile", []).append(spent)
            for name, side in sides.items():
                spent, outputs = cpu_seconds(side.run)
                seconds.setdefault(f"{name}_run", []).append(spent)
                assert np.array_equal(outputs, expected), name
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    macs = networks.multiplications(network) * frames
    return {
        "io_type": io_type,
        "frames": frames,
        "multiplications": macs // frames,
        "cpu_seconds": {name: round(value, 3) for name, value in medians.items()},
        "million_macs_a_second": {
            name: round(macs / medians[f"{name}_run"] / 1e6, 1) for name in ("ours", "hls4ml")
        },
        "throughput_ratio": round(medians["hls4ml_run"] / medians["ours_run"], 2),
        "compile_ratio": round(medians["ours_compile"] / medians["hls4ml_compile"], 2),
    }


def growth(frames: int = 20) -> list[dict[str, float]]:
    """Our side alone on convolutions of more and more channels: CPU seconds to compile and to run.

    With a line through zero the seconds a million multiply-adds stay; what is left of the time to
    compile is the headers.
    """
    rows = []
    for channels in (16, 32, 64, 128):
        net = networks._Builder("growing", (16, 16, channels))
        net.convolution("conv", "x", channels, 3)
        network = net.network()
        with tempfile.TemporaryDirectory(prefix="vecq-csim-") as folder:
            ours = Ours(network, networks.inputs(network, frames), Path(folder))
            compiled, _ = cpu_seconds(ours.compile)
            ran, _ = cpu_seconds(ours.run)
        macs = networks.multiplications(network)
        rows.append(
            {
                "multiplications": macs,
                "compile_cpu_seconds": round(compiled, 2),
                "run_cpu_seconds": round(ran, 3),
                "million_macs_a_second": round(macs * frames / ran / 1e6, 1),
            }
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    rows: dict[str, Any] = {}
    for name, frames in FRAMES.items():
        network = networks.NETWORKS[name]()
        io_type = hls4ml.natural_io_type(network)
        rows[name] = measure(network, frames, arguments.rounds, io_type)
        print(name, json.dumps(rows[name]), flush=True)
    rows["convolution"] = measure(convolution(), 60, 1, "io_parallel")
    print("convolution", json.dumps(rows["convolution"]), flush=True)
    grown = growth()
    print("growth", json.dumps(grown), flush=True)
    for name, row in rows.items():
        print(
            f"{name}: our C simulation runs {row['throughput_ratio']} times as fast as hls4ml's"
            f" and compiles in {row['compile_ratio']} of its time"
        )
    tree = {
        "command": f"python -m benchmarks.csim --rounds {arguments.rounds}",
        "commit": commit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rounds": arguments.rounds,
        "networks": rows,
        "growth_of_ours": grown,
    }
    if arguments.out is not None:
        write_atomically(arguments.out, (json.dumps(tree, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
