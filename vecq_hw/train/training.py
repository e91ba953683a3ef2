"""Training, epoch by epoch: it can be stopped after each and continued later, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vecq_hw.arguments import real_number, whole_number
from vecq_hw.data import Dataset
from vecq_hw.data.dataset import check_samples
from vecq_hw.errors import VecqError
from vecq_hw.train.augment import draw_views, take_views
from vecq_hw.train.distributed import (
    mean_over_ranks,
    parallel,
    rank_and_size,
    shared_batch_norms,
)
from vecq_hw.train.preconditions import check_values
from vecq_hw.train.quantized_layers import advance as advance_quantizers
from vecq_hw.train.settings import Optimizer, Settings
from vecq_hw.train.several import input_names, named_outputs
from vecq_hw.train.state import check_optimizer, check_random, check_schedule

SMALL_BATCH = 1 << 15
"""Elements below which torch does not split an element-wise operation over threads either."""
MOMENTUM = 0.9
"""Of SGD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one epoch came to.

    Attributes
    ----------
    number : int, from 1
    loss : float
        Mean over the batches, each before the step that it led to.
    accuracy : float, 0..1
        Of the same scores, on the samples as they were augmented.
    learning_rate : float
        Of the first step.
    seconds : float
    """

    number: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float

    @classmethod
    def of(cls, row: object) -> Epoch:
        """The epoch of its values, in the order of the fields, as they were stored."""
        if not isinstance(row, list | tuple):
            raise VecqError(f"an epoch is a list of numbers, not {row!r}")
        number, *rest = row
        loss, accuracy, rate, seconds = (real_number(value, "a number is wanted") for value in rest)
        return cls(
            number=whole_number(number, "epochs count from 1", 1),
            loss=loss,
            accuracy=accuracy,
            learning_rate=rate,
            seconds=seconds,
        )


class Training:
    """A model in training: parameters, optimizer, schedule, random numbers, history.

    Between two epochs :meth:`state_dict` and the model's own state are all that it takes to go on
    in another process; with one CPU thread the result then has the same bits.

    Parameters
    ----------
    model : nn.Module
        Float or quantized classifier from (N, ...data.shape) to scores (N, data.classes), on the
        device where it is to be trained.
    data : Dataset
        Only its training samples are looked at.
    settings : Settings

    Raises
    ------
    VecqError
        Settings that do not fit the data or the device.
    """

    def __init__(self, model: nn.Module, data: Dataset, settings: Settings) -> None:
        self._check(model, data, settings)
        self.model, self.settings, self.classes = model, settings, data.classes
        self.device = device_of(model)
        self.history: list[Epoch] = []
        self._rank, self._size = rank_and_size()
        self._augmented = settings.padding > 0 or settings.flip
        if data.x_train.ndim == 4:
            # The channels of a pixel side by side: an epoch of LeNet5 takes a third less on a CPU.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._x = torch.from_numpy(data.x_train).to(self.device)
        self._y = torch.from_numpy(data.y_train.astype(np.int64)).to(self.device)
        self._parallel = parallel(model)
        # The order and the views are drawn on the CPU: the same on every device and rank.
        self._order = torch.Generator().manual_seed(settings.seed)
        self._random = self._seeded_random()
        self._optimizer = self._make_optimizer()
        self._schedule = self._make_schedule()

    @property
    def steps(self) -> int:
        """How many batches an epoch has.

        A last batch that gives a rank less than two samples, which batch norm needs, is left out.
        """
        samples, size = len(self._x), self.settings.batch_size
        return samples // size + (samples % size >= 2 * self._size)

    @property
    def finished(self) -> bool:
        """Whether all epochs were run."""
        return len(self.history) >= self.settings.epochs

    def run_epoch(self, advance: Callable[[], object] = lambda: None) -> Epoch:
        """Train for one epoch; the model is left in evaluation mode.

        After an exception, Ctrl-C included, the model holds what it has learnt so far, but this
        object is in the middle of an epoch: go on from a saved state.

        Parameters
        ----------
        advance : callable
            Called after each step.

        Raises
        ------
        VecqError
            The model does not take the data; the loss is no longer a number.
        """
        begin = time.perf_counter()
        number = len(self.history) + 1
        rate = float(self._optimizer.param_groups[0]["lr"])
        totals = torch.zeros(2, device=self.device)
        samples = 0
        self.model.train()
        try:
            with (
                _threads_for(self.settings.batch_size * self._x[0].numel()),
                self._own_random(),
                shared_batch_norms(self.model),
            ):
                for step, (chosen, x) in enumerate(self.batches(), 1):
                    totals += self._step(x, self._y[chosen[self._rank :: self._size]], len(chosen))
                    samples += len(chosen)
                    done = (number - 1 + step / self.steps) / self.settings.epochs
                    advance_quantizers(self.model, done)
                    advance()
        finally:
            self.model.eval()
        loss, right = mean_over_ranks(totals).tolist()
        epoch = Epoch(
            number=number,
            loss=loss / self.steps,
            accuracy=right * self._size / samples,
            learning_rate=rate,
            seconds=time.perf_counter() - begin,
        )
        if not math.isfinite(epoch.loss):
            raise VecqError(
                f"training diverged in epoch {number} (the loss is {epoch.loss});"
                " use a lower learning rate"
            )
        self.history.append(epoch)
        return epoch

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Which samples each whole batch has, and this rank's part of them as the model gets it.

        Each call draws the order of one epoch.
        """
        settings = self.settings
        order = torch.randperm(len(self._x), generator=self._order)
        for index in range(self.steps):
            chosen = order[index * settings.batch_size : (index + 1) * settings.batch_size]
            x = self._x[chosen[self._rank :: self._size].to(self.device)]
            if self._augmented:
                views = draw_views(len(chosen), settings.padding, settings.flip, self._order)
                x = take_views(x, views[self._rank :: self._size], settings.padding)
            if x.ndim == 4:
                x = x.to(memory_format=torch.channels_last)
            yield chosen, x

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model's state; tensors, numbers and strings alone."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "order": self._order.get_state(),
            "random": self._random,
            "history": [
                (epoch.number, epoch.loss, epoch.accuracy, epoch.learning_rate, epoch.seconds)
                for epoch in self.history
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; the model's state is loaded by itself.

        Raises
        ------
        VecqError
            The state is not of a training of this model.
        """
        try:
            if not isinstance(state, Mapping) or not isinstance(state["history"], list):
                raise VecqError("it has no history")
            history = [Epoch.of(row) for row in state["history"]]
            check_optimizer(state["optimizer"], self._optimizer)
            check_schedule(state["schedule"], self._schedule, len(history) * self.steps)
            check_random(state["random"])
            self._order.set_state(state["order"])
            self._optimizer.load_state_dict(state["optimizer"])
            self._schedule.load_state_dict(state["schedule"])
        except (VecqError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise VecqError(
                f"the state is not of a training of this model ({error}); train it from the start"
            ) from None
        self._random, self.history = state["random"], history

    @staticmethod
    def _check(model: nn.Module, data: Dataset, settings: Settings) -> None:
        """Refuse what could not be trained, or would train nothing, before anything is done."""
        for given, wanted in ((model, nn.Module), (data, Dataset), (settings, Settings)):
            if not isinstance(given, wanted):
                raise VecqError(f"training takes a {wanted.__name__}, not {type(given).__name__}")
        names = input_names(model)
        if len(names) > 1:
            raise VecqError(
                f"the model takes {', '.join(map(repr, names))}, but a data set has one array of"
                " samples; write the loop, the twin is a torch.nn.Module as any other"
            )
        check_values(model)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise VecqError(
                "the model has no parameter that could be trained; one with requires_grad=True is"
                " wanted"
            )
        size = rank_and_size()[1]
        if len(data.x_train) < 2 * size:
            raise VecqError(f"training takes at least {2 * size} samples")
        check_labels(data.y_train, len(data.x_train), data.classes)
        check_samples(data.name, data.x_train)
        if settings.batch_size < 2 * size:
            raise VecqError(
                f"a batch of {settings.batch_size} samples is too small for {size}"
                " processes; give each two samples or more"
            )
        if (settings.padding or settings.flip) and data.x_train.ndim != 4:
            raise VecqError(f"only images are cropped and mirrored, not samples of {data.shape}")
        most = min(data.shape[-2:])
        if settings.padding > most:
            raise VecqError(
                f"images of {data.shape[-2]} × {data.shape[-1]} are padded with at most {most}"
                f" pixels at each side, not {settings.padding}"
            )

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters, settings = self.model.parameters(), self.settings
        rate, decay = settings.learning_rate, settings.weight_decay
        match settings.optimizer:
            case Optimizer.ADAM:
                return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
            case Optimizer.SGD:
                return torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, weight_decay=decay)

    def _make_schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        steps = self.settings.epochs * self.steps
        if self.settings.milestones is None:
            return torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, steps)
        milestones = [at * self.steps for at in self.settings.milestones]
        return torch.optim.lr_scheduler.MultiStepLR(self._optimizer, milestones)

    def _step(self, x: torch.Tensor, y: torch.Tensor, whole: int) -> torch.Tensor:
        """One step; the loss and how many samples were right, (2,)."""
        self._optimizer.zero_grad()
        mixed = self.settings.mixed_precision
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            scores = checked_scores(self._parallel, x, self.classes)
            # DDP takes the mean of the ranks' gradients, and their parts may differ in size.
            share = self._size * len(x) / whole
            loss = nn.functional.cross_entropy(scores, y) * share
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        right = (scores.detach().argmax(1) == y).sum()
        return torch.stack([loss.detach(), right.to(loss.dtype)])

    def _seeded_random(self) -> list[torch.Tensor]:
        """The states of torch's own generators, CPU and GPU, as dropout is to find them."""
        with torch.random.fork_rng(self._gpus()):
            torch.manual_seed(self.settings.seed + self._rank)
            return self._random_state()

    def _random_state(self) -> list[torch.Tensor]:
        gpu = [torch.cuda.get_rng_state(self.device)] if self._gpus() else []
        return [torch.get_rng_state(), *gpu]

    @contextmanager
    def _own_random(self) -> Iterator[None]:
        """Meanwhile torch's generators are this training's; the user's stay as they are."""
        with torch.random.fork_rng(self._gpus()):
            torch.set_rng_state(self._random[0])
            if self._gpus() and len(self._random) > 1:
                torch.cuda.set_rng_state(self._random[1], self.device)
            yield
            self._random = self._random_state()

    def _gpus(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []


def check_labels(y: object, samples: int, classes: int) -> None:
    """Refuse labels that are no classes 0..classes - 1, such as the values of a regression."""
    labels = np.asarray(y)
    if classes < 2:
        raise VecqError(
            f"a classifier has at least 2 classes, not {classes}; train a regression by a loop of"
            " your own, which the quantized model goes through as any torch.nn.Module"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (samples,):
        raise VecqError(
            f"labels of the type {labels.dtype} and shape {labels.shape} are given, but classes are"
            f" wanted: integers of the shape ({samples},); train a regression by a loop of your own"
        )
    if labels.size and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
        raise VecqError(
            f"labels lie in 0..{classes - 1}, not in {int(labels.min())}..{int(labels.max())}"
        )


def checked_scores(model: nn.Module, x: torch.Tensor, classes: int) -> torch.Tensor:
    """The model's scores, (N, classes); one sentence where model and data do not fit."""
    try:
        scores: torch.Tensor = model(x)
    except RuntimeError as error:
        raise fails_on(tuple(x.shape[1:]), error) from error
    if not isinstance(scores, torch.Tensor):
        raise VecqError(
            f"the model gives the outputs {', '.join(named_outputs(scores))}, but fit trains one;"
            " write the loop with a loss of your own"
        )
    if scores.shape != (len(x), classes):
        raise VecqError(
            f"the model gives scores of the shape {tuple(scores.shape)};"
            f" ({len(x)}, {classes}) is wanted: one score for each of the {classes} classes"
        )
    return scores


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
