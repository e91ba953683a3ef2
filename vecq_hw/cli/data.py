"""From the options that name samples to the integer inputs of a network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from vecq_hw.cli.graphs import is_graph
from vecq_hw.cli.names import PRESETS, Name, presets
from vecq_hw.cli.options import Whole
from vecq_hw.cli.progress import progress_bar
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.data import Dataset
    from vecq_hw.data.dataset import Labels, Targets
    from vecq_hw.formats import IntArray
    from vecq_hw.network import Network
    from vecq_hw.simulate.inputs import Rule

_Command = TypeVar("_Command", bound=Callable[..., Any])


def data_options(purpose: str) -> Callable[[_Command], _Command]:
    """``--data``, with ``purpose`` as its help, and ``--data-dir``, alike in every command."""

    def decorate(command: _Command) -> _Command:
        command = click.option(
            "--data-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Where data sets with a name lie.  [default: VECQ_DATA, else 'data']",
        )(command)
        return click.option("--data", metavar="digits|mnist|cifar10|imdb|...|PATH", help=purpose)(
            command
        )

    return decorate


def model_options(model: str, start: str) -> Callable[[_Command], _Command]:
    """``--preset``, ``--data``, ``--data-dir``, ``--model`` and ``--from``: what is trained.

    ``model`` and ``start`` end the helps of ``--model`` and ``--from``.
    """
    options = (
        click.option(
            "--preset",
            type=Name(presets),
            metavar="NAME",
            help=f"Data, model and schedule at once: {', '.join(PRESETS)}; other options change"
            " it.",
        ),
        data_options("What to train on.  [default: the preset's, else digits]"),
        click.option(
            "--model",
            metavar="NAME|FILE.py:FUNCTION",
            help=f"mlp, cnn, lenet5, vgg_like, resnet8, ... or a function of your own{model}",
        ),
        click.option(
            "--from",
            "float_state",
            metavar="FLOAT.pt",
            help="Begin with the parameters of a float model, a state_dict or a checkpoint with"
            f" one{start}",
        ),
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def loaded(data: str, folder: Path | None = None) -> Dataset:
    """The data set called ``data``, with its notes; a progress bar while images are decoded."""
    from vecq_hw import data as datasets
    from vecq_hw.cli.output import echo

    steps = 100
    with progress_bar(steps, "decoding images") as move:
        dataset = datasets.load(data, folder, lambda done, total: move(steps * done // total))
    for note in dataset.notes:
        echo(f"{dataset.name}: {note}")
    return dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Where the inputs of a network come from: one of the three, or none.

    Attributes
    ----------
    data : str or None
        A data set, of which the test samples are taken.
    folder : Path or None
        Where named data sets lie.
    codes, reals : Path or None
        Files of integer codes, channels last, and of real numbers, channels first: an array (.npy),
        or an array for each input by its name (.npz).
    most : int or None
        At most this many samples.
    """

    data: str | None
    folder: Path | None
    codes: Path | None
    reals: Path | None
    most: int | None

    def __post_init__(self) -> None:
        if sum(given is not None for given in (self.data, self.codes, self.reals)) > 1:
            raise click.UsageError("give one of --data, --inputs and --reals")
        if self.folder is not None and self.data is None:
            raise click.UsageError("--data-dir says where a data set lies; give --data too")

    def read(
        self, network: Network, rule: Rule | None = None
    ) -> tuple[dict[str, IntArray], Targets | None] | None:
        """The codes of each input and the labels or masks, if there are any; None without source.

        Reals become codes by ``rule``, else by rule 1 of the numeric contract.

        Raises
        ------
        VecqError
            The samples do not fit the network's inputs.
        """
        import numpy as np

        from vecq_hw.simulate import network_inputs
        from vecq_hw.simulate.ends import by_name, input_names
        from vecq_hw.simulate.reference import checked_inputs, quantized
        from vecq_hw.unpack import read_npy, read_npz

        names, rule = input_names(network), rule or quantized
        what = f"inputs of network '{network.name}'"
        if self.data is not None:
            if len(names) > 1:
                raise VecqError(
                    f"a data set holds one array of samples, but network '{network.name}' has the"
                    f" inputs {', '.join(map(repr, names))}; give --inputs or --reals"
                )
            if is_graph(self.data, self.folder):
                return _nodes(network, self.data, self.folder)
            dataset = loaded(self.data, self.folder)
            labels = dataset.y_test[: self.most]
            codes = network_inputs(network, dataset.x_test[: self.most], rule)
            return {names[0]: codes}, labels
        file = self.codes or self.reals
        if file is None:
            return None
        found = read_npz(file) if file.suffix.lower() == ".npz" else read_npy(file)
        try:
            arrays = {name: np.asarray(a) for name, a in by_name(names, found, what).items()}
            if any(array.ndim == 0 or not len(array) for array in arrays.values()):
                raise VecqError("it holds no samples; an array of samples is wanted")
            arrays = {name: array[: self.most] for name, array in arrays.items()}
            if self.reals is not None:
                given = network_inputs(network, arrays, rule)
                arrays = {**given} if isinstance(given, dict) else {names[0]: given}
            return checked_inputs(network, arrays), None
        except VecqError as error:
            raise VecqError(f"'{file}': {error}") from None

    def vectors(
        self, network: Network, seed: int = 0, rule: Rule | None = None
    ) -> dict[str, IntArray]:
        """Inputs to verify with: these samples, else random codes, and the corner vectors."""
        from vecq_hw.verify.vectors import random_vectors, with_corners

        found = self.read(network, rule)
        main = random_vectors(network, self.most or 200, seed) if found is None else found[0]
        return with_corners(network, main)


