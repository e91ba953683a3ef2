"""``vecq lower``, ``vecq show`` and ``vecq simulate``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from vecq_hw.cli.data import data_option, samples_option, test_codes
from vecq_hw.cli.output import percent, print_table, progress_bar, spinner
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.formats import IntArray
    from vecq_hw.simulate.engines import EngineName
    from vecq_hw.simulate.faults import Site


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
    from vecq_hw.simulate.bytes import left_to_floats
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
    if names := left_to_floats(net):
        click.echo(
            f"On this machine the engine int8 computes {', '.join(map(repr, names))} in floats:"
            " its products of bytes saturate at such weights."
        )


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
@click.option(
    "--engine",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="BLAS, or oneDNN's dot products of bytes; the integers are the same.",
)
@click.option(
    "--trace", type=click.Path(path_type=Path), help="Write every tensor as DIR/NAME.npy."
)
@click.option("--taps", metavar="NAME,...", help="With --trace: write these tensors alone.")
@click.option(
    "--accumulator-bits",
    type=click.IntRange(1, 63),
    help="Narrow every accumulator to this width and count the overflows.",
)
@click.option(
    "--overflow",
    type=click.Choice(["wrap", "saturate"]),
    default="wrap",
    show_default=True,
    help="Saturation is in the order in which the schedule adds.",
)
@click.option(
    "--schedule",
    type=click.Path(path_type=Path),
    help="Lanes by layer (.json), for --overflow saturate; default: up to 8.",
)
@click.option("--faults", type=click.IntRange(min=0), metavar="N", help="Flip N random bits.")
@click.option(
    "--fault-site",
    type=click.Choice(["weights", "activations", "accumulators"]),
    default="weights",
    show_default=True,
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the faults.")
def simulate(
    network: Path,
    data: str | None,
    samples: int | None,
    inputs: Path | None,
    out: Path | None,
    engine: EngineName,
    trace: Path | None,
    taps: str | None,
    accumulator_bits: int | None,
    overflow: str,
    schedule: Path | None,
    faults: int | None,
    fault_site: Site,
    seed: int,
) -> None:
    """Run the bit-accurate simulator; with --data print the integer accuracy."""
    from vecq_hw import simulate as simulator
    from vecq_hw import storage
    from vecq_hw.passes.widths import wrap_accumulators
    from vecq_hw.schedule import default_schedule, load

    if (data is None) == (inputs is None):
        raise click.UsageError("give either --data or --inputs")
    if taps is not None and trace is None:
        raise click.UsageError("--taps chooses the tensors that --trace writes; give --trace too")
    if (overflow == "saturate" or schedule is not None) and accumulator_bits is None:
        raise click.UsageError("--overflow and --schedule go with --accumulator-bits")
    if schedule is not None and overflow != "saturate":
        raise click.UsageError("--schedule goes with --overflow saturate: wrapping has no order")
    if engine == "int8" and overflow == "saturate":
        raise click.UsageError("--overflow saturate adds in the array's order, with no engine")
    if sum(option is not None for option in (trace, accumulator_bits, faults)) > 1:
        raise click.UsageError("give one of --trace, --accumulator-bits and --faults")
    net = storage.load(network)
    if inputs is not None:
        codes, labels = _read_codes(inputs)[:samples], None
    else:
        assert data is not None
        codes, dataset = test_codes(net, data, samples)
        labels = dataset.y_test[:samples]
    counts: dict[str, int] = {}
    if accumulator_bits is not None and overflow == "saturate":
        folds = load(schedule) if schedule is not None else default_schedule(net)
        outputs, counts = simulator.mac_array.simulate_saturating(
            net, folds, codes, accumulator_bits
        )
    elif accumulator_bits is not None:
        net = wrap_accumulators(net, accumulator_bits)
        outputs, counts = simulator.simulate_counting(net, codes, engine)
    elif faults is not None:
        outputs = simulator.simulate_with_faults(net, codes, fault_site, faults, seed, engine)
    elif trace is not None:
        names = list(net.tensors) if taps is None else taps.split(",")
        wanted = [*names, *net.outputs]
        with progress_bar(len(codes), "simulating") as progress:
            tensors = simulator.simulate(net, codes, taps=wanted, engine=engine, progress=progress)
        for name in names:
            _write_array(trace / f"{quote(name, safe=' ')}.npy", tensors[name])
        outputs = tensors[net.outputs[0]]
    else:
        with progress_bar(len(codes), "simulating") as progress:
            outputs = simulator.simulate(net, codes, engine=engine, progress=progress)
    result = f"{len(outputs)} vectors"
    if labels is not None:
        right = simulator.predictions(outputs) == labels
        result += f", integer accuracy {percent(right.mean())}"
    click.echo(result)
    if counts:
        rows = [(name, str(count)) for name, count in counts.items()]
        print_table(("layer", "overflows"), rows)
    if out is not None:
        _write_array(out, outputs)


def _read_codes(path: Path) -> IntArray:
    import numpy as np

    try:
        with path.open("rb") as file:
            codes: IntArray = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VecqError(f"'{path}' is no array of integers (.npy): {error}") from None
    if not codes.ndim:
        raise VecqError(f"'{path}' holds a single number; an array of samples is wanted")
    return codes


def _write_array(path: Path, values: IntArray) -> None:
    import numpy as np

    from vecq_hw import storage

    buffer = io.BytesIO()
    np.save(buffer, values)
    storage.write_atomically(path, buffer.getvalue())
