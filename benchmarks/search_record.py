"""The page and the picture of ``benchmarks.search compare``, from the folder that it left.

``python -m benchmarks.search_record lenet5-mnist=FOLDER ... [--engine RECORD.json]`` writes
``docs/results/search.json``, ``search.md`` and a picture for each folder; without folders the page
and the pictures are written again from the record.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.results import table
from benchmarks.search import CHOSEN, OPTIMIZERS, POINTS
from vecq_hw import trees
from vecq_hw.devices import device
from vecq_hw.search import Measured, load
from vecq_hw.search.space import point_text

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
RECORD, PAGE = "search.json", "search.md"
CLOSE = 0.001
"""How much less accurate than the best uniform width a network may be: a tenth of a point."""
BELOW = 0.01
"""The hypervolume's reference: so far below the best uniform width, as large as the widest one."""

Row = dict[str, Any]


def row(name: str, measured: Measured) -> Row:
    """The name of a point, its look-up tables, and its accuracy on the validation split."""
    return {
        "name": name,
        "luts": round(measured.luts),
        "brams": round(measured.brams),
        "accuracy": measured.integer_accuracy,
        "seconds": round(measured.seconds, 1),
        "fits": max(measured.excess.values()) <= 0,
    }


def hypervolume(rows: Sequence[Row], most: float, least: float) -> float:
    """The area that rows dominate, up to ``most`` tables and above the accuracy ``least``."""
    area, best, at = 0.0, least, 0.0
    for one in sorted(rows, key=lambda one: one["luts"]):
        if one["luts"] > most:
            break
        area += (best - least) * (one["luts"] - at)
        best, at = max(best, one["accuracy"]), one["luts"]
    return area + (best - least) * (most - at)


def front(rows: Sequence[Row]) -> list[Row]:
    """The rows that no other one beats, the smallest first."""
    kept: list[Row] = []
    for one in sorted(rows, key=lambda one: (one["luts"], -one["accuracy"])):
        if not kept or one["accuracy"] > kept[-1]["accuracy"]:
            kept.append(one)
    return kept


def read(folder: Path) -> Row:
    """What the folder of one comparison holds, as the record has it.

    Where one search has ended fewer trials than the other, so many of the other's first are taken.
    """
    found: Row = {"searches": {}, "tested": []}
    results = {optimizer: load(folder / optimizer) for optimizer in OPTIMIZERS}
    count = min(len(result.trials) for result in results.values())
    for optimizer, result in results.items():
        trials = sorted(result.trials, key=lambda one: one.number)[:count]
        whole = [one for one in trials if one.whole]
        uniform = {point_text(point): bits for bits, point in result.space.uniform().items()}
        found["searches"][optimizer] = {
            "ended": count,
            "whole": len(whole),
            "uniform": len(uniform),
            "between": [round(s, 2) for s in between_trials(folder / optimizer / "trials.db")],
            "seconds": round(sum(one.measured.seconds for one in whole if one.measured)),
            "rows": [
                {
                    **row(point_text(one.point), one.measured),
                    "uniform": uniform.get(point_text(one.point)),
                }
                for one in whole
                if one.measured is not None
            ],
        }
        if optimizer == OPTIMIZERS[0]:
            request = replace(result.request, data_dir=None, float_state=None)
            found["request"] = request.tree()
            found["tested"] = [
                {
                    **row(point_text(one.point), one.metrics),
                    "validation_accuracy": one.validation_accuracy,
                }
                for one in result.front
            ]
    found["others"] = [
        row(name, trees.decode(tree, Measured, iter(()), name))
        for name, tree in _json(folder / POINTS).items()
        if "sentence" not in tree
    ]
    found["chosen"] = _json(folder / CHOSEN)
    return found


def _json(file: Path) -> dict[str, Any]:
    """What a file holds; nothing where it is not there."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def between_trials(database: Path) -> list[float]:
    """The seconds from the end of a trial to that of the next one, less those within the latter.

    They are what the engine adds where one worker ran all trials; with more workers they are
    negative, and nothing is said.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        rows = opened.execute(
            "SELECT t.datetime_complete, a.value_json FROM trials t JOIN trial_user_attributes a"
            " ON a.trial_id = t.trial_id AND a.key = 'measured' WHERE t.state = 'COMPLETE'"
            " ORDER BY t.datetime_complete"
        ).fetchall()
    ends = [datetime.fromisoformat(end) for end, _ in rows]
    gaps = [
        (after - before).total_seconds() - json.loads(measured)["seconds"]
        for before, after, (_, measured) in zip(ends, ends[1:], rows[1:], strict=False)
    ]
    return gaps if gaps and min(gaps) > 0 else []


