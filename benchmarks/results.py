"""The results of the queue of ``benchmarks.run_tables``, and how tables of them are written."""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks import run_tables

NOT_RUN = "not run"


@functools.cache
def _queue() -> dict[str, run_tables.Run]:
    return {run.name: run for run in run_tables.queue()}


def result(name: str) -> dict[str, Any] | None:
    """The result of a run, or None where it was not run with the options that the queue has."""
    run = _queue().get(name)
    if run is None or not run.is_done():
        return None
    content: dict[str, Any] = json.loads(run.result.read_text())
    return content


def queued(prefix: str) -> dict[str, list[str]]:
    """The entries of the queue whose names begin with ``prefix``, and the runs of each."""
    entries: dict[str, list[str]] = {}
    for name in _queue():
        if name.startswith(prefix):
            entries.setdefault(re.sub(r"/seed\d+$", "", name), []).append(name)
    return entries


def command(name: str) -> str:
    """What a reader types to repeat a run, but for its seed."""
    return re.sub(r" --seed \d+", "", _queue()[name].command)


def accuracy(run: dict[str, Any]) -> float:
    """In per cent: of the integer network on all test samples where there is one."""
    return 100 * float(run.get("integer_accuracy", run["qat_accuracy"]))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; the first column flush left, the others right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def origins(names: Iterable[str]) -> str:
    """Command, seeds, commit and device of the runs there are; seeds of one command together."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name in names:
        if (run := result(name)) is not None:
            key = (command(name), str(run["epochs"]), run["commit"], run["device"], run["torch"])
            groups.setdefault(key, []).append(run)
    rows = []
    for (words, *rest), runs in groups.items():
        seconds = sum(run["training_seconds"] + run["test_seconds"] for run in runs)
        seeds = ", ".join(str(run["seed"]) for run in runs)
        rows.append((f"`{words}`", seeds, *rest, f"{seconds:.0f}"))
    if not rows:
        return ""
    titles = ("command", "--seed", "epochs", "commit", "device", "torch", "s in all")
    return f"\nThe runs:\n\n{table(titles, rows)}"


def svg(figure: Figure) -> bytes:
    """The same bytes for the same figure, whenever it is drawn."""
    mpl.rcParams["svg.hashsalt"] = "vecq"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
