"""Processes that tools run in: stopped whole, started side by side, and what signals do."""

from __future__ import annotations

import contextlib
import contextvars
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_CLEANUP_SECONDS = 10.0
_received: list[tuple[int, float]] = []
_deferred = False


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

    def run(job: Callable[[], Result]) -> Result:
        _together.set(together)  # of this thread alone
        return job()

    with ThreadPoolExecutor(max(min(cores(), len(jobs)), 1)) as pool:
        futures = {pool.submit(run, job): index for index, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            together.end()
            raise


def interrupt_on_signals() -> None:
    """End this process by SIGTERM and SIGHUP as by Ctrl-C: KeyboardInterrupt in the main thread.

    What was ignored at the start, as by nohup, stays ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def signal_received() -> int | None:
    """Which signal interrupted this process, if one did."""
    return _received[0][0] if _received else None


def _interrupt(number: int, _: object) -> None:
    # timeout(1) sends its signal twice, and people press Ctrl-C again: the cleaning-up goes on.
    now = time.monotonic()
    if _received and now - _received[-1][1] < _CLEANUP_SECONDS:
        return
    _received.append((number, now))
    if not _deferred:
        raise KeyboardInterrupt


def _start(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    """As Popen, but a signal waits until the process can be ended."""
    global _deferred
    together = _together.get()
    if together is not None:
        return together.start(*arguments, **options)
    before, _deferred = len(_received), True
    try:
        process = subprocess.Popen(*arguments, **options)
    finally:
        _deferred = False
    if len(_received) > before:
        _end(process)
        assert process.stdout is not None
        process.stdout.close()
        raise KeyboardInterrupt
    return process


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it started."""
    # Asked first, so that compilers remove their temporary files.
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, request)
            process.wait(timeout=5)


def run_process(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float,
    on_line: Callable[[str], object] = lambda line: None,
) -> tuple[int, str]:
    """Run ``command`` in ``folder``: its exit status, and its output and errors together.

    It gets a session and a folder for temporary files of its own, of which nothing is left over
    whatever happens, Ctrl-C and (after :func:`interrupt_on_signals`) SIGTERM and SIGHUP included.
    ``on_line`` is given each line of the output as it comes, without its end.

    Raises
    ------
    subprocess.TimeoutExpired
        After ``timeout`` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="vecq-", ignore_cleanup_errors=True) as temporary:
        process = _start(
            command,
            cwd=folder,
            env={**environment, "TMPDIR": temporary},  # what is killed does not tidy up
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        # A thread reads, since a read cannot be given up after a time.
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        said, end = [], time.monotonic() + timeout
        try:
            while (line := lines.get(timeout=max(0.0, end - time.monotonic()))) is not None:
                said.append(line)
                on_line(line.rstrip("\n"))
            process.wait(timeout=max(0.0, end - time.monotonic()))
        except BaseException as error:
            _end(process)
            reader.join(timeout=5)
            if isinstance(error, queue.Empty):
                raise subprocess.TimeoutExpired(command, timeout) from None
            raise
    return process.returncode, "".join(said)


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Hand on what a process says, and behind it None."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
