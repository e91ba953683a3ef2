"""What does a quantized training step cost beside a float one, and beside one of Brevitas?

LeNet5 on 28 × 28 images, batch 200, Adam; the channels of a pixel lie side by side, as
vecq_hw.train.Training has them and as a CPU is quickest at, on every side.  All sides run in turns
in one process; the ratios of the medians to the float step's are what counts.  quantize_model moves
max-pools before the ReLU, which a float model gains from too: 'float, pooled first' shows how much.
Memory is the most that a step of each side holds at a time, gradients included, from torch's
profiler.

    python -m benchmarks.training_step [--rounds 30] [--threads 2] [--out FILE.json]

Brevitas is measured where it is installed (pip install brevitas), else its rows say 'not run'.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.origin import origin
from vecq_hw.files import write_atomically
from vecq_hw.quantize import weight_method
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


class Side:
    """A model with its optimizer; each call is one training step."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.loss = nn.CrossEntropyLoss()

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One batch: forward, backward, Adam."""
        self.optimizer.zero_grad()
        self.loss(self.model(x), y).backward()
        self.optimizer.step()


class MethodSide(Side):
    """A side whose method wants more of a step: draws, second passes, penalties, portions."""

    PROGRESS = 0.3
    """How much of training is done: portions are fixed, and some weights are float yet."""

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        super().__init__(model)
        settings = Settings(batch_size=BATCH, learning_rate=1e-3)
        self.descent = Descent(self.model, settings, x, steps=1, classes=CLASSES)

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One batch, as in :class:`vecq_hw.train.Training`."""
        self.descent.step(x, y, len(x), self.PROGRESS)


def peak_bytes(side: Side, x: torch.Tensor, y: torch.Tensor) -> int:
    """The most that one step holds at a time, beyond what the side holds between steps."""
    side.optimizer.zero_grad()
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
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    net = build_model("lenet5", SHAPE, CLASSES)
    assert isinstance(net, nn.Sequential)
    method = partial(weight_method, "vecq")
    models = {
        "float": copy.deepcopy(net),
        "float, pooled first": pooled_first(net),
        "vecq W2": quantize_model(net, 2, None),
        "vecq W2A8": quantize_model(net, 2, 8),
        "vecq W2A8, per channel": quantize_model(net, 2, 8, method=method(per_channel=True)),
        "vecq W2A8, searched": quantize_model(net, 2, 8, method=method(interval="search")),
        "vecq W8A8, searched": quantize_model(net, 8, 8, method=method(interval="search")),
        "vecq W4A8, both": quantize_model(
            net, 4, 8, method=method(per_channel=True, interval="search")
        ),
        "lsq W2A8": quantize_model(net, 2, 8, method=weight_method("lsq")),
        "srq W2A8": quantize_model(net, 2, 8, method=weight_method("srq")),
        "srq W4A8": quantize_model(net, 4, 8, method=weight_method("srq")),
        "dropbits W4A8": quantize_model(net, 4, 8, method=weight_method("dropbits")),
        "brevitas W2": brevitas_model(2, None),
        "brevitas W2A8": brevitas_model(2, 8),
    }
    scheduled = {
        "sq W2A8": weight_method("sq"),
        "sq W2A8, elements": weight_method("sq", granularity="element"),
        "elq W2A8": weight_method("elq"),
        "pq W2A8, words": weight_method("pq", start=0.0, end=0.0),
        "pq W2A8, distilled": weight_method("pq", start=0.0, end=0.0, distilled=True),
    }
    warnings.simplefilter("ignore")  # Brevitas' own
    x = torch.rand(BATCH, *SHAPE).to(memory_format=torch.channels_last)
    sides = {name: Side(model) for name, model in models.items() if model is not None}
    for name, one in scheduled.items():
        sides[name] = MethodSide(quantize_model(net, 2, 8, method=one), x)
    y = torch.randint(CLASSES, (BATCH,))
    for side in sides.values():
        for _ in range(2):
            side(x, y)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side(x, y)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    peaks = {name: peak_bytes(side, x, y) for name, side in sides.items()}
    rows = {
        name: {
            "milliseconds": round(1e3 * medians[name], 1),
            "step_ratio": round(medians[name] / medians["float"], 3),
            "fastest_ratio": round(min(seconds[name]) / min(seconds["float"]), 3),
            "peak_mebibytes": round(peaks[name] / 2**20, 1),
            "memory_ratio": round(peaks[name] / peaks["float"], 3),
        }
        if name in sides
        else "not run"
        for name in [*models, *scheduled]
    }
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
