"""Steps: kept, run side by side, told one by one; of a failed one the log stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vecq_hw import processes
from vecq_hw.files import Folder
from vecq_hw.implement.stages import LOG, StageError, Stages, Step

NAMES = ("a", "b", "c")


def step(name: str, make: Callable[[], dict[str, str]], given: str = "") -> Step:
    """A step whose files say in which order they were made."""
    return Step(name=name, given={"given": given}, make=make, said=lambda files: f"made {name}")


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 2)


def test_steps_run_at_the_same_time_and_are_told_as_they_end(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=30)
    said: list[str] = []

    def meet() -> dict[str, str]:
        together.wait()
        return {LOG: "met"}

    def unneeded() -> dict[str, str]:
        raise AssertionError

    with Folder(tmp_path / "out") as folder:
        stages = Stages(folder, NAMES, said.append)
        stages.result(step("a", lambda: {LOG: "first"}))
        made = stages.results([step("a", unneeded), step("b", meet), step("c", meet)])
    assert [files[LOG] for files in made] == [b"first", b"met", b"met"]
    assert said[0].startswith("a (1 of 3), since ")
    assert said[0].endswith("; then b, c")
    assert said[1] == "a (1 of 3): kept"
    assert said[2].startswith("b (2 of 3), c (3 of 3), since ")
    told = {"b (2 of 3): made b", "c (3 of 3): made c"}
    assert {line.partition(",")[0] for line in said[3:]} == told
    assert [line.partition(", ")[2] for line in said[3:]] == ["1 to come", "0 to come"]


def test_of_a_failed_step_the_log_stays_and_of_what_ended_before_its_files(tmp_path: Path) -> None:
    written = threading.Event()

    def fail() -> dict[str, str]:
        assert written.wait(30)
        raise StageError("too hot", "all it said")

    def told(text: str) -> None:
        if text.startswith("a (1 of 3): made"):
            written.set()

    with Folder(tmp_path / "out") as folder:
        stages = Stages(folder, NAMES, told)
        with pytest.raises(StageError, match=r"too hot; the log is .*b/log\.txt"):
            stages.results([step("a", lambda: {"file": "whole"}), step("b", fail)])
    assert (tmp_path / "out/a/file").read_text() == "whole"
    assert (tmp_path / "out/b" / LOG).read_text() == "all it said"
    assert not (tmp_path / "out/b/stage.json").exists()
