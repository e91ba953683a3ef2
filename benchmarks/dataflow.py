"""How long do the cycles and FIFO depths of ResNet-8 take, and how much faster is the model than
clocking every cell?

All sides run in turns in one process, two frames each, and CPU time counts; the clocked cells are
those of the tests, and every word must move in the same cycle.

    python -m benchmarks.dataflow [--rounds 3] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import resnet8
from benchmarks.origin import origin
from tests.simulate.dataflow.clocked import Machine
from vecq_hw.files import write_atomically
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate.dataflow import fifo_depths, simulate_frames

FRAMES = 2


def main() -> None:
    """Print one JSON tree: seconds, the ratio, and what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    network = resnet8()
    schedule = default_schedule(network)
    depths = fifo_depths(network, schedule)
    sides = {
        "fifo_depths": lambda: fifo_depths(network, schedule),
        "simulate_frames": lambda: simulate_frames(network, schedule, depths, FRAMES),
        "clocked": lambda: Machine(network, schedule, depths, FRAMES, (), ()).run(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            start = time.process_time()
            results[name] = side()
            seconds[name].append(time.process_time() - start)
    run = results["simulate_frames"]
    assert [list(c) for c in run.output_cycles.values()] == results["clocked"][1]
    assert results["fifo_depths"] == depths
    medians = {name: round(float(np.median(times)), 3) for name, times in seconds.items()}
    tree = {
        **origin(),
        "network": network.name,
        "lanes": 8,
        "frames": FRAMES,
        "rounds": arguments.rounds,
        "cpu_seconds": medians,
        "clocked_over_simulate_frames": round(medians["clocked"] / medians["simulate_frames"], 1),
        "interval": run.interval,
        "first_output": run.first_output,
        "deep_fifos": {name: depth for name, depth in depths.items() if depth > 2},
    }
    text = json.dumps(tree, indent=2, ensure_ascii=False)
    print(text)
    if arguments.out is not None:
        write_atomically(arguments.out, text.encode() + b"\n")


if __name__ == "__main__":
    main()
