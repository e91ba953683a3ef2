"""Training, epoch by epoch: it can be stopped after each and continued later, bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vecq_hw.arguments import real_number, whole_number
from vecq_hw.data import Dataset
from vecq_hw.data.dataset import check_samples
from vecq_hw.errors import VecqError
from vecq_hw.train.augment import draw_views, take_views
from vecq_hw.train.descent import Descent
from vecq_hw.train.distributed import mean_over_ranks, rank_and_size, shared_batch_norms
from vecq_hw.train.preconditions import check_entries, check_values
from vecq_hw.train.product import Tell
from vecq_hw.train.scores import checked_scores, device_of
from vecq_hw.train.settings import Settings
from vecq_hw.train.several import input_names
from vecq_hw.train.state import check_random

_VALIDATED = 256
"""Samples at a time."""
SMALL_BATCH = 1 << 15
"""Elements below which torch does not split an element-wise operation over threads either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one epoch came to.

    Attributes
    ----------
    number : int, from 1
    loss : float
        Mean over the batches, each before the step that it led to.
    accuracy : float, 0..1
        Of the same scores, on the samples as they were augmented; of masks the pixels' share.
    learning_rate : float
        Of the first step.
    seconds : float
    validation : float or None, 0..1
        What is right of the samples for validation after the epoch, where the data have some.
    """

    number: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    validation: float | None = None

    @classmethod
    def of(cls, row: object) -> Epoch:
        """The epoch of its values, in the order of the fields, as they were stored.

        Raises
        ------
        VecqError
            It is no list of 5 or 6 finite numbers that begins with the number of the epoch, from 1.
        """
        if not isinstance(row, list | tuple):
            raise VecqError(f"an epoch is a list of numbers, not {row!r}")
        number, *rest = row
        numbers = [real_number(value, "a number is wanted") for value in rest]
        loss, accuracy, rate, seconds = numbers[:4]
        if len(numbers) > 5:
            raise VecqError(f"an epoch has 5 or 6 numbers, not {len(row)}")
        return cls(
            number=whole_number(number, "epochs count from 1", 1),
            loss=loss,
            accuracy=accuracy,
            learning_rate=rate,
            seconds=seconds,
            validation=numbers[4] if len(numbers) > 4 else None,
        )

    @property
    def row(self) -> tuple[float, ...]:
        """Its values in the order of the fields, without a validation that there was not."""
        values = (self.number, self.loss, self.accuracy, self.learning_rate, self.seconds)
        return values if self.validation is None else (*values, self.validation)


class Training:
    """A model in training: parameters, steps, random numbers, history.

    Between two epochs :meth:`state_dict` and the model's own state are all that it takes to go on
    in another process; with one CPU thread the result then has the same bits.

    Parameters
    ----------
    model : nn.Module
        Float or quantized classifier from (N, ...data.shape) to scores (N, data.classes), on the
        device where it is to be trained.  With masks the scores are (N, 1, H, W), one for each
        pixel, or (N, 2, H, W).
    data : Dataset
        Its test samples are not looked at; those for validation after each epoch.
    settings : Settings

    Raises
    ------
    VecqError
        Settings that do not fit the data or the device.
    """

    def __init__(self, model: nn.Module, data: Dataset, settings: Settings) -> None:
        self._check(model, data, settings)
        self.model, self.settings = model, settings
        self.device = device_of(model)
        self.tell: Tell = lambda text: None
        """Called with what is under way where a step takes long."""
        self.history: list[Epoch] = []
        self._rank, self._size = rank_and_size()
        self._augmented = settings.padding > 0 or settings.flip
        if data.x_train.ndim == 4:
            # The channels of a pixel side by side: an epoch of LeNet5 takes a third less on a CPU.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._x = torch.from_numpy(data.x_train).to(self.device)
        y = data.y_train if data.masked else data.y_train.astype(np.int64)
        self._y = torch.from_numpy(y).to(self.device)
        # The order and the views are drawn on the CPU: the same on every device and rank.
        self._validation = data.validation
        self._classes = data.classes
        self._order = torch.Generator().manual_seed(settings.seed)
        self._random = self._seeded_random()
        self._descent = Descent(
            model,
            settings,
            self._x,
            self.steps,
            data.classes,
            lambda text: self.tell(text),
        )

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
        rate = self._descent.rate
        totals = torch.zeros(2, device=self.device)
        samples = 0
        self.model.train()
        try:
            with (
                _threads_for(self.settings.batch_size * self._x[0].numel()),
                self._own_random(),
                shared_batch_norms(self.model),
            ):
                for step, (chosen, x, y) in enumerate(self.batches(), 1):
                    done = (number - 1 + step / self.steps) / self.settings.epochs
                    totals += self._descent.step(x, y, len(chosen), done)
                    samples += len(chosen)
                    advance()
        finally:
            self.model.eval()
        loss, right = mean_over_ranks(totals).tolist()
        seconds = time.perf_counter() - begin
        epoch = Epoch(
            number=number,
            loss=loss / self.steps,
            accuracy=right * self._size / samples,
            learning_rate=rate,
            seconds=seconds,
            validation=self._validated(),
        )
        if not math.isfinite(epoch.loss):
            raise VecqError(
                f"training diverged in epoch {number} (the loss is {epoch.loss});"
                " use a lower learning rate"
            )
        self.history.append(epoch)
        return epoch

    def _validated(self) -> float | None:
        """The part of the samples for validation that is right, if there are any."""
        if self._validation is None:
            return None
        samples, labels = self._validation
        right = 0
        with torch.no_grad():
            for start in range(0, len(samples), _VALIDATED):
                x = torch.from_numpy(samples[start : start + _VALIDATED]).to(self.device)
                found = checked_scores(self.model, x, self._classes).argmax(1).cpu().numpy()
                right += int((found == labels[start : start + _VALIDATED]).sum())
        return right / len(labels)

    def batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Which samples each whole batch has, and this rank's part of them as the model gets it.

        Their labels, or masks, come third.  Each call draws the order of one epoch.

        The indices have the shape (n,), the samples (n, ...), the labels (n,), masks (n, H, W).
        """
        settings = self.settings
        order = torch.randperm(len(self._x), generator=self._order)
        for index in range(self.steps):
            chosen = order[index * settings.batch_size : (index + 1) * settings.batch_size]
            own = chosen[self._rank :: self._size].to(self.device)
            x, y = self._x[own], self._y[own].long()
            if self._augmented:
                views = draw_views(len(chosen), settings.padding, settings.flip, self._order)
                views = views[self._rank :: self._size]
                x = take_views(x, views, settings.padding)
                if y.ndim == 3:  # beside the image there is no object
                    y = take_views(y[:, None], views, settings.padding)[:, 0]
            if x.ndim == 4:
                x = x.to(memory_format=torch.channels_last)
            yield chosen, x, y

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model's state; tensors, numbers and strings alone."""
        return {
            **self._descent.state_dict(),
            "order": self._order.get_state(),
            "random": self._random,
            "history": [epoch.row for epoch in self.history],
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
            self._descent.check(state, len(history) * self.steps)
            check_random(state["random"])
            self._order.set_state(state["order"])
            self._descent.load_state_dict(state)
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
        if data.masked:
            check_masks(data.y_train, data.x_train)
        else:
            check_labels(data.y_train, len(data.x_train), data.classes)
        check_samples(data.name, data.x_train)
        check_entries(model, data)
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
    """Refuse labels that are no classes 0..classes - 1, such as the values of a regression.

    Raises
    ------
    VecqError
        There are fewer than 2 classes, or the labels are no integers of the shape (samples,) in
        0..classes - 1.
    """
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


def check_masks(masks: npt.NDArray[Any], x: npt.NDArray[Any]) -> None:
    """Refuse masks that are not of the images ``x``, (N, C, H, W).

    Raises
    ------
    VecqError
        The masks are not boolean of the shape (N, H, W), or ``x`` is not of four axes.
    """
    if masks.dtype != bool or x.ndim != 4 or masks.shape != (len(x), *x.shape[2:]):
        raise VecqError(
            f"masks of the type {masks.dtype} and shape {masks.shape} are given beside samples of"
            f" the shape {x.shape}; images (N, C, H, W) and boolean masks (N, H, W) are wanted"
        )


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
