"""What ``vecq train`` and ``vecq simulate`` tell of maps: scores against masks, and a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vecq_hw.cli.outputs import write
from vecq_hw.errors import VecqError, matplotlib_wanted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from vecq_hw.data import Dataset
    from vecq_hw.data.dataset import Masks
    from vecq_hw.network import Network

    Maps = npt.NDArray[np.floating]

DRAWN = 6
"""Test images of a picture."""


def map_scores(maps: Maps, masks: Masks) -> dict[str, float]:
    """MAE, F-, S- and E-measure by their names, of maps (N, H, W) against masks (N, H, W)."""
    from vecq_hw.data.saliency import saliency_scores

    return asdict(saliency_scores(zip(maps, masks, strict=True)))


def in_words(scores: Mapping[str, float]) -> str:
    """The two scores that tell most."""
    return f"MAE {scores['mae']:.4f}, max F {scores['max_f']:.4f}"


def check_picture(dataset: Dataset) -> None:
    """Refuse a picture before anything is trained.

    Raises
    ------
    VecqError
        The data set has no masks.
    MissingToolError
        matplotlib is not installed.
    """
    if not dataset.masked:
        raise VecqError(f"--plot draws the maps of images with masks, which {dataset!r} has not")
    with matplotlib_wanted():
        import matplotlib  # noqa: F401


def draw_maps(
    path: Path, dataset: Dataset, models: Mapping[str, nn.Module | None], network: Network | None
) -> None:
    """The first test images, their masks, and maps of them beside each other, as a .png file.

    Parameters
    ----------
    path : Path
        Which an option of the command names.
    models : mapping from a title to a model that gives a map, or None where there is none
    network : Network or None
        The integer network, whose map comes last.
    """
    from matplotlib.figure import Figure

    from vecq_hw.simulate import network_inputs, object_maps, simulate
    from vecq_hw.train import predict_maps

    images, masks = dataset.x_test[:DRAWN], dataset.y_test[:DRAWN]
    least, most = float(images.min()), float(images.max())
    shown = (images.transpose(0, 2, 3, 1) - least) / (most - least or 1)
    shown = shown if shown.shape[3] == 3 else shown.mean(axis=3)
    columns = {"image": shown, "mask": masks}
    for title, model in models.items():
        if model is not None:
            columns[title] = predict_maps(model, images)
    if network is not None:
        found = simulate(network, network_inputs(network, images))
        columns["integer map"] = object_maps(network, found)
    # A Figure of its own, not pyplot: no display and no global state.
    figure = Figure(
        figsize=(1.4 * len(columns), 1.4 * len(images) + 0.3), dpi=100, layout="constrained"
    )
    places = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, pictures) in enumerate(columns.items()):
        places[0, column].set_title(title, fontsize=9)
        for row, picture in enumerate(pictures[: len(images)]):
            places[row, column].imshow(picture, cmap="gray", vmin=0, vmax=1)
            places[row, column].set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write(path, buffer.getvalue())
