"""Trials on a real cluster of two workers on this machine, one of which is killed in mid-trial."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vecq_hw.errors import VecqError
from vecq_hw.search import Request, load, search
from vecq_hw.search.engine import engine


@pytest.fixture
def grid(small: dict[str, str]) -> Request:
    return Request(
        device="ecp5-25k",
        target_fps=1e6,
        clock_mhz=100.0,
        trials=6,
        bits=(1, 3),
        optimizer="grid",
        epochs=8,
        final_epochs=2,
        verify="none",
        **small,
    )


SEARCH = """
import json, sys
from vecq_hw.search import Request, search
if __name__ == "__main__":
    request, out, how = json.loads(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    search(Request.of(request), out, tell=lambda text: print(text, flush=True), **how)
"""
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1",
                      dashboard_address=None) as cluster:
        cluster.wait_for_workers(2)
        workers = [str(worker.pid) for worker in cluster.workers.values()]
        print(cluster.scheduler_address, *workers, flush=True)
        sys.stdin.read()
"""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def results(out: Path) -> tuple[list[str], list[list]]:
    """What does not depend on the order of the trials."""
    tree = load(out).tree()
    kept = ("weight_bits", "integer_accuracy", "luts", "frames_per_second")
    trials = sorted(json.dumps([one[name] for name in kept]) for one in tree["trials"])
    front = [[one[name] for name in kept] for one in tree["front"]]
    return trials, front


@pytest.mark.nightly
def test_a_worker_that_dies_loses_its_trial_alone(grid: Request, tmp_path: Path) -> None:
    """The cluster's nanny starts another one in its place."""
    search(grid, tmp_path / "quiet")
    with started(CLUSTER) as cluster:
        assert cluster.stdout is not None
        address, *workers = cluster.stdout.readline().split()
        how = json.dumps({"scheduler": address})
        with started(SEARCH, json.dumps(grid.tree()), str(tmp_path / "out"), how) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("trial "):  # others are under way
                    os.kill(int(workers[0]), 9)
                    break
            lines = process.stdout.read().splitlines()
        assert process.returncode == 0, lines
        cluster.communicate("")
    trials = load(tmp_path / "out").trials
    assert [one.number for one in trials] == list(range(6))
    assert all(one.whole for one in trials), [one.sentence for one in trials]
    assert results(tmp_path / "out") == results(tmp_path / "quiet")


@pytest.mark.nightly
def test_local_processes_give_the_same_as_one(grid: Request, tmp_path: Path) -> None:
    search(grid, tmp_path / "one")
    with started(
        SEARCH, json.dumps(grid.tree()), str(tmp_path / "two"), json.dumps({"workers": 2})
    ) as process:
        process.communicate()
    assert process.returncode == 0
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecq_hw.search.engine.CONNECT_SECONDS", 1)
    with pytest.raises(VecqError, match=r"127\.0\.0\.1:9"), engine(scheduler="tcp://127.0.0.1:9"):
        pass
    with pytest.raises(VecqError, match="--workers"), engine(workers=2, scheduler="tcp://a:1"):
        pass


@pytest.mark.nightly
def test_other_objectives(grid: Request, tmp_path: Path) -> None:
    asked = replace(grid, trials=2, epochs=1, objectives=("latency", "size"))
    search(asked, tmp_path / "out")
    assert len(load(tmp_path / "out").trials) == 2
