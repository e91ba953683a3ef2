"""A signal at any moment, also while something is made or removed, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from vecq_hw import interrupts
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.interrupts import interrupt_on_signals, temporary_folder
from vecq_hw.processes import run_process

CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders come, in a process that signals interrupt."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # The first call of a process takes a lock, which a signal could leave locked.
    Path(tempfile.mkdtemp()).rmdir()
    monkeypatch.setattr(interrupts, "_received", [])
    before = [signal.getsignal(number) for number in NUMBERS]
    interrupt_on_signals()
    yield tmp_path
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


def interrupted_at(moment: int, work: Callable[[], object]) -> bool:
    """Send a signal at one of the moments at which Python looks for them; whether it came to it."""
    left = moment

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        begins = event == "call" and frame.f_lineno == frame.f_code.co_firstlineno
        if begins or event == "c_return":  # where CPython handles what has come
            left -= 1
            if left == 0:
                signal.raise_signal(signal.SIGTERM)

    interrupts._received.clear()
    try:
        sys.setprofile(look)
        work()
    except (KeyboardInterrupt, VecqError, subprocess.TimeoutExpired, ValueError):
        pass
    finally:
        sys.setprofile(None)
    return bool(interrupts._received)


def children() -> set[str]:
    """The processes that this one has started and not ended."""
    return set(CHILDREN.read_text().split())


def in_a_folder(place: Path) -> None:
    with temporary_folder() as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("x")


def a_failing_folder(place: Path) -> None:
    with temporary_folder() as folder:
        (folder / "file").write_text("x")
        raise ValueError


def a_file(place: Path) -> None:
    write_atomically(place / "whole", b"new")


def a_process(place: Path) -> None:
    run_process(["true"], place, os.environ, 60)


def a_process_that_is_refused(place: Path) -> None:
    def refuse(line: str) -> None:
        raise ValueError(line)

    run_process(["sh", "-c", "echo one; sleep 60"], place, os.environ, 60, refuse)


@pytest.mark.skipif(not CHILDREN.exists(), reason="the system does not tell children of a process")
# Files are closed, and calls of weak references end, in the middle.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "work",
    [
        in_a_folder,
        a_failing_folder,
        a_file,
        a_process,
        a_process_that_is_refused,
    ],
)
def test_nothing_is_left_whenever_a_signal_comes(place: Path, work: Callable[[Path], None]) -> None:
    before, moment = children(), 1
    while interrupted_at(moment, lambda: work(place)):
        moment += 1
        assert {path.name for path in place.iterdir()} <= {"whole"}, moment
        assert children() <= before, moment
    assert moment > 20
