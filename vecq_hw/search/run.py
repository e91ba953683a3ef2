"""A search from its beginning to its end: float model, trials, front."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecq_hw import data as datasets
from vecq_hw import trees
from vecq_hw.arguments import format_version
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.search.engine import engine
from vecq_hw.search.front import FrontPoint, remove_others
from vecq_hw.search.loop import enqueue, run_trials, train_front
from vecq_hw.search.models import (
    Tell,
    float_model,
    layers_of,
    layers_with_activations,
    state_bytes,
    trained_float,
    untrained_network,
    with_validation,
)
from vecq_hw.search.request import Request
from vecq_hw.search.result import Result, result_of
from vecq_hw.search.space import Choice, Point, Space, make_space
from vecq_hw.search.study import Study
from vecq_hw.search.target import check_feasible
from vecq_hw.search.trial import Measured, Task

SEARCH, FLOAT, TRIALS = "search.json", "float.pt", "trials.db"
VERSION = 2


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
    return result_of(out, settled.request, settled.space, settled.study(out).records())


def _settled(request: Request, storage: str | None, dataset: datasets.Dataset) -> _Settled:
    space = make_space(
        layers_of(request.recipe.model, dataset, request.seed),
        activated=layers_with_activations(request, dataset),
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
            enqueue(study, request, settled.space, dataset, out / FLOAT, tell)
            try:
                run_trials(study, request, settled.space, task, place, tell)
            except BaseException:
                study.release()
                raise
        train_front(folder, request, study.records(), task, place, tell)
    return result_of(out, request, settled.space, study.records()).front


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
        samples=request.samples,
        seed=request.seed,
    )


def _read(out: Path) -> _Settled:
    file = out / SEARCH
    try:
        tree: Mapping[str, Any] = json.loads(file.read_text())
        format_version(tree["vecq_search"], VERSION, f"'{file}'", oldest=VERSION)
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
