"""From ``--data`` to the integer inputs of a network, for the commands that take both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vecq_hw.data import Dataset
    from vecq_hw.formats import IntArray
    from vecq_hw.network import Network

data_option = click.option(
    "--data",
    metavar="digits|PATH.npz",
    help="Data set whose test split is used (PATH.npz: x_train, y_train, x_test, y_test).",
)
samples_option = click.option(
    "--samples", type=click.IntRange(min=1), metavar="N", help="At most this many samples."
)


def test_codes(network: Network, data: str, samples: int | None) -> tuple[IntArray, Dataset]:
    """The first ``samples`` test samples as codes of the network's input, and the data set."""
    from vecq_hw import data as datasets
    from vecq_hw.simulate import network_inputs

    dataset = datasets.load(data)
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
