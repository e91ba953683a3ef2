"""Processes that tools run in: stopped whole, and started side by side."""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vecq_hw.interrupts import temporary_folder, uninterrupted

Result = TypeVar("Result")


class _Together:
    """The processes of jobs that run side by side, which end together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._ended = False

    def start(self, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
        with self._lock:  # a process is either seen by the end, or not started
            if self._ended:
                raise KeyboardInterrupt
            process = subprocess.Popen(*arguments, **options)
            self._processes.append(process)
            return process

    def refuse_more(self) -> None:
        with self._lock:
            self._ended = True

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for process in self._processes:
                if process.poll() is None:
                    _end(process)


_together: contextvars.ContextVar[_Together | None] = contextvars.ContextVar(
    "_together", default=None
)


def cores() -> int:
    """How many processes this one may run at the same time without their sharing a core."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(jobs: Sequence[Callable[[], Result]]) -> Generator[tuple[int, Result]]:
    """Run jobs, as many at once as there are cores: the index and result of each as it ends.

    Each is a function that waits for processes of :func:`run_process`, in a thread of its own.  If
    one raises, or this is interrupted or given up, all processes of the others are ended, and what
    it raised goes on.
    """
    together = _Together()
    errors: list[BaseException] = []

    def run(job: Callable[[], Result]) -> Result:
        _together.set(together)  # of this thread alone
        try:
            return job()
        except BaseException as error:
            errors.append(error)
            together.refuse_more()  # this thread takes the next job before anyone can cancel it
            raise

    with ThreadPoolExecutor(max(min(cores(), len(jobs)), 1)) as pool:
        futures: dict[Future[Result], int] = {}
        try:
            futures |= {pool.submit(run, job): index for index, job in enumerate(jobs)}
            for future in as_completed(futures):
                if errors:
                    raise errors[0]
                yield futures[future], future.result()
        except BaseException:
            try:
                with uninterrupted():
                    together.end()
            except KeyboardInterrupt:
                together.end()
                raise
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Generator[tuple[subprocess.Popen[str], queue.SimpleQueue[str | None]]]:
    """A process, and a queue of the lines that it says, None at its end; a failure ends it."""
    together = _together.get()
    start = subprocess.Popen if together is None else together.start
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    process: subprocess.Popen[str] | None = None
    try:
        with uninterrupted():
            process = start(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            # A thread reads, since a read cannot be given up after a time.
            reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
            reader.start()
        yield process, lines
    except BaseException:
        if process is not None:
            try:
                with uninterrupted():
                    _end(process)
                    reader.join(timeout=5)
            except KeyboardInterrupt:
                _end(process)
                raise
        raise


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started."""
    # Asked first, so that compilers remove their temporary files.
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, request)
            process.wait(timeout=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A program that runs, as a watcher sees it.

    Attributes
    ----------
    number : int
        That of its process.
    command : tuple of str
        Of the program.
    tool : str
        The program, or the compiler or simulator that it runs now, such as "g++".
    since : float
        When that began, in seconds since 1970.
    line : str or None
        What it has just said; None where only time has passed.
    ended : bool
        Whether this is the last that is told of it.
    """

    number: int
    command: tuple[str, ...]
    tool: str
    since: float
    line: str | None = None
    ended: bool = False


Watcher = Callable[[Running], object]
"""Told of a program as it starts, with each line, each second, and as it ends; in its thread."""

_watchers: list[Watcher] = []
_BEAT_SECONDS = 1.0
_TOOL = re.compile(r"(?:ccache )?(?:\S*/)?(g\+\+|c\+\+|clang\+\+|gcc|cc|verilator)\s")
"""Begins a line with which make, or what drives it, says what it runs."""
_SIMULATION = "cocotb.regression"
"""Stands in the lines of a simulation that has been built."""


@contextlib.contextmanager
def watching(watcher: Watcher) -> Generator[None]:
    """Tell ``watcher`` of the programs that :func:`run_process` runs in this process."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def _tell(running: Running) -> None:
    for watcher in _watchers:
        watcher(running)


def _said(before: Running, line: str) -> Running:
    """What runs after a program has said ``line``."""
    started = _TOOL.match(line)
    tool = started[1] if started else "cocotb" if _SIMULATION in line else before.tool
    since = before.since if tool == before.tool and not started else time.time()
    return replace(before, tool=tool, since=since, line=line)


def run_process(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
    on_line: Callable[[str], object] = lambda line: None,
    *,
    tool: str | None = None,
) -> tuple[int, str]:
    """Run ``command`` in ``folder``: its exit status, and its output and errors together.

    It gets a session and a folder for temporary files of its own, of which nothing is left over
    whatever happens, Ctrl-C included, and SIGTERM and SIGHUP where this process has called
    :func:`vecq_hw.interrupts.interrupt_on_signals`.  ``on_line`` is given each line of the output
    as it comes, without its end; who is :func:`watching` is told that ``tool`` runs, the program's
    own name if left out.

    Raises
    ------
    subprocess.TimeoutExpired
        After ``timeout`` seconds.
    """
    with (
        temporary_folder() as temporary,
        # What is killed does not tidy up its temporary files.
        _started(command, folder, {**environment, "TMPDIR": str(temporary)}) as (process, lines),
    ):
        said, end = [], time.monotonic() + timeout
        running = Running(
            number=process.pid,
            command=tuple(command),
            tool=tool or Path(command[0]).name,
            since=time.time(),
        )
        try:
            _tell(running)
            while True:
                left = max(0.0, end - time.monotonic())
                try:
                    line = lines.get(timeout=min(left, _BEAT_SECONDS))
                except queue.Empty:
                    if left <= _BEAT_SECONDS:
                        raise subprocess.TimeoutExpired(command, timeout) from None
                    _tell(replace(running, line=None))
                    continue
                if line is None:
                    break
                said.append(line)
                running = _said(running, line.rstrip("\n"))
                _tell(running)
                on_line(line.rstrip("\n"))
        finally:
            _tell(replace(running, line=None, ended=True))
    return process.returncode, "".join(said)


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Hand on what a process says, and None when it has ended."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    process.wait()
    lines.put(None)
