"""The plots of a report: each takes what was measured and gives a figure with its words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vecq_hw.report.figure import INK, LINE, SERIES, Figure, plot
from vecq_hw.report.gather import Epoch
from vecq_hw.report.measure import Activity, CodeUse
from vecq_hw.simulate.dataflow import DataflowRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vecq_hw.train.steering import TrainedWeights

MOST_LEVELS = 32
"""Lines that are drawn for the levels of a grid."""
MOST_BARS = 40
"""Rows of a chart; of more layers the last ones are in the table alone."""


def history(epochs: Sequence[Epoch]) -> Figure:
    """Accuracy and loss over the epochs."""
    numbers = [epoch.number for epoch in epochs]
    last = epochs[-1]
    alt = f"Loss over {len(epochs)} epochs; it ends at {last.loss:.4f}."
    with plot("history", alt) as made:
        axes = made.axes
        axes.plot(numbers, [e.loss for e in epochs], color=SERIES[0], marker=".", label="loss")
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        axes.set_ylabel("loss")
        axes.set_ylim(bottom=0)
        handles = list(axes.lines)
        shares = [
            ("training accuracy", SERIES[1], "--", [e.train_accuracy for e in epochs]),
            ("validation accuracy", SERIES[2], ":", [e.validation_accuracy for e in epochs]),
        ]
        seen = [one for one in shares if None not in one[3]]
        if seen:
            right = axes.twinx()
            right.grid(visible=False)
            right.set_ylabel("accuracy in %")
            for label, color, style, values in seen:
                percent = [100 * value for value in values if value is not None]
                handles += right.plot(numbers, percent, style, color=color, label=label)
        axes.legend(
            handles=handles, ncols=min(len(handles), 2), loc="lower center", bbox_to_anchor=(0.5, 1)
        )
    return Figure(svg=made.svg, caption="Loss and accuracy after each epoch of training.")


def histogram(place: int, trained: TrainedWeights, use: CodeUse) -> Figure:
    """Float weights of a layer over the levels of its grid."""
    levels = np.unique(use.values) * use.step
    beyond = np.mean((trained.values < levels[0]) | (trained.values > levels[-1]))
    alt = (
        f"Histogram of {trained.values.size:,} float weights of {use.layer} from"
        f" {trained.values.min():.3g} to {trained.values.max():.3g}, with {len(levels)} levels from"
        f" {levels[0]:.3g} to {levels[-1]:.3g}; {100 * beyond:.1f} % lie beyond the outer levels."
    )
    with plot(f"histogram-{place}", alt) as made:
        axes = made.axes
        axes.hist(trained.values, bins=60, color=SERIES[0])
        for number, level in enumerate(levels[:: -(-len(levels) // MOST_LEVELS)]):
            axes.axvline(level, color=SERIES[1], lw=1, ls="--", label=None if number else "levels")
        axes.set_xlabel("weight")
        axes.set_ylabel("weights")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0))
    caption = f"Float weights of {use.layer}, and the {len(levels)} levels of its grid."
    return Figure(svg=made.svg, caption=caption)


def steering(place: int, trained: TrainedWeights) -> Figure | None:
    """Orientation loss over lambda with the chosen point, as Fig. 6 of the paper has it."""
    curve = trained.steering
    if curve is None:
        return None
    best = int(curve.losses.argmin())
    alt = (
        f"Orientation loss of {trained.layer} over lambda: least {curve.losses[best]:.4f} at lambda"
        f" {curve.lambdas[best]:.3f}; the chosen lambda {curve.chosen:.3f} leaves"
        f" {curve.chosen_loss:.4f}."
    )
    with plot(f"steering-{place}", alt) as made:
        axes = made.axes
        axes.plot(curve.lambdas, curve.losses, color=SERIES[0])
        axes.plot(
            [curve.chosen],
            [curve.chosen_loss],
            "o",
            color=SERIES[1],
            label=f"chosen: {curve.chosen:.4g}",
        )
        axes.set_xscale("log")
        axes.set_xlabel("lambda in units of the spread")
        axes.set_ylabel("orientation loss")
        axes.legend(loc="upper center")
        ticks = [curve.chosen * factor for factor in (0.25, 0.5, 1, 2, 4)]
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks], minor=False)
        axes.set_xticks([], minor=True)
    caption = (
        f"Orientation loss of {trained.layer}, 1 − cos of the angle between its weights and their"
        f" {curve.bits}-bit codes, over the steering interval lambda."
    )
    return Figure(svg=made.svg, caption=caption)


def codes(place: int, use: CodeUse) -> Figure:
    """How often each code is used."""
    most = int(use.shares.argmax())
    words = "code" if len(use.codes) == 1 << use.bits else "bin of codes"
    alt = (
        f"Share of each {words} of {use.layer}: most often {use.codes[most]}"
        f" ({100 * use.shares[most]:.1f} %); {use.unused} of {len(use.codes)} are not used."
    )
    with plot(f"codes-{place}", alt) as made:
        axes = made.axes
        width = float(use.codes[1] - use.codes[0]) if len(use.codes) > 1 else 1.0
        axes.bar(use.codes, 100 * use.shares, 0.8 * width, color=SERIES[0])
        axes.set_xlabel("code")
        axes.set_ylabel("share in %")
        if len(use.codes) <= 16:
            axes.set_xticks(use.codes)
    return Figure(svg=made.svg, caption=f"How often each {words} of {use.layer} is used.")


def sums(activity: Activity) -> Figure:
    """Used beside proven ranges of the accumulators, each in units of its proven range."""
    rows = activity.sums[:MOST_BARS]
    worst = max(rows, key=lambda row: row.share)
    alt = (
        f"Accumulator ranges of {len(rows)} layers; {worst.layer} used most of what is proven,"
        f" {100 * worst.share:.0f} %."
    )
    with plot("sums", alt, 1.1 + 0.3 * len(rows)) as made:
        axes = made.axes
        for place, row in enumerate(rows):
            scale = 100 / max(abs(row.proven[0]), abs(row.proven[1]), 1)
            for (low, high), color, height, label in (
                (row.proven, LINE, 0.7, "proven for all inputs"),
                (row.used, SERIES[0], 0.35, "used by the samples"),
            ):
                label = label if place == 0 else ""
                axes.barh(
                    place, scale * (high - low), height, scale * low, color=color, label=label
                )
        _names(axes, [row.layer for row in rows])
        axes.set_xlabel("% of the largest proven magnitude")
        axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    caption = f"Sums of each layer on {activity.samples} {activity.source}."
    return Figure(svg=made.svg, caption=caption)


def clipping(activity: Activity) -> Figure:
    """The share of activations that clamps changed, by layer."""
    rows = activity.clippings[:MOST_BARS]
    worst = max(rows, key=lambda row: row.high)
    alt = (
        f"Clipped activations of {len(rows)} layers; {worst.layer} clips most at its upper end,"
        f" {100 * worst.high:.2f} %."
    )
    with plot("clipping", alt, 1.1 + 0.3 * len(rows)) as made:
        axes = made.axes
        places = range(len(rows))
        found = axes.barh(places, [100 * row.high for row in rows], 0.6, color=SERIES[1])
        axes.bar_label(found, [f"{100 * row.high:.2f}" for row in rows], padding=3)
        _names(axes, [row.layer for row in rows])
        axes.margins(x=0.15)
        axes.set_xlim(0, max(1.0, axes.get_xlim()[1]))
        axes.set_xlabel("clipped at the upper end, in % of activations")
    caption = f"Activations that saturate, on {activity.samples} {activity.source}."
    return Figure(svg=made.svg, caption=caption)


def losses(activity: Activity) -> Figure:
    """Signal to quantization noise at each tensor."""
    rows = {row.layer: row.sqnr_db for row in activity.losses if math.isfinite(row.sqnr_db)}
    worst = min(rows, key=lambda name: rows[name])
    alt = (
        f"Signal to quantization noise of {len(rows)} tensors in decibels; least at {worst},"
        f" {rows[worst]:.1f}."
    )
    shown = dict(list(rows.items())[:MOST_BARS])
    caption = (
        "Integers against the float model of the same parameters, on"
        f" {activity.samples} test samples. More decibels are better; 6 are one bit."
    )
    return _bars("losses", shown, "signal to noise in dB", caption, alt=alt, digits=1)


def timeline(run: DataflowRun) -> Figure:
    """From when to when each layer works on the first two frames."""
    names = list(run.spans)[:MOST_BARS]
    busiest = max(run.utilisation, key=lambda name: run.utilisation[name])
    alt = (
        f"Timeline of {len(names)} layers over two frames: a frame every {run.interval:g} cycles,"
        f" the first output word after {run.first_output}; {busiest} works most,"
        f" {100 * run.utilisation[busiest]:.0f} % of the time."
    )
    with plot("timeline", alt, 1.2 + 0.34 * len(names)) as made:
        axes = made.axes
        for frame, color in ((0, SERIES[0]), (1, SERIES[1])):
            spans = [run.spans[name][frame] for name in names]
            places = [row + 0.19 * (2 * frame - 1) for row in range(len(names))]
            lengths = [max(end - start, 1) for start, end in spans]
            left = [start for start, _ in spans]
            axes.barh(places, lengths, 0.36, left, color=color, label=f"frame {frame}")
        _names(axes, names)
        axes.set_xlabel("clock cycle")
        axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    caption = "From when to when each layer works on two frames that come back to back."
    return Figure(svg=made.svg, caption=caption)


def utilisation(run: DataflowRun) -> Figure:
    """The share of its cycles that each layer works."""
    rows = {name: 100 * share for name, share in list(run.utilisation.items())[:MOST_BARS]}
    caption = "What share of its cycles each layer works."
    return _bars("utilisation", rows, "cycles with work in %", caption)


def areas(rows: Mapping[str, float], caption: str) -> Figure:
    """Look-up tables by layer."""
    return _bars("areas", dict(list(rows.items())[:MOST_BARS]), "look-up tables", caption)


def _bars(
    key: str, rows: Mapping[str, float], unit: str, caption: str, *, alt: str = "", digits: int = 0
) -> Figure:
    most = max(rows, key=lambda name: rows[name])
    alt = alt or f"{caption} The most: {most}, {rows[most]:,.{digits}f}; unit: {unit}."
    with plot(key, alt, 0.9 + 0.3 * len(rows)) as made:
        axes = made.axes
        bars = axes.barh(range(len(rows)), list(rows.values()), 0.6, color=SERIES[0])
        axes.bar_label(bars, fmt=f"{{:,.{digits}f}}", padding=3)
        _names(axes, list(rows))
        axes.margins(x=0.15)
        axes.set_xlabel(unit)
    return Figure(svg=made.svg, caption=caption)


def _names(axes: Axes, names: Sequence[str]) -> None:
    """A row for each name, from top to bottom; long names are cut in the middle."""
    shown = [name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}" for name in names]
    axes.set_yticks(range(len(names)), shown)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")


def pareto(
    points: Sequence[tuple[str, float, float]], unit: str, caption: str, front: Sequence[int]
) -> Figure:
    """Accuracy over a cost, each point with its name, the front as a line.

    Parameters
    ----------
    points : sequence of (name, cost, accuracy 0 to 1)
    front : sequence of int
        Those of the points that no other one is better than.
    """
    best = [points[place] for place in front]
    alt = f"{caption} The front: " + "; ".join(
        f"{name or 'unnamed'}, {100 * accuracy:.2f} % at {cost:,.0f}"
        for name, cost, accuracy in best[:8]
    )
    with plot("pareto", f"{alt}.", 3.2) as made:
        axes = made.axes
        axes.plot(
            [cost for _, cost, _ in points],
            [100 * accuracy for *_, accuracy in points],
            "o",
            mfc="none",
            color=INK,
            label="all",
        )
        line = sorted(best, key=lambda point: point[1])
        axes.plot(
            [cost for _, cost, _ in line],
            [100 * accuracy for *_, accuracy in line],
            "s-",
            color=SERIES[0],
            label="front",
        )
        together: dict[tuple[float, float], list[str]] = {}
        for name, cost, accuracy in points:
            together.setdefault((cost, accuracy), []).append(name)
        for (cost, accuracy), names in together.items():
            name = ", ".join(filter(None, names))
            axes.annotate(name, (cost, 100 * accuracy), xytext=(5, 5), textcoords="offset points")
        axes.margins(x=0.15, y=0.15)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.set_xlabel(unit)
        axes.set_ylabel("accuracy in %")
        axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return Figure(svg=made.svg, caption=caption)


def pareto_front(points: Sequence[tuple[str, float, float]]) -> list[int]:
    """Places of those that no other point is better than in cost and accuracy."""
    return [
        place
        for place, (_, cost, accuracy) in enumerate(points)
        if not any(
            (other_cost <= cost and other >= accuracy and (other_cost, other) != (cost, accuracy))
            for _, other_cost, other in points
        )
    ]
