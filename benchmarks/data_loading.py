"""Which share of an epoch goes into drawing, gathering and augmenting batches?

LeNet5 at W2A8 on images of MNIST's shape, batch 200, and the quarter of VGG-like on images of
CIFAR-10's shape, batch 128, cropped and mirrored: the images are random, which takes as long.  Both
sides run in turns in one process; processor time counts, so that other work matters little.

    python -m benchmarks.data_loading [--steps 20] [--threads 1] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.origin import origin
from vecq_hw.data import checked_dataset
from vecq_hw.files import write_atomically
from vecq_hw.train import PRESETS, Settings, Training, build_model, quantize_model

CASES = (("lenet5-mnist", (1, 28, 28)), ("vgg-quarter-cifar10", (3, 32, 32)))
ROUNDS = 5


def processor_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def load_an_epoch(training: Training) -> None:
    for _ in training.batches():
        pass


def training_of(model: str, shape: tuple[int, ...], settings: Settings, steps: int) -> Training:
    rng = np.random.default_rng(0)
    samples = steps * settings.batch_size
    x = rng.random((samples, *shape), np.float32)
    y = np.arange(samples) % 10
    torch.manual_seed(0)
    net = quantize_model(build_model(model, shape, 10), 2, 8)
    return Training(net, checked_dataset("random", x, y, x[:10], y[:10]), settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for name, shape in CASES:
        preset = PRESETS[name]
        training = training_of(
            preset.model, shape, replace(preset.settings, epochs=100), options.steps
        )
        epochs, loads = [], []
        for _ in range(ROUNDS):
            epochs.append(processor_seconds(training.run_epoch))
            loads.append(processor_seconds(partial(load_an_epoch, training)))
        epoch, load = statistics.median(epochs), statistics.median(loads)
        rows.append(
            {
                "preset": name,
                "batch_size": preset.settings.batch_size,
                "milliseconds_a_step": round(1e3 * epoch / options.steps, 3),
                "milliseconds_of_loading": round(1e3 * load / options.steps, 3),
                "loading_share": round(load / epoch, 5),
            }
        )
        print(
            f"{name}: {rows[-1]['milliseconds_a_step']:.1f} ms a step, loading"
            f" {rows[-1]['milliseconds_of_loading']:.2f} ms, {load / epoch:.2%}"
        )
    if options.out:
        report = {
            **origin(),
            "threads": options.threads,
            "torch": torch.__version__,
            "rounds": ROUNDS,
            "steps": options.steps,
            "rows": rows,
        }
        write_atomically(options.out, (json.dumps(report, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
