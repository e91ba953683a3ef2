"""Table 8, every method of weights beside each other, and its pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.method_rows import Row, difference, luts, rows, vecq_beside
from benchmarks.results import NOT_RUN, origins, queued, svg, table

FOLDERS = {"digits": "digits", "methods-mnist": "mnist"}
"""Those that are drawn, and what their pictures are called by."""
TITLES = {
    "vecq": "VecQ", "esb": "ESB", "sq": "SQ", "elq": "ELQ", "srq": "SRQ", "dropbits": "DropBits",
    "alq": "ALQ", "pq": "PQ", "bwn": "BWN", "twn": "TWN", "ttq": "TTQ", "inq": "INQ",
    "mul2q": "muL2Q", "dorefa": "DoReFa", "minmax": "min-max", "tqt": "TQT", "lsq": "LSQ",
}  # fmt: skip


def table8() -> str:
    """The methods against each other: same network, schedule and seeds."""
    names = [
        name
        for folder in ("digits", "methods-mnist", "methods-cifar10")
        for members in queued(f"{folder}/").values()
        for name in members
    ]
    return "\n".join(
        (
            "# Table 8: methods in our own hands\n",
            "All [methods](../explanation/methods_compared.md) of quantizing weights train the same"
            " network with the same schedule and the same seeds: 0, 1, 2 and so on, up to as many"
            " as the table says.\n",
            "- **accuracy**: of the [integer network](../reference/glossary.md#integer-network) on"
            " all test images, as the simulator counts it.\n"
            "- **stored bits**: for each weight, with books, coordinates and counts of bases.\n"
            "- **beside VecQ**: the difference to VecQ, ± its standard error. VecQ has the bits in"
            " brackets: the fewest that are not below those stored, or the most there are.\n"
            "- **LUTs/MAC**: look-up tables for each multiply-accumulate, of the complete unit for"
            " these weights and activations of 8 bits. `python -m benchmarks.rtl_area_methods`"
            " measures them. Methods whose weights have one form share a unit. Where there is no"
            " figure, the unit was not measured.\n",
            "## Digits, mlp, 40 epochs\n",
            "The accuracy is the mean over the seeds ± its standard error; the deviation is the"
            " standard deviation. There are 597 test images, each of which counts 0.17 %.\n",
            comparison("digits"),
            "![Accuracy on digits over stored bits, a panel for each method](digits_bits.svg)\n",
            "![Accuracy on digits over LUTs for a multiply-accumulate](digits_luts.svg)\n",
            "## MNIST, LeNet5, 5 epochs\n",
            "There are 10,000 test images, each of which counts 0.01 %. Where there is one seed,"
            " the error is that of so many images alone. It does not measure what another seed"
            " would give, so that differences below 0.2 rank nothing.\n",
            comparison("methods-mnist"),
            "![Accuracy of LeNet5 over stored bits, a panel for each method](mnist_bits.svg)\n",
            "![Accuracy of LeNet5 over LUTs for a multiply-accumulate](mnist_luts.svg)\n",
            "## CIFAR-10, the VGG-like network of a quarter of its width, 4 epochs\n",
            "There are 10,000 test images. Four epochs are far from enough for this network, so"
            " the rows compare with each other alone; [table 5](table5.md) has 15 epochs. An epoch"
            " takes one to two minutes of a processor core. Therefore SQ over other bases and with"
            " three seeds is not in the queue.\n",
            comparison("methods-cifar10"),
            origins(names),
        )
    )


def comparison(folder: str) -> str:
    """A row for each entry of the queue."""
    found = rows(folder)
    lines = []
    for row in found:
        if not row.runs:
            lines.append((row.name, "", NOT_RUN, "", f"0 of {row.queued}", "", "", ""))
            continue
        other = vecq_beside(row, found)
        beside = ""
        if other is not None:
            gain, error = difference(row, other)
            beside = f"{gain:+.2f} ± {error:.2f} ({other.bits})".replace("-", "−")
        area = luts(row, folder)
        lines.append(
            (
                row.name,
                f"{row.stored_bits:.3g}",
                f"{row.mean:.2f} ± {row.error:.2f}",
                "" if row.deviation is None else f"{row.deviation:.2f}",
                f"{len(row.runs)} of {row.queued}",
                beside,
                "" if area is None else f"{area[0]:.1f}",
                "" if area is None else area[1],
            )
        )
    titles = (
        "method and widths", "stored bits", "accuracy %", "deviation", "seeds", "beside VecQ",
        "LUTs/MAC", "unit",
    )  # fmt: skip
    return table(titles, lines)


def pictures() -> dict[str, bytes]:
    """By name, as SVG: accuracy over stored bits, and over look-up tables."""
    drawn = {}
    for folder, name in FOLDERS.items():
        found = [row for row in rows(folder) if row.runs]
        bits = [(row, row.stored_bits) for row in found if row.method != "float"]
        areas = [(row, area[0]) for row in found if (area := luts(row, folder)) is not None]
        drawn[f"{name}_bits"] = svg(panels(found, bits, "stored bits per weight"))
        drawn[f"{name}_luts"] = svg(panels(found, areas, "LUTs per multiply-accumulate"))
    return drawn


def panels(found: Sequence[Row], points: Sequence[tuple[Row, float]], label: str) -> Figure:
    """One panel for each method, with VecQ in grey in each, on common axes."""
    methods = [m for m in TITLES if any(row.method == m for row, _ in points)] or ["vecq"]
    columns = min(5, len(methods))
    lines = math.ceil(len(methods) / columns)
    figure = Figure(figsize=(2 * columns + 0.6, 1.9 * lines + 0.5), layout="constrained")
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    floats = [row.mean for row in found if row.method == "float"]
    usual = sorted(row.mean for row, _ in points)
    bottom = usual[len(usual) // 10] - 0.5 if usual else 0.0  # what is far below has an arrow
    top = max([*(row.mean + row.error for row, _ in points), *floats], default=100.0)
    ends = [x for _, x in points] or [1.0, 8.0]
    for place, panel in enumerate(axes.flat):
        if place >= len(methods):
            panel.set_visible(False)
            continue
        method = methods[place]
        panel.set(xscale="log", xlim=(min(ends) / 1.25, max(ends) * 1.25))
        panel.set(ylim=(bottom, top + 0.1 * (top - bottom)))
        panel.set_title(TITLES[method], fontsize=9)
        panel.tick_params(labelsize=7, labelbottom=place + columns >= len(methods))
        panel.grid(alpha=0.25)
        for mean in floats:
            panel.axhline(mean, color="black", linewidth=0.7, linestyle=":")
        _draw(panel, [p for p in points if p[0].method == "vecq"], "0.6", bottom, line=True)
        if method != "vecq":
            _draw(panel, [p for p in points if p[0].method == method], "tab:blue", bottom)
        ticks = [t for t in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64) if min(ends) / 1.25 <= t]
        ticks = [t for t in ticks if t <= 1.25 * max(ends)]
        panel.set_xticks(ticks, [f"{t:g}" for t in ticks], minor=False)
        panel.set_xticks([], minor=True)
    figure.suptitle("blue: the method; grey: VecQ; dotted: float", fontsize=8)
    figure.supxlabel(label, fontsize=9)
    figure.supylabel("accuracy, %", fontsize=9)
    return figure


def _draw(
    panel: Axes,
    points: Sequence[tuple[Row, float]],
    color: str,
    bottom: float,
    *,
    line: bool = False,
) -> None:
    """Points with their errors; what lies below the axes as an arrow with its figure."""
    points = sorted(points, key=lambda point: point[1])
    inside = [(row, x) for row, x in points if row.mean >= bottom]
    panel.errorbar(
        [x for _, x in inside],
        [row.mean for row, _ in inside],
        [row.error for row, _ in inside],
        fmt="o-" if line else "o",
        color=color,
        markersize=3.5,
        linewidth=1,
    )
    for row, x in points:
        if row.mean < bottom:
            panel.annotate(
                f"{row.mean:.1f}",
                (x, 0.02),
                (x, 0.2),
                xycoords=("data", "axes fraction"),
                textcoords=("data", "axes fraction"),
                arrowprops={"arrowstyle": "->", "color": color},
                ha="center",
                fontsize=7,
                color=color,
            )
