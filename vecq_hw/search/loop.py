"""The trials of a search: which come first, their loop, and the training of the front."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.search.engine import Engine, Failure
from vecq_hw.search.front import front_of, limits, read_point, remove_others, write_point
from vecq_hw.search.models import (
    Tell,
    activation_of,
    float_model,
    one_thread,
    untrained_network,
    with_validation,
)
from vecq_hw.search.request import Request
from vecq_hw.search.sensitivity import (
    Outlook,
    Products,
    activation_sensitivities,
    sensitivities,
    warm_points,
)
from vecq_hw.search.space import Choice, Point, Space, point_text
from vecq_hw.search.study import Record, State, Study
from vecq_hw.search.target import schedule_for
from vecq_hw.search.trial import Measured, Rival, Task, evaluate_point, train_point
from vecq_hw.train import quantize_model


def enqueue(
    study: Study[Choice, Measured],
    request: Request,
    space: Space,
    dataset: Dataset,
    state: Path,
    tell: Tell,
) -> None:
    """Let the known points be first: the grid; else uniform widths, then what looks best."""
    if study.counts()[0] >= request.trials:
        return
    if request.optimizer == "grid":
        points = space.grid()
        study.enqueue(point for point, _ in zip(points, range(request.trials), strict=False))
        return
    known = [*space.uniform().values(), *space.learned().values()]
    before = sum(study.counts())
    study.enqueue(known[: request.trials])
    if request.optimizer == "random" or before > len(known):  # the others are enqueued already
        return
    tell("measuring how sensitive each layer is")
    outlook = _outlook(request, space, dataset, state)
    study.enqueue(warm_points(space, outlook, max(0, request.trials - len(known))))


def _outlook(request: Request, space: Space, dataset: Dataset, state: Path) -> Outlook:
    """The layers' sensitivities, and the multipliers by the folds of the smallest network."""
    name = request.recipe.model
    layers = [*space.layers]
    model = float_model(name, dataset, request.seed, str(state))
    widths = sorted({choice.weight_bits for own in space.layers.values() for choice in own})
    activations = sorted(
        {choice.activation_bits for own in space.layers.values() for choice in own}
    )
    split = with_validation(dataset, request.seed)
    with one_thread():
        found = sensitivities(model, split, layers, widths)
        smallest = untrained_network(model, name, dataset, space.smallest())
        rises = {}
        if len(activations) > 1:
            twin = quantize_model(model, 8, activations[-1], input_shape=dataset.shape)
            places = {layer: activation_of(name, dataset, layers, layer) for layer in layers}
            rises = activation_sensitivities(twin, split, places, activations)
    folds = schedule_for(smallest, request.target).folds
    read = {layer.name: smallest.mac_before(layer.input) for layer in smallest.products}
    products = Products(
        lanes={layer: fold.pe * fold.simd for layer, fold in folds.items()},
        sources={layer: mac.name for layer, mac in read.items() if mac is not None},
    )
    return Outlook(layers=found, products=products, activations=rises)


def run_trials(
    study: Study[Choice, Measured],
    request: Request,
    space: Space,
    task: Task,
    place: Engine,
    tell: Tell,
) -> None:
    """Ask, evaluate and tell until all trials have ended.

    Uniform widths are never hopeless: all else is compared with them.
    """
    total = request.trials
    uniform = [*space.uniform().values()]
    if request.optimizer == "grid":
        total = min(total, space.size)
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
                () if point in uniform else tuple(rivals),
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


def train_front(
    folder: Folder,
    request: Request,
    records: Iterable[Record[Choice, Measured]],
    task: Task,
    place: Engine,
    tell: Tell,
) -> None:
    """Train by the whole recipe what is not trained yet, verify and write it.

    Raises
    ------
    VecqError
        The training or the verification of a network fails.
    """
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


def _outcome(came: Measured | str) -> str:
    if isinstance(came, str):
        return f"{State.FAILED.value}: {came}"
    if came.integer_accuracy is None:
        return came.reason
    return f"{100 * came.integer_accuracy:.2f} %, {came.luts:,.0f} LUTs"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
