"""Work in several processes: its results, and that nothing is left of it when it is stopped."""

import contextlib
import os
import signal
import sys
import time

import pytest

from tests.cli.test_signals import Command
from tests.kept import Kept
from tests.workers import workers
from vecq_hw.interrupts import interrupt_on_signals
from vecq_hw.processes import run_process

SECONDS = 600


def squared(x):
    return x * x


def failing(x):
    sys.exit(x)


def compiled(x):
    """As a case that runs a compiler, which notes that it is there."""
    program = f"open('begun{x}', 'w').close(); import time; time.sleep({SECONDS})"
    run_process([sys.executable, "-c", program], ".", {}, timeout=SECONDS)


def main():
    interrupt_on_signals()
    with workers(compiled, 2) as results:
        list(results(range(5)))


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_item_has_its_result(jobs):
    with workers(squared, jobs) as results:
        assert sorted(results(range(7))) == [(x, x * x) for x in range(7)]
        assert list(results([])) == []


def test_a_process_that_ends_is_named():
    with pytest.raises(RuntimeError, match="process of '3' ended with status 3"):
        with workers(failing, 2) as results:
            list(results([3]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_ends_at_once_with_all_that_it_started(tmp_path, number):
    command = Command(tmp_path, main="tests.test_workers", start_new_session=True)
    try:
        command.wait_for(lambda: all((tmp_path / f"begun{x}").exists() for x in range(2)))
        begun = time.monotonic()
        command.process.send_signal(number)
        command.process.wait(timeout=SECONDS / 10)
        assert time.monotonic() - begun < 10
        assert command.left() == []
        assert list(command.temporary.iterdir()) == []
        assert not (tmp_path / "begun2").exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.communicate()


def test_what_is_kept_is_of_the_same_sources(tmp_path):
    Kept(tmp_path / "kept", "one").put("a/b", {"x": [1]})
    assert Kept(tmp_path / "kept", "one").get("a/b") == {"x": [1]}
    assert Kept(tmp_path / "kept", "one").get("b") is None
    assert Kept(tmp_path / "kept", "two").get("a/b") is None
