"""Every trial once: which points are tried, and what became of them, in Optuna's storage."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from vecq_hw import trees
from vecq_hw.errors import VecqError

HEARTBEAT_SECONDS = 15.0
SILENT_SECONDS = 120.0
"""After so long without a word, a search elsewhere that shares the storage counts as dead."""
_MEASURED, _SENTENCE, _OWNER, _ALIVE = "measured", "sentence", "owner", "alive:"
_OPEN = (TrialState.RUNNING, TrialState.WAITING)


ChoiceT = TypeVar("ChoiceT")
"""What may be chosen for one place of a space."""


class Choices(Protocol[ChoiceT]):
    """A space: a list of choices for each of its places."""

    @property
    def axes(self) -> dict[str, int]:
        """What is varied on its own, and how many values each has."""

    @property
    def size(self) -> int:
        """How many points there are."""

    def point(self, places: Mapping[str, int]) -> Mapping[str, ChoiceT]:
        """The point of one place on each of the axes."""

    def places(self, point: Mapping[str, ChoiceT]) -> dict[str, int]:
        """The reverse of :meth:`point`."""

    def text(self, point: Mapping[str, ChoiceT]) -> str:
        """A point in a line."""


class Outcome(Protocol):
    """What every measurement tells."""

    @property
    def integer_accuracy(self) -> float | None:
        """None where it was not trained to its end."""

    @property
    def reason(self) -> str:
        """Why not; else empty."""


OutcomeT = TypeVar("OutcomeT", bound=Outcome)


class State(Enum):
    """How a trial ended."""

    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Generic[ChoiceT, OutcomeT]):
    """A trial that has ended.

    Attributes
    ----------
    number : int
        From 0, in the order in which they began.
    measured : what was measured, or None
        Of one that finished.
    sentence : str
        Why it failed, or was not trained to its end; else empty.
    """

    number: int
    state: State
    point: Mapping[str, ChoiceT]
    measured: OutcomeT | None
    sentence: str

    @property
    def whole(self) -> bool:
        """Whether it was trained to its end."""
        return self.measured is not None and self.measured.integer_accuracy is not None


class Study(Generic[ChoiceT, OutcomeT]):
    """The trials of one search, or of several that ask for the same and share a storage.

    Parameters
    ----------
    url : str or None
        As Optuna's RDBStorage takes it; None keeps the trials in memory.
    space : Choices
    outcome : dataclass
        Of what is measured.
    objectives : int
        How many there are beside the accuracy.
    exclusive : bool
        Whether nobody else can be at work on it, so that what runs was left by a dead process.

    Raises
    ------
    VecqError
        The storage cannot be used, or its study is of another space.
    """

    def __init__(
        self,
        url: str | None,
        name: str,
        space: Choices[ChoiceT],
        outcome: type[OutcomeT],
        *,
        objectives: int,
        optimizer: str = "nsga2",
        seed: int = 0,
        population: int = 12,
        exclusive: bool = True,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self._outcome = space, outcome
        self._exclusive = exclusive
        self._optimizer, self._seed, self._population = optimizer, seed, population
        self._token = f"{socket.gethostname()}:{os.getpid()}"
        self._mine: dict[int, optuna.Trial] = {}
        self._storage = InMemoryStorage() if url is None else _storage(url)
        directions = [StudyDirection.MAXIMIZE, *[StudyDirection.MINIMIZE] * objectives]
        with _storage_errors(url):
            with contextlib.suppress(DuplicatedStudyError):  # somebody else was quicker
                optuna.create_study(
                    storage=self._storage,
                    study_name=name,
                    directions=directions,
                    load_if_exists=True,
                )
            self._study = optuna.load_study(storage=self._storage, study_name=name)
            self._id = self._storage.get_study_id_from_name(name)
            axes = space.axes
            known = self._study.user_attrs.setdefault("space", axes)
            if known != axes or len(self._study.directions) != 1 + objectives:
                raise VecqError(f"storage '{url}' holds a study '{name}' of another space")
            self._study.set_user_attr("space", axes)
        self._study.sampler = self._sampler()

    def enqueue(self, points: Iterable[Mapping[str, ChoiceT]]) -> None:
        """Let these be tried first; those that are known already are left out."""
        for point in points:
            self._study.enqueue_trial(self.space.places(point), skip_if_exists=True)

    def ask(self) -> tuple[int, Mapping[str, ChoiceT]]:
        """A trial that begins: its number and its point."""
        distributions: dict[str, BaseDistribution] = {
            name: IntDistribution(0, count - 1) for name, count in self.space.axes.items()
        }
        with _quiet():
            trial = self._study.ask(distributions)
            trial.set_user_attr(_OWNER, self._token)
        self._mine[trial.number] = trial
        return trial.number, self.space.point(trial.params)

    def finish(
        self, number: int, measured: OutcomeT, values: Sequence[float], limits: dict[str, float]
    ) -> bool:
        """End a trial with its numbers; False if another process ended it before.

        Parameters
        ----------
        values : sequence of float
            The accuracy, then what is to be small.
        limits : dict from names to float
            By how much each is missed; not positive where it is kept.
        """
        trial = self._mine.pop(number)
        tree = trees.encode(measured, self._outcome, [], "measured")

        def end() -> None:
            trial.set_user_attr(_MEASURED, tree)
            trial.set_user_attr("bits", self.space.text(self.space.point(trial.params)))
            for name, excess in limits.items():
                trial.set_constraint(name, excess)
            self._study.tell(number, list(values))

        return self._ended(end)

    def fail(self, number: int, sentence: str) -> bool:
        """End a trial with the reason; False if another process ended it before."""
        trial = self._mine.pop(number)

        def end() -> None:
            trial.set_user_attr(_SENTENCE, sentence)
            self._study.tell(number, state=TrialState.FAIL)

        return self._ended(end)

    def release(self) -> None:
        """Put the trials that this process began, and did not end, back into the queue."""
        for number in [*self._mine]:
            del self._mine[number]
            self._requeue(number)

    def take_back(self) -> int:
        """Put trials that run nowhere any more back into the queue; how many those were."""
        stale = [trial.number for trial in self._trials(TrialState.RUNNING) if self._stale(trial)]
        for number in stale:
            self._requeue(number)
        return len(stale)

    def records(self) -> list[Record[ChoiceT, OutcomeT]]:
        """The trials that have ended, by number."""
        found: list[Record[ChoiceT, OutcomeT]] = []
        for trial in self._trials(TrialState.COMPLETE, TrialState.FAIL):
            tree = trial.user_attrs.get(_MEASURED)
            measured: OutcomeT | None = None
            if trial.state is TrialState.COMPLETE:
                measured = trees.decode(tree, self._outcome, iter(()), f"trial {trial.number}")
            sentence = str(trial.user_attrs.get(_SENTENCE, ""))
            found.append(
                Record(
                    number=trial.number,
                    state=State.FAILED if measured is None else State.FINISHED,
                    point=self.space.point(trial.params),
                    measured=measured,
                    sentence=sentence if measured is None else measured.reason,
                )
            )
        return found

    def counts(self) -> tuple[int, int, int]:
        """How many trials have ended, are running, and wait."""
        states = [trial.state for trial in self._trials()]
        running, waiting = (states.count(state) for state in _OPEN)
        return len(states) - running - waiting, running, waiting

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Meanwhile searches elsewhere see that this one lives."""
        if self._exclusive:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            while True:
                with contextlib.suppress(Exception):  # the next beat may reach the storage
                    self._study.set_user_attr(_ALIVE + self._token, time.time())
                if over.wait(HEARTBEAT_SECONDS):
                    return

        thread = threading.Thread(target=beat, daemon=True)
        self._study.set_user_attr(_ALIVE + self._token, time.time())
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _stale(self, trial: FrozenTrial) -> bool:
        if trial.number in self._mine:
            return False
        if self._exclusive:
            return True
        owner = trial.user_attrs.get(_OWNER)
        if owner is None:  # it may be just about to be marked
            begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
            return time.time() - begun > SILENT_SECONDS
        host, _, process = str(owner).rpartition(":")
        if host == socket.gethostname() and not _lives(int(process)):
            return True
        last = self._study.user_attrs.get(f"{_ALIVE}{owner}", 0.0)
        return time.time() - float(last) > SILENT_SECONDS

    def _requeue(self, number: int) -> None:
        trial = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        with contextlib.suppress(UpdateFinishedTrialError):
            self._storage.set_trial_state_values(trial, TrialState.WAITING)

    def _ended(self, end: Any) -> bool:
        with _quiet():
            try:
                end()
            except (UpdateFinishedTrialError, ValueError) as error:
                # ValueError: it was taken back, because this process was silent for too long.
                if isinstance(error, ValueError) and "Cannot tell" not in str(error):
                    raise
                return False
        return True

    def _sampler(self) -> BaseSampler:
        # A search that goes on draws other numbers than it drew at its beginning.
        seed = (self._seed + 1_000_003 * len(self._trials())) % (1 << 32)
        with _quiet():
            match self._optimizer:
                case "tpe":
                    return TPESampler(seed=seed, n_startup_trials=self._population)
                case "nsga2":
                    return _Nsga2(seed=seed, population_size=self._population)
                case _:  # all points of a grid are in the queue
                    return RandomSampler(seed=seed)


class _Nsga2(NSGAIISampler):
    """NSGA-II without generations: parents are the best of all that ended.

    Optuna counts no trial that was enqueued as one of a generation, so that its first generation
    would be drawn at random after all that a search begins with.
    """

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """One, that of the children of all others."""
        return 1

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """All trials that ended with numbers."""
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The best of them; none as long as they are too few, and points are drawn at random."""
        enough = len(self.get_population(study, 0)) >= (self.population_size or 0)
        return self.select_parent(study, 1) if generation and enough else []


def _storage(url: str) -> BaseStorage:
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}  # seconds that one writer waits for another
    with _storage_errors(url):
        return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=options))


@contextlib.contextmanager
def _storage_errors(url: str | None) -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _quiet():
            yield
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise VecqError(f"storage '{url}' cannot be used: {reason}") from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings of what is experimental, or set twice by a trial that ran twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
