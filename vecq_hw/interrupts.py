"""What signals do: they end a command, and nothing of it stays behind."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_CLEANUP_SECONDS = 10.0
_received: list[tuple[int, float]] = []
_deferred = False


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


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait for the end of a block, where they raise KeyboardInterrupt.

    Such a block makes something and says where it is, or removes it: half of that would leave
    something behind.  It must be short.  Without :func:`interrupt_on_signals` it does nothing.
    """
    global _deferred
    if _deferred or threading.current_thread() is not threading.main_thread():
        yield  # the outer block tells; other threads are not interrupted
        return
    before, _deferred = len(_received), True
    try:
        yield
    finally:
        _deferred = False
        if len(_received) > before:
            raise KeyboardInterrupt


@contextlib.contextmanager
def temporary_folder(prefix: str = "vecq-", within: Path | None = None) -> Iterator[Path]:
    """A new folder in ``within``, or where the system has such, which is removed at the end.

    Nothing of it is left whenever a signal comes, also while it is made or removed.
    """
    made: tempfile.TemporaryDirectory[str] | None = None
    try:
        with uninterrupted():
            # What was started in it may still write, and would have the removal fail.
            made = tempfile.TemporaryDirectory(
                prefix=prefix, dir=within, ignore_cleanup_errors=True
            )
        yield Path(made.name)
    finally:
        if made is not None:
            with uninterrupted():  # before that, its own finalizer would remove it
                made.cleanup()


def _interrupt(number: int, _: object) -> None:
    # timeout(1) sends its signal twice, and people press Ctrl-C again: the cleaning-up goes on.
    now = time.monotonic()
    if _received and now - _received[-1][1] < _CLEANUP_SECONDS:
        return
    _received.append((number, now))
    if not _deferred:
        raise KeyboardInterrupt
