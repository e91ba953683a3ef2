"""``vecq train`` of a graph: its nodes are classified by a graph convolutional network."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli.command import COMMON
from vecq_hw.cli.output import echo, percent
from vecq_hw.cli.outputs import command_line, folder, write_json
from vecq_hw.cli.progress import activity, progress_bar
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.train.graph_bits import GraphBits
    from vecq_hw.train.graph_convolution import GraphEpoch

_TAKEN = (
    *("data", "data_dir", "out", "threads", "device", *COMMON),
    *("weight_bits", "activation_bits", "bits_file"),
    *("epochs", "learning_rate", "weight_decay", "seed"),
)
LOG, METRICS, NETWORK = "train.csv", "metrics.json", "network.npz"
_KINDS = {LOG: "log", METRICS: "report", NETWORK: "network"}


def is_graph(data: str | None, data_dir: Path | None) -> bool:
    """Whether ``--data`` names a graph."""
    if data is None:
        return False
    from vecq_hw.data import data_folder
    from vecq_hw.data.graphs import graph_path

    return graph_path(data, data_folder(data_dir)) is not None


def train_nodes(
    context: click.Context,
    out: Path,
    data_dir: Path | None,
    json_file: Path | None,
    options: Mapping[str, Any],
) -> None:
    """Train, lower, and count what is right; a training takes seconds, so it is not gone on with.

    Raises
    ------
    VecqError
        An option was given that means nothing here; the graph or the widths cannot be used.
    """
    from vecq_hw import storage
    from vecq_hw.data import load_graph
    from vecq_hw.lower.graph_convolution import lower_graph
    from vecq_hw.simulate import simulate
    from vecq_hw.train.graph_bits import feature_memory
    from vecq_hw.train.graph_convolution import (
        GraphSettings,
        node_accuracy,
        predict_nodes,
        train_graph,
    )

    refuse_others(context, _TAKEN, options["data"])
    graph = load_graph(options["data"], data_dir)
    bits = _bits(options)
    names = ("epochs", "learning_rate", "weight_decay", "seed")
    settings = GraphSettings(**{name: options[name] for name in names if options[name] is not None})
    history: list[GraphEpoch] = []
    with folder(out) as target:
        target.check(_KINDS)
        with progress_bar(settings.epochs, f"training on {graph.train.size} nodes") as move:

            def after_epoch(epoch: GraphEpoch) -> None:
                history.append(epoch)
                move(epoch.number)

            model = train_graph(graph, bits, settings, after_epoch)
        classes = predict_nodes(model)
        metrics: dict[str, Any] = {
            "data": graph.name,
            "nodes": graph.nodes,
            "edges": len(graph.edges),
            "widths": "float" if bits is None else str(bits),
            "epochs": settings.epochs,
            "seed": settings.seed,
            "validation_accuracy": node_accuracy(graph, classes, graph.val),
            "qat_accuracy": node_accuracy(graph, classes, graph.test),
        }
        shown = f"{percent(metrics['qat_accuracy'])} of {graph.test.size} test nodes right"
        if bits is not None:
            with activity(f"lowering, and simulating {graph.nodes} nodes"):
                network = lower_graph(model, graph.name if graph.name.isidentifier() else "graph")
                found = simulate(network, graph.codes)[0, 0].argmax(1)
            memory = feature_memory(graph, bits)
            metrics |= {
                "integer_accuracy": node_accuracy(graph, found, graph.test),
                "prediction_differences": int((found != classes).sum()),
                "feature_bits": memory.words + memory.states,
                "feature_memory_factor": round(memory.factor, 2),
                "feature_memory_factor_without_input": round(memory.factor_without_input, 2),
            }
            shown = (
                f"integer network {percent(metrics['integer_accuracy'])} of {graph.test.size} test"
                f" nodes right, {metrics['prediction_differences']} of {graph.nodes} predictions"
                f" differ; features {memory.factor:.1f} times smaller than in 32 bits,"
                f" {memory.factor_without_input:.1f} times without the input"
            )
            with target.replacing(NETWORK, _KINDS[NETWORK]) as temporary:
                storage.save(network, temporary)
        else:
            target.remove((NETWORK,))
        target.write(LOG, _log(history), _KINDS[LOG])
        metrics |= {} if (typed := command_line()) is None else {"command": typed}
        text = json.dumps(metrics, indent=2) + "\n"
        target.write(METRICS, text.encode(), _KINDS[METRICS])
        echo(f"{out}: {shown}")
        write_json(json_file, metrics)


def refuse_others(context: click.Context, taken: Sequence[str], data: str) -> None:
    """Refuse options of the command that were given and mean nothing where the data are a graph."""
    for parameter in context.command.params:
        name = str(parameter.name)
        if is_given(context, name) and name not in taken:
            raise VecqError(
                f"--data {data} is a graph, whose network has no use for {parameter.opts[0]}"
            )


def is_given(context: click.Context, name: str) -> bool:
    """Whether the user gave an option, rather than leave it to its default."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _bits(options: Mapping[str, Any]) -> GraphBits | None:
    """The widths that the options ask for; None for a float network."""
    from vecq_hw.train.graph_bits import GraphBits, read_graph_bits

    if options["bits_file"]:
        return read_graph_bits(options["bits_file"])
    weights, activations = options["weight_bits"], options["activation_bits"]
    if isinstance(weights, str) and isinstance(activations, str):
        return None
    if isinstance(weights, str) or isinstance(activations, str):
        raise VecqError(
            "weights and activations of the network of a graph are both float or both quantized"
        )
    return GraphBits.uniform(weights, activations, activations)


def _log(history: list[GraphEpoch]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("epoch", "loss", "validation_accuracy", "seconds"))
    for epoch in history:
        rows.writerow(
            (
                epoch.number,
                f"{epoch.loss:.6f}",
                f"{epoch.accuracy:.6f}",
                f"{epoch.seconds:.3f}",
            )
        )
    return text.getvalue().encode()
