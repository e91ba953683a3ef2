"""When the layers work, and what share of their cycles: a picture of a run."""

from __future__ import annotations

import io
from pathlib import Path

from vecq_hw.errors import VecqError, matplotlib_wanted
from vecq_hw.files import write_atomically
from vecq_hw.simulate.dataflow.frames import DataflowRun

DRAWN_FRAMES = 4
"""The most frames that are drawn, where a run has many short ones."""


def plot_timeline(run: DataflowRun, path: str | Path, title: str = "") -> None:
    """Draw from when to when each layer works on each frame, and its utilisation beside it.

    Parameters
    ----------
    path : str or Path
        The file to write, atomically; its name ends in ``.png``.

    Raises
    ------
    VecqError
        The name ends otherwise, there is no layer to draw, or the file cannot be written.
    MissingToolError
        matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise VecqError(f"'{path}': plots are written as .png files")
    if not run.spans:
        raise VecqError(f"'{path}': there is no layer to draw")
    with matplotlib_wanted():
        from matplotlib.figure import Figure
    # A Figure of its own, not pyplot: no display and no global state.
    height = 1.4 + 0.24 * len(run.spans)
    figure = Figure(figsize=(10, height), dpi=120, layout="constrained")
    timeline, shares = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    rows = range(len(run.spans))
    for frame in range(min(len(run.frame_ends), DRAWN_FRAMES)):
        starts = [spans[frame][0] for spans in run.spans.values()]
        lengths = [spans[frame][1] - spans[frame][0] for spans in run.spans.values()]
        offset = 0.2 * (-1) ** (frame + 1)  # frames overlap; neighbours lie on lines of their own
        places = [row + offset for row in rows]
        timeline.barh(places, lengths, 0.36, left=starts, color=f"C{frame}", label=f"frame {frame}")
    timeline.set_yticks(rows, run.spans)
    timeline.invert_yaxis()
    timeline.set_xlabel("cycle")
    timeline.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    percents = [100 * share for share in run.utilisation.values()]
    shares.bar_label(shares.barh(rows, percents, 0.7, color="C7"), fmt="%.0f", padding=2)
    shares.set_xlim(0, 115)
    shares.set_xlabel("utilisation in %")
    for axes in (timeline, shares):
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())
