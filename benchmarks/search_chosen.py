"""The goal's networks of a comparison: trained longer, tested, and synthesized beside the model.

``python -m benchmarks.search_chosen FOLDER --float FLOAT.pt [--data-dir DIR] [--epochs N]`` takes
the most accurate uniform width, the smallest uniform pair that is as accurate, and the smallest
network of the search that is, all by the validation split. ``FOLDER/chosen`` has the networks and
their schedules; what is in ``FOLDER/chosen.json`` already is not done again.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cost_fit import measured
from benchmarks.cost_sweep import emitted, synthesized
from benchmarks.search import CHOSEN, OPTIMIZERS, other_points, say, task_of
from benchmarks.search_record import compared, read
from vecq_hw import storage
from vecq_hw.files import write_atomically
from vecq_hw.netlist.families import FAMILIES
from vecq_hw.schedule import load as load_schedule
from vecq_hw.search import Point, Request, load
from vecq_hw.search.space import point_text
from vecq_hw.search.trial import Task, train_point
from vecq_hw.simulate.dataflow import with_fifo_depths

GOALS = ("best_uniform", "close_pair", "close_searched")


def synthesis(point: Point, task: Task, request: Request, out: Path) -> dict[str, Any]:
    """A point's accuracy on the test split, and its look-up tables by the model and by yosys."""
    target = request.target
    trained = train_point(point, task, target)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "network.npz", trained.network)
    write_atomically(out / "schedule.json", trained.schedule.encode())
    network, schedule = storage.load(out / "network.npz"), load_schedule(out / "schedule.json")
    say(f"{point_text(point)}: {trained.measured.integer_accuracy} of the test split")
    files = emitted(network, with_fifo_depths(network, schedule))
    family = FAMILIES[target.place.family.name]
    counts, seconds = synthesized(files, family, dsp=schedule.dsp, flat=True)
    made = measured(counts[""])
    return {
        "epochs": task.settings.epochs,
        "test_accuracy": trained.measured.integer_accuracy,
        "model": round(trained.measured.luts),
        "yosys": round(made.luts),
        "model_brams": round(trained.measured.brams, 1),
        "yosys_brams": round(made.brams, 1),
        "cpu_seconds": round(seconds),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--float", dest="float_state", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--epochs", type=int, help="those of the request unless it is given")
    given = parser.parse_args(arguments)
    result = load(given.folder / OPTIMIZERS[0])
    request = replace(
        result.request,
        data_dir=given.data_dir,
        float_state=str(given.float_state),
        final_epochs=given.epochs or result.request.final_epochs,
    )
    points = {point_text(one.point): one.point for one in result.trials}
    points |= other_points(request)
    task = replace(task_of(request), settings=request.final_settings, samples=None)
    file = given.folder / CHOSEN
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    goals = compared(read(given.folder))
    names = {point_text(points[goals[goal]["name"]]): goals[goal]["name"] for goal in GOALS}
    for name in names.values():  # a pair may be a point of the search, too
        if name not in known:
            out = given.folder / "chosen" / re.sub(r"\W+", "_", name)
            known[name] = synthesis(points[name], task, request, out)
            write_atomically(file, f"{json.dumps(known, indent=1)}\n".encode())
            say(f"{name}: {known[name]}")


if __name__ == "__main__":
    main()
