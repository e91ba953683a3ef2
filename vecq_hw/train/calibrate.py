"""A trained float model to low bits without training: its data set the steps once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer, Interval, Vecq, WeightMethod
from vecq_hw.train.batches import batches, check_loader, classes
from vecq_hw.train.by_layer import LayerQuantization
from vecq_hw.train.convert import quantize_model
from vecq_hw.train.preconditions import check_statistics
from vecq_hw.train.quantized_parameters import advance
from vecq_hw.train.scores import evaluation_mode
from vecq_hw.train.several import checked_tensors

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
    overrides: Mapping[str, LayerQuantization] | None = None,
    method: WeightMethod | str = SEARCHED,
) -> Calibrated:
    """Quantize a trained float model without training it; prints what accuracy it costs.

    The steps of the activations follow the batches, one after the other; batch norms keep their
    statistics.

    Parameters
    ----------
    model : nn.Module
        A trained float classifier, left as it is.
    loader : iterable of real tensors or arrays of shape (N, ...), or of pairs with labels
        Of a model with several inputs ``((a, b), labels)``, ``(a, b, labels)`` or ``(a, b)``.
        A DataLoader or a list, which can be read more than once; some hundred samples are enough
        for the steps, more for the accuracy.  Labels are classes of shape (N,) or one-hot (N, K);
        with others, such as the targets of a regression, and with several outputs there is no
        accuracy.
    weight_bits, activation_bits, overrides, method
        As in :func:`quantize_model`.

    Raises
    ------
    VecqError
        The loader is empty, can be read only once, or yields something else: integers, samples that
        are all alike, NaN, classes that the model does not have; as :func:`quantize_model`.
    """
    check_loader(loader)
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
        raise VecqError("the loader gave no batch; at least one is wanted")
    if seen.least == seen.most:
        raise VecqError(
            f"every value of all batches is {seen.least:g}; samples that differ are wanted"
        )
    check_statistics(twin)
    if seen.labelled < seen.samples:
        return Calibrated(twin, None, None)
    with evaluation_mode(model):
        before = _right(model, loader)
    after = _right(twin, loader)
    if before.samples != seen.samples or after.samples != seen.samples:
        raise VecqError(
            f"the loader gave {seen.samples} samples and then {before.samples}; one that can be"
            " read again is wanted"
        )
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
    least: float
    most: float


def _right(model: nn.Module, loader: Iterable[Any]) -> _Count:
    """Run all batches: how many samples there are, how many with classes, how many right."""
    samples = labelled = right = 0
    least, most = math.inf, -math.inf
    with torch.no_grad():
        for batch in batches(loader, model):
            try:
                scores = model(*batch.inputs)
            except (RuntimeError, ValueError, IndexError, TypeError) as error:
                reason = str(error).strip().splitlines()[0]
                shapes = " and ".join(str(tuple(part.shape)) for part in batch.inputs)
                raise VecqError(
                    f"the model fails on {batch.name} of the shape {shapes}: {reason}"
                ) from error
            outputs = checked_tensors(scores)
            if any(output.shape[:1] != (batch.size,) for output in outputs.values()):
                raise VecqError("the model does not give tensors with a row for each sample")
            wanted = None  # of several outputs, nothing says which the labels belong to
            if len(outputs) == 1:
                (scores,) = outputs.values()
                wanted = classes(batch, scores)
            samples += batch.size
            least = min(least, *(float(part.min()) for part in batch.inputs))
            most = max(most, *(float(part.max()) for part in batch.inputs))
            if wanted is not None:
                labelled += len(scores)
                right += int((scores.flatten(1).argmax(1) == wanted).sum())
    return _Count(samples, labelled, right, least, most)
