"""Plots of what layers take on arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from vecq_hw.errors import VecqError, matplotlib_wanted
from vecq_hw.files import write_atomically
from vecq_hw.simulate.mac_array.product import ArrayCost


def plot_utilisation(
    costs: Mapping[str, Mapping[str, ArrayCost]], path: str | Path, title: str = ""
) -> None:
    """Draw the utilisation of each layer, a bar for each array side by side.

    Parameters
    ----------
    costs : mapping from the array's name to its costs by layer
        As :func:`network_costs` gives them, the same layers for all.
    path : str or Path
        The file to write, atomically; its name ends in ``.png``.
    title : str

    Raises
    ------
    VecqError
        The name ends otherwise, there is nothing to draw, or the file cannot be written.
    MissingToolError
        matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise VecqError(f"'{path}': plots are written as .png files")
    layers = [name for by_layer in costs.values() for name in by_layer]
    layers = list(dict.fromkeys(layers))
    if not layers:
        raise VecqError(f"'{path}': there is no Dense or Conv2d to draw")
    with matplotlib_wanted():
        from matplotlib.figure import Figure
    # A Figure of its own, not pyplot: no display and no global state.
    figure = Figure(figsize=(max(5.0, 1.0 * len(layers) + 2), 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(costs)
    for index, (name, by_layer) in enumerate(costs.items()):
        places = [i + (index - (len(costs) - 1) / 2) * width for i in range(len(layers))]
        shares = [100 * by_layer[layer].utilisation for layer in layers]
        bars = axes.bar(places, shares, width, label=name)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=7)
    axes.set_xticks(range(len(layers)), layers, rotation=30 if len(layers) > 6 else 0)
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("utilisation in %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(costs), loc="lower left", bbox_to_anchor=(0, 1))
    if title:
        figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())
