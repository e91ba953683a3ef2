"""A training loop for those who have none, and what a model gets right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from vecq_hw.arguments import whole_number
from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.terminal import is_animated
from vecq_hw.train.choices import chosen
from vecq_hw.train.distributed import rank_and_size
from vecq_hw.train.preconditions import check_statistics
from vecq_hw.train.scores import device_of, evaluation_mode, fails_on, of_two_classes
from vecq_hw.train.settings import Settings
from vecq_hw.train.several import checked_tensors, named_outputs
from vecq_hw.train.training import Epoch, Training, check_labels


def fit(
    model: nn.Module,
    data: Dataset,
    *,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 4e-3,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train a float or quantized classifier in place: Adam, cosine schedule, cross-entropy.

    On one machine the same seed gives the same parameters, bit for bit on a CPU.  The model is left
    in evaluation mode, also by Ctrl-C: it then holds what it has learnt so far, and
    KeyboardInterrupt is raised as usual.  :class:`~vecq_hw.train.training.Training` has every other
    setting.

    Parameters
    ----------
    model : nn.Module
        From (N, ...data.shape) to scores (N, data.classes); on any device.
    data : Dataset
        Only its training samples are looked at.
    seed : int
        Of the order of the samples and of dropout; the parameters are those the model comes with.
    progress : bool
        Whether to show a progress bar, on a terminal.

    Returns
    -------
    list of float
        The mean training loss of each epoch.

    Raises
    ------
    VecqError
        Settings out of range; the loss is no longer a number.
    """
    settings = Settings(
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed
    )
    training = Training(model, data, settings)
    run(training, progress=progress)
    return [epoch.loss for epoch in training.history]


