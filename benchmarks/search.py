"""The search beside random search and uniform widths, and what its engine costs.

``python -m benchmarks.search compare lenet5-mnist --float FLOAT.pt --data-dir DIR --out FOLDER``
runs both searches and the uniform widths; the same command goes on where it was stopped.
``python -m benchmarks.search engine --out RECORD.json`` measures trials per hour and the overhead.
``benchmarks.search_record`` makes the page from what they leave.
"""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vecq_hw import data as datasets
from vecq_hw import trees
from vecq_hw.files import write_atomically
from vecq_hw.search import Choice, Measured, Point, Request, load, resume, search
from vecq_hw.search.engine import Failure, engine
from vecq_hw.search.models import layers_of, layers_with_activations
from vecq_hw.search.space import point_text
from vecq_hw.search.study import Study
from vecq_hw.search.trial import Task, evaluate_point

REQUESTS = {
    "lenet5-mnist": Request(
        preset="lenet5-mnist",
        device="xc7k325t",
        target_fps=2_000.0,
        activation_bits=(2, 3, 4, 5, 6, 7, 8),
        epochs=2,
        samples=10_000,
        final_epochs=2,
        trials=64,
        verify="none",
    ),
    "cnn-digits": Request(
        preset="cnn-digits",
        device="ecp5-85k",
        target_fps=100_000.0,
        clock_mhz=100.0,
        activation_bits=(2, 3, 4, 5, 6, 7, 8),
        epochs=8,
        final_epochs=40,
        trials=64,
        verify="none",
    ),
}
REQUESTS["cnn-digits-few"] = replace(REQUESTS["cnn-digits"], trials=24)
REQUESTS["lenet5-mnist-few"] = replace(
    REQUESTS["lenet5-mnist"],
    bits=(1, 2, 3, 4, 6, 8),
    activation_bits=(2, 3, 4, 6, 8),
    epochs=1,
    samples=2_500,
    trials=22,
)
"""Budgets for a share of one core in three quarters of an hour."""
OPTIMIZERS = ("nsga2", "random")
PAIRS = [(weights, inputs) for weights in (2, 3, 4) for inputs in (2, 3, 4)]
"""Uniform widths of weights and activations together, beside those that each search begins with."""
LEARNED = (("dropbits", 8), ("dropbits", 4), ("alq", 2))
"""Methods that learn widths, and the most bits that they begin with."""
POINTS, CHOSEN = "points.json", "chosen.json"
"""In the folder of a comparison: other points, and what ``benchmarks.search_chosen`` found."""


class TimeOver(BaseException):
    """The seconds that were given are over."""


class TrialsEnded(Exception):
    """All trials have ended; the front is not wanted yet."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End the block, as if it had come to its end, after so many seconds by the clock."""

    def stop(*_: object) -> None:
        raise TimeOver

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with suppress(TimeOver):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def say(text: str) -> None:
    """Print with the time of day."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def begin_with(known: Path, request: Request, out: Path) -> None:
    """Begin a search whose uniform widths are those that another one has measured.

    A trial depends on its point alone, so that they need not be measured again.
    """

    def tell(text: str) -> None:
        if "float model" in text:
            raise TrialsEnded

    with suppress(TrialsEnded):
        search(request, out, tell=tell)
    other = load(known)
    study = Study(
        f"sqlite:///{(out / 'trials.db').resolve()}",
        request.study_name,
        other.space,
        Measured,
        objectives=1,
        optimizer=request.optimizer,
        seed=request.seed,
    )
    whole = {point_text(one.point): one.measured for one in other.trials if one.whole}
    for point in other.space.uniform().values():
        measured = whole.get(point_text(point))
        if measured is None or measured.integer_accuracy is None:
            continue
        study.enqueue([point])
        number, asked = study.ask()
        assert asked == point
        accuracy = measured.integer_accuracy
        study.finish(number, measured, (accuracy, measured.luts), dict(measured.excess))


def run_trials(request: Request, out: Path, scheduler: str) -> None:
    """The trials of one search, begun or gone on with, without its front."""
    known = out.parent / OPTIMIZERS[0]
    if out != known and not (out / "search.json").exists():
        begin_with(known, request, out)
    last = f"; {request.trials} of {request.trials} ended"

    def tell(text: str) -> None:
        say(f"{request.optimizer}: {text}")
        if last in text or text.startswith("front"):
            raise TrialsEnded

    with suppress(TrialsEnded):
        if (out / "search.json").exists():
            if len(load(out).trials) < request.trials:
                resume(out, scheduler=scheduler, tell=tell)
        else:
            search(request, out, scheduler=scheduler, tell=tell)


def task_of(request: Request) -> Task:
    """The task of the request's trials."""
    assert request.float_state is not None
    recipe = request.recipe
    return Task(
        model=recipe.model,
        data=recipe.data,
        data_dir=request.data_dir,
        data_digest=datasets.load(recipe.data, request.data_dir).digest,
        state=Path(request.float_state).read_bytes(),
        settings=request.trial_settings,
        samples=request.samples,
        seed=request.seed,
    )


