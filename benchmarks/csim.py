"""C simulation of our HLS C++ beside hls4ml's: throughput, and time to compile.

Both sides in turns in one run, on the same network and frames, every output compared with the
simulator.  Both are asked for the same work: a C function in a shared library takes an array of
frames in memory (ours int64, hls4ml's float32), gives each element to the synthesized top, and
fills an array of outputs.  Ours is compiled with -O2, the Makefile's, hls4ml's with its own -O3.

Beside that stands our whole test program, as ``make`` runs it: it reads inputs and expected
outputs as text, compares, and writes what it computed as text.  hls4ml's times are again those in
memory.  Times to compile are that program's and those of ``ModelGraph.compile``.

Times are CPU seconds, of child processes too: other work on the machine hardly changes them.  One
thread a side.

    python -m benchmarks.csim [--rounds 5] [--out docs/results/csim.json]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.origin import origin
from vecq_hw.emit import hls, hls4ml
from vecq_hw.emit.project import Vectors
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES, require

FRAMES = {"mlp": 400, "lenet5": 12, "convolution": 60}
BRIDGE = """
#include "{top}.hpp"
#include "vecq/testbench.hpp"

extern "C" void run(const std::int64_t* x, std::int64_t* y, int frames) {{
  using Input = {top}_input;
  using Output = {top}_output;
  hls::stream<Input::Word> s_axis("s_axis");
  hls::stream<Output::Word> m_axis("m_axis");
  std::vector<std::int64_t> in(Input::elements), out(Output::elements);
  for (int frame = 0; frame < frames; ++frame, x += Input::elements) {{
    in.assign(x, x + Input::elements);
    vecq::send<Input>(in, s_axis);
    {top}(s_axis, m_axis);
    vecq::receive<Output>(m_axis, out);
    y = std::copy(out.begin(), out.end(), y);
  }}
}}
"""


def convolution() -> Network:
    """32 × 32 × 3 to 32 channels, 3 × 3: hls4ml's io_parallel compiles this for minutes."""
    net = networks._Builder("convolution", (32, 32, 3))
    net.convolution("conv", "x", 32, 3)
    return net.network()


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """The processor seconds of this process and its children, and what ``work`` returns."""

    def total() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    start = total()
    result = work()
    return total() - start, result


class Ours:
    """The project of ``vecq emit hls``."""

    def __init__(self, network: Network, x: IntArray, folder: Path) -> None:
        outputs = simulate(network, x)
        vectors = Vectors(inputs=x, outputs=outputs)
        self.folder = hls.emit(network, default_schedule(network), vectors).write(folder)
        self.x = np.ascontiguousarray(x, dtype=np.int64)
        self.outputs = np.zeros((len(x), outputs[0].size), np.int64)
        (self.ap_types,) = require(AP_TYPES)

    def compile(self) -> None:
        """Compile the test program."""
        outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
        environment = {key: value for key, value in os.environ.items() if key not in outer}
        command = ["make", "-B", "build/test", f"AP_TYPES={self.ap_types}"]
        subprocess.run(
            command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )

    def test(self) -> None:
        """Run the test program: text to text, compared."""
        command = ["build/test", "build/outputs.txt"]
        subprocess.run(command, cwd=self.folder, check=True, stderr=subprocess.DEVNULL)

    def load(self) -> None:
        """Compile and load the top as a function of arrays."""
        (source,) = self.folder.glob("src/*.cpp")
        bridge = self.folder / "build" / "bridge.cpp"
        bridge.parent.mkdir(exist_ok=True)
        bridge.write_text(BRIDGE.format(top=source.stem))
        library = bridge.with_suffix(".so")
        command = ["g++", "-std=c++17", "-O2", "-Wno-unknown-pragmas", "-fPIC", "-shared"]
        command += ["-Iinclude", "-Isrc", "-isystem", str(self.ap_types)]
        command += ["-include", str(source), str(bridge), "-o", str(library)]
        subprocess.run(command, cwd=self.folder, check=True)
        self.library = ctypes.CDLL(str(library))

    def run(self) -> IntArray:
        """The outputs of every frame."""
        pointers = [
            array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)) for array in (self.x, self.outputs)
        ]
        self.library.run(*pointers, len(self.x))
        return self.outputs


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
    """Medians of both sides' runs, and their ratios; each side compiles once."""
    x = networks.inputs(network, frames)
    expected = simulate(network, x).reshape(frames, -1)
    seconds: dict[str, list[float]] = {}

    def time(name: str, work: Callable[[], Any]) -> Any:
        spent, result = cpu_seconds(work)
        seconds.setdefault(name, []).append(spent)
        return result

    with tempfile.TemporaryDirectory(prefix="vecq-csim-") as folder:
        ours = Ours(network, x, Path(folder) / "ours")
        theirs = Theirs(network, x, Path(folder) / "hls4ml", io_type)
        time("ours_compile", ours.compile)
        time("hls4ml_compile", theirs.compile)
        ours.load()
        for _ in range(rounds):
            assert np.array_equal(time("ours_run", ours.run), expected)
            assert np.array_equal(time("hls4ml_run", theirs.run), expected)
            time("ours_test", ours.test)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    macs = networks.multiplications(network) * frames
    return {
        "io_type": io_type,
        "frames": frames,
        "multiplications": macs // frames,
        "cpu_seconds": {name: round(value, 4) for name, value in medians.items()},
        "million_macs_a_second": {
            name: round(macs / medians[f"{name}_run"] / 1e6, 1) for name in ("ours", "hls4ml")
        },
        "throughput_ratio": round(medians["hls4ml_run"] / medians["ours_run"], 2),
        "throughput_ratio_of_test": round(medians["hls4ml_run"] / medians["ours_test"], 2),
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
            ours.load()
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows: dict[str, Any] = {}
    for name, frames in FRAMES.items():
        network = convolution() if name == "convolution" else networks.NETWORKS[name]()
        parallel = name == "convolution"  # what takes hls4ml so long to compile
        io_type = "io_parallel" if parallel else hls4ml.natural_io_type(network)
        rows[name] = measure(network, frames, arguments.rounds, io_type)
        print(name, json.dumps(rows[name]), flush=True)
    grown = growth()
    print("growth", json.dumps(grown), flush=True)
    for name, row in rows.items():
        print(
            f"{name}: our C simulation runs {row['throughput_ratio']} times as fast as hls4ml's"
            f" ({row['throughput_ratio_of_test']} times from text to text)"
            f" and compiles in {row['compile_ratio']} of its time"
        )
    tree = {
        **origin(),
        "rounds": arguments.rounds,
        "networks": rows,
        "growth_of_ours": grown,
    }
    if arguments.out is not None:
        write_atomically(arguments.out, (json.dumps(tree, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
