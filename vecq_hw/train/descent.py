"""The steps of a training: losses, gradients, the optimizer, and what quantizers want beside it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vecq_hw.quantize import RandomState, WeightQuantizer
from vecq_hw.train.distributed import mean_over_ranks, parallel, rank_and_size
from vecq_hw.train.product import ProductStage, Tell
from vecq_hw.train.quantized_parameters import advance_all, quantized_parameters, relaxed
from vecq_hw.train.scores import checked_scores, device_of
from vecq_hw.train.settings import Optimizer, Settings
from vecq_hw.train.state import check_optimizer, check_schedule

MOMENTUM = 0.9
"""The momentum of SGD."""


class Descent:
    """A model with its optimizer and schedule, which moves by a step a batch.

    Parameters
    ----------
    model : nn.Module
        Float or quantized classifier, on the device where it is to be trained.
    settings : Settings
    samples : tensor of shape (N, ...)
        All that it is trained on.
    steps : int
        Of an epoch.
    classes : int
    tell : callable
        Called with what is under way where a step takes long.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Settings,
        samples: torch.Tensor,
        steps: int,
        classes: int,
        tell: Tell = lambda text: None,
    ) -> None:
        self.model, self._settings, self._classes = model, settings, classes
        self._size = rank_and_size()[1]
        self._device = device_of(model)
        quantized = quantized_parameters(model)
        self._scheduled = [
            one
            for one in quantized
            if _has(one.quantizer, "advance") or _has(one.quantizer, "advance_together")
        ]
        self._punished = [one for one in quantized if _has(one.quantizer, "penalty")]
        self._own = [one for one in quantized if one.quantizer.OWN_STEP]
        self._passes = [one.quantizer for one in quantized if one.quantizer.TWO_PASSES]
        for module in model.modules():
            if isinstance(module, RandomState):
                module.seed(settings.seed)
        self._products = ProductStage(model, samples, settings.seed, tell)
        self._parallel = parallel(model, some_unused=self._products.has_layers)
        self._steps = settings.epochs * steps
        self._optimizer = _optimizer(model, settings)
        self._schedule = _schedule(self._optimizer, settings, steps)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, x: torch.Tensor, y: torch.Tensor, whole: int, progress: float) -> torch.Tensor:
        """One step; what it descends and how many samples were right, (2,).

        Of a mask the part that was right counts.

        Parameters
        ----------
        x, y : tensors
            The samples of this process; labels (N,), or masks (N, H, W).
        whole : int
            Samples of the batch, on all processes.
        progress : float
            How much of training is done with this step, 0..1.
        """
        self._products.advance(max(progress - 1 / self._steps, 0.0))
        self.model.zero_grad()
        # DDP takes the mean of the ranks' gradients, and their parts may differ in size.
        share = self._size * len(x) / whole
        before = self._random() if self._passes else []
        loss, scores = self._loss(self._parallel, x, y)
        loss = loss * share
        if self._passes:
            loss, other = _of_batch(loss), _of_batch(self._relaxed(x, y, before) * share)
            combined = [quantizer.combined(loss, other) for quantizer in self._passes]
            loss = torch.stack(combined).mean()
        for one in self._punished:
            penalty = one.quantizer.penalty(one.rows())
            loss = loss if penalty is None else loss + penalty
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        for one in self._own:
            one.own_step(self.rate)
        self._schedule.step()
        self._products.advance(progress)
        advance_all(self._scheduled, progress)
        right = (scores.detach().argmax(1) == y).sum() / y[0].numel()
        return torch.stack([loss.detach(), right.to(loss.dtype)])

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer, the schedule, and the teacher of product quantization."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "teacher": self._products.state_dict(),
        }

    def check(self, state: Mapping[str, Any], done: int) -> None:
        """Refuse a state that is not of these after ``done`` steps."""
        check_optimizer(state["optimizer"], self._optimizer)
        check_schedule(state["schedule"], self._schedule, done)
        self._products.check(state.get("teacher"))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._products.load_state_dict(state.get("teacher"))

    def _loss(
        self, model: nn.Module, x: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = self._settings.mixed_precision
        with torch.autocast(self._device.type, torch.bfloat16, enabled=mixed):
            scores = checked_scores(model, x, self._classes, tuple(y.shape[1:]))
            return self._products.loss(scores, x, y), scores

    def _relaxed(
        self, x: torch.Tensor, y: torch.Tensor, random: list[torch.Tensor]
    ) -> torch.Tensor:
        """The loss of the second pass, which drops out what the first one did.

        It goes past DDP, which would write the buffers that the first pass still needs; the
        gradients of both passes meet before DDP sees them.
        """
        with torch.random.fork_rng(self._gpus()), relaxed(self.model):
            torch.set_rng_state(random[0])
            for state in random[1:]:
                torch.cuda.set_rng_state(state, self._device)
            return self._loss(self.model, x, y)[0]

    def _random(self) -> list[torch.Tensor]:
        gpu = [torch.cuda.get_rng_state(self._device)] if self._gpus() else []
        return [torch.get_rng_state(), *gpu]

    def _gpus(self) -> list[torch.device]:
        return [self._device] if self._device.type == "cuda" else []


def _of_batch(loss: torch.Tensor) -> torch.Tensor:
    """The loss of the whole batch on each process, with the gradient of its own part.

    Which of two losses is the larger is then the same on all of them.
    """
    return loss + (mean_over_ranks(loss.detach()) - loss.detach())


def _has(quantizer: WeightQuantizer, name: str) -> bool:
    """Whether a method has a member of its own."""
    own = inspect.getattr_static(type(quantizer), name)
    return own is not inspect.getattr_static(WeightQuantizer, name)


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of all parameters but those whose quantizers move them.

    It has a group for each share of the rate.  The first is that of the parameters which no
    quantizer speaks of.
    """
    quantized = quantized_parameters(model)
    moved = {one.parameter for one in quantized if one.quantizer.OWN_STEP}
    moved -= {one.parameter for one in quantized if not one.quantizer.OWN_STEP}
    shares: dict[nn.Parameter, float] = {}
    for quantizer in dict.fromkeys(one.quantizer for one in quantized):
        for name, share in quantizer.LEARNING_RATE_SHARES.items():
            shares[quantizer.get_parameter(name)] = share
    rate, decay = settings.learning_rate, settings.weight_decay
    usual = [one for one in model.parameters() if one not in shares and one not in moved]
    groups: list[dict[str, Any]] = [{"params": usual}]
    for share in sorted({*shares.values()}):
        of_share = [one for one in model.parameters() if shares.get(one) == share]
        groups.append({"params": of_share, "lr": rate * share, "weight_decay": 0.0})
    match settings.optimizer:
        case Optimizer.ADAM:
            return torch.optim.Adam(groups, lr=rate, weight_decay=decay)
        case Optimizer.SGD:
            return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, weight_decay=decay)


def _schedule(
    optimizer: torch.optim.Optimizer, settings: Settings, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if settings.milestones is None:
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * steps)
    milestones = [at * steps for at in settings.milestones]
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)
