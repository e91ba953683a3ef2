"""Run what benchmarks/tables.json lists, one result a run; it can be stopped and started again.

    python -m benchmarks.run_tables [--threads N] [ID ...]

A run whose result lies in docs/results/runs with the same options, and the schedule that they mean
today, is skipped.  One that was stopped goes on from its last checkpoint, in build/tables; where
that was trained by another recipe than the options mean today, or on other data, it begins anew.
Where several of these work at once, each run is taken by one of them.  Results are to be committed;
``python python/paper_tables.py`` makes the tables of them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.origin import ROOT, commit, processor
from vecq_hw import cli, trees
from vecq_hw.cli.data import loaded
from vecq_hw.cli.task import Asked, asked
from vecq_hw.cli.train import train
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.train import ModelRecipe, Settings, load_checkpoint, load_training

QUEUE = ROOT / "benchmarks" / "tables.json"
RESULTS = ROOT / "docs" / "results" / "runs"
WORK = ROOT / "build" / "tables"
STOPPED = 130
PROCESSES = multiprocessing.get_context("forkserver")
"""A run is a process of its own, but its imports were made once for all."""
PROCESSES.set_forkserver_preload(
    ["vecq_hw.cli", "vecq_hw.train", "vecq_hw.lower", "torch._dynamo", "sklearn.datasets"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One entry of the queue: a name that is also its file's, and the options of vecq train."""

    name: str
    options: tuple[str, ...]

    @property
    def result(self) -> Path:
        """Where its result is kept."""
        return RESULTS / f"{self.name}.json"

    @property
    def folder(self) -> Path:
        """Where it works."""
        return WORK / self.name

    @property
    def command(self) -> str:
        """What a reader types to repeat it."""
        return " ".join(["vecq", "train", *self.options])

    def is_done(self) -> bool:
        """Whether its result is kept, and is that of the same options and schedule.

        Results from before schedules were kept count by their options alone.
        """
        if not self.result.exists():
            return False
        kept = json.loads(self.result.read_text())
        if kept["command"] != self.command:
            return False
        return "schedule" not in kept or kept["schedule"] == _tree(self.asked.settings, Settings)

    @property
    def asked(self) -> Asked:
        """What its options mean today: they name a preset, whose recipe may have changed."""
        with train.make_context("train", list(self.options)) as context:
            return asked(context.params)

    def goes_on(self) -> bool:
        """Whether there is a checkpoint of the very training that its options mean today."""
        path, wanted = self.folder / "checkpoint.pt", self.asked
        if not path.exists():
            return False
        try:
            _, recipe, saved = load_training(path)
            told = wanted.recipe(recipe.shape, recipe.classes)
            data = loaded(wanted.data)
        except VecqError as error:
            print(f"{self.name} begins anew: {error}", flush=True)
            return False
        for what, ours, its in (
            ("model", _tree(told, ModelRecipe), _tree(recipe, ModelRecipe)),
            ("schedule", _tree(wanted.settings, Settings), _tree(saved.settings, Settings)),
            ("data", data.digest, saved.data_digest),
        ):
            if ours != its:
                print(f"{self.name} begins anew: its checkpoint is of another {what}", flush=True)
                return False
        return True


def _tree(value: object, kind: type) -> object:
    """As a checkpoint holds it, where a tuple is a list."""
    return json.loads(json.dumps(trees.encode(value, kind, [])))


def queue() -> Iterator[Run]:
    """The runs in order; an entry with ``seeds`` stands for as many, seeds 0, 1, 2, ..."""
    for entry in json.loads(QUEUE.read_text()):
        options = tuple(entry["options"].split())
        if "seeds" not in entry:
            yield Run(name=entry["name"], options=options)
        for seed in range(entry.get("seeds", 0)):
            yield Run(name=f"{entry['name']}/seed{seed}", options=(*options, "--seed", str(seed)))


