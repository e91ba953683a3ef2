"""``vecq search`` and ``vecq sensitivity``: bits and methods by layer, for a device and a pace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli import status
from vecq_hw.cli.command import COMMON, command
from vecq_hw.cli.data import model_options
from vecq_hw.cli.graph_search import search_widths
from vecq_hw.cli.graphs import is_graph
from vecq_hw.cli.names import Choice, Names, methods
from vecq_hw.cli.options import Keep, Real, Whole, Widths, clock_option, positive, seed_option
from vecq_hw.cli.output import echo, print_table, say
from vecq_hw.cli.outputs import (
    OutputFile,
    OutputFolder,
    folder,
    is_forced,
    write,
    write_json,
)
from vecq_hw.cli.progress import activity, note
from vecq_hw.cli.schedules import device_option
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.search import Request, Result

_PLOT, _PAGE = "front.svg", "front.html"
_SCALES = ("tensor", "channel")
_OBJECTIVES = ("luts", "memory", "latency", "cycles", "size")


_model_options = model_options(
    ".  [default: the preset's]", "; without it the float model is trained first."
)


@command()
@_model_options
@device_option()
@click.option("--target-fps", type=positive(), metavar="FPS", help="Frames per second, at least.")
@clock_option("at which frames and latency are counted")
@click.option("--max-luts", type=Whole(), help="Look-up tables at most.")
@click.option(
    "--min-accuracy",
    type=Real(0, 1),
    metavar="0..1",
    help="Least accuracy on the validation split.",
)
@click.option("--trials", type=Whole(), default=100, show_default=True, help="Networks to try.")
@click.option(
    "--bits",
    type=Widths(),
    default="1..8",
    show_default=True,
    help="Bits of the weights of a layer.",
)
@click.option(
    "--activation-bits",
    type=Widths(),
    default="8",
    show_default=True,
    help="Bits of the activations of a network.",
)
@click.option(
    "--keep",
    type=Keep(),
    multiple=True,
    metavar="LAYER=BITS",
    help="Weights of a layer that are not searched; may be given several times.",
)
@click.option(
    "--methods",
    type=Names(methods),
    default="vecq",
    show_default=True,
    help="Methods of quantizing weights; 'vecq methods' lists them.",
)
@click.option(
    "--scales",
    type=Names(lambda: _SCALES),
    default="tensor",
    show_default=True,
    help="What has a scale of its own: tensor, channel or both.",
)
@click.option(
    "--objectives",
    type=Names(lambda: _OBJECTIVES),
    default="luts",
    show_default=True,
    help="What is to be small beside a large accuracy: luts, memory, latency, cycles, size.",
)
@click.option(
    "--optimizer",
    type=Choice(["nsga2", "tpe", "random", "grid", "abs"]),
    default="nsga2",
    show_default=True,
    help="What chooses the networks to try; abs is SGQuant's, of graphs alone, and their default.",
)
@click.option(
    "--epochs",
    type=Whole(),
    help="Passes over the samples in a trial.  [default: a tenth of the preset's]",
)
@click.option(
    "--samples",
    type=Whole(),
    help="Training samples, drawn by the seed, that a trial is trained on.  [default: all]",
)
@click.option(
    "--final-epochs",
    type=Whole(),
    help="Passes over the samples for the networks of the front.  [default: the preset's]",
)
@seed_option("the search")
@click.option(
    "--verify",
    type=Choice(["rtl", "hls", "none"]),
    default="rtl",
    show_default=True,
    help="Target that runs each network of the front against the simulator.",
)
@click.option("--workers", type=Whole(1, 1024), help="Local processes that run trials.")
@click.option(
    "--scheduler", metavar="ADDRESS", help="A scheduler of Dask, such as tcp://host:8786."
)
@click.option(
    "--storage",
    metavar="URL",
    help="Where the trials are kept, as Optuna takes it; searches that ask for the same share it."
    "  [default: a file in --out]",
)
@click.option(
    "--out", type=OutputFolder(), default="search", show_default=True, help="Folder to write into."
)
@click.option(
    "--resume", type=OutputFolder(), metavar="DIR", help="Go on with the search in that folder."
)
@click.option(
    "--show", type=OutputFolder(), metavar="DIR", help="Print what the search there has found."
)
@click.option("--plot", is_flag=True, help="Write front.svg and front.html into the folder.")
@click.pass_context
def search(
    context: click.Context,
    /,
    out: Path,
    resume: Path | None,
    show: Path | None,
    plot: bool,
    workers: int | None,
    scheduler: str | None,
    storage: str | None,
    json_file: Path | None,
    **options: Any,
) -> int:
    """Search for bits and methods of each layer, for a device and a frame rate.

    Trials are networks, fine-tuned from one float model, whose accuracy is counted with integers
    and whose cost is that of the cost model.  The best of them are trained by the whole recipe and
    verified.  After Ctrl-C, a crash or a reboot, --resume DIR goes on.

    Of a graph (cora, citeseer, or an .npz file with edges) the widths of weights, messages and
    states by the number of neighbours are searched, for few stored bits; --activation-bits are 1..8
    there, and no device is wanted.

    Examples
    --------
    vecq search --preset cnn-digits --device ecp5-25k --target-fps 20000 --out search
    vecq search --resume search --workers 4
    vecq search --show search --plot
    """
    from vecq_hw import search as searching

    if show is not None or resume is not None:
        _check_alone(context, "show" if show is not None else "resume")
    if show is None and resume is None and is_graph(options["data"], options["data_dir"]):
        return search_widths(context, out, workers, scheduler, json_file, options)
    place = show or resume or out
    if show is None:
        if workers is not None and scheduler is not None:
            raise VecqError(
                "--workers starts processes here, --scheduler has its own; give one of them"
            )

        try:
            if resume is not None:
                searching.resume(
                    resume, workers=workers, scheduler=scheduler, force=is_forced(), tell=note
                )
            else:
                searching.search(
                    _request(options),
                    out,
                    workers=workers,
                    scheduler=scheduler,
                    storage=storage,
                    force=is_forced(),
                    tell=note,
                )
        except KeyboardInterrupt:
            if (place / "search.json").exists():
                say(f"'vecq search --resume {place}' goes on")
            raise
    result = searching.load(place)
    _print(result)
    if plot:
        _draw(place, result)
    write_json(json_file, result.tree())
    failed = any(one.verified.startswith("failed") for one in result.front)
    return status.BAD_RESULT if failed else status.DONE


@command()
@_model_options
@click.option(
    "--bits",
    type=Widths(),
    default="1..8",
    show_default=True,
    help="Bits of the weights of a layer.",
)
@seed_option("the training of the float model")
@click.option(
    "--plot", type=OutputFile("plot", suffix=".png"), help="Draw the losses to this .png file."
)
def sensitivity(
    preset: str | None,
    data: str | None,
    data_dir: Path | None,
    model: str | None,
    float_state: str | None,
    bits: tuple[int, ...],
    seed: int,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """Estimate what each layer loses at each width, in closed form and without training.

    The orientation loss of VecQ's grid on the layer's weights gives their direct loss; half of
    that, times the mean square of the gradient of a sample by a weight, is how much the network's
    cross-entropy rises.

    Examples
    --------
    vecq sensitivity --preset mlp-digits
    vecq sensitivity --model model.py:build --from float.pt --data digits --bits 1,2,4
    """
    from vecq_hw.cli.data import loaded
    from vecq_hw.search.models import layers_of, trained_float
    from vecq_hw.search.request import Request
    from vecq_hw.search.sensitivity import plot as drawing
    from vecq_hw.search.sensitivity import sensitivities

    request = Request(
        device="ecp5-85k",  # of no consequence here
        target_fps=1.0,
        preset=preset,
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        model=model,
        float_state=float_state,
        seed=seed,
    )
    recipe = request.recipe
    dataset = loaded(recipe.data, data_dir)
    with activity("training the float model" if float_state is None else "reading it") as go_on:
        built, split = trained_float(request, dataset, lambda text: None)
        go_on("taking gradients")
        layers = layers_of(recipe.model, dataset, seed)
        found = sensitivities(built, split, layers, bits)
    widths = sorted(set(bits))
    rows = [
        (
            one.layer,
            f"{one.weights:,}",
            f"{one.energy:.2e}",
            *(f"{one.loss[width]:.2e}" for width in widths),
        )
        for one in found
    ]
    print_table(("layer", "weights", "gradient²", *(f"W{width}" for width in widths)), rows)
    echo("estimated rise of the cross-entropy with that layer's weights alone quantized")
    if plot is not None:
        write(plot, drawing(found))
    tree = [
        {
            "layer": one.layer,
            "weights": one.weights,
            "gradient_energy": one.energy,
            **{
                name: {str(width): value for width, value in values.items()}
                for name, values in (
                    ("orientation_loss", one.orientation),
                    ("direct_loss", one.direct),
                    ("loss", one.loss),
                )
            },
        }
        for one in found
    ]
    write_json(json_file, {"model": recipe.model, "data": recipe.data, "layers": tree})


def _request(options: dict[str, Any]) -> Request:
    from vecq_hw.search import Request
    from vecq_hw.search.request import absolute

    for name, option in (("device", "--device"), ("target_fps", "--target-fps")):
        if options[name] is None:
            raise click.UsageError(f"a search wants {option} (or --resume DIR, or --show DIR)")
    keep: dict[str, int] = {}
    for layer, bits in options.pop("keep"):
        if keep.setdefault(layer, bits) != bits:
            raise VecqError(f"--keep {layer}={keep[layer]} contradicts --keep {layer}={bits}")
    folder = options.pop("data_dir")
    data_dir = None if folder is None else absolute(str(folder))
    for name in ("data", "float_state"):
        options[name] = absolute(options[name])
    return Request(keep=keep, data_dir=data_dir, **options)


def _check_alone(context: click.Context, chosen: str) -> None:
    """What a search was asked for is in its folder; it cannot be changed."""
    also = {"resume", "show", "plot", *COMMON}
    also |= {"workers", "scheduler"} if chosen == "resume" else set()
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name not in also:
            raise VecqError(
                f"--{chosen} takes the search as it was begun, so {parameter.opts[0]} cannot be"
                " given; begin another one in another folder"
            )
    if context.params["resume"] is not None and context.params["show"] is not None:
        raise VecqError("--resume goes on, --show only looks; give one of them")


def _print(result: Result) -> None:
    from vecq_hw.search.front import table

    failed = sum(one.measured is None for one in result.trials)
    early = sum(one.measured is not None and not one.whole for one in result.trials)
    echo(
        f"{len(result.trials)} trials have ended: {len(result.trials) - failed - early} whole,"
        f" {early} early, {failed} failed; seed {result.request.seed}"
    )
    if not result.front:
        echo("there is no network on the front yet")
        return
    titles, rows = table(result.front)
    print_table(titles, rows, left=2)
    for one in result.front:
        emit, verify = one.commands(result.request)
        echo(f"trial {one.number}:\n  {emit}\n  {verify}")


def _draw(place: Path, result: Result) -> None:
    from vecq_hw.search.picture import page, svg

    with folder(place) as target:
        drawing = svg(result)
        target.write(_PLOT, drawing, "plot")
        target.write(_PAGE, page(result, drawing), "page")
    echo(f"drawn in {place / _PLOT} and {place / _PAGE}")
