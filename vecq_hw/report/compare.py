"""The page that puts several folders side by side, with a Pareto plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.report import plots
from vecq_hw.report.gather import Found, gather
from vecq_hw.report.measure import Pace, pace
from vecq_hw.report.page import Page, Part, Section, Table, Tell, render, summarized
from vecq_hw.report.verdict import Fact, Verdict, facts, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A folder of the comparison, under a name that no other one has."""

    name: str
    found: Found
    paced: Pace | None
    facts: Sequence[Fact]
    verdict: Verdict


def compare(folders: Sequence[str | Path], progress: Tell = lambda text: None) -> Page:
    """The page about what ``folders`` hold.

    Parameters
    ----------
    folders : sequence of path, at least two
    progress : callable
        Told what begins.

    Raises
    ------
    VecqError
        There are fewer than two, one holds nothing that vecq wrote, or a file in it is damaged.
    MissingToolError
        matplotlib is not installed.
    """
    if len(folders) < 2:
        raise VecqError("one folder was given; two or more are compared")
    names = _names([Path(folder) for folder in folders])
    columns = []
    for name, folder in zip(names, folders, strict=True):
        progress(f"reading {name}")
        found = gather(folder)
        paced = None if found.network is None else pace(found, found.network)
        columns.append(
            _Column(
                name=name,
                found=found,
                paced=paced,
                facts=facts(found, paced),
                verdict=verdict(found),
            )
        )
    progress("drawing")
    title = f"{len(columns)} results compared"
    sections = [Section(key="side-by-side", title="Side by side", parts=[_side_by_side(columns)])]
    if (front := _pareto(columns)) is not None:
        sections.append(Section(key="pareto", title="Accuracy against size", parts=[front]))
    commands = [command for column in columns for command in column.found.commands]
    if commands:
        again = Part(commands=list(dict.fromkeys(commands)))
        sections.append(Section(key="again", title="How to make it again", parts=[again]))
    said = _verdict(columns)
    results = [
        {"name": column.name, "folder": str(column.found.folder)}
        | summarized(column.verdict, column.facts)
        for column in columns
    ]
    html = render(title=title, verdict=said, facts=[], sections=sections)
    return Page(html=html, summary={**summarized(said, ()), "results": results})


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ."""
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise VecqError("a folder is given twice; two or more that differ are compared")


def _verdict(columns: Sequence[_Column]) -> Verdict:
    states = [column.verdict.good for column in columns]
    wrong = [column.name for column in columns if column.verdict.good is False]
    if wrong:
        names = ", ".join(f"'{name}'" for name in wrong)
        return Verdict(good=False, mark="Failed", sentence=f"See the columns of {names} below.")
    checked = sum(state is True for state in states)
    if checked == len(states):
        return Verdict(good=True, mark="All good", sentence="Every result below was verified.")
    return Verdict(
        good=None, mark="Compared", sentence=f"{checked} of {len(states)} results were verified."
    )


def _side_by_side(columns: Sequence[_Column]) -> Part:
    names = dict.fromkeys(fact.name for column in columns for fact in column.facts)
    rows = [("Verdict", *(column.verdict.mark for column in columns))]
    for name in names:
        cells = [
            next((fact.value for fact in column.facts if fact.name == name), "–")
            for column in columns
        ]
        rows.append((name, *cells))
    rows.append(("Bits of the weights", *map(_bits, columns)))
    table = Table(
        caption="Size, clock and frames per second are estimated where nothing was implemented.",
        titles=("Figure", *(column.name for column in columns)),
        rows=rows,
    )
    return Part(tables=[table])


def _bits(column: _Column) -> str:
    network = column.found.network
    if network is None or not network.products:
        return "–"
    bits = [layer.weights.stored_bits / layer.weight_count for layer in network.products]
    shown = [f"{one:.3g}" for one in dict.fromkeys(bits)]
    return ", ".join(shown[:6]) + (", …" if len(shown) > 6 else "")


def _pareto(columns: Sequence[_Column]) -> Part | None:
    known = _accuracies(columns)
    points = []
    for column in columns:
        accuracy = known.get(_digest(column))
        luts = _luts(column)
        if accuracy is not None and luts is not None:
            points.append((column.name, luts, accuracy))
    if len(points) < 2:
        return None
    front = plots.pareto_front(points)
    caption = "Accuracy of the integers over look-up tables; nothing here is better than the front."
    figure = plots.pareto(points, "look-up tables", caption, front)
    table = Table(
        caption="The points of the plot.",
        titles=("Result", "Look-up tables", "Accuracy", "On the front"),
        rows=[
            (name, f"{luts:,.0f}", f"{100 * accuracy:.2f} %", "yes" if place in front else "no")
            for place, (name, luts, accuracy) in enumerate(points)
        ],
    )
    return Part(figures=[figure], tables=[table])


def _accuracies(columns: Sequence[_Column]) -> dict[str, float]:
    """What trainings counted, by the digest of the network that has it, wherever it lies."""
    found = {}
    for column in columns:
        training = column.found.training
        metrics = None if training is None else training.metrics
        accuracy = None if metrics is None else metrics.number("integer_accuracy")
        if accuracy is not None:
            found[_digest(column)] = accuracy
    return found


def _digest(column: _Column) -> str:
    """The digest of its network, else the name of the folder."""
    network = column.found.network
    return column.name if network is None else storage.digest(network)


def _luts(column: _Column) -> float | None:
    record = column.found.implementation
    if record is not None:
        return record.number("luts")
    if column.paced is None or column.paced.estimate is None:
        return None
    return float(column.paced.estimate.total.luts)
