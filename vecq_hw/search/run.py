"""A search from its beginning to its end: float model, trials, front."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vecq_hw import data as datasets
from vecq_hw import trees
from vecq_hw.arguments import format_version
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.notebook import html_table
from vecq_hw.search.engine import Engine, Failure, engine
from vecq_hw.search.front import (
    FrontPoint,
    front_of,
    is_uniform,
    limits,
    measured_tree,
    point_tree,
    read_point,
    remove_others,
    table,
    write_point,
)
from vecq_hw.search.request import Request
from vecq_hw.search.sensitivity import greedy_path, sensitivities
from vecq_hw.search.space import Choice, Point, Space, make_space, point_text
from vecq_hw.search.study import Record, State, Study
from vecq_hw.search.target import check_feasible, schedule_for
from vecq_hw.search.trial import (
    Measured,
    Rival,
    Task,
    evaluate_point,
    float_model,
    one_thread,
    state_bytes,
    train_point,
    untrained_network,
    with_validation,
)
from vecq_hw.train import Training, quantize_model
from vecq_hw.train.quantized_layers import Quantized

SEARCH, FLOAT, TRIALS = "search.json", "float.pt", "trials.db"
VERSION = 1
Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a search has found so far.

    Attributes
    ----------
    trials : tuple of Record
        Those that have ended.
    front : tuple of FrontPoint
        Those of its networks that are whole, the most accurate trial first.
    """

    request: Request
    space: Space
    trials: tuple[Record[Choice, Measured], ...]
    front: tuple[FrontPoint, ...]

    def _repr_html_(self) -> str:
        titles, rows = table(self.front)
        return html_table(f"the front of {len(self.trials)} trials", titles, rows)

    def tree(self) -> dict[str, Any]:
        """For a file in JSON."""
        front = {record.number for record in front_of(self.trials, self.request)}
        free = [name for name, choices in self.space.layers.items() if len(choices) > 1]
        return {
            "request": self.request.tree(),
            "trials": [
                {
                    "number": one.number,
                    "state": one.state.value,
                    "sentence": one.sentence,
                    "front": one.number in front,
                    "uniform": is_uniform(one.point, free) if free else None,
                    **point_tree(one.point),
                    **({} if one.measured is None else measured_tree(one.measured)),
                }
                for one in self.trials
            ],
            "front": [one.tree(self.request) for one in self.front],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What a search needs beside its request."""

    request: Request
    storage: str | None
    digest: str
    space: Space

    def study(self, out: Path) -> Study[Choice, Measured]:
        url = self.storage or f"sqlite:///{(out / TRIALS).resolve()}"
        return Study(
            url,
            self.request.study_name,
            self.space,
            Measured,
            objectives=len(self.request.objectives),
            optimizer=self.request.optimizer,
            seed=self.request.seed,
            population=min(24, max(8, self.request.trials // 8)),
            exclusive=self.storage is None,
        )


def search(
    request: Request,
    out: str | Path = "search",
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    storage: str | None = None,
    force: bool = False,
    tell: Tell = lambda text: None,
) -> tuple[FrontPoint, ...]:
    """Search, and train the front by the whole recipe.

    Parameters
    ----------
    request : Request
    out : path
        A folder for the trials, the float model and the networks of the front.
    workers : int, optional
        Local processes that run trials; none: this one.
    scheduler : str, optional
        Address of a Dask scheduler whose workers run them.
    storage : str, optional
        Of the trials, as Optuna takes it; a file in the folder unless it is given.
    force : bool
        Replace a search that the folder holds.
    tell : callable
        Given a line for each step.

    Returns
    -------
    tuple of FrontPoint
        The most accurate trial first.

    Raises
    ------
    VecqError
        A request that contradicts itself or that no network of the space can keep, before anything
        is trained; a folder that holds another search.
    """
    out = Path(out)
    if not force and (out / SEARCH).exists():
        raise VecqError(
            f"'{out}' holds a search; go on with it by --resume {out}, replace it with --force, or"
            " give another --out"
        )
    if not force and (out / TRIALS).exists():
        raise VecqError(f"'{out / TRIALS}' was not written by vecq; give another --out")
    dataset = datasets.load(request.recipe.data, request.data_dir)
    tell(f"checking what {request.device} takes")
    settled = _settled(request, storage, dataset)
    _check(settled, dataset)
    with Folder(out, force=force) as folder:
        for name in ("", "-journal", "-wal", "-shm"):
            (out / f"{TRIALS}{name}").unlink(missing_ok=True)
        remove_others(folder, ())
        folder.remove([FLOAT])
        tree = {
            "vecq_search": VERSION,
            "request": request.tree(),
            "space": trees.encode(settled.space, Space, [], "space"),
            "storage": storage,
            "data_digest": dataset.digest,
        }
        folder.write(SEARCH, f"{json.dumps(tree, indent=2)}\n".encode(), "search")
        return _go_on(folder, settled, dataset, workers, scheduler, tell)


def resume(
    out: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    force: bool = False,
    tell: Tell = lambda text: None,
) -> tuple[FrontPoint, ...]:
    """Go on with the search of a folder, wherever it ended; as :func:`search`.

    Trials that were running when it ended run again, under their numbers.

    Raises
    ------
    VecqError
        The folder holds no search, or one on other samples or labels than the data set has now, or
        it cannot be written.
    """
    out = Path(out)
    settled = _read(out)
    request = settled.request
    dataset = datasets.load(request.recipe.data, request.data_dir)
    if dataset.digest != settled.digest:
        raise VecqError(
            f"the search in '{out}' was on other samples or labels than '{request.recipe.data}'"
            " holds now; search anew in another folder"
        )
    with Folder(out, force=force) as folder:
        return _go_on(folder, settled, dataset, workers, scheduler, tell)


def load(out: str | Path) -> Result:
    """What the search of a folder has found so far.

    Raises
    ------
    VecqError
        The folder holds no search, or one without any trial.
    """
    out = Path(out)
    settled = _read(out)
    if settled.storage is None and not (out / TRIALS).exists():
        raise VecqError(f"the search in '{out}' has no trials yet; go on with --resume {out}")
    return _result(out, settled, settled.study(out).records())


def layers_of(model: str, dataset: datasets.Dataset, seed: int = 0) -> list[str]:
    """The names of a model's layers with weights, in its order."""
    built = float_model(model, dataset, seed)
    twin = quantize_model(built, input_shape=dataset.shape)
    return [name for name, module in twin.named_modules() if isinstance(module, Quantized)]


def trained_float(
    request: Request, dataset: datasets.Dataset, tell: Tell
) -> tuple[Any, datasets.Dataset]:
    """The float model by the whole recipe, and the split that it was trained and validated on."""
    recipe = request.recipe
    split = with_validation(dataset, request.seed)
    model = float_model(recipe.model, dataset, request.seed, request.float_state)
    if request.float_state is None:
        with one_thread():
            training = Training(model, split, recipe.settings)
            last = time.monotonic()
            while not training.finished:
                epoch = training.run_epoch()
                if time.monotonic() - last > 2 or training.finished:
                    last = time.monotonic()
                    tell(
                        f"float model: epoch {epoch.number} of {recipe.settings.epochs}, loss"
                        f" {epoch.loss:.4f}"
                    )
    return model.eval(), split


def _settled(request: Request, storage: str | None, dataset: datasets.Dataset) -> _Settled:
    space = make_space(
        layers_of(request.recipe.model, dataset, request.seed),
        bits=request.bits,
        activation_bits=request.activation_bits,
        methods=request.methods,
        scales=request.scales,
        keep=request.keep,
    )
    return _Settled(request=request, storage=storage, digest=dataset.digest, space=space)


def _check(settled: _Settled, dataset: datasets.Dataset) -> None:
    """Refuse what no network of the space can keep, and methods that a layer cannot have."""
    request, space = settled.request, settled.space
    model = float_model(request.recipe.model, dataset, request.seed, request.float_state)
    with_validation(dataset, request.seed)
    smallest = untrained_network(model, request.recipe.model, dataset, space.smallest())
    check_feasible(smallest, request.target)
    for method in request.methods:
        for scale in request.scales:
            point = _with_method(space, method, scale == "channel")
            if point is None:
                continue
            try:
                untrained_network(model, request.recipe.model, dataset, point)
            except VecqError as error:
                raise VecqError(
                    f"--methods {method} with --scales {scale} cannot be lowered for model"
                    f" '{request.recipe.model}': {error}"
                ) from None


def _with_method(space: Space, method: str, per_channel: bool) -> Point | None:
    """Each layer that can with that method at its fewest bits; None if no layer can."""

    def own(choice: Choice) -> bool:
        return choice.method == method and choice.per_channel == per_channel

    found = {name: next(filter(own, choices), choices[0]) for name, choices in space.layers.items()}
    return found if any(map(own, found.values())) else None


def _go_on(
    folder: Folder,
    settled: _Settled,
    dataset: datasets.Dataset,
    workers: int | None,
    scheduler: str | None,
    tell: Tell,
) -> tuple[FrontPoint, ...]:
    request, out = settled.request, folder.path
    with engine(workers, scheduler) as place:
        task = _task(folder, settled, dataset, tell)
        study = settled.study(out)
        back = study.take_back()
        if back:
            tell(f"{back} trials were left running; they run again under their numbers")
        with study.alive():
            _enqueue(study, settled, dataset, folder.path, tell)
            try:
                _run_trials(study, request, task, place, tell)
            except BaseException:
                study.release()
                raise
        _train_front(folder, settled, study.records(), task, place, tell)
    return _result(out, settled, study.records()).front


def _task(folder: Folder, settled: _Settled, dataset: datasets.Dataset, tell: Tell) -> Task:
    """The common float model, trained once, and what else a trial needs."""
    request = settled.request
    file = folder.path / FLOAT
    if not file.exists():
        tell(
            "training the float model" if request.float_state is None else "reading the float model"
        )
        model, _ = trained_float(request, dataset, tell)
        folder.write(FLOAT, state_bytes(model), "float model")
    return Task(
        model=request.recipe.model,
        data=request.recipe.data,
        data_dir=request.data_dir,
        data_digest=settled.digest,
        state=file.read_bytes(),
        settings=request.trial_settings,
        seed=request.seed,
    )


def _enqueue(
    study: Study[Choice, Measured],
    settled: _Settled,
    dataset: datasets.Dataset,
    out: Path,
    tell: Tell,
) -> None:
    """Let the known points be first: the grid; else uniform widths and the sensitivities' path."""
    request, space = settled.request, settled.space
    if request.optimizer == "grid":
        points = space.grid()
        study.enqueue(point for point, _ in zip(points, range(request.trials), strict=False))
        return
    uniform = list(space.uniform().values())[: request.trials]
    study.enqueue(uniform)
    if request.optimizer == "random":
        return
    tell("measuring how sensitive each layer is")
    model = float_model(request.recipe.model, dataset, request.seed, str(out / FLOAT))
    widths = {choice.weight_bits for choices in space.layers.values() for choice in choices}
    split = with_validation(dataset, request.seed)
    with one_thread():
        found = sensitivities(model, split, [*space.layers], sorted(widths))
        smallest = untrained_network(model, request.recipe.model, dataset, space.smallest())
    folds = schedule_for(smallest, request.target).folds
    lanes = {name: fold.pe * fold.simd for name, fold in folds.items()}
    path = greedy_path(space, found, lanes)
    wanted = max(0, min(len(path), request.trials // 4))
    study.enqueue(path[index * (len(path) - 1) // max(1, wanted - 1)] for index in range(wanted))


def _run_trials(
    study: Study[Choice, Measured], request: Request, task: Task, place: Engine, tell: Tell
) -> None:
    """Ask, evaluate and tell until all trials have ended."""
    total = request.trials
    if request.optimizer == "grid":
        total = min(total, study.space.size)
    points: dict[int, Point] = {}
    known: dict[tuple[Choice, ...], Measured | str] = {}
    rivals: list[Rival] = []

    def learn(point: Point, came: Measured | str) -> None:
        known[tuple(point.values())] = came
        if isinstance(came, Measured) and came.rungs and request.optimizer != "grid":
            rivals.append(Rival(costs=came.costs(request.objectives), accuracies=came.rungs))

    def end(number: int, point: Point, came: Measured | str) -> None:
        if isinstance(came, str):
            study.fail(number, came)
            return
        accuracy = came.integer_accuracy
        reached = accuracy if accuracy is not None else (came.rungs[-1] if came.rungs else 0.0)
        study.finish(
            number,
            came,
            (reached, *came.costs(request.objectives)),
            limits(came, reached, request),
        )

    for record in study.records():
        learn(record.point, record.sentence if record.measured is None else record.measured)
    begin, mine = time.monotonic(), 0
    while True:
        while len(points) < place.slots():
            ended, running, _ = study.counts()
            if ended + running >= total:
                break
            number, point = study.ask()
            same = known.get(tuple(point.values()))
            if same is not None:  # equal arguments give equal results
                end(number, point, same)
                continue
            points[number] = point
            place.submit(
                number,
                evaluate_point,
                point,
                task,
                request.target,
                request.objectives,
                tuple(rivals),
            )
        if not points:
            return
        number, came = place.next_done()
        point = points.pop(number)
        result = came.sentence if isinstance(came, Failure) else came
        learn(point, result)
        end(number, point, result)
        mine += 1
        ended, running, _ = study.counts()
        left = (total - ended) * (time.monotonic() - begin) / mine
        tell(
            f"trial {number}: {point_text(point)}, {_outcome(result)}; {ended} of {total} ended,"
            f" {running} running, {_duration(left)} left"
        )


def _train_front(
    folder: Folder,
    settled: _Settled,
    records: Iterable[Record[Choice, Measured]],
    task: Task,
    place: Engine,
    tell: Tell,
) -> None:
    """Train by the whole recipe what is not trained yet, verify and write it."""
    request = settled.request
    front = front_of(records, request)
    if not front:
        tell("no trial keeps all limits, so there is no front")
    whole = replace(task, settings=request.final_settings)
    missing = {
        one.number: one for one in front if read_point(folder.path, one.number, one.point) is None
    }
    waiting, running = list(missing), 0
    while waiting or running:
        while waiting and running < place.slots():
            number = waiting.pop(0)
            place.submit(-1 - number, train_point, missing[number].point, whole, request.target)
            running += 1
        number, came = place.next_done()
        running -= 1
        record = missing[-1 - number]
        if isinstance(came, Failure):
            raise VecqError(f"front, trial {record.number}: {came.sentence}")
        found = write_point(folder, record, came, request, whole)
        tell(
            f"front, trial {record.number}: {point_text(record.point)},"
            f" {_outcome(found.metrics)} on the test split, {request.verify} {found.verified}"
        )
    remove_others(folder, (one.number for one in front))


def _result(out: Path, settled: _Settled, records: Iterable[Record[Choice, Measured]]) -> Result:
    kept = tuple(records)
    front = (read_point(out, one.number, one.point) for one in front_of(kept, settled.request))
    return Result(
        request=settled.request,
        space=settled.space,
        trials=kept,
        front=tuple(one for one in front if one is not None),
    )


def _read(out: Path) -> _Settled:
    file = out / SEARCH
    try:
        tree: Mapping[str, Any] = json.loads(file.read_text())
        format_version(tree["vecq_search"], VERSION, f"'{file}'")
        space: Space = trees.decode(tree["space"], Space, iter(()), "space")
        storage = tree["storage"]
        if storage is not None and not isinstance(storage, str):
            raise VecqError(f"'{file}': storage is a text or null")
        return _Settled(
            request=Request.of(tree["request"]),
            storage=storage,
            digest=str(tree["data_digest"]),
            space=space,
        )
    except FileNotFoundError:
        raise VecqError(
            f"'{out}' holds no search; begin one with vecq search --out {out}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VecqError(f"'{file}' cannot be read: {error}") from None


def _outcome(came: Measured | str) -> str:
    if isinstance(came, str):
        return f"{State.FAILED.value}: {came}"
    if came.integer_accuracy is None:
        return came.reason
    return f"{100 * came.integer_accuracy:.2f} %, {came.luts:,.0f} LUTs"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
