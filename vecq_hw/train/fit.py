"""A training loop for those who have none, and what a model gets right."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError

SMALL_BATCH = 1 << 15
"""Elements below which torch does not split an element-wise operation over threads either."""


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
    KeyboardInterrupt is raised as usual.

    Parameters
    ----------
    model : nn.Module
        From (N, *data.shape) to scores (N, data.classes); on any device.
    data : Dataset
        Only its training samples are looked at.
    seed : int
        Of the order of the samples and of dropout; the parameters are those the model comes with.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of float
        The mean training loss of each epoch.

    Raises
    ------
    VecqError
        Settings out of range; the loss is no longer a number.
    """
    _check_settings(epochs, batch_size, learning_rate)
    device = _device(model)
    x = torch.from_numpy(data.x_train).to(device)
    y = torch.from_numpy(data.y_train).to(device)
    batches = _batch_count(len(x), batch_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    loss_function = nn.CrossEntropyLoss()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    history: list[float] = []
    forked = [device] if device.type == "cuda" else []
    with (
        _threads_for(batch_size * x[0].numel()),
        torch.random.fork_rng(forked),
        Progress(*columns, disable=not progress) as bar,
    ):
        torch.manual_seed(seed)
        task = bar.add_task("training", total=epochs * batches)
        model.train()
        try:
            for epoch in range(epochs):
                losses = torch.zeros((), device=device)
                for chosen in _batches(len(x), batch_size):
                    optimizer.zero_grad()
                    loss = loss_function(_scores(model, x[chosen], data.classes), y[chosen])
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    losses += loss.detach()
                    bar.advance(task)
                mean = float(losses) / batches
                if not math.isfinite(mean):
                    raise VecqError(
                        f"training diverged in epoch {epoch + 1} (the loss is {mean});"
                        " use a lower learning rate"
                    )
                history.append(mean)
                bar.update(task, description=f"epoch {epoch + 1}, loss {mean:.4f}")
        finally:
            model.eval()
    return history


def _scores(model: nn.Module, x: torch.Tensor, classes: int) -> torch.Tensor:
    try:
        scores: torch.Tensor = model(x)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise VecqError(
            f"the model fails on samples of the shape {tuple(x.shape[1:])}: {reason}"
        ) from error
    if scores.shape != (len(x), classes):
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape)};"
            f" ({len(x)}, {classes}) is wanted: one score for each of the {classes} classes"
        )
    return scores


def predict(
    model: nn.Module, x: npt.NDArray[np.float32], batch_size: int = 256
) -> npt.NDArray[np.int64]:
    """The class that the model gives each sample, in evaluation mode; lowest index on a tie."""
    was_training, device = model.training, _device(model)
    model.eval()
    try:
        with torch.no_grad():
            parts = [
                model(torch.from_numpy(x[start : start + batch_size]).to(device))
                for start in range(0, len(x), batch_size)
            ]
    finally:
        model.train(was_training)
    result: npt.NDArray[np.int64] = torch.cat(parts).flatten(1).argmax(dim=1).cpu().numpy()
    return result


def evaluate(model: nn.Module, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64]) -> float:
    """The part of the samples that the model gets right, 0..1."""
    return float((predict(model, x) == y).mean())


@contextmanager
def _threads_for(elements: int) -> Iterator[None]:
    """One thread for a small batch: two would mostly wait for each other.

    On cores that are busy otherwise, that wait made the training of a small network thirty times
    slower; on idle ones a second thread gained nothing.
    """
    before = torch.get_num_threads()
    if elements < SMALL_BATCH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _check_settings(epochs: int, batch_size: int, learning_rate: float) -> None:
    if epochs < 1:
        raise VecqError(f"training takes at least one epoch, not {epochs}")
    if batch_size < 2:
        raise VecqError(
            f"a batch holds at least 2 samples (batch norm needs them), not {batch_size}"
        )
    if not 0 < learning_rate < math.inf:
        raise VecqError(f"the learning rate must be positive and finite, not {learning_rate}")


def _batch_count(samples: int, batch_size: int) -> int:
    if samples < 2:
        raise VecqError("training takes at least 2 samples")
    # A batch norm cannot normalize a single sample, so a last batch of one is left out.
    return samples // batch_size + (samples % batch_size > 1)


def _batches(samples: int, batch_size: int) -> Iterator[torch.Tensor]:
    order = torch.randperm(samples)
    for index in range(_batch_count(samples, batch_size)):
        yield order[index * batch_size : (index + 1) * batch_size]
