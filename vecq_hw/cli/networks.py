"""``vecq lower``, ``vecq show`` and ``vecq simulate``."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.data import Samples, accuracies, samples_options
from vecq_hw.cli.maps import in_words as maps_in_words
from vecq_hw.cli.maps import map_scores
from vecq_hw.cli.names import Choice
from vecq_hw.cli.options import Whole, seed_option
from vecq_hw.cli.output import echo, host_words, percent, print_table
from vecq_hw.cli.outputs import (
    OutputFile,
    OutputFolder,
    folder,
    replacing,
    write,
    write_json,
)
from vecq_hw.cli.progress import activity, progress_bar
from vecq_hw.limits import MANTISSA_BITS

if TYPE_CHECKING:
    from vecq_hw.formats import IntArray
    from vecq_hw.network import Network
    from vecq_hw.simulate.engines import EngineName
    from vecq_hw.simulate.faults import Site

_SIDE_BY_SIDE = 16
"""Outputs of a unit of whose passes ``vecq show`` speaks, or as many as divide a layer's."""


@command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=OutputFile("network"),
    default="network.npz",
    show_default=True,
    help="File to write.",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the network, and so of its top module.  [default: that of the file --out, else"
    " of the checkpoint or its folder]",
)
@click.option(
    "--model",
    metavar="FILE.py:FUNCTION",
    help="Where the checkpoint is of a model of your own: its file, which is run.",
)
@click.option(
    "--mantissa-bits",
    type=Whole(*MANTISSA_BITS),
    default=18,
    show_default=True,
    help="Most bits of the factors of each Rescale.",
)
@click.option("--argmax", is_flag=True, help="End with the class itself instead of its scores.")
@click.option(
    "--top-k",
    metavar="K",
    type=Whole(),
    help="End with the K best classes, the best first, instead of their scores.",
)
@click.option(
    "--thresholds",
    metavar="BITS",
    type=Whole(1, 8),
    help="Make each Rescale and monotone table to at most so many bits thresholds; the integers are"
    " the same.",
)
def lower(
    checkpoint: Path,
    out: Path,
    name: str | None,
    model: str | None,
    mantissa_bits: int,
    argmax: bool,
    top_k: int | None,
    thresholds: int | None,
    json_file: Path | None,
) -> None:
    """Turn the trained model of CHECKPOINT into an integer network.

    Examples
    --------
    vecq lower trained/checkpoint.pt --out network.npz
    vecq lower trained/checkpoint.pt --model model.py:build --argmax --out classes.npz
    """
    from vecq_hw import storage
    from vecq_hw.lower import lower as lower_model
    from vecq_hw.passes.choices import with_argmax, with_topk
    from vecq_hw.passes.precision import in_words, kept_mantissa_bits
    from vecq_hw.passes.thresholds import with_thresholds
    from vecq_hw.train.checkpoint import load_checkpoint

    if argmax and top_k is not None:
        raise click.UsageError("--argmax and --top-k exclude each other; --top-k 1 is the class")
    if name is not None and not (name.strip() and name.isprintable()):
        raise click.UsageError(f"--name {name!r}: a name of printable characters is wanted")
    with host_words(), activity(f"lowering {checkpoint}"):
        trained, recipe = load_checkpoint(checkpoint, model)
        network = lower_model(
            trained,
            recipe.shape,
            name=name or _default_name(out, checkpoint),
            mantissa_bits=mantissa_bits,
        )
        kept = kept_mantissa_bits(network)
        if thresholds is not None:
            network = with_thresholds(network, thresholds)
    if argmax:
        network = with_argmax(network)
    if top_k is not None:
        network = with_topk(network, top_k)
    with replacing(out) as temporary:
        storage.save(network, temporary)
    digest = storage.digest(network)
    echo(f"{network!r}\n{out}: {digest}")
    if kept:
        said = "; ".join(f"{layer} {in_words(bits)}" for layer, bits in kept.items())
        echo(f"bits of the mantissas, channel by channel: {said}")
    tree = {
        "name": network.name,
        "digest": digest,
        "file": str(out),
        "mantissa_bits": kept,
    }
    write_json(json_file, tree)


def _default_name(out: Path, checkpoint: Path) -> str:
    """What tells this network from others: 'network' and 'checkpoint' do not."""
    candidates = (out.stem, checkpoint.stem, checkpoint.resolve().parent.name)
    telling = (name for name in candidates if name not in ("network", "checkpoint", ""))
    return next((name for name in telling if name.isprintable()), "network")


@command()
@click.argument("network", type=click.Path(path_type=Path))
def show(network: Path, json_file: Path | None) -> None:
    """Print the layers of NETWORK: shapes, formats, weights, exact engine, digest.

    Examples
    --------
    vecq show network.npz
    vecq show network.npz --json -
    """
    from vecq_hw import storage
    from vecq_hw.layers import Embedding
    from vecq_hw.passes.precision import in_words, kept_mantissa_bits
    from vecq_hw.simulate.bytes import left_to_floats
    from vecq_hw.simulate.reference import engine

    net = storage.load(network)
    layers = {layer.name: layer for layer in (*net.inputs, *net.layers)}
    macs = {layer.name: layer for layer in net.products}
    kept = kept_mantissa_bits(net)
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
            "stored": "",
            "mantissas": in_words(kept[name]) if name in kept else "",
        }
        if (mac := macs.get(name)) is not None:
            row |= {
                "engine": engine(mac, net).value,
                "weights": mac.weight_count,
                "bits": round(mac.weights.stored_bits / mac.weight_count, 3),
                "stored": mac.weights.kind,
            }
        if isinstance(layer, Embedding):
            row |= {
                "weights": math.prod(layer.weights.shape),
                "bits": layer.weights.bits,
                "stored": layer.weights.kind,
            }
        rows.append(row)
    digest = storage.digest(net)
    echo(f"{net.name}  {digest}")
    print_table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows], left=4)
    if names := left_to_floats(net):
        echo(
            f"On this machine the engine int8 computes {', '.join(map(repr, names))} in floats:"
            " its products of bytes are wrong, or slower, for such weights and strides."
        )
    bases = _bases(net)
    for name, found in bases.items():
        echo(
            f"'{name}' has {found['mean']} bases in a group on average;"
            f" {found['outputs']} outputs side by side take {found['passes']} passes."
        )
    report = {"name": net.name, "digest": digest, "tensors": rows, "mantissa_bits": kept}
    write_json(json_file, report | ({"bases": bases} if bases else {}))


