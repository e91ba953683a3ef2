"""``vecq lower``, ``vecq show`` and ``vecq simulate``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import click

from vecq_hw.cli.data import data_option, samples_option, test_codes
from vecq_hw.cli.output import percent, print_table, spinner
from vecq_hw.errors import VecqError


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="network.npz", show_default=True)
@click.option("--mantissa-bits", type=click.IntRange(2, 31), default=18, show_default=True)
def lower(checkpoint: Path, out: Path, mantissa_bits: int) -> None:
    """Turn the trained model of CHECKPOINT into an integer network."""
    from vecq_hw import storage
    from vecq_hw.lower import lower as lower_model
    from vecq_hw.train.checkpoint import load_checkpoint

    with spinner(f"lowering {checkpoint}"):
        model, recipe = load_checkpoint(checkpoint)
        network = lower_model(model, recipe.shape, mantissa_bits=mantissa_bits)
    storage.save(network, out)
    click.echo(f"{network!r}\n{out}: {storage.digest(network)}")


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def show(network: Path, as_json: bool) -> None:
    """Print the layers of NETWORK: shapes, formats, weights, exact engine, digest."""
    from vecq_hw import storage
    from vecq_hw.network import Conv2d, Dense
    from vecq_hw.simulate.reference import engine

    net = storage.load(network)
    layers = {layer.name: layer for layer in (*net.inputs, *net.layers)}
    rows: list[dict[str, Any]] = []
    for name, tensor in net.tensors.items():
        layer = layers[name]
        row: dict[str, Any] = {
            "name": name,
            "kind": type(layer).__name__,
            "format": repr(tensor.format),
            "engine": "",
            "shape": "×".join(map(str, tensor.shape)),
            "step": f"{tensor.step:.6g}",
            "weights": "",
            "bits": "",
        }
        if isinstance(layer, Dense | Conv2d):
            weights = layer.weights
            row |= {
                "engine": engine(layer, net).value,
                "weights": weights.codes.size,
                "bits": weights.grid.bits,
            }
        rows.append(row)
    if as_json:
        tree = {"name": net.name, "digest": storage.digest(net), "tensors": rows}
        click.echo(json.dumps(tree, indent=2, ensure_ascii=False))
        return
    click.echo(f"{net.name}  {storage.digest(net)}")
    print_table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows], left=4)


@click.command()
@click.argument("network", type=click.Path(path_type=Path))
@data_option
@samples_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="Integer codes as .npy, samples first, channels last; instead of --data.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the integer outputs as .npy.")
def simulate(
    network: Path, data: str | None, samples: int | None, inputs: Path | None, out: Path | None
) -> None:
    """Run the bit-accurate simulator; with --data print the integer accuracy."""
    import numpy as np

    from vecq_hw import storage
    from vecq_hw.simulate import predictions
    from vecq_hw.simulate import simulate as run

    if (data is None) == (inputs is None):
        raise click.UsageError("give either --data or --inputs")
    net = storage.load(network)
    if inputs is not None:
        try:
            with inputs.open("rb") as file:
                codes = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise VecqError(f"'{inputs}' is no array of integers (.npy): {error}") from None
        outputs = run(net, codes[:samples])
        click.echo(f"{len(outputs)} vectors")
    else:
        assert data is not None
        codes, dataset = test_codes(net, data, samples)
        with spinner(f"simulating {len(codes)} samples"):
            outputs = run(net, codes)
        right = predictions(outputs) == dataset.y_test[:samples]
        click.echo(f"{len(outputs)} vectors, integer accuracy {percent(right.mean())}")
    if out is not None:
        buffer = io.BytesIO()
        np.save(buffer, outputs)
        storage.write_atomically(out, buffer.getvalue())
