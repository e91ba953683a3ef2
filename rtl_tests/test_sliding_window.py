from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_sliding_window import CASES, SHAPES, USUAL, words


@pytest.mark.needs_verilator
def test_sliding_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The build takes longer than the cycles, and these run in no time either way.
    monkeypatch.setenv("GNUMAKEFLAGS", "OPT_FAST=-O0")
    harness.run(tmp_path, "bench_sliding_window", CASES)


@pytest.mark.parametrize("index", range(USUAL), ids=lambda index: str(SHAPES[index]))
def test_no_cycle_is_lost_between_frames(index: int) -> None:
    frames = words(index)
    _, cycles = frames.cycles(((), ()))
    unit = frames.unit
    assert cycles[-1] - cycles[-1 - unit.outputs] == max(unit.cycles, unit.words)