def run(
    training: Training,
    *,
    after_epoch: Callable[[Epoch], object] = lambda epoch: None,
    progress: bool = True,
    tell: Callable[[str], object] = lambda text: None,
) -> None:
    """Run the epochs that are left, with a progress bar on a terminal.

    Parameters
    ----------
    after_epoch : callable
        Called with each epoch when it is over: the place to save and to log.
    tell : callable
        Called with what is under way where a step takes long, as the bar shows it.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    shown = progress and is_animated() and rank_and_size()[0] == 0
    total = training.settings.epochs * training.steps
    console = Console(stderr=True)  # standard output may be kept in a file
    with Progress(*columns, console=console, disable=not shown) as bar:
        done = len(training.history) * training.steps
        task = bar.add_task("training", total=total, completed=done)

        def say(text: str) -> None:
            bar.update(task, description=text)
            tell(text)

        training.tell = say
        while not training.finished:
            epoch = training.run_epoch(lambda: bar.advance(task))
            bar.update(task, description=f"epoch {epoch.number}, loss {epoch.loss:.4f}")
            after_epoch(epoch)


def predict(model: nn.Module, x: npt.NDArray[Any], batch_size: int = 256) -> npt.NDArray[np.int64]:
    """The class that the model gives each sample, in evaluation mode; lowest index on a tie.

    ``x`` is of shape (N, ...), the result of shape (N,).
    """
    scores = _scores(model, x, batch_size)
    result: npt.NDArray[np.int64] = chosen(scores).cpu().numpy()
    return result


def predict_all(
    model: nn.Module, inputs: Sequence[npt.ArrayLike], batch_size: int = 256
) -> dict[str, npt.NDArray[np.int64]]:
    """As :func:`predict`, of a model with several inputs or outputs: the classes by output.

    Each input has the shape (N, ...), the classes (N, ...) without the axis of the scores.

    Raises
    ------
    VecqError
        The inputs hold different numbers of samples or none, or the model fails on them or has
        batch statistics that are no numbers.
    """
    samples = [np.asarray(x) for x in inputs]
    counts = {len(x) if x.ndim else 0 for x in samples}
    if len(counts) != 1 or not min(counts):
        raise VecqError("the inputs hold different numbers of samples, or none")
    check_statistics(model)
    device, parts = device_of(model), []
    try:
        with evaluation_mode(model), torch.no_grad():
            for start in range(0, len(samples[0]), batch_size):
                given = (x[start : start + batch_size] for x in samples)
                found = model(*(torch.from_numpy(x).to(device) for x in given))
                parts.append(checked_tensors(found))
    except (RuntimeError, IndexError, TypeError) as error:
        raise fails_on(samples[0].shape[1:], error) from error
    return {
        name: chosen(torch.cat([part[name] for part in parts])).cpu().numpy() for name in parts[0]
    }


def predict_maps(
    model: nn.Module, x: npt.NDArray[Any], batch_size: int = 64
) -> npt.NDArray[np.float64]:
    """How likely each pixel belongs to the object, (N, H, W) in 0..1, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        From (N, C, H, W) to scores (N, 1, H, W), or (N, 2, H, W): the rest and the object.

    Raises
    ------
    VecqError
        The model gives other scores.
    """
    scores = _scores(model, x, batch_size, of_classes=True).double()
    if scores.ndim == 4 and scores.shape[1] == 1:
        scores = of_two_classes(scores)
    if scores.ndim != 4 or scores.shape[1] != 2:
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape)}; one of each pixel,"
            " (N, 1, H, W), or two are wanted for a map"
        )
    result: npt.NDArray[np.float64] = (scores[:, 1] - scores[:, 0]).sigmoid().cpu().numpy()
    return result


def _scores(
    model: nn.Module, x: npt.NDArray[Any], batch_size: int, of_classes: bool = False
) -> torch.Tensor:
    """What the model gives in evaluation mode, (N, classes, ...), or classes themselves.

    ``of_classes`` says that the samples have classes, so that one score tells two apart.
    """
    samples = np.asarray(x)
    if samples.dtype.kind not in "iuf" or not samples.ndim or not len(samples):
        raise VecqError(
            "there is no sample to predict; an array of at least one is wanted, samples first"
        )
    if not isinstance(model, nn.Module):
        raise VecqError(f"a torch.nn.Module is wanted, not {type(model).__name__}")
    size = whole_number(batch_size, "a batch holds at least 1 sample", 1)
    check_statistics(model)
    device = device_of(model)
    try:
        with evaluation_mode(model), torch.no_grad():
            parts = [
                model(torch.from_numpy(samples[start : start + size]).to(device))
                for start in range(0, len(samples), size)
            ]
    except (RuntimeError, IndexError, TypeError) as error:
        raise fails_on(samples.shape[1:], error) from error
    if not all(isinstance(part, torch.Tensor) for part in parts):
        raise VecqError(
            f"the model gives the outputs {', '.join(named_outputs(parts[0]))}, but one is wanted;"
            " vecq_hw.train.predict_all gives the classes of each"
        )
    scores = torch.cat(parts)
    least = 1 if of_classes else 2
    if scores.is_floating_point() and (scores.ndim < 2 or scores[0].numel() < least):
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape[1:])}, so it tells no classes"
            " apart; compare its values with those that are wanted"
        )
    return scores


def evaluate(model: nn.Module, x: npt.NDArray[Any], y: npt.NDArray[np.int64]) -> float:
    """The part of the samples that the model gets right, 0..1.

    One score tells two classes apart: 1 where it is above zero.

    Raises
    ------
    VecqError
        The model gives no scores (N, classes), or the labels are no classes (N,).
    """
    scores = _scores(model, x, batch_size=256, of_classes=np.asarray(y).dtype.kind in "iu")
    if not scores.is_floating_point():
        return float((chosen(scores).cpu().numpy() == np.asarray(y)).mean())
    if scores.ndim != 2:
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape)}; (N, classes) is wanted"
        )
    check_labels(y, len(x), max(scores.shape[1], 2))
    return float((chosen(scores).cpu().numpy() == np.asarray(y)).mean())