def _bases(net: Network) -> dict[str, dict[str, float]]:
    """How many bases a group of each layer of binary bases has, and what a unit makes of them."""
    from vecq_hw.layers import BinaryBases

    found = {}
    for layer in net.products:
        if isinstance(layer.weights, BinaryBases):
            own = layer.outputs // layer.groups  # a unit lies within a group of a convolution
            outputs = max(n for n in range(1, _SIDE_BY_SIDE + 1) if own % n == 0)
            found[layer.name] = {
                "mean": round(layer.weights.passes(1), 3),
                "outputs": outputs,
                "passes": round(layer.weights.passes(outputs), 3),
            }
    return found


@command()
@click.argument("network", type=click.Path(path_type=Path))
@samples_options
@click.option(
    "--out",
    type=OutputFile("array"),
    help="File to write the integer outputs to: .npy, of several an .npz, each by its name.",
)
@click.option(
    "--engine",
    type=Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="BLAS, or oneDNN's dot products of bytes; the integers are the same.",
)
@click.option("--trace", type=OutputFolder(), help="Folder to write every tensor to, as NAME.npy.")
@click.option("--taps", metavar="NAME,...", help="With --trace: write these tensors alone.")
@click.option(
    "--accumulator-bits",
    type=Whole(1, 63),
    help="Narrow every accumulator to this width and count the overflows.",
)
@click.option(
    "--overflow",
    type=Choice(["wrap", "saturate"]),
    default="wrap",
    show_default=True,
    help="Saturation is in the order in which the schedule adds.",
)
@click.option(
    "--schedule",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Folds, as vecq schedule writes them, for --overflow saturate.  [default: up to 8 lanes]",
)
@click.option("--faults", type=Whole(0), help="Flip N random bits.")
@click.option(
    "--fault-site",
    type=Choice(["weights", "activations", "accumulators"]),
    default="weights",
    show_default=True,
    help="Where the bits of --faults are.",
)
@seed_option("--faults")
def simulate(
    network: Path,
    samples: Samples,
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
    json_file: Path | None,
) -> None:
    """Run the bit-accurate simulator; with --data print the integer accuracy.

    Reals become the codes of an imported network as its source does it, which the report beside
    the network's file says.

    Examples
    --------
    vecq simulate network.npz --data digits
    vecq simulate network.npz --inputs codes.npy --out outputs.npy
    vecq simulate network.npz --reals samples.npy --trace tensors --taps fc1,fc2
    """
    from vecq_hw import simulate as simulator
    from vecq_hw import storage
    from vecq_hw.interop.reals import rule_beside
    from vecq_hw.passes.widths import wrap_accumulators
    from vecq_hw.schedule import default_schedule, load
    from vecq_hw.simulate.ends import one_or_all, output_arrays

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
    found = samples.read(net, rule_beside(network, storage.digest(net)))
    if found is None:
        raise click.UsageError("give --data, --inputs or --reals")
    codes, labels = found
    count = len(codes[net.inputs[0].name])
    outputs: object
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
        with progress_bar(count, "simulating") as progress:
            tensors = simulator.simulate(net, codes, taps=wanted, engine=engine, progress=progress)
        with folder(trace) as place:
            place.write_all(
                ((f"{quote(name, safe=' ')}.npy", _npy(tensors[name])) for name in names), "trace"
            )
        outputs = {name: tensors[name] for name in net.outputs}
    else:
        with progress_bar(count, "simulating") as progress:
            outputs = simulator.simulate(net, codes, engine=engine, progress=progress)
    arrays = output_arrays(net, outputs)
    result = f"{count} vectors"
    accuracy = scores = None
    if labels is not None and labels.ndim == 3:
        scores = map_scores(simulator.object_maps(net, arrays), labels)
        result += f", {maps_in_words(scores)}"
    elif labels is not None:
        shares = accuracies(net, arrays, labels)
        accuracy = one_or_all(shares)
        for name, share in shares.items():
            where = f" of '{name}'" if len(shares) > 1 else ""
            result += f", integer accuracy{where} {percent(share)}"
    echo(result)
    if counts:
        rows = [(name, str(count)) for name, count in counts.items()]
        print_table(("layer", "overflows"), rows)
    if out is not None:
        alone = one_or_all(arrays)
        write(out, _npz(alone) if isinstance(alone, dict) else _npy(alone))
    tree = {
        "name": net.name,
        "digest": storage.digest(net),
        "vectors": count,
        "integer_accuracy": accuracy,
        **({} if scores is None else {"integer_scores": scores}),
        "overflows": counts,
    }
    write_json(json_file, tree)


def _npz(arrays: dict[str, IntArray]) -> bytes:
    """What numpy.savez writes, with members of any name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(values))
    return buffer.getvalue()


def _npy(values: IntArray) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
