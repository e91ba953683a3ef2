"""What does a quantized training step cost beside a float one, and beside one of Brevitas?

LeNet5 on 28 × 28 images, batch 200, Adam; the channels of a pixel lie side by side, as
vecq_hw.train.Training has them and as a CPU is quickest at, on every side.  A step is that of
vecq_hw.train.descent on every side: with the second passes, penalties, schedules, and own steps of
methods that have such.  All sides run in turns in one process; the ratios of the medians to the
float step's are what counts.  quantize_model moves max-pools before the ReLU, which a float model
gains from too: 'float, pooled first' shows how much.  Times are those of the processor, so that
what else runs on the machine changes them little.  Memory is the most that a step of each side
holds at a time, gradients included, from torch's profiler.

    python -m benchmarks.training_step [--rounds 30] [--threads 1] [--out FILE.json]

There is a row for each method of vecq_hw.quantize.METHODS with its defaults, and further ones for
settings and phases that cost more or less.  The rows of 'pq' are of steps with words;
'search_seconds' is what finding these takes once.  Brevitas is measured where it is installed
(pip install brevitas), else its rows say 'not run'.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.origin import origin
from vecq_hw.files import write_atomically
from vecq_hw.quantize import METHODS, weight_method
from vecq_hw.quantize.settings import Option
from vecq_hw.train import Settings, build_model, quantize_model
from vecq_hw.train.descent import Descent

SHAPE, CLASSES, BATCH = (1, 28, 28), 10, 200


def brevitas_model(weight_bits: int, activation_bits: int | None) -> nn.Module | None:
    """The same LeNet5 of Brevitas layers with their default quantizers, or None."""
    try:
        import brevitas.nn as qnn
        from brevitas.quant import Int8WeightPerTensorFloat
    except ImportError:
        return None

    def relu() -> nn.Module:
        return nn.ReLU() if activation_bits is None else qnn.QuantReLU(bit_width=activation_bits)

    weights = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": weight_bits}
    ends = [] if activation_bits is None else [qnn.QuantIdentity(bit_width=activation_bits)]
    return nn.Sequential(
        *ends,
        *(qnn.QuantConv2d(1, 32, 5, padding=2, **weights), nn.BatchNorm2d(32), relu()),
        nn.MaxPool2d(2),
        *(qnn.QuantConv2d(32, 64, 5, padding=2, **weights), nn.BatchNorm2d(64), relu()),
        *(nn.MaxPool2d(2), nn.Flatten()),
        *(qnn.QuantLinear(3136, 512, True, **weights), nn.BatchNorm1d(512), relu()),
        qnn.QuantLinear(512, CLASSES, True, **weights),
    )


def pooled_first(net: nn.Sequential) -> nn.Module:
    """A copy of the float net with each max-pool before its ReLU, which computes the same."""
    modules = list(copy.deepcopy(net))
    for index, module in enumerate(modules):
        if isinstance(module, nn.MaxPool2d):
            modules[index - 1 : index + 1] = module, modules[index - 1]
    return nn.Sequential(*modules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """By what LeNet5 is quantized, and where in its training the step is that is measured.

    Attributes
    ----------
    progress : float
        How much of training is done.  At 0.3 portions are fixed, and some weights are float yet.
    """

    method: str
    weight_bits: int = 2
    activation_bits: int | None = 8
    options: Mapping[str, Option] = field(default_factory=dict)
    progress: float = 0.3

    def model(self, net: nn.Module) -> nn.Module:
        """The quantized network."""
        method = weight_method(self.method, **self.options)
        return quantize_model(net, self.weight_bits, self.activation_bits, method=method)


WIDTHS = {"bwn": 1}
"""Bits of a weight for methods that cannot have the usual 2."""
AT_ONCE = {"start": 0.0, "end": 0.0}
"""Product quantization has its words before the first step."""
CASES = {
    "vecq W2": Case(method="vecq", activation_bits=None),
    **{
        f"{name} W{WIDTHS.get(name, 2)}A8": Case(method=name, weight_bits=WIDTHS.get(name, 2))
        for name in METHODS
        if name not in ("alq", "pq")  # their steps differ by phase, see below
    },
    "vecq W2A8, per channel": Case(method="vecq", options={"per_channel": True}),
    "vecq W2A8, searched": Case(method="vecq", options={"interval": "search"}),
    "vecq W8A8, searched": Case(method="vecq", weight_bits=8, options={"interval": "search"}),
    "vecq W4A8, both": Case(
        method="vecq", weight_bits=4, options={"per_channel": True, "interval": "search"}
    ),
    "esb W4A8": Case(method="esb", weight_bits=4),
    "srq W4A8": Case(method="srq", weight_bits=4),
    "dropbits W4A8": Case(method="dropbits", weight_bits=4),
    "sq W2A8, elements": Case(method="sq", options={"granularity": "element"}),
    "alq W2A8, bases": Case(method="alq", progress=0.1),
    "alq W2A8, coordinates": Case(method="alq", progress=0.95),
    "pq W2A8, words": Case(method="pq", options=AT_ONCE),
    "pq W2A8, distilled": Case(method="pq", options={**AT_ONCE, "distilled": True}),
}


class Side:
    """A model with its optimizer; each call is one training step.

    Parameters
    ----------
    model : nn.Module
    x : tensor of shape (N, ...)
        What it is trained on.
    progress : float
        How much of training is done.
    """

    def __init__(self, model: nn.Module, x: torch.Tensor, progress: float = 0.3) -> None:
        self.model = model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.progress = progress
        settings = Settings(batch_size=BATCH, learning_rate=1e-3)
        self.descent = Descent(self.model, settings, x, steps=1, classes=CLASSES)

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """One batch, as in :class:`vecq_hw.train.Training`; seconds of the processor."""
        start = time.process_time()
        self.descent.step(x, y, len(x), self.progress)
        return time.process_time() - start


def peak_bytes(side: Side, x: torch.Tensor, y: torch.Tensor) -> int:
    """The most that one step holds at a time, beyond what the side holds between steps."""
    side.model.zero_grad()
    with torch.profiler.profile(profile_memory=True) as profile:
        side(x, y)
    events = profile.profiler.kineto_results.events()
    held = peak = 0
    changes = [event for event in events if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def main() -> None:
    """Print one JSON line, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = build_model("lenet5", SHAPE, CLASSES)
    assert isinstance(net, nn.Sequential)
    models = {
        "float": copy.deepcopy(net),
        "float, pooled first": pooled_first(net),
        "brevitas W2": brevitas_model(2, None),
        "brevitas W2A8": brevitas_model(2, 8),
    }
    warnings.simplefilter("ignore")  # Brevitas' own
    x = torch.rand(BATCH, *SHAPE).to(memory_format=torch.channels_last)
    sides = {name: Side(model, x) for name, model in models.items() if model is not None}
    for name, case in CASES.items():
        sides[name] = Side(case.model(net), x, case.progress)
    y = torch.randint(CLASSES, (BATCH,))
    first = {name: side(x, y) for name, side in sides.items()}
    for side in sides.values():
        side(x, y)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            seconds[name].append(side(x, y))
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    peaks = {name: peak_bytes(side, x, y) for name, side in sides.items()}
    rows: dict[str, Any] = dict.fromkeys([*models, *CASES], "not run")
    for name in sides:
        rows[name] = {
            "milliseconds": round(1e3 * medians[name], 1),
            "step_ratio": round(medians[name] / medians["float"], 3),
            "fastest_ratio": round(min(seconds[name]) / min(seconds["float"]), 3),
            "peak_mebibytes": round(peaks[name] / 2**20, 1),
            "memory_ratio": round(peaks[name] / peaks["float"], 3),
        }
        if name in CASES and CASES[name].method == "pq":
            rows[name]["search_seconds"] = round(first[name] - medians[name], 1)
    result = {
        **origin(),
        "network": "lenet5",
        "batch": BATCH,
        "rounds": arguments.rounds,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "rows": rows,
    }
    text = json.dumps(result)
    print(text)
    if arguments.out:
        write_atomically(arguments.out, text.encode() + b"\n")


if __name__ == "__main__":
    main()
