"""``vecq demo``: the whole flow on real handwritten digits."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from vecq_hw.cli.output import percent, print_report, print_table, spinner
from vecq_hw.cli.training import seeded_model, train_and_lower, writable_folder


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="demo", show_default=True)
@click.option("--model", type=click.Choice(["mlp", "cnn"]), default="mlp", show_default=True)
@click.option("--weight-bits", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--activation-bits", type=click.IntRange(1, 16), default=8, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo(
    out: Path, model: str, weight_bits: int, activation_bits: int, epochs: int, seed: int
) -> int:
    """Train on real digits, lower, simulate, emit C++ and SystemVerilog, verify every output.

    Writes summary.json, network.npz, checkpoint.pt and the generated projects to the folder --out.
    Exits with 1 if any integer differs.
    """
    import numpy as np

    from vecq_hw import data as datasets
    from vecq_hw import storage, toolchain
    from vecq_hw.simulate import network_inputs
    from vecq_hw.train import evaluate, fit
    from vecq_hw.train.checkpoint import ModelRecipe, save_checkpoint
    from vecq_hw.verify.compare import verify
    from vecq_hw.verify.targets import TARGETS
    from vecq_hw.verify.vectors import corner_vectors

    start = time.perf_counter()
    writable_folder(out)
    toolchain.require(*toolchain.TOOLS)
    dataset = datasets.load("digits")
    recipe = ModelRecipe(
        model=model,
        shape=dataset.shape,
        classes=dataset.classes,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    click.echo(f"{dataset!r}\ntraining the float {model}")
    float_model = seeded_model(recipe, seed)
    fit(float_model, dataset, epochs=epochs, seed=seed)
    click.echo(f"training with {weight_bits}-bit weights and {activation_bits}-bit activations")
    trained = train_and_lower(recipe, dataset, epochs=epochs, seed=seed, name=f"digits_{model}")
    network = trained.network
    save_checkpoint(trained.model, recipe, out / "checkpoint.pt")
    storage.save(network, out / "network.npz")
    click.echo(repr(network))

    codes = network_inputs(network, dataset.x_test)
    inputs = np.concatenate([codes, corner_vectors(network)])
    with spinner(f"building and running {', '.join(t.name for t in TARGETS)}"):
        report = verify(network, inputs, targets=TARGETS, folder=out)
    harder = datasets.load("digits-last")
    click.echo("training once more on the harder split: the last 597 images are the test")
    other = train_and_lower(recipe, harder, epochs=epochs, seed=seed, name=f"digits_{model}")
    summary = {
        "float_accuracy": evaluate(float_model, dataset.x_test, dataset.y_test),
        **trained.metrics,
        "harder_split_integer_accuracy": other.metrics["integer_accuracy"],
        **report.to_json(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    text = json.dumps(summary, indent=2) + "\n"
    storage.write_atomically(out / "summary.json", text.encode())

    print_table(
        ("accuracy", ""),
        [
            ("float", percent(summary["float_accuracy"])),
            ("quantization-aware training", percent(summary["qat_accuracy"])),
            ("integer network", percent(summary["integer_accuracy"])),
            ("integer network, harder split", percent(summary["harder_split_integer_accuracy"])),
        ],
    )
    click.echo(
        f"{summary['prediction_differences']} of {len(dataset.x_test)} predictions differ between"
        " training and integers\n"
    )
    print_report(report)
    click.echo(f"\n{out / 'summary.json'}  ({summary['seconds']} s)")
    return 0 if report.passed else 1
