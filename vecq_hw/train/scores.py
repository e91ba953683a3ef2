"""What a model gives for samples, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.train.several import named_outputs


def checked_scores(
    model: nn.Module, x: torch.Tensor, classes: int, pixels: tuple[int, ...] = ()
) -> torch.Tensor:
    """The model's scores, (N, classes, *pixels); one sentence where model and data do not fit.

    A single score tells two classes apart, as :func:`of_two_classes` says.

    Parameters
    ----------
    pixels : (H, W), or nothing
        Of the labels of one sample: a mask has one for each pixel.

    Raises
    ------
    VecqError
        The model fails on ``x``, has several outputs, or gives scores of another shape.
    """
    try:
        scores: torch.Tensor = model(x)
    except (RuntimeError, IndexError) as error:
        raise fails_on(tuple(x.shape[1:]), error) from error
    if not isinstance(scores, torch.Tensor):
        raise VecqError(
            f"the model gives the outputs {', '.join(named_outputs(scores))}, but fit trains one;"
            " write the loop with a loss of your own"
        )
    if classes == 2 and scores.shape == (len(x), 1, *pixels):
        scores = of_two_classes(scores)
    wanted = (len(x), classes, *pixels)
    if scores.shape != wanted:
        each = " of each pixel" if pixels else ""
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape)};"
            f" {wanted} is wanted: one score for each of the {classes} classes{each}"
        )
    return scores


def of_two_classes(score: torch.Tensor) -> torch.Tensor:
    """The scores (0, s) of one score s, (N, 2, ...): class 1 where s is above zero.

    Their cross-entropy is the binary cross-entropy of s.
    """
    return torch.cat([torch.zeros_like(score), score], 1)


def fails_on(shape: tuple[int, ...], error: Exception) -> VecqError:
    """The sentence for a model that does not take samples of ``shape``."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return VecqError(f"the model fails on samples of the shape {shape}: {reason}")


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters lie; the CPU for a model without any."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Meanwhile the model is in evaluation mode; then each module is in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
