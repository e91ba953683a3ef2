"""``vecq train``: from a data set and a float model to a checkpoint and its integer network."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli.command import COMMON, command
from vecq_hw.cli.data import model_options
from vecq_hw.cli.graphs import is_graph, train_nodes
from vecq_hw.cli.maps import check_picture, draw_maps
from vecq_hw.cli.names import Choice, Name, methods
from vecq_hw.cli.options import Bits, Milestones, Real, Whole, positive, seed_option, width_options
from vecq_hw.cli.output import echo, print_epoch, say
from vecq_hw.cli.outputs import (
    OutputFile,
    OutputFolder,
    command_line,
    folder,
    is_forced,
    write_json,
)
from vecq_hw.cli.progress import activity, slow_lines
from vecq_hw.cli.task import CHECKPOINT, Task, task_of
from vecq_hw.cli.training import (
    in_words,
    lowered_metrics,
    sizes_without_network,
    tested,
    trained_metrics,
)
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    import torch

    from vecq_hw.files import Folder
    from vecq_hw.network import Network
    from vecq_hw.train import Epoch, Training

LOG = "train.csv"
METRICS, NETWORK, VOCABULARY = "metrics.json", "network.npz", "vocabulary.txt"
_KINDS = {
    CHECKPOINT: "checkpoint",
    LOG: "log",
    METRICS: "report",
    NETWORK: "network",
    VOCABULARY: "vocabulary",
}
_EVERY_RUN = ("out", "model", "data_dir", "device", "threads", "resume", "plot", *COMMON)
"""Options that go with --resume; what the others say is in the checkpoint."""


@command()
@model_options(
    ", which --resume wants again, because the file is run.  [default: mlp]",
    ".",
)
@width_options(Bits(), "1..16|float")
@click.option(
    "--activation-method",
    type=Choice(["uniform", "esb"]),
    default="uniform",
    show_default=True,
    help="How activations but the inputs are quantized.",
)
@click.option(
    "--method",
    type=Name(methods),
    metavar="NAME",
    default="vecq",
    show_default=True,
    help="How weights are quantized; 'vecq methods' lists the methods and their settings.",
)
@click.option(
    "--method-options",
    metavar="NAME=VALUE,...",
    help="Settings of the method, such as interval=search,per_channel=true; items of a list with a"
    " slash between them.",
)
@click.option(
    "--lambda",
    "interval",
    type=Choice(["paper", "exact", "search"]),
    help="How vecq finds its steering interval.",
)
@click.option(
    "--esb-fraction",
    "fraction",
    type=Whole(0),
    metavar="K",
    help="Fraction bits of esb.  [default: those that lose least]",
)
@click.option("--per-channel", is_flag=True, help="A scale for each output, of vecq and others.")
@click.option(
    "--bias-bits",
    type=Whole(1, 16),
    help="Bits of each bias.  [default: exact biases]",
)
@click.option("--bits-file", metavar="FILE.json", help="Bits and methods of single layers.")
@click.option(
    "--epochs", type=Whole(), help="Passes over the samples.  [default: the preset's, else 40]"
)
@click.option(
    "--batch-size", type=Whole(2), help="Samples in a step.  [default: the preset's, else 64]"
)
@click.option(
    "--optimizer",
    type=Choice(["adam", "sgd"]),
    help="What makes the steps.  [default: the preset's, else adam]",
)
@click.option(
    "--learning-rate",
    type=positive(),
    help="The optimizer's, at first.  [default: the preset's, else 0.004]",
)
@click.option(
    "--weight-decay", type=Real(min=0), help="The optimizer's.  [default: the preset's, else 0]"
)
@click.option(
    "--milestones",
    type=Milestones(),
    metavar="EPOCH,...",
    help="Divide the learning rate by ten after these; else it falls as a cosine.",
)
@click.option("--crop-padding", type=Whole(0), help="Pad and crop images at random.")
@click.option("--flip/--no-flip", default=None, help="Mirror half of the images.")
@click.option(
    "--mixed-precision", is_flag=True, default=None, help="Compute in bfloat16 where it is safe."
)
@click.option(
    "--device",
    metavar="cpu|cuda",
    help="What computes the training.  [default: a GPU if there is one]",
)
@click.option(
    "--threads",
    type=Whole(1, 1024),
    help="Threads of the processor.  [default: torch's]",
)
@seed_option("the training", default=None)
@click.option("--resume", is_flag=True, help="Go on with the checkpoint in the folder --out.")
@click.option(
    "--out", type=OutputFolder(), default="trained", show_default=True, help="Folder to write into."
)
@click.option(
    "--plot",
    type=OutputFile("plot", suffix=".png"),
    help="Draw test images, masks and maps beside each other to this .png file; of images with"
    " masks.",
)
@click.pass_context
def train(
    context: click.Context,
    /,
    out: Path,
    data_dir: Path | None,
    device: str | None,
    threads: int | None,
    resume: bool,
    plot: Path | None,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Train a quantized network and lower it.

    Writes checkpoint.pt and train.csv to the folder --out after each epoch; network.npz and
    metrics.json at the end.  After Ctrl-C, --resume goes on.  With torchrun several processes train
    one model.

    Images with masks (blended-objects, or a folder of images and masks) train a network that gives
    a map of the object; metrics.json has its MAE, F-, S- and E-measure.

    The nodes of a graph (cora, citeseer, or an .npz file with edges) are classified by a graph
    convolutional network; its --bits-file has weights, messages, states and buckets of neighbours.

    Examples
    --------
    vecq train --preset cnn-digits --weight-bits 2 --out trained
    vecq train --data images.zip --model model.py:build --method lsq --epochs 20 --out mine
    vecq train --resume --out trained
    """
    import torch

    from vecq_hw.train.distributed import process_group, rank_and_size

    if resume:
        _check_resume(context)
    elif not is_forced():
        if (out / METRICS).exists():
            raise VecqError(
                f"'{out}' holds a finished training; --force replaces it, or give another --out"
            )
        if (out / LOG).exists():
            raise VecqError(
                f"'{out}' holds a training that was stopped; go on with --resume, replace it with"
                " --force, or give another --out"
            )
    if threads is not None:
        torch.set_num_threads(threads)
    if not resume and is_graph(options["data"], data_dir):
        train_nodes(context, out, data_dir, json_file, options)
        return
    place = _device(device)
    with process_group(place):
        if rank_and_size()[0] != 0:  # the first process alone writes
            _run(task_of(options, data_dir, out, resume), place, None)
            return
        with folder(out) as target:
            task = task_of(options, data_dir, out, resume)
            if plot is not None:
                check_picture(task.dataset)
            if resume:
                target.adopt({name: _KINDS[name] for name in (CHECKPOINT, LOG)})
            target.check(_KINDS)
            training = _run(task, place, target)
            with activity(f"testing on {len(task.dataset.x_test)} samples"):
                metrics, shown = _test(training, task, place, target, plot)
            echo(f"{out}: {shown}")
            write_json(json_file, metrics)


