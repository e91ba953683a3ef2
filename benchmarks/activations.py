"""How often do training and integers disagree with functions other than ReLU?

The CNN of the demo on digits, each of its ReLUs replaced by the function, at 4-bit weights and
8-bit activations: trained in float, then as its quantized twin, then lowered.

    python -m benchmarks.activations --out docs/results/activations.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.progress import track
from torch import nn

from benchmarks.origin import origin
from vecq_hw import data
from vecq_hw.files import write_atomically
from vecq_hw.layers import Lookup
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import build_model, evaluate, fit, quantize_model

WEIGHT_BITS, ACTIVATION_BITS = 4, 8
FUNCTIONS: Mapping[str, Callable[[], nn.Module]] = {
    "LeakyReLU": lambda: nn.LeakyReLU(0.1),
    "PReLU": nn.PReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Hardswish": nn.Hardswish,
    "Hardsigmoid": nn.Hardsigmoid,
    "SiLU": nn.SiLU,
    "GELU": nn.GELU,
    "ELU": nn.ELU,
    "Softplus": nn.Softplus,
}


def measured(function: str, epochs: int | None = None) -> dict[str, Any]:
    """Train with a function and compare all test samples; ``epochs`` None is what fit() takes."""
    digits = data.load("digits")
    torch.manual_seed(0)
    model = build_model("cnn", digits.shape, digits.classes)
    for name, module in list(model.named_children()):
        if isinstance(module, nn.ReLU):
            setattr(model, name, FUNCTIONS[function]())
    more = {} if epochs is None else {"epochs": epochs}
    fit(model, digits, seed=0, progress=False, **more)
    twin = quantize_model(model, WEIGHT_BITS, ACTIVATION_BITS)
    fit(twin, digits, seed=0, progress=False, **more)
    network = lower(twin, digits.shape)
    outputs = simulate(network, network_inputs(network, digits.x_test))
    return {
        "function": function,
        "tables": sum(isinstance(layer, Lookup) for layer in network.layers),
        "samples": len(digits.y_test),
        "different_predictions": prediction_differences(twin, network, digits.x_test),
        "float_right": round(evaluate(model, digits.x_test, digits.y_test), 4),
        "integer_right": round(float(np.mean(predictions(network, outputs) == digits.y_test)), 4),
    }


@click.command(help=__doc__)
@click.option("--function", "names", multiple=True, type=click.Choice([*FUNCTIONS]),
              default=[*FUNCTIONS])  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write the results as JSON.")
def main(names: Sequence[str], out: Path | None) -> None:
    """Train, compare, print, record."""
    torch.set_num_threads(1)
    rows = [measured(name) for name in track(names, description="training")]
    for row in rows:
        click.echo(json.dumps(row))
    if out is not None:
        bits = {"weight_bits": WEIGHT_BITS, "activation_bits": ACTIVATION_BITS}
        text = json.dumps({**origin(), **bits, "rows": rows}, indent=2) + "\n"
        write_atomically(out, text.encode())


if __name__ == "__main__":
    main()
