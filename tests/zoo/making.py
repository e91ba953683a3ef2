"""The network of a case, inputs for it, and its integers beside plain Python's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from tests import plain
from tests.zoo import Case
from vecq_hw.formats import IntArray
from vecq_hw.lower import lower
from vecq_hw.network import Network
from vecq_hw.train import quantize_model

PLAIN_WORK = 300_000
"""Multiplications of one sample up to which plain Python computes it, too."""


def samples(case: Case, count: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Real numbers or integers for each argument of the model."""
    generator = torch.Generator().manual_seed(seed)
    given = []
    for index, shape in enumerate(case.shapes):
        classes = case.classes[index] if case.classes else 0
        if classes:
            given.append(torch.randint(classes, (count, *shape), generator=generator))
        else:
            given.append(torch.randn(count, *shape, generator=generator))
    return tuple(given)


def network_of(case: Case) -> Network:
    """The network of a case; a model's after its quantizers have seen some samples."""
    torch.manual_seed(1)
    made = case.make()
    if isinstance(made, Network):
        return made
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            # Statistics of all samples so far: by the usual momentum a few batches would leave them
            # far from those that the quantizers are set for, and most codes would become zero.
            module.momentum = None
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    shape: Any = case.shapes[0] if len(case.shapes) == 1 else case.shapes
    settings = {"weight_bits": 4, "activation_bits": 8} | dict(case.settings)
    twin = quantize_model(made, input_shape=shape, **settings)
    with torch.no_grad():
        for seed in range(4):
            twin(*samples(case, 32, seed))
    return lower(twin.eval(), shape)


def inputs_of(network: Network, count: int, seed: int) -> dict[str, IntArray]:
    """Random codes of each input; the first sample is at one end, the second at the other."""
    generator = np.random.default_rng(seed)
    given: dict[str, IntArray] = {}
    for source in network.inputs:
        fmt = source.format
        x = generator.integers(fmt.lo, fmt.hi, (count, *source.shape), endpoint=True)
        x[0], x[1] = fmt.lo, fmt.hi
        given[source.name] = x
    return given


def of_ends(network: Network, inputs: dict[str, Any]) -> Any:
    """What is for one input, or for each by its name, as a network of so many inputs takes it."""
    return inputs if len(network.inputs) > 1 else inputs[network.inputs[0].name]


def by_name(network: Network, outputs: Any) -> dict[str, IntArray]:
    """What a network has given, by the names of its outputs."""
    return outputs if isinstance(outputs, dict) else {network.outputs[0]: outputs}


def is_large(network: Network) -> bool:
    """Whether plain Python would take too long."""
    work = sum(
        layer.weight_count * network.tensors[layer.name].positions for layer in network.mac_layers
    )
    return work > PLAIN_WORK


def differing(a: dict[str, IntArray], b: dict[str, IntArray]) -> int:
    """How many integers of two results differ."""
    return sum(int((a[name] != b[name]).sum()) for name in a)


def in_plain_python(network: Network, inputs: dict[str, IntArray]) -> dict[str, IntArray]:
    """The outputs of all samples, by name."""
    count = len(next(iter(inputs.values())))
    values = [
        plain.evaluate(network, of_ends(network, {n: x[index].tolist() for n, x in inputs.items()}))
        for index in range(count)
    ]
    return {name: np.array([one[name] for one in values], np.int64) for name in network.outputs}
