"""``vecq search`` of a graph: widths of its network, for few stored bits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vecq_hw.cli import status
from vecq_hw.cli.command import COMMON
from vecq_hw.cli.graphs import is_given, refuse_others
from vecq_hw.cli.output import echo, percent, print_table
from vecq_hw.cli.outputs import folder, write_json
from vecq_hw.cli.progress import note

if TYPE_CHECKING:
    from vecq_hw.search.graphs import GraphFound, GraphSpace

_TAKEN = (
    *("data", "data_dir", "out", "workers", "scheduler", *COMMON),
    *("bits", "activation_bits", "optimizer", "trials", "epochs", "min_accuracy", "seed"),
)
BITS, TRIALS = "bits.json", "trials.json"
_KINDS = {BITS: "bits file", TRIALS: "report"}


def search_widths(
    context: click.Context,
    out: Path,
    workers: int | None,
    scheduler: str | None,
    json_file: Path | None,
    options: Mapping[str, Any],
) -> int:
    """Search, and write what was found for ``vecq train --bits-file``; the exit status.

    Raises
    ------
    VecqError
        An option was given that means nothing here; the graph cannot be used.
    """
    refuse_others(context, _TAKEN, options["data"])

    from vecq_hw.data import load_graph
    from vecq_hw.search.engine import engine
    from vecq_hw.search.graphs import GraphSpace, search_graph
    from vecq_hw.train.graph_bits import VERSION as BITS_VERSION
    from vecq_hw.train.graph_convolution import GraphSettings

    def asked(name: str, usual: Any) -> Any:
        return options[name] if is_given(context, name) else usual

    graph = load_graph(options["data"], options["data_dir"])
    space = GraphSpace(weights=options["bits"], features=asked("activation_bits", range(1, 9)))
    epochs = {"epochs": options["epochs"]} if options["epochs"] is not None else {}
    settings = GraphSettings(seed=options["seed"], **epochs)
    with folder(out) as target:
        target.check(_KINDS)
        with engine(workers, scheduler) as place:
            found = search_graph(
                graph,
                space,
                settings,
                trials=options["trials"],
                optimizer=asked("optimizer", "abs"),
                min_accuracy=options["min_accuracy"],
                place=place,
                tell=note,
            )
        report = _report(found, space)
        target.write(TRIALS, f"{json.dumps(report, indent=2)}\n".encode(), _KINDS[TRIALS])
        if found.best is None:
            target.remove((BITS,))
        else:
            tree = {"version": BITS_VERSION, **space.bits(found.best.point).tree()}
            text = json.dumps(tree, indent=2)
            target.write(BITS, f"{text}\n".encode(), _KINDS[BITS])
    _print(found, space)
    if found.best is None:
        echo(f"no trial has {percent(found.min_accuracy)} of the validation nodes right")
    else:
        echo(
            f"trial {found.best.number} takes the fewest bits; train it:\n  vecq train --data"
            f" {options['data']} --bits-file {out / BITS}"
        )
    write_json(json_file, report)
    return status.DONE if found.best is not None else status.BAD_RESULT


def _report(found: GraphFound, space: GraphSpace) -> dict[str, Any]:
    return {
        "min_accuracy": found.min_accuracy,
        "best": None if found.best is None else found.best.number,
        "trials": [
            {
                "number": one.number,
                "bits": space.bits(one.point).tree(),
                "validation_accuracy": one.measured.integer_accuracy,
                "stored_bits": one.measured.stored_bits,
            }
            for one in found.trials
            if one.measured is not None
        ],
    }


def _print(found: GraphFound, space: GraphSpace) -> None:
    """The trials that no other is better than in both, the most accurate first."""
    rows = [
        (
            str(one.number),
            space.text(one.point),
            percent(one.measured.integer_accuracy),
            f"{one.measured.stored_bits / 1000:,.0f}",
        )
        for one in found.front
        if one.measured is not None
    ]
    print_table(("trial", "widths", "validation", "kbit"), rows, left=2)