def _nodes(network: Network, data: str, folder: Path | None) -> tuple[dict[str, IntArray], Labels]:
    """The one sample of a graph: its words, with the labels of its test nodes alone, else -1."""
    import numpy as np

    from vecq_hw.data import load_graph
    from vecq_hw.simulate.reference import checked_inputs

    graph = load_graph(data, folder)
    labels = np.full((1, graph.nodes), -1)
    labels[0, graph.test] = graph.labels[graph.test]
    try:
        return checked_inputs(network, graph.codes), labels
    except VecqError as error:
        raise VecqError(
            f"data '{data}': {graph.nodes} nodes of {graph.words} words are no input of network"
            f" '{network.name}', which holds the graph that it was trained on ({error})"
        ) from None


def accuracies(
    network: Network, outputs: Mapping[str, IntArray], labels: Labels
) -> dict[str, float]:
    """Which part of the samples, or of the labelled nodes of a graph, each output gets right."""
    from vecq_hw.simulate import predictions
    from vecq_hw.simulate.ends import output_arrays

    if labels.ndim == 1:
        classes = output_arrays(network, predictions(network, outputs))
    else:
        classes = {name: array.argmax(-1).reshape(labels.shape) for name, array in outputs.items()}
    known = labels >= 0
    return {name: float((found == labels)[known].mean()) for name, found in classes.items()}


def samples_options(command: _Command) -> _Command:
    """``--data``, ``--data-dir``, ``--inputs``, ``--reals``, ``--samples``, as ``samples``."""
    options = (
        data_options(
            "Data set whose test split is used; PATH: an .npz file (x_train, y_train, x_test,"
            " y_test), a folder or a .zip of images, a file or folder of texts; of a network with"
            " a graph that graph."
        ),
        click.option(
            "--inputs",
            type=click.Path(path_type=Path),
            metavar="CODES.npy",
            help="Integer codes of the input, samples first, channels last; instead of --data. Of"
            " several inputs an .npz file with an array for each, by its name.",
        ),
        click.option(
            "--reals",
            type=click.Path(path_type=Path),
            metavar="FILE.npy",
            help="Real inputs as the model takes them, samples first, then channels; instead of"
            " --data. Of several inputs an .npz file with an array for each, by its name.",
        ),
        click.option("--samples", type=Whole(), help="At most this many samples."),
    )

    @functools.wraps(command)
    def gathered(
        *arguments: Any,
        data: str | None,
        data_dir: Path | None,
        inputs: Path | None,
        reals: Path | None,
        samples: int | None,
        **others: Any,
    ) -> Any:
        source = Samples(data=data, folder=data_dir, codes=inputs, reals=reals, most=samples)
        return command(*arguments, samples=source, **others)

    for option in reversed(options):
        gathered = option(gathered)
    return cast(_Command, gathered)
