"""``vecq train``: from a data set and a float model to a checkpoint and its integer network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli.output import percent
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from torch import nn

    from vecq_hw.data import Dataset
    from vecq_hw.network import Network
    from vecq_hw.train.checkpoint import ModelRecipe


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


def train_and_lower(
    recipe: ModelRecipe, dataset: Dataset, *, epochs: int, seed: int, name: str
) -> Trained:
    """Train the quantized twin of the recipe's model and lower it; prints a progress bar."""
    from vecq_hw import storage
    from vecq_hw.lower import lower, prediction_differences, shortened_mantissas
    from vecq_hw.simulate import network_inputs, predictions, simulate
    from vecq_hw.train import evaluate, fit

    model = recipe.quantize(seeded_model(recipe, seed))
    losses = fit(model, dataset, epochs=epochs, seed=seed)
    network = lower(model, dataset.shape, name=name)
    outputs = simulate(network, network_inputs(network, dataset.x_test))
    metrics = {
        "data": dataset.name,
        "model": recipe.model,
        "weight_bits": recipe.weight_bits,
        "activation_bits": recipe.activation_bits,
        "epochs": epochs,
        "seed": seed,
        "train_samples": len(dataset.x_train),
        "test_samples": len(dataset.x_test),
        "qat_accuracy": evaluate(model, dataset.x_test, dataset.y_test),
        "integer_accuracy": float((predictions(outputs) == dataset.y_test).mean()),
        "prediction_differences": prediction_differences(model, network, dataset.x_test),
        "shortened_mantissas": shortened_mantissas(network),
        "network_digest": storage.digest(network),
        "losses": [round(loss, 6) for loss in losses],
    }
    return Trained(model=model, network=network, metrics=metrics)


def writable_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written before the work begins, not after."""
    import os

    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise VecqError(f"'{folder}' cannot be written: '{existing}' is no folder open to writing")


@click.command()
@click.option("--data", metavar="digits|PATH.npz", default="digits", show_default=True)
@click.option(
    "--model",
    metavar="NAME|FILE.py:FUNCTION",
    default="mlp",
    show_default=True,
    help="mlp, cnn, lenet5, vgg_like, resnet8, mobilenet_v2, ... or a function of your own.",
)
@click.option("--weight-bits", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--activation-bits", type=click.IntRange(1, 16), default=8, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default="trained", show_default=True)
def train(
    data: str,
    model: str,
    weight_bits: int,
    activation_bits: int,
    epochs: int,
    seed: int,
    out: Path,
) -> None:
    """Train a quantized network and lower it.

    Writes checkpoint.pt, network.npz and metrics.json to the folder --out.
    """
    from vecq_hw import data as datasets
    from vecq_hw import storage
    from vecq_hw.train.checkpoint import ModelRecipe, save_checkpoint

    writable_folder(out)
    dataset = datasets.load(data)
    recipe = ModelRecipe(
        model=model,
        shape=dataset.shape,
        classes=dataset.classes,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    name = Path(model.rpartition(":")[0]).stem if ":" in model else model
    trained = train_and_lower(recipe, dataset, epochs=epochs, seed=seed, name=name)
    save_checkpoint(trained.model, recipe, out / "checkpoint.pt")
    storage.save(trained.network, out / "network.npz")
    metrics = json.dumps(trained.metrics, indent=2) + "\n"
    storage.write_atomically(out / "metrics.json", metrics.encode())
    click.echo(
        f"{out}: QAT {percent(trained.metrics['qat_accuracy'])},"
        f" integer {percent(trained.metrics['integer_accuracy'])},"
        f" {trained.metrics['prediction_differences']} of {len(dataset.x_test)} predictions differ"
    )
