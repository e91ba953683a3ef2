"""Where trials run: in this process, in local processes, or on a cluster of Dask."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from vecq_hw import __version__
from vecq_hw.errors import VecqError

CONNECT_SECONDS = 10
WORKER_SECONDS = 60
"""How long a cluster without workers is waited for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised, in a sentence."""

    sentence: str


class Engine(Protocol):
    """Runs functions of their arguments, several at once; each call has a number."""

    def slots(self) -> int:
        """How many calls may be under way."""

    def submit(self, number: int, function: Callable[..., Any], *arguments: Any) -> None:
        """Begin a call."""

    def next_done(self) -> tuple[int, Any]:
        """Wait for a call that has ended; its number, and what it gave or a :class:`Failure`."""


class Here:
    """One call after the other in this process, when its result is asked for."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, Callable[..., Any], tuple[Any, ...]]] = deque()

    def slots(self) -> int:
        """One."""
        return 1

    def submit(self, number: int, function: Callable[..., Any], *arguments: Any) -> None:
        """As :meth:`Engine.submit`."""
        self._calls.append((number, function, arguments))

    def next_done(self) -> tuple[int, Any]:
        """As :meth:`Engine.next_done`."""
        number, function, arguments = self._calls.popleft()
        return number, attempt(function, *arguments)


class Cluster:
    """Calls on the workers of a Dask scheduler, one at a time on each.

    A call whose worker dies begins again on another, three times at most.
    """

    def __init__(self, client: Any) -> None:
        from distributed import as_completed

        self._client = client
        self._done: Any = as_completed(loop=client.loop)  # type: ignore[no-untyped-call]
        self._numbers: dict[Any, int] = {}

    def slots(self) -> int:
        """As many as there are workers now."""
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def submit(self, number: int, function: Callable[..., Any], *arguments: Any) -> None:
        """As :meth:`Engine.submit`."""
        future = self._client.submit(
            attempt, function, *arguments, pure=False, key=f"vecq-{id(self)}-{number}"
        )
        self._numbers[future] = number
        self._done.add(future)

    def next_done(self) -> tuple[int, Any]:
        """As :meth:`Engine.next_done`.

        Raises
        ------
        VecqError
            The scheduler of the cluster is gone.
        """
        from distributed import KilledWorker

        future = next(self._done)
        number = self._numbers.pop(future)
        if future.cancelled():
            raise VecqError(
                "the scheduler of the cluster is gone; resume the search when it is back"
            )
        error = future.exception()
        if isinstance(error, KilledWorker):
            return number, Failure("the worker died each time that the trial was tried")
        if error is not None:
            return number, Failure(_sentence(error))
        return number, future.result()


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives, or why it does not."""
    try:
        return function(*arguments)
    except Exception as error:
        return Failure(_sentence(error))


@contextlib.contextmanager
def engine(workers: int | None = None, scheduler: str | None = None) -> Iterator[Engine]:
    """The engine that is asked for; its local processes end with it.

    Parameters
    ----------
    workers : int, optional
        Local processes; none: this process.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``.

    Raises
    ------
    VecqError
        The scheduler cannot be reached, has no workers, or those have another version of vecq.
    """
    if scheduler is None and workers is None:
        yield Here()
        return
    if scheduler is not None and workers is not None:
        raise VecqError(
            "--workers starts processes here, --scheduler has its own; give one of them"
        )
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise VecqError(
            'more than one process needs Dask; run: pip install "distributed>=2026.8"'
        ) from None
    for name in ("distributed", "distributed.nanny", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # a lost worker is told by its trial
    with contextlib.ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = stack.enter_context(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )
        try:
            client = stack.enter_context(
                Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
            )
        except (OSError, ValueError) as error:
            raise VecqError(
                f"scheduler '{scheduler}' cannot be reached: {str(error).splitlines()[0]}"
            ) from None
        _check_workers(client, scheduler)
        yield Cluster(client)


def _check_workers(client: Any, scheduler: str | None) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise VecqError(
            f"scheduler '{scheduler}' has no workers; start some with: dask worker {scheduler}"
        ) from None
    try:
        versions = client.run(_version)
    except Exception as error:
        raise VecqError(f"the workers cannot run vecq: {_sentence(error)}") from None
    for worker, version in versions.items():
        if version != __version__:
            raise VecqError(f"worker '{worker}' has vecq {version}, but this is {__version__}")


def _version() -> str:
    return __version__


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, VecqError):
        return text
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