@contextlib.contextmanager
def taken(entry: Run) -> Iterator[bool]:
    """Whether this process has the run for itself, which it has until the end of the block."""
    entry.folder.parent.mkdir(parents=True, exist_ok=True)
    with entry.folder.with_name(f"{entry.folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def run(entry: Run, threads: int) -> int:
    """Train, or go on training, and keep the result; the status of ``vecq train``."""
    origin = entry.folder / "origin.json"
    begun: dict[str, Any] = {}
    if origin.exists():
        begun = json.loads(origin.read_text())
    resume = begun.get("options") == list(entry.options) and entry.goes_on()
    if not resume:
        shutil.rmtree(entry.folder, ignore_errors=True)
        begun = {"options": entry.options, "commit": commit()}
        write_atomically(origin, json.dumps(begun).encode())
    options = ["--resume"] if resume else entry.options
    arguments = ["train", *options, "--threads", str(threads), "--out", str(entry.folder)]
    status = run_to_its_end(arguments)
    if status == 0:
        metrics = json.loads((entry.folder / "metrics.json").read_text())
        metrics.pop("command")  # which says where the run worked
        result = {
            "name": entry.name,
            "command": entry.command,
            "commit": begun["commit"],
            "device": device(metrics.pop("device"), threads),
            "torch": torch.__version__,
            **metrics,
            "schedule": _tree(entry.asked.settings, Settings),
        }
        if metrics["weight_bits"] is None:
            model, _ = load_checkpoint(entry.folder / "checkpoint.pt")
            result["best_intervals"] = best_intervals(model)
        if metrics["method"] == "alq":
            result["bases"] = bases(entry.folder)
        write_atomically(entry.result, (json.dumps(result, indent=2) + "\n").encode())
    return status


def run_to_its_end(arguments: list[str]) -> int:
    """The status of ``vecq`` with ``arguments``, which is not outlived by what it started."""
    process = PROCESSES.Process(target=vecq, args=(arguments,))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()  # it got the same Ctrl-C and tidies up
    finally:
        if process.is_alive():
            process.terminate()
            process.join()
    assert process.exitcode is not None
    return process.exitcode


def vecq(arguments: list[str]) -> None:
    """Be the command of that name."""
    os.chdir(ROOT)
    sys.argv = ["vecq", *arguments]
    cli.main()


def bases(folder: Path) -> dict[str, dict[str, float]]:
    """How many bases a group of each layer has, and how many passes a unit makes of them."""
    shown = folder / "show.json"
    status = run_to_its_end(["show", str(folder / "network.npz"), "--json", str(shown)])
    if status != 0:
        raise VecqError(f"{folder}: 'vecq show' ended with {status}")
    report = json.loads(shown.read_text())
    weights = {row["name"]: row["weights"] for row in report["tensors"]}
    return {
        name: found | {"weights": weights[name]} for name, found in report.get("bases", {}).items()
    }


def best_intervals(model: nn.Module) -> dict[str, Any]:
    """The best lambda of the last convolution's weights, in standard deviations, for 2 to 8 bits.

    As in the paper's Table 9: an exhaustive search of (0, 3] in steps of 0.001.
    """
    last = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d)][-1:]
    if not last:
        return {}
    name, layer = last[0]
    w = np.sort(layer.weight.detach().double().flatten().numpy())
    w /= w.std()
    best = {str(bits): best_interval(w, bits) for bits in range(2, 9)}
    return {"layer": name, "weights": len(w), "lambda": best}


def best_interval(w: npt.NDArray[np.float64], bits: int) -> float:
    """The lambda of least orientation loss for sorted weights ``w``.

    Sorted, the weights of one code lie side by side, so that their number and their sum, which are
    all that the loss takes, are differences at the places of the thresholds.
    """
    most = 2 ** (bits - 1)
    intervals = np.arange(1, 3001)[:, None] / 1000
    places = np.searchsorted(w, intervals * np.arange(1 - most, most))
    edges = np.pad(places, ((0, 0), (1, 1)), constant_values=((0, 0), (0, len(w))))
    v = np.arange(-most, most) + 0.5
    cross = (np.diff(np.append(0.0, w.cumsum())[edges]) * v).sum(1)
    square = (np.diff(edges) * v**2).sum(1)
    return float(intervals[np.argmax(cross / np.sqrt(square)), 0])


def device(place: str, threads: int) -> str:
    """What computed, in words."""
    if place.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"CPU {processor()}, {threads} thread{'s' if threads > 1 else ''}"


def main() -> int:
    """Run what is not done; 1 if a run failed, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="ID", help="only runs that begin so")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    chosen = [
        entry
        for entry in queue()
        if not options.names or any(entry.name.startswith(name) for name in options.names)
    ]
    failed = []
    for number, entry in enumerate(chosen, 1):
        if entry.is_done():
            continue
        with taken(entry) as ours:
            if not ours or entry.is_done():
                continue
            print(f"[{number}/{len(chosen)}] {entry.name}", flush=True)
            status = run(entry, options.threads)
        if status == STOPPED:
            return STOPPED
        if status != 0:
            failed.append(entry.name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except VecqError as error:
        sys.exit(f"error: {error}")