def other_points(request: Request) -> dict[str, Point]:
    """Uniform pairs of widths, and learned widths, by a name."""
    dataset = datasets.load(request.recipe.data, request.data_dir)
    layers = layers_of(request.recipe.model, dataset, request.seed)
    activated = layers_with_activations(request, dataset)
    found: dict[str, Point] = {
        f"W{weights}A{inputs}": {
            layer: Choice(weight_bits=weights, activation_bits=inputs if layer in activated else 8)
            for layer in layers
        }
        for weights, inputs in PAIRS
    }
    for method, bits in LEARNED:
        found[f"{method} from {bits}"] = {
            layer: Choice(weight_bits=bits, method=method) for layer in layers
        }
    return found


def run_others(request: Request, file: Path, scheduler: str) -> None:
    """Evaluate what no search has evaluated; the file has each as soon as it is known."""
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    points = other_points(request)
    trials = [one for kind in OPTIMIZERS for one in load(file.parent / kind).trials if one.whole]
    searched = {point_text(one.point): one.measured for one in trials}
    for name, point in points.items():
        measured = searched.get(point_text(point))
        if measured is not None:
            known.setdefault(name, trees.encode(measured, Measured, [], name))
    waiting = [name for name in reversed(points) if name not in known]
    task, running = task_of(request), 0
    with engine(scheduler=scheduler) as place:
        while waiting or running:
            while waiting and running < place.slots():
                name = waiting.pop(0)
                number = [*points].index(name)
                place.submit(number, evaluate_point, points[name], task, request.target)
                running += 1
            number, came = place.next_done()
            running -= 1
            name = [*points][number]
            known[name] = (
                {"sentence": came.sentence}
                if isinstance(came, Failure)
                else trees.encode(came, Measured, [], name)
            )
            write_atomically(file, f"{json.dumps(known, indent=1)}\n".encode())
            say(f"{name}: {came if isinstance(came, Failure) else came.integer_accuracy}")


def compare(given: argparse.Namespace) -> None:
    """Both searches, the other points, then the front of the first search."""
    from distributed import LocalCluster

    request = replace(
        REQUESTS[given.preset],
        seed=given.seed,
        trials=given.trials or REQUESTS[given.preset].trials,
        samples=given.samples or REQUESTS[given.preset].samples,
        data_dir=given.data_dir,
        float_state=str(given.float_state),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    cluster = LocalCluster(
        n_workers=given.workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    )
    with at_most(given.seconds), cluster:
        address = cluster.scheduler_address
        for optimizer in OPTIMIZERS:
            run_trials(replace(request, optimizer=optimizer), given.out / optimizer, address)
        run_others(request, given.out / POINTS, address)
        resume(given.out / OPTIMIZERS[0], scheduler=address, tell=say)
        say("all is done")


def measured_engine(trials: int, seed: int, workers: int | None) -> dict[str, Any]:
    """Trials per hour of one search on the digits' MLP, and what the engine adds to each trial."""
    request = Request(
        preset="mlp-digits",
        device="ecp5-25k",
        target_fps=20_000.0,
        clock_mhz=100.0,
        optimizer="random",
        trials=trials,
        seed=seed,
        final_epochs=1,
        verify="none",
    )
    told: dict[int, float] = {}

    def tell(text: str) -> None:
        if text.startswith("trial "):
            told[int(text.split()[1].rstrip(":"))] = time.perf_counter()

    with tempfile.TemporaryDirectory(prefix="vecq-search-") as place:
        search(request, Path(place) / "out", workers=workers, tell=tell)
        result = load(Path(place) / "out")
    # From the end of the first trials to that of the last; equal points are not tried again.
    begun = sorted(told, key=lambda number: told[number])[: workers or 1]
    later = [number for number in told if number not in begun]
    span = max(told.values()) - max(told[number] for number in begun)
    ran = {one.number: one.measured.seconds for one in result.trials if one.measured is not None}
    work = sum(ran.get(number, 0.0) for number in later)
    return {
        "workers": workers or 1,
        "processes": "this one" if workers is None else "of Dask",
        "trials": len(later),
        "trials_per_hour": round(3600 * len(later) / span),
        "seconds_of_a_trial": round(work / len(later), 3),
        "overhead_seconds_of_a_trial": round((span * (workers or 1) - work) / len(later), 3),
    }


def measure_engine(given: argparse.Namespace) -> None:
    """One process without Dask, then one and two workers of Dask."""
    rows = [measured_engine(given.trials, given.seed, workers) for workers in (None, 1, 2)]
    for row in rows:
        print(row)
    write_atomically(given.out, f"{json.dumps(rows, indent=2)}\n".encode())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    both = commands.add_parser("compare", help=compare.__doc__)
    both.add_argument("preset", choices=[*REQUESTS])
    both.add_argument("--float", dest="float_state", type=Path, required=True)
    both.add_argument("--data-dir")
    both.add_argument("--out", type=Path, required=True)
    both.add_argument("--workers", type=int, default=2)
    both.add_argument("--trials", type=int)
    both.add_argument("--samples", type=int)
    both.add_argument("--seed", type=int, default=0)
    both.add_argument("--seconds", type=float, default=1e6, help="by the clock, at most")
    both.set_defaults(run=compare)
    alone = commands.add_parser("engine", help=measure_engine.__doc__)
    alone.add_argument("--trials", type=int, default=40)
    alone.add_argument("--seed", type=int, default=0)
    alone.add_argument("--out", type=Path, required=True)
    alone.set_defaults(run=measure_engine)
    given = parser.parse_args(arguments)
    given.run(given)


if __name__ == "__main__":
    main()
