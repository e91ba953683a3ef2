"""From ``--data`` to the integer inputs of a network, for the commands that take both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vecq_hw.data import Dataset
    from vecq_hw.formats import IntArray
    from vecq_hw.network import Network

data_option = click.option(
    "--data",
    metavar="digits|mnist|cifar10|PATH",
    help="Data set whose test split is used; PATH: an .npz file (x_train, y_train, x_test,"
    " y_test), a folder or a .zip of images.  mnist and cifar10 lie in the folder VECQ_DATA.",
)
samples_option = click.option(
    "--samples", type=click.IntRange(min=1), metavar="N", help="At most this many samples."
)


def loaded(data: str, folder: Path | None = None) -> Dataset:
    """The data set called ``data``; a progress bar while images are decoded."""
    from vecq_hw import data as datasets
    from vecq_hw.cli.output import progress_bar

    steps = 100
    with progress_bar(steps, "decoding images") as move:
        return datasets.load(data, folder, lambda done, total: move(steps * done // total))


def test_codes(network: Network, data: str, samples: int | None) -> tuple[IntArray, Dataset]:
    """The first ``samples`` test samples as codes of the network's input, and the data set."""
    from vecq_hw.simulate import network_inputs

    dataset = loaded(data)
    return network_inputs(network, dataset.x_test[:samples]), dataset


def vectors_for(network: Network, data: str | None, samples: int | None, seed: int = 0) -> IntArray:
    """Inputs to verify with: test samples or random codes, and the corner vectors."""
    import numpy as np

    from vecq_hw.verify.vectors import corner_vectors, random_vectors

    if data is None:
        main = random_vectors(network, samples or 200, seed)
    else:
        main, _ = test_codes(network, data, samples)
    return np.concatenate([main, corner_vectors(network)])