def _run(task: Task, place: torch.device, out: Folder | None) -> Training:
    """Train to the end; into ``out``, if given, with a checkpoint and a log after each epoch."""
    from vecq_hw.train import SavedTraining, Training, run, save_checkpoint

    training = Training(task.model.to(place), task.dataset, task.settings)
    if task.state is not None:
        training.load_state_dict(task.state)
    kept = list(training.history)  # what the checkpoint holds
    newest: list[tuple[os.stat_result, list[Epoch]]] = []  # what it is to hold

    def save(epoch: Epoch) -> None:
        if out is None:
            return
        if epoch.number == 1:  # what is there is of another training
            out.remove((METRICS, NETWORK, VOCABULARY))
            if task.dataset.vocabulary:
                text = "".join(f"{token}\n" for token in task.dataset.vocabulary)
                out.write(VOCABULARY, text.encode(), _KINDS[VOCABULARY])
        saved = SavedTraining(
            settings=task.settings,
            data=task.data,
            data_digest=task.data_digest,
            state=training.state_dict(),
        )
        with out.replacing(CHECKPOINT, _KINDS[CHECKPOINT]) as temporary:
            save_checkpoint(training.model, task.recipe, temporary, saved)
            newest[:] = [(temporary.stat(), list(training.history))]
        kept[:] = training.history
        out.write(LOG, _log(kept), _KINDS[LOG])
        print_epoch(epoch, task.settings.epochs)

    try:
        run(training, after_epoch=save, tell=slow_lines())
    except KeyboardInterrupt:
        # The signal may have come when the checkpoint was in its place, and nothing knew it yet.
        for state, history in newest:
            there = None if out is None else out.path / CHECKPOINT
            if there is not None and there.exists() and os.path.samestat(state, there.stat()):
                kept[:] = history
        done = len(kept)
        if out is not None and done:
            out.write(LOG, _log(kept), _KINDS[LOG])  # the signal may have come just before it
            named = f" --model {task.recipe.model}" if ":" in task.recipe.model else ""
            say(
                f"{out.path / CHECKPOINT} holds {done} of {task.settings.epochs} epochs;"
                f" 'vecq train --resume --out {out.path}{named}' goes on"
            )
        raise
    return training