def compared(found: Row) -> Row:
    """The figures of the goals."""
    searched = found["searches"][OPTIMIZERS[0]]["rows"]
    drawn = found["searches"][OPTIMIZERS[1]]["rows"]
    uniform = [one for one in searched if one["uniform"] is not None]
    best = max(uniform, key=lambda one: (one["accuracy"], -one["luts"]))
    most, least = max(one["luts"] for one in uniform), best["accuracy"] - BELOW

    def least_luts(rows: Sequence[Row], wanted: float) -> Row:
        return min(
            (one for one in rows if one["accuracy"] >= wanted), key=lambda one: int(one["luts"])
        )

    wanted = best["accuracy"] - CLOSE
    pairs = [
        *(one for one in found["others"] if one["name"].startswith("W") and one["accuracy"]),
        *uniform,
    ]
    return {
        "best_uniform": best,
        "close_uniform": least_luts(uniform, wanted),
        "close_pair": least_luts(pairs, wanted),
        "close_searched": least_luts(searched, wanted),
        "close_random": least_luts(drawn, wanted),
        "hypervolume_ratio": round(
            hypervolume(searched, most, least) / hypervolume(drawn, most, least), 3
        ),
        "reference": [most, round(least, 4)],
    }


def draw(name: str, found: Row) -> None:
    """Write a picture: all trials, the fronts of both searches, uniform and learned widths."""
    with rc_context({"svg.hashsalt": "vecq"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for optimizer, colour in zip(OPTIMIZERS, ("C0", "0.5"), strict=True):
            rows = found["searches"][optimizer]["rows"]
            mixed = [one for one in rows if one["uniform"] is None]
            axes.plot(*_columns(mixed), ".", color=colour, alpha=0.5)
            axes.plot(*_columns(front(rows)), "o-", color=colour, label=f"front, {optimizer}")
        uniform = [
            {**one, "name": f"W{one['uniform']}"}
            for one in found["searches"][OPTIMIZERS[0]]["rows"]
            if one["uniform"] is not None
        ]
        trained = [one for one in found["others"] if one["accuracy"] is not None]
        learned = [one for one in trained if not one["name"].startswith("W")]
        pairs = [one for one in trained if one["name"].startswith("W")]
        for rows, mark, colour, label in (
            (uniform, "s", "C1", "one width for all weights, activations of 8 bits"),
            (pairs, "x", "C2", "one width for all weights, one for all activations"),
            (learned, "D", "C3", "learned widths, activations of 8 bits"),
        ):
            axes.plot(*_columns(rows), mark, color=colour, label=label)
            if mark != "x":
                for one in rows:
                    at = (one["luts"], 100 * one["accuracy"])
                    axes.annotate(
                        one["name"], at, (4, -11), textcoords="offset points", color=colour
                    )
        _, least = compared(found)["reference"]
        axes.set_ylim(bottom=100 * least)
        request = found["request"]
        axes.set_xlabel(f"look-up tables of {request['device']} (cost model)")
        axes.set_ylabel("integer accuracy on the validation split in %")
        axes.set_title(f"{name}, {request['target_fps']:,.0f} frames a second")
        axes.legend(frameon=False, fontsize="small", loc="lower right")
        file = RESULTS / picture_name(name)
        figure.savefig(file, format="svg", metadata={"Date": None})


def picture_name(name: str) -> str:
    """The file of the picture of one comparison."""
    return f"search_{name.replace('-', '_')}.svg"


def _columns(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [one["luts"] for one in rows], [100 * one["accuracy"] for one in rows]


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f} %"


def section(name: str, found: Row) -> str:
    """One comparison: its goals, its front, its other points."""
    request, goals = found["request"], compared(found)
    searched, drawn = (found["searches"][optimizer] for optimizer in OPTIMIZERS)
    best, close = goals["best_uniform"], goals["close_searched"]
    rows = [
        (
            label,
            one["name"],
            _percent(one["accuracy"]),
            f"{one['luts']:,}",
            f"{100 * (1 - one['luts'] / best['luts']):.1f} %",
        )
        for label, one in (
            ("the most accurate uniform width", best),
            ("the smallest uniform width that is as accurate", goals["close_uniform"]),
            ("the smallest uniform pair that is as accurate", goals["close_pair"]),
            ("the smallest of the random search", goals["close_random"]),
            ("the smallest of the search", close),
        )
    ]
    tested = {one["name"]: one for one in found["tested"]}
    fronted = [
        (
            one["name"],
            _percent(one["accuracy"]),
            f"{one['luts']:,}",
            f"{one['brams']:,}",
            _percent(tested[one["name"]]["accuracy"]) if one["name"] in tested else "not run",
        )
        for one in reversed(front(searched["rows"]))
    ]
    others = [
        (
            one["name"],
            _percent(one["accuracy"]) if one["fits"] else "not trained: beyond the device",
            f"{one['luts']:,}",
            f"{one['brams']:,}",
            f"{one['seconds']:.0f}",
        )
        for one in sorted(found["others"], key=lambda one: -one["luts"])
    ]
    gaps = searched["between"]
    engine = (
        f" The engine added {sum(gaps) / len(gaps):.1f} seconds to each, with one worker."
        if gaps
        else ""
    )
    rest = (
        "\nOther points: uniform pairs of widths, and methods that learn widths.\n\n"
        + table(("point", "validation", "LUTs", "block RAMs", "seconds"), others)
        if others
        else ""
    )
    volume, (most, least) = goals["hypervolume_ratio"], goals["reference"]
    seconds = searched["seconds"] / max(1, searched["whole"])
    return f"""## {name}

{request["device"]}, {request["target_fps"]:,.0f} frames a second at \
{request["clock_mhz"] or device(request["device"]).clock_mhz:g} MHz; seed {request["seed"]}.
{searched["ended"]} trials of the search, and as many of the random search; \
{searched["whole"]} and {drawn["whole"]} of them were trained to their end.
Both begin with {searched["uniform"]} uniform widths, measured once; \
the search goes on with uniform pairs.
A trial trains on {request["samples"] or "all"} samples, epochs: {request["epochs"]}. It took \
{seconds:.0f} seconds by the clock, on a machine with other work.{engine}
"As accurate" is at most 0.1 points below the most accurate uniform width.

{table(("", "weights", "validation", "LUTs", "fewer LUTs than the first row"), rows)}
The hypervolume of the search is {volume:.3f} times that of the random search.
Its reference point has {most:,} LUTs, those of the widest uniform network, and an accuracy of \
{_percent(least)}, a point below the most accurate uniform width.

![Accuracy over look-up tables]({picture_name(name)})

The front of the search. The test accuracy is that of a longer training.

{table(("weights", "validation", "LUTs", "block RAMs", "test"), fronted)}{chosen(found)}{rest}"""


def chosen(found: Row) -> str:
    """The goals' networks: tested, and by the model and by yosys."""
    if not found.get("chosen"):
        return ""
    rows = [
        (
            name,
            _percent(one["test_accuracy"]),
            f"{one['model']:,}",
            f"{one['yosys']:,}",
            f"{100 * (one['model'] / one['yosys'] - 1):+.1f} %",
            f"{one['model_brams']:g}",
            f"{one['yosys_brams']:g}",
        )
        for name, one in found["chosen"].items()
    ]
    epochs = max(one["epochs"] for one in found["chosen"].values())
    heads = ("weights", "test", "LUTs, model", "LUTs, yosys", "model", "block RAMs, model", "yosys")
    return f"""
The networks of the goals, chosen by the validation split and trained on all training samples, \
epochs: {epochs}. `python -m benchmarks.search_chosen` synthesized them whole.
The model's figures here are of these networks, by the cost model of the day of the synthesis; it
may be a later one than that of the trials above.

{table(heads, rows)}"""


HEAD = """# Searches

How many look-up tables do widths save that are chosen layer by layer?
`python -m benchmarks.search compare` ran the [search](../how-to/search.md), a random search of as
many trials, and uniform widths. `python -m benchmarks.search_record` wrote this page.
Look-up tables are those of the cost model on the day of the trials. The search saw no test sample:
accuracies are those of integers on the validation split unless the column says otherwise. That of
digits has 200 images: one is half a point, and the standard deviation of an accuracy of 98 % is one
point.
A share of one core of a busy machine did it in half an hour; larger budgets were not tried.
Why the searches are set up like this: [design](../design/search.md#what-can-be-saved).

"""


def page(record: Row) -> str:
    """The whole page, from the record alone."""
    parts = [section(name, found) for name, found in record["comparisons"].items()]
    if record.get("engine"):
        measured = [
            (
                str(one["workers"]),
                one["processes"],
                f"{one['trials_per_hour']:,}",
                f"{one['seconds_of_a_trial']:.2f} s",
                f"{one['overhead_seconds_of_a_trial']:.2f} s",
                f"{100 * one['overhead_seconds_of_a_trial'] / 30:.1f} %",
            )
            for one in record["engine"]
        ]
        parts.append(
            "## The engine\n\n`python -m benchmarks.search engine`: random search on the MLP of"
            " digits, two cores with other work. The overhead is what a worker spends"
            " outside of trials.\n\n"
            + table(
                (
                    "workers",
                    "processes",
                    "trials an hour",
                    "of a trial",
                    "overhead",
                    "of a 30 s trial",
                ),
                measured,
            )
        )
    return HEAD + "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", metavar="NAME=FOLDER")
    parser.add_argument("--engine", type=Path)
    given = parser.parse_args(arguments)
    file = RESULTS / RECORD
    record: Row = json.loads(file.read_text()) if file.exists() else {"comparisons": {}}
    for text in given.folders:
        name, _, folder = text.partition("=")
        record["comparisons"][name] = read(Path(folder))
    if given.engine is not None:
        record["engine"] = json.loads(given.engine.read_text())
    file.write_text(json.dumps(record, indent=1) + "\n")
    for name, found in record["comparisons"].items():
        draw(name, found)
    (RESULTS / PAGE).write_text(page(record))


if __name__ == "__main__":
    main()
