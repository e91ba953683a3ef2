"""A trained float model to low bits without training: its data set the steps once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer, Interval, Vecq, WeightMethod
from vecq_hw.train.convert import LayerBits, quantize_model
from vecq_hw.train.quantized_layers import advance
from vecq_hw.train.training import device_of

SEARCHED: WeightMethod = partial(Vecq, per_channel=True, interval=Interval.SEARCH)
"""VecQ with the best interval for the weights of each output: trained weights cannot adapt."""


class Calibrated(NamedTuple):
    """A quantized model and what it cost.

    Attributes
    ----------
    model : nn.Module
        In evaluation mode, ready for :func:`vecq_hw.lower.lower`.
    float_accuracy, accuracy : float, 0..1, or None
        Before and after, on the batches that were given; None where these have no labels.
    """

    model: nn.Module
    float_accuracy: float | None
    accuracy: float | None


def calibrate(
    model: nn.Module,
    loader: Iterable[Any],
    weight_bits: int = 8,
    activation_bits: int = 8,
    overrides: Mapping[str, LayerBits] | None = None,
    method: WeightMethod = SEARCHED,
) -> Calibrated:
    """Quantize a trained float model without training it; prints what accuracy it costs.

    The steps of the activations follow the batches, one after the other; batch norms keep their
    statistics.

    Parameters
    ----------
    model : nn.Module
        A trained float classifier, left as it is.
    loader : iterable of float tensors of shape (N, ...), or of pairs with labels of shape (N,)
        A DataLoader or a list, which can be read more than once; some hundred samples are enough
        for the steps, more for the accuracy.
    weight_bits, activation_bits, overrides, method
        As in :func:`quantize_model`.

    Raises
    ------
    VecqError
        The loader is empty or can be read only once; as :func:`quantize_model`.
    """
    if isinstance(loader, Iterator):
        raise VecqError("calibrate reads its loader twice; give a DataLoader or a list of batches")
    twin = quantize_model(model, weight_bits, activation_bits, overrides, method).eval()
    advance(twin, 1.0)
    quantizers = [module for module in twin.modules() if isinstance(module, ActivationQuantizer)]
    for quantizer in quantizers:
        quantizer.train()
    try:
        seen = _right(twin, loader)
    finally:
        twin.eval()
    if seen.samples == 0:
        raise VecqError("calibrate got no batch; at least one is wanted")
    if not seen.labelled:
        return Calibrated(twin, None, None)
    was_training = model.training
    try:
        before = _right(model.eval(), loader)
    finally:
        model.train(was_training)
    after = _right(twin, loader)
    result = Calibrated(twin, before.right / before.samples, after.right / after.samples)
    Console().print(
        f"calibrated on {after.samples} samples:"
        f" {before.right / before.samples:.2%} right in float,"
        f" {after.right / after.samples:.2%} with {weight_bits}-bit weights and"
        f" {activation_bits}-bit activations",
        highlight=False,
        soft_wrap=True,
    )
    return result


class _Count(NamedTuple):
    samples: int
    labelled: int
    right: int


def _right(model: nn.Module, loader: Iterable[Any]) -> _Count:
    """Run all batches; how many samples there are, how many with labels, how many right."""
    samples = labelled = right = 0
    device = device_of(model)
    with torch.no_grad():
        for batch in loader:
            x, y = batch if isinstance(batch, tuple | list) else (batch, None)
            scores = model(x.to(device))
            samples += len(x)
            if y is not None:
                labelled += len(x)
                right += int((scores.flatten(1).argmax(1).cpu() == y.cpu()).sum())
    return _Count(samples, labelled, right)
