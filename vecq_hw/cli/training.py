"""What ``vecq train`` and ``vecq demo`` do alike: train, lower, count what is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vecq_hw.cli import maps
from vecq_hw.cli.output import host_words, percent
from vecq_hw.cli.progress import activity
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from torch import nn

    from vecq_hw.data import Dataset
    from vecq_hw.lower.sizes import StoredBits
    from vecq_hw.network import Network
    from vecq_hw.train import ModelRecipe, Training


DRY_RUN_SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A quantized model that was trained, the network lowered from it, and what both get right."""

    model: nn.Module
    network: Network
    metrics: dict[str, Any]


def seeded_model(recipe: ModelRecipe, seed: int) -> nn.Module:
    """The float model of ``recipe``, its parameters drawn from ``seed``."""
    import torch

    from vecq_hw.train import build_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(recipe.model, recipe.shape, recipe.classes)


def check_lowering(model: nn.Module, recipe: ModelRecipe, dataset: Dataset) -> None:
    """Say before training what would keep the trained model from being lowered."""
    from vecq_hw.lower import dry_run

    if recipe.activation_bits is None:
        return
    try:
        with host_words():
            dry_run(model, dataset.x_train[:DRY_RUN_SAMPLES])
    except VecqError as error:
        raise VecqError(
            f"model '{recipe.model}' cannot be lowered, so it is not trained: {error}"
        ) from None


def train_and_lower(
    recipe: ModelRecipe, dataset: Dataset, *, epochs: int, seed: int, name: str
) -> Trained:
    """Train the quantized twin of the recipe's model and lower it; prints a progress bar."""
    from vecq_hw.train import Settings, Training, run

    model = recipe.quantize(seeded_model(recipe, seed))
    training = Training(model, dataset, Settings(epochs=epochs, seed=seed))
    run(training)
    with activity(f"lowering, and testing on {len(dataset.x_test)} samples"):
        network, lowered = lowered_metrics(model, dataset, name)
        metrics = trained_metrics(training, recipe, dataset) | lowered
    return Trained(model=model, network=network, metrics=metrics)


def trained_metrics(training: Training, recipe: ModelRecipe, dataset: Dataset) -> dict[str, Any]:
    """What was trained and how, and how good the float pass is on all test samples."""
    history = training.history
    validation = [epoch.validation for epoch in history]
    return {
        "data": dataset.name,
        **({"data_notes": list(dataset.notes)} if dataset.notes else {}),
        **({"validation_accuracies": validation} if dataset.validation else {}),
        "model": recipe.model,
        "weight_bits": recipe.weight_bits,
        "activation_bits": recipe.activation_bits,
        "activation_method": recipe.activation_method,
        "method": recipe.method,
        "epochs": len(history),
        "seed": training.settings.seed,
        "train_samples": len(dataset.x_train),
        "test_samples": len(dataset.x_test),
        **tested(training.model, dataset, "qat"),
        "losses": [round(epoch.loss, 6) for epoch in history],
        "training_seconds": round(sum(epoch.seconds for epoch in history), 1),
    }


def tested(model: nn.Module, dataset: Dataset, kind: str) -> dict[str, Any]:
    """How good a model is on all test samples: ``KIND_accuracy``, or with masks ``KIND_scores``."""
    from vecq_hw.train import evaluate, predict_maps

    if dataset.masked:
        return {
            f"{kind}_scores": maps.map_scores(predict_maps(model, dataset.x_test), dataset.y_test)
        }
    return {f"{kind}_accuracy": evaluate(model, dataset.x_test, dataset.y_test)}


def lowered_metrics(
    model: nn.Module, dataset: Dataset, name: str
) -> tuple[Network, dict[str, Any]]:
    """The network lowered from a quantized model, and how good it is on all test samples."""
    from vecq_hw import storage
    from vecq_hw.lower import lower, prediction_differences
    from vecq_hw.lower.sizes import stored_bits
    from vecq_hw.passes.precision import kept_mantissa_bits
    from vecq_hw.simulate import network_inputs, object_maps, predictions, simulate
    from vecq_hw.train import predict_maps

    with host_words():
        network = lower(model, dataset.shape, name=name)
    outputs = simulate(network, network_inputs(network, dataset.x_test))
    if dataset.masked:
        found_maps = object_maps(network, outputs)
        others = (found_maps > 0.5) != (predict_maps(model, dataset.x_test) > 0.5)
        found = {
            "integer_scores": maps.map_scores(found_maps, dataset.y_test),
            "pixel_differences": int(others.sum()),
        }
    else:
        right = predictions(network, outputs) == dataset.y_test
        found = {
            "integer_accuracy": float(right.mean()),
            "prediction_differences": prediction_differences(model, network, dataset.x_test),
        }
    return network, found | {
        "mantissa_bits": {
            name: min(filter(None, bits), default=0)
            for name, bits in kept_mantissa_bits(network).items()
        },
        **_sizes(stored_bits(network)),
        "network_digest": storage.digest(network),
    }


def in_words(metrics: Mapping[str, Any], dataset: Dataset) -> str:
    """The line that sums up how good the model is, and its integer network if there is one."""
    kind = "scores" if dataset.masked else "accuracy"
    say = maps.in_words if dataset.masked else percent
    shown = say(metrics[f"qat_{kind}"])
    if f"integer_{kind}" not in metrics:
        return shown
    shown = f"QAT {shown}, integer {say(metrics[f'integer_{kind}'])}"
    if dataset.masked:
        pixels = dataset.y_test.size
        return f"{shown}, {metrics['pixel_differences']} of {pixels} pixels decided otherwise"
    differences, samples = metrics["prediction_differences"], len(dataset.x_test)
    return f"{shown}, {differences} of {samples} predictions differ"


def sizes_without_network(model: nn.Module, recipe: ModelRecipe) -> dict[str, Any]:
    """The sizes of a model without a network; None where its weights have no integer codes."""
    from vecq_hw.lower.sizes import StoredBits, stored_bits_of_model

    if recipe.weight_bits is None:
        return _sizes(StoredBits(32.0, {}))
    try:
        return _sizes(stored_bits_of_model(model))
    except VecqError:
        return _sizes(None)


def _sizes(found: StoredBits | None) -> dict[str, Any]:
    return {
        "stored_bits_per_weight": found and found.per_weight,
        "bits_by_layer": found and found.by_layer,
    }
