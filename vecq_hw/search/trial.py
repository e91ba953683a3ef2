"""What a point is worth: fine-tuned, lowered, folded, costed and simulated.

A function of its arguments alone, so that it may run in any process and may run again.
"""

from __future__ import annotations

import functools
import io
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
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
from vecq_hw.search.space import Point
from vecq_hw.search.target import Target, limit_text, measure, schedule_for
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import ModelRecipe, Settings, Training, build_model, evaluate, load_float_state

VALIDATION_SHARE = 6
"""One training sample in so many is kept back from training, at most ``MOST_VALIDATION``."""
MOST_VALIDATION = 10_000
DRY_RUN_SAMPLES = 8
HOPELESS = 3
"""A trial ends early when so many others were as accurate at that time and as small."""
_ALONE = threading.Lock()


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
    seed : int
        Also of the validation split.
    """

    model: str
    data: str
    data_dir: str | None
    data_digest: str
    state: bytes = field(repr=False)
    settings: Settings
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


def with_validation(dataset: Dataset, seed: int) -> Dataset:
    """The training samples alone, some of them drawn to be tested on in place of the test samples.

    Each class keeps at least one sample to train on.

    Raises
    ------
    VecqError
        The data set has masks in place of classes, or too few samples to keep some back.
    """
    if dataset.masked:
        raise VecqError(
            f"{dataset.name} has masks, but a search compares how many samples are right; a data"
            " set of classes is wanted"
        )
    count = len(dataset.x_train)
    order = np.random.default_rng(seed).permutation(count)
    first = np.unique(dataset.y_train[order], return_index=True)[1]
    order = np.concatenate([order[first], np.delete(order, first)])
    kept = min(count // VALIDATION_SHARE, MOST_VALIDATION, count - len(first))
    if kept < 1:
        raise VecqError(
            f"{dataset.name}: {count} training samples are too few to keep some back for validation"
        )
    train, validation = np.sort(order[: count - kept]), np.sort(order[count - kept :])
    return replace(
        dataset,
        x_train=dataset.x_train[train],
        y_train=dataset.y_train[train],
        x_test=dataset.x_train[validation],
        y_test=dataset.y_train[validation],
    )


def recipe_of(model: str, dataset: Dataset, point: Point) -> ModelRecipe:
    """The recipe of the quantized model of a point."""
    most = max((choice.activation_bits for choice in point.values()), default=8)
    return ModelRecipe(
        model=model,
        shape=dataset.shape,
        classes=dataset.classes,
        weight_bits=8,
        activation_bits=most,
        overrides={name: choice.override() for name, choice in point.items()},
    )


def float_model(model: str, dataset: Dataset, seed: int, state: str | None = None) -> nn.Module:
    """The float model, its parameters from a file or drawn from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = build_model(model, dataset.shape, dataset.classes)
    if state is not None:
        load_float_state(built, state)
    return built


def state_bytes(model: nn.Module) -> bytes:
    """The parameters as a file of torch.save."""
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    return stream.getvalue()


def untrained_network(model: nn.Module, name: str, dataset: Dataset, point: Point) -> Network:
    """What the point would become: the layers and widths of its network, not yet its integers."""
    twin = recipe_of(name, dataset, point).quantize(model)
    return dry_run(twin, dataset.x_train[:DRY_RUN_SAMPLES])


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
        training = Training(twin, dataset, task.settings)
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


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: sums are added in one order, whatever else runs on the machine.

    Torch's threads and random numbers are those of the process, so that a second caller waits.
    """
    with _ALONE:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
