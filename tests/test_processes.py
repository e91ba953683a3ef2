"""Tools side by side: their results, and that nothing is left when one fails or all are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.cli.test_signals import Command
from vecq_hw import processes
from vecq_hw.interrupts import interrupt_on_signals, signal_received
from vecq_hw.processes import run_process, side_by_side


def wait(folder: Path, number: int) -> int:
    """As a tool that runs for long; its file says that it is there."""
    program = f"open('begun{number}', 'w').close(); import time; time.sleep(600)"
    return run_process([sys.executable, "-c", program], folder, os.environ, 600)[0]


def test_jobs_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 3)
    together = threading.Barrier(3, timeout=30)
    turns = dict(side_by_side([together.wait] * 3))
    assert sorted(turns) == sorted(turns.values()) == [0, 1, 2]


def test_where_one_fails_the_others_are_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)

    def fail() -> int:
        while not (tmp_path / "begun0").exists():
            time.sleep(0.01)
        raise ValueError("mine")

    jobs: list[Callable[[], int]] = [partial(wait, tmp_path, 0), fail, partial(wait, tmp_path, 2)]
    begin = time.monotonic()
    with pytest.raises(ValueError, match="mine"):
        list(side_by_side(jobs))
    assert time.monotonic() - begin < 60
    assert not (tmp_path / "begun2").exists()


def main() -> None:
    interrupt_on_signals()
    processes.cores = lambda: 2
    with contextlib.suppress(KeyboardInterrupt):
        list(side_by_side([partial(wait, Path(), number) for number in range(4)]))
        return
    sys.exit(128 + (signal_received() or 0))


def test_stopped_they_leave_nothing(tmp_path: Path) -> None:
    command = Command(tmp_path, main="tests.test_processes")
    command.wait_for(lambda: len(list(tmp_path.glob("begun*"))) == 2)
    command.process.send_signal(signal.SIGTERM)
    command.process.communicate(timeout=60)
    command.check(signal.SIGTERM)
    assert sorted(path.name for path in tmp_path.glob("begun*")) == ["begun0", "begun1"]
