"""How fast is the simulator beside torch float32, hls4ml's C simulation and QONNX execution?

All sides of a comparison run in turns in one process; medians count, the ratios are what to quote.
A ratio above 1 means that ours is faster.  A peer that is not installed is "not run".

    python -m benchmarks.simulator [--part torch ...] [--out docs/results/simulator.json]
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import networks, peers
from benchmarks.origin import origin
from vecq_hw.files import write_atomically
from vecq_hw.simulate import simulate

BATCH = 256
PARTS = ("torch", "hls4ml", "qonnx", "scaling", "memory")


def interleaved(
    sides: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each side, each run once for warming up and then in turns."""
    for run in sides.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def keep_freed_memory() -> None:
    """Let glibc keep all memory that is freed, for every side of a comparison.

    Torch takes fresh memory for every result.  What glibc returns to the system between two of them
    depends on everything that the process did before; the page faults of getting it back cost
    torch from nothing to nearly half of its time, on the very same network.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_threshold = -1, -3
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)


@contextmanager
def one_processor() -> Iterator[None]:
    """The calling thread on one of its processors, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def against_torch(rounds: int) -> dict[str, Any]:
    """Float32 forward of the same layers.

    Twice: elapsed time with two threads each, and processor time with both sides on one processor,
    where a busy machine disturbs neither and no thread of torch's spins.
    """
    import torch

    keep_freed_memory()
    results = {}
    for name, build in networks.NETWORKS.items():
        network = build()
        x = networks.inputs(network, BATCH)
        module = networks.float_module(name)
        images = torch.from_numpy(x.astype(np.float32))
        if images.ndim == 4:
            images = images.permute(0, 3, 1, 2).contiguous()
        sides: dict[str, Callable[[], Any]] = {
            "torch_float32": partial(module, images),
            "float": partial(simulate, network, x),
        }
        sides["int8"] = partial(simulate, network, x, engine="int8")
        assert np.array_equal(sides["int8"](), sides["float"]())
        turns = rounds * (20 if name == "mlp" else 1)
        with torch.inference_mode():
            torch.set_num_threads(2)
            elapsed = interleaved(sides, turns, time.perf_counter)
            with one_processor():
                torch.set_num_threads(1)
                processor = interleaved(sides, turns, time.process_time)
        results[name] = {
            "multiply_adds": networks.multiplications(network),
            "elapsed": with_ratios(elapsed, "torch_float32"),
            "processor": with_ratios(processor, "torch_float32"),
        }
        print(name, json.dumps(results[name]["elapsed"]), flush=True)
        print(name, "processor time", json.dumps(results[name]["processor"]), flush=True)
    return results


def against_hls4ml(rounds: int) -> dict[str, Any]:
    """The C simulation of LeNet5 on a few images; ours on a batch; seconds an image."""
    network = networks.lenet5()
    x = networks.inputs(network, BATCH)
    few = x[:2]
    with tempfile.TemporaryDirectory() as folder:
        run = peers.hls4ml_simulation(network, Path(folder))
        mismatches = int((run(few) != simulate(network, few)).sum())
        seconds = interleaved(
            {"hls4ml": lambda: run(few), "float": lambda: simulate(network, x)},
            min(rounds, 3),
            time.perf_counter,
        )
    an_image = {"hls4ml": seconds["hls4ml"] / len(few), "float": seconds["float"] / len(x)}
    return {"mismatches": mismatches, "an_image": with_ratios(an_image, "hls4ml")}


def against_qonnx(rounds: int) -> dict[str, Any]:
    """QONNX's executor on batches of 1 and 256."""
    results: dict[str, Any] = {}
    for name in ("mlp", "lenet5"):
        network = networks.NETWORKS[name]()
        for batch in (1, BATCH):
            x = networks.inputs(network, batch)
            run = peers.qonnx_execution(network, batch)
            differing = int((run(x) != simulate(network, x)).any(axis=1).sum())
            sides: dict[str, Callable[[], Any]] = {
                "qonnx": partial(run, x),
                "float": partial(simulate, network, x),
            }
            seconds = interleaved(sides, rounds, time.perf_counter)
            results[f"{name}, batch {batch}"] = {
                "samples_that_differ": differing,
                "seconds": with_ratios(seconds, "qonnx"),
            }
    return results


def scaling(_rounds: int) -> dict[str, Any]:
    """Processor time an image of LeNet5 for 100, 1,000 and 10,000 images, three turns."""
    network = networks.lenet5()
    images = networks.inputs(network, 10_000)
    sides: dict[str, Callable[[], Any]] = {
        str(count): partial(simulate, network, images[:count]) for count in (100, 1000, 10_000)
    }
    seconds = interleaved(sides, 3, time.process_time)
    each = {count: total / int(count) * 1e6 for count, total in seconds.items()}
    return {"microseconds_an_image": each, "ratio": each["10000"] / each["100"]}


def memory(_rounds: int) -> dict[str, Any]:
    """Most bytes that arrays hold while simulating, beyond the inputs and the outputs."""
    results = {}
    for name in networks.NETWORKS:
        network = networks.NETWORKS[name]()
        simulate(network, networks.inputs(network, 2))  # the weights stay prepared
        for count in (BATCH, 4 * BATCH):
            images = networks.inputs(network, count)
            tracemalloc.start()
            outputs = simulate(network, images)
            peak = tracemalloc.get_traced_memory()[1] - outputs.nbytes
            tracemalloc.stop()
            results[f"{name}, {count} images"] = {"megabytes": round(peak / 1e6, 1)}
    return results


def with_ratios(seconds: dict[str, float], peer: str) -> dict[str, Any]:
    """The seconds, and how many times faster than the peer each of ours is."""
    ours = [name for name in seconds if name != peer]
    return {
        "seconds": {name: float(f"{value:.4g}") for name, value in seconds.items()},
        "times_faster": {name: round(seconds[peer] / seconds[name], 2) for name in ours},
    }


def installed(package: str) -> bool:
    """Whether a peer is there."""
    try:
        __import__(package)
    except ImportError:
        return False
    return True


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Default: all.")
@click.option("--rounds", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the results as JSON.")
def main(parts: Sequence[str], rounds: int, out: Path | None) -> None:
    """Run the comparisons and print them."""
    runs = {
        "torch": (against_torch, "torch"),
        "hls4ml": (against_hls4ml, "hls4ml"),
        "qonnx": (against_qonnx, "qonnx"),
        "scaling": (scaling, None),
        "memory": (memory, None),
    }
    results: dict[str, Any] = {
        **origin(),
        "numpy": np.__version__,
        "load": {"before": round(os.getloadavg()[0], 1)},
        "batch": BATCH,
        "rounds": rounds,
    }
    for part in parts or PARTS:
        run, package = runs[part]
        there = package is None or installed(package)
        results[part] = run(rounds) if there else "not run"
        print(part, json.dumps(results[part], indent=2), flush=True)
    results["load"]["after"] = round(os.getloadavg()[0], 1)
    if out is not None:
        write_atomically(out, (json.dumps(results, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
