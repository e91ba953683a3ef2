"""What a point is worth: fine-tuned, lowered, folded, costed and simulated.

A function of its arguments alone, so that it may run in any process and may run again.
"""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vecq_hw import data as datasets
from vecq_hw import storage
from vecq_hw.cost import Estimate
from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.lower import dry_run, lower
from vecq_hw.lower.sizes import stored_bits
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, to_json
from vecq_hw.search.models import (
    DRY_RUN_SAMPLES,
    float_model,
    one_thread,
    recipe_of,
    some_of,
    with_validation,
)
from vecq_hw.search.space import Point
from vecq_hw.search.target import Target, limit_text, measure, schedule_for
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import Settings, Training, evaluate

HOPELESS = 3
"""A trial ends early when so many others were as accurate at that time and as small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is trained on what; equal arguments give equal results.

    Attributes
    ----------
    model : str
        As :func:`vecq_hw.train.build_model` takes it.
    data, data_dir, data_digest
        A data set that is read where the trial runs, and its digest.
    state : bytes
        The parameters of the float model, as torch.save writes them.
    settings : Settings
        Of the fine-tuning.
    samples : int or None
        Training samples that a trial is trained on; None: all that are not for validation.
    seed : int
        Also of the validation split and of the samples that are drawn.
    """

    model: str
    data: str
    data_dir: str | None
    data_digest: str
    state: bytes = field(repr=False)
    settings: Settings
    samples: int | None = None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A trial that another one must not be worse than in everything.

    Attributes
    ----------
    costs : tuple of float
        In the order of the objectives.
    accuracies : tuple of float
        At each rung.
    """

    costs: tuple[float, ...]
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a trial came to.

    Attributes
    ----------
    integer_accuracy : float or None
        Of the integer network, on the samples that the trial was judged on; None where it was not
        trained to its end.
    luts, ffs, carries, brams, dsps : float
        By the cost model.
    memory_bits : int
        Of the block RAMs.
    cycles : float
        From frame to frame.
    latency_cycles : int
    frames_per_second : float
        At the clock that was asked for.
    estimated_clock_mhz : float
        What the cost model says that the network reaches.
    size_bytes : int
        Of the weights.
    excess : mapping
        By how much each limit is missed, as a share of it; see :meth:`Target.excess`.
    epochs : int
        That were trained.
    rungs : tuple of float
        The accuracy of the model on the validation split after 1, 2, 4, ... epochs.
    reason : str
        Why it was not trained to its end; else empty.
    seconds : float
    """

    integer_accuracy: float | None
    luts: float
    ffs: float
    carries: float
    brams: float
    dsps: float
    memory_bits: int
    cycles: float
    latency_cycles: int
    frames_per_second: float
    estimated_clock_mhz: float
    size_bytes: int
    excess: Mapping[str, float]
    epochs: int = 0
    rungs: tuple[float, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    def costs(self, objectives: Sequence[str]) -> tuple[float, ...]:
        """What is to be small, in the order of the objectives."""
        found = {
            "luts": self.luts,
            "memory": float(self.memory_bits),
            "latency": float(self.latency_cycles),
            "cycles": self.cycles,
            "size": float(self.size_bytes),
        }
        return tuple(found[name] for name in objectives)


@functools.lru_cache(maxsize=2)
def load_data(name: str, folder: str | None, digest: str) -> Dataset:
    """A data set, once in a process.

    Raises
    ------
    VecqError
        It is not there, or holds something else than when the search began.
    """
    found = datasets.load(name, folder)
    if found.digest != digest:
        raise VecqError(
            f"data set '{name}' holds other samples than when the search began; search anew"
        )
    return found


def evaluate_point(
    point: Point,
    task: Task,
    target: Target,
    objectives: tuple[str, ...] = ("luts",),
    rivals: tuple[Rival, ...] = (),
) -> Measured:
    """Fine-tune, lower, fold and cost a point, and simulate it on the validation split.

    A point that misses a limit of the target is not trained; one that ``HOPELESS`` rivals are as
    good as at a rung is not trained to its end.

    Raises
    ------
    VecqError
        It cannot be trained or lowered.
    """
    begin = time.perf_counter()
    dataset = with_validation(load_data(task.data, task.data_dir, task.data_digest), task.seed)
    with one_thread():
        twin = _twin(point, task, dataset)
        network = dry_run(twin, dataset.x_train[:DRY_RUN_SAMPLES])
        try:
            found = _measured(network, schedule_for(network, target), target)
        except VecqError as error:
            raise VecqError(f"no folds reach the frame rate: {error}") from None
        missed = [name for name, excess in found.excess.items() if excess > 0]
        if missed:
            worst = max(missed, key=lambda name: found.excess[name])
            reason = f"not trained: it goes beyond {limit_text(worst, target)}"
            return replace(found, reason=reason, seconds=time.perf_counter() - begin)
        training = Training(twin, some_of(dataset, task.samples, task.seed), task.settings)
        rungs: list[float] = []
        while not training.finished:
            done = training.run_epoch().number
            if done & (done - 1) or training.finished:
                continue
            rungs.append(evaluate(twin, dataset.x_test, dataset.y_test))
            if _is_hopeless(rungs, found.costs(objectives), rivals):
                reason = (
                    f"stopped after {done} of {task.settings.epochs} epochs: {HOPELESS} others were"
                    " as accurate then and take no more"
                )
                seconds = time.perf_counter() - begin
                return replace(
                    found, epochs=done, rungs=tuple(rungs), reason=reason, seconds=seconds
                )
        network = lower(twin, dataset.shape, name=_network_name(task.model))
        found = _measured(network, schedule_for(network, target), target)
        accuracy = integer_accuracy(network, dataset)
    return replace(
        found,
        integer_accuracy=accuracy,
        epochs=task.settings.epochs,
        rungs=tuple(rungs),
        seconds=time.perf_counter() - begin,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network of the front, trained by the whole recipe, and its schedule, as files hold them.

    What was measured is of the test split.
    """

    network: bytes
    schedule: str
    measured: Measured


def train_point(point: Point, task: Task, target: Target) -> Trained:
    """Train a point on all training samples, and count what its network gets right of the test's.

    Raises
    ------
    VecqError
        It cannot be trained or lowered.
    """
    begin = time.perf_counter()
    dataset = load_data(task.data, task.data_dir, task.data_digest)
    with one_thread():
        twin = _twin(point, task, dataset)
        training = Training(twin, dataset, task.settings)
        while not training.finished:
            training.run_epoch()
        network = lower(twin, dataset.shape, name=_network_name(task.model))
        schedule = schedule_for(network, target)
        measured = replace(
            _measured(network, schedule, target),
            integer_accuracy=integer_accuracy(network, dataset),
            epochs=task.settings.epochs,
            seconds=time.perf_counter() - begin,
        )
    return Trained(network=storage.to_bytes(network), schedule=to_json(schedule), measured=measured)


def integer_accuracy(network: Network, dataset: Dataset) -> float:
    """The share of the samples to test on that the integer network gets right."""
    outputs = simulate(network, network_inputs(network, dataset.x_test))
    return float((predictions(network, outputs) == dataset.y_test).mean())


def _twin(point: Point, task: Task, dataset: Dataset) -> nn.Module:
    """The quantized model, begun with the float model's parameters."""
    model = float_model(task.model, dataset, task.seed)
    model.load_state_dict(torch.load(io.BytesIO(task.state), weights_only=True))
    with torch.random.fork_rng():
        torch.manual_seed(task.seed)
        return recipe_of(task.model, dataset, point).quantize(model)


def _network_name(model: str) -> str:
    """The name of the model, or of the file that it comes from."""
    return Path(model.rpartition(":")[0]).stem if ":" in model else model


def _measured(network: Network, schedule: Schedule, target: Target) -> Measured:
    found: Estimate = measure(network, schedule, target)
    weights = sum(layer.weight_count for layer in network.products)
    family = target.place.family
    taken: dict[str, Any] = {
        name: float(getattr(found.total, name)) for name in ("luts", "ffs", "brams", "dsps")
    }
    return Measured(
        integer_accuracy=None,
        **taken,
        carries=float(found.total.carries),
        memory_bits=round(found.total.brams * family.block_ram_bits),
        cycles=float(found.cycles),
        latency_cycles=found.latency_cycles,
        frames_per_second=target.clock_mhz * 1e6 / found.cycles,
        estimated_clock_mhz=round(found.clock_mhz, 1),
        size_bytes=round(weights * stored_bits(network).per_weight / 8),
        excess={name: round(over, 6) for name, over in target.excess(found).items()},
    )


def _is_hopeless(rungs: Sequence[float], costs: tuple[float, ...], rivals: Sequence[Rival]) -> bool:
    at = len(rungs) - 1
    better = [
        rival
        for rival in rivals
        if len(rival.accuracies) > at
        and rival.accuracies[at] >= rungs[at]
        and all(theirs <= ours for theirs, ours in zip(rival.costs, costs, strict=True))
    ]
    return len(better) >= HOPELESS
