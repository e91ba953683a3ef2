"""The float model of a search, its data, and the quantized twins that are made of it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.lower import dry_run
from vecq_hw.network import Network
from vecq_hw.quantize.activation import ActivationQuantizer
from vecq_hw.search.request import Request
from vecq_hw.search.space import Point
from vecq_hw.train import (
    LayerQuantization,
    ModelRecipe,
    Training,
    build_model,
    load_float_state,
    quantize_model,
)
from vecq_hw.train.quantized_layers import Quantized

VALIDATION_SHARE = 6
"""One training sample in so many is kept back from training, at most ``MOST_VALIDATION``."""
MOST_VALIDATION = 10_000
DRY_RUN_SAMPLES = 8
_MARK = 7
"""Activation bits that tell one layer's quantizers from those of the others."""
_ALONE = threading.Lock()
Tell = Callable[[str], object]


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


def some_of(dataset: Dataset, samples: int | None, seed: int) -> Dataset:
    """With so many of its training samples, drawn by the seed; with all where they are no more.

    Each class keeps at least one.
    """
    count = len(dataset.x_train)
    if samples is None or samples >= count:
        return dataset
    order = np.random.default_rng(seed).permutation(count)
    first = np.unique(dataset.y_train[order], return_index=True)[1]
    order = np.concatenate([order[first], np.delete(order, first)])
    kept = np.sort(order[: max(samples, len(first))])
    return replace(dataset, x_train=dataset.x_train[kept], y_train=dataset.y_train[kept])


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


def layers_of(model: str, dataset: Dataset, seed: int = 0) -> list[str]:
    """The names of a model's layers with weights, in its order."""
    built = float_model(model, dataset, seed)
    twin = quantize_model(built, input_shape=dataset.shape)
    return [name for name, module in twin.named_modules() if isinstance(module, Quantized)]


def layers_with_activations(request: Request, dataset: Dataset) -> list[str]:
    """The layers whose sums become an activation of few bits: all but those that end the network.

    The widths of the others' activations would change nothing.
    """
    recipe = request.recipe
    layers = layers_of(recipe.model, dataset, request.seed)
    if len(set(request.activation_bits)) < 2:
        return layers
    return [name for name in layers if activation_of(recipe.model, dataset, layers, name)]


def activation_of(model: str, dataset: Dataset, layers: Sequence[str], layer: str) -> list[str]:
    """The names of the quantizers, within the twin, that the layer's activation bits are of."""
    built = float_model(model, dataset, 0)
    others = {name: LayerQuantization(activation=8) for name in layers}
    overrides = {**others, layer: LayerQuantization(activation=_MARK)}
    twin = quantize_model(built, 8, 8, overrides, input_shape=dataset.shape)
    return [
        name
        for name, module in twin.named_modules()
        if isinstance(module, ActivationQuantizer) and module.bits == _MARK
    ]


def trained_float(request: Request, dataset: Dataset, tell: Tell) -> tuple[nn.Module, Dataset]:
    """The float model by the whole recipe, and the split that it was trained and validated on."""
    recipe = request.recipe
    split = with_validation(dataset, request.seed)
    model = float_model(recipe.model, dataset, request.seed, request.float_state)
    if request.float_state is None:
        with one_thread():
            training = Training(model, split, recipe.settings)
            last = time.monotonic()
            while not training.finished:
                epoch = training.run_epoch()
                if time.monotonic() - last > 2 or training.finished:
                    last = time.monotonic()
                    tell(
                        f"float model: epoch {epoch.number} of {recipe.settings.epochs}, loss"
                        f" {epoch.loss:.4f}"
                    )
    return model.eval(), split


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
