"""``vecq demo``: the whole flow on real handwritten digits."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli import status
from vecq_hw.cli.command import command
from vecq_hw.cli.names import Choice
from vecq_hw.cli.options import Whole, seed_option, width_options
from vecq_hw.cli.output import echo, percent, print_report, print_table
from vecq_hw.cli.outputs import OutputFolder, folder, is_forced, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.cli.training import seeded_model, train_and_lower

if TYPE_CHECKING:
    from vecq_hw.files import Folder

_FILES = {"checkpoint.pt": "checkpoint", "network.npz": "network"}
"""The files of each model, and their kinds."""


@command()
@click.option(
    "--out", type=OutputFolder(), default="demo", show_default=True, help="Folder to write into."
)
@click.option("--model", type=Choice(["mlp", "cnn"]), help="Only this one; both if left out.")
@width_options(Whole(1, 16), None)
@click.option(
    "--epochs", type=Whole(), default=40, show_default=True, help="Passes over the samples."
)
@seed_option("the training")
def demo(
    out: Path,
    model: str | None,
    weight_bits: int,
    activation_bits: int,
    epochs: int,
    seed: int,
    json_file: Path | None,
) -> int:
    """Train on real digits, lower, simulate, emit C++ and SystemVerilog, verify every output.

    Writes summary.json to the folder --out, and for each model a folder with network.npz,
    checkpoint.pt and the generated projects.  Exits with 1 if any integer differs.

    Examples
    --------
    vecq demo
    vecq demo --model mlp --weight-bits 1 --out demo_w1
    """
    from vecq_hw import toolchain

    start = time.perf_counter()
    toolchain.require(*toolchain.TOOLS)
    names = (model,) if model else ("mlp", "cnn")
    with folder(out) as place:
        place.check(
            {"summary.json": "report"}
            | {f"{name}/{file}": kind for name in names for file, kind in _FILES.items()}
        )
        if (out / "summary.json").exists():
            echo(f"replacing the earlier demo in {out}")
        summaries = {
            name: _demonstrate(place, name, weight_bits, activation_bits, epochs, seed)
            for name in names
        }
        summary = {**summaries, "seconds": round(time.perf_counter() - start, 1)}
        place.write("summary.json", f"{json.dumps(summary, indent=2)}\n".encode(), "report")
    echo(f"\n{out / 'summary.json'}  ({summary['seconds']} s)")
    write_json(json_file, summary)
    return status.DONE if all(one["passed"] for one in summaries.values()) else status.BAD_RESULT


def _demonstrate(
    place: Folder, model: str, weight_bits: int, activation_bits: int, epochs: int, seed: int
) -> dict[str, Any]:
    """All of it for one model, into a folder of its name; what summary.json says of it."""
    from vecq_hw import data as datasets
    from vecq_hw import storage
    from vecq_hw.simulate import network_inputs
    from vecq_hw.train import evaluate, fit
    from vecq_hw.train.checkpoint import ModelRecipe, save_checkpoint
    from vecq_hw.verify.compare import verify
    from vecq_hw.verify.targets import choose
    from vecq_hw.verify.vectors import with_corners

    dataset = datasets.load("digits")
    recipe = ModelRecipe(
        model=model,
        shape=dataset.shape,
        classes=dataset.classes,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    echo(f"{dataset!r}\ntraining the float {model}")
    float_model = seeded_model(recipe, seed)
    fit(float_model, dataset, epochs=epochs, seed=seed)
    echo(f"training with {weight_bits}-bit weights and {activation_bits}-bit activations")
    trained = train_and_lower(recipe, dataset, epochs=epochs, seed=seed, name=f"digits_{model}")
    network = trained.network
    with place.replacing(f"{model}/checkpoint.pt", "checkpoint") as temporary:
        save_checkpoint(trained.model, recipe, temporary)
    with place.replacing(f"{model}/network.npz", "network") as temporary:
        storage.save(network, temporary)
    echo(repr(network))

    codes = network_inputs(network, dataset.x_test)
    inputs = with_corners(network, codes)
    count = len(inputs[network.inputs[0].name])
    with activity(f"verifying on {count} vectors") as progress:
        report = verify(
            network,
            inputs,
            targets=choose(None),
            folder=place.path / model,
            progress=progress,
            force=is_forced(),
        )
    harder = datasets.load("digits-last")
    echo("training once more on the harder split: the last 597 images are the test")
    other = train_and_lower(recipe, harder, epochs=epochs, seed=seed, name=f"digits_{model}")
    summary = {
        "float_accuracy": evaluate(float_model, dataset.x_test, dataset.y_test),
        **trained.metrics,
        "harder_split_integer_accuracy": other.metrics["integer_accuracy"],
        **report.to_json(),
    }
    print_table(
        ("accuracy", ""),
        [
            ("float", percent(summary["float_accuracy"])),
            ("quantization-aware training", percent(summary["qat_accuracy"])),
            ("integer network", percent(summary["integer_accuracy"])),
            ("integer network, harder split", percent(summary["harder_split_integer_accuracy"])),
        ],
    )
    echo(
        f"{summary['prediction_differences']} of {len(dataset.x_test)} predictions differ between"
        " training and integers\n"
    )
    print_report(report)
    return summary