def _log(history: list[Epoch]) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    validated = any(epoch.validation is not None for epoch in history)
    titles = ("epoch", "loss", "train_accuracy", "learning_rate", "seconds")
    rows.writerow((*titles, "validation_accuracy") if validated else titles)
    for epoch in history:
        row = (
            epoch.number,
            f"{epoch.loss:.6f}",
            f"{epoch.accuracy:.6f}",
            f"{epoch.learning_rate:.6g}",
            f"{epoch.seconds:.2f}",
        )
        rows.writerow((*row, f"{epoch.validation:.6f}") if validated else row)
    return text.getvalue().encode()


def _test(
    training: Training, task: Task, place: torch.device, out: Folder, plot: Path | None
) -> tuple[dict[str, Any], str]:
    """Count what is right on all test samples; write the metrics, and the network if there is one.

    There is none where weights or activations are float.  Beside the metrics comes the line that
    sums them up.
    """
    from vecq_hw import storage

    begin = time.perf_counter()
    network: Network | None = None
    metrics = trained_metrics(training, task.recipe, task.dataset)
    if task.float_model is not None:
        metrics |= tested(task.float_model.to(place), task.dataset, "float")
    if task.recipe.activation_bits is not None:
        name = task.recipe.model
        name = Path(name.rpartition(":")[0]).stem if ":" in name else name
        network, lowered = lowered_metrics(training.model.cpu(), task.dataset, name)
        with out.replacing(NETWORK, _KINDS[NETWORK]) as temporary:
            storage.save(network, temporary)
        metrics |= lowered
    else:
        metrics |= sizes_without_network(training.model, task.recipe)
    metrics |= {} if (typed := command_line()) is None else {"command": typed}
    metrics |= {"test_seconds": round(time.perf_counter() - begin, 1), "device": str(place)}
    text = json.dumps(metrics, indent=2) + "\n"
    out.write(METRICS, text.encode(), _KINDS[METRICS])
    if plot is not None:
        models = {"float map": task.float_model, "quantized map": training.model}
        if task.recipe.weight_bits is None:
            models = {"float map": training.model}
        draw_maps(plot, task.dataset, models, network)
    return metrics, in_words(metrics, task.dataset)


def _check_resume(context: click.Context) -> None:
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name not in _EVERY_RUN and source is click.core.ParameterSource.COMMANDLINE:
            raise VecqError(
                f"--resume goes on as the training began, so {parameter.opts[0]} cannot be given;"
                " start a new one in another folder"
            )


def _device(name: str | None) -> torch.device:
    import os

    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise VecqError(f"device '{name}': cpu or cuda is wanted")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise VecqError("device 'cuda': torch finds no GPU here")
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
