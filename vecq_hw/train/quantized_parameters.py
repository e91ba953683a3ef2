"""The parameters of a model that are quantized, each with its quantizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from vecq_hw.quantize import ActivationQuantizer, WeightQuantizer
from vecq_hw.train.quantized_layers import QuantizedEmbedding, Sums, as_rows, of_rows
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM


@dataclass(frozen=True, slots=True)
class QuantizedParameter:
    """A parameter and the quantizer that serves it.

    Attributes
    ----------
    layer : nn.Module
    name : str
        Of the parameter in the layer.
    quantizer : WeightQuantizer
    """

    layer: nn.Module
    name: str
    quantizer: WeightQuantizer

    @property
    def parameter(self) -> nn.Parameter:
        """As the layer has it."""
        return self.layer.get_parameter(self.name)

    def rows(self) -> torch.Tensor:
        """The weights as the quantizer takes them, outputs along axis 0; with a gradient.

        The shape is (O, ...).
        """
        return as_rows(self.layer, self.parameter)

    def own_step(self, rate: float) -> None:
        """Let the quantizer move the weights, where they have a gradient."""
        parameter = self.parameter
        if parameter.grad is None:
            return
        with torch.no_grad():
            # In one piece, so that views of them are views; training lays channels side by side.
            rows = as_rows(self.layer, parameter.detach()).contiguous()
            rows.grad = as_rows(self.layer, parameter.grad).contiguous()
            self.quantizer.own_step(rows, rate)
            parameter.copy_(of_rows(self.layer, rows))


def quantized_parameters(model: nn.Module) -> list[QuantizedParameter]:
    """All of a model, in the order of its modules; biases are none of them."""
    found = []
    for module in model.modules():
        if isinstance(module, QuantizedLSTM | QuantizedGRU):
            for name, quantizer in module.quantizers.items():
                assert isinstance(quantizer, WeightQuantizer)
                found.append(QuantizedParameter(module, name, quantizer))
        elif isinstance(module, (QuantizedEmbedding, *Sums)):
            found.append(QuantizedParameter(module, "weight", module.quantizer))
    return found


def advance(model: nn.Module, progress: float) -> None:
    """Tell each quantizer of weights how much of training is done, 0..1.

    To be called after each step of a loop of one's own; it fixes INQ's weights portion by portion.
    """
    advance_all(quantized_parameters(model), progress)


def advance_all(quantized: Sequence[QuantizedParameter], progress: float) -> None:
    """As :func:`advance`, of the quantizers of a model that were found before."""
    of_method: dict[type[WeightQuantizer], list[WeightQuantizer]] = {}
    for one in quantized:
        of_method.setdefault(type(one.quantizer), []).append(one.quantizer)
    for method, quantizers in of_method.items():
        method.advance_together(quantizers, progress)
    for one in quantized:
        one.quantizer.advance(one.rows(), progress)


@contextmanager
def relaxed(model: nn.Module) -> Iterator[None]:
    """Meanwhile quantizers with a second pass are relaxed, and nothing follows the data.

    Batch norms take the statistics of the batch and keep their averages; the steps of activations
    stand still.
    """
    changed: list[tuple[nn.Module, str, object]] = []
    for module in model.modules():
        match module:
            case WeightQuantizer() if module.TWO_PASSES:
                changed.append((module, "relaxed", True))
            case ActivationQuantizer():
                changed.append((module, "follows", False))
            case nn.BatchNorm1d() | nn.BatchNorm2d() if module.track_running_stats:
                changed.append((module, "track_running_stats", False))
    before = [getattr(module, name) for module, name, _ in changed]
    try:
        for module, name, value in changed:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(changed, before, strict=True):
            setattr(module, name, value)
