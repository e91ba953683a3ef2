from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_sliding_window import CASES, SHAPES, USUAL, words
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(5)
def test_sliding_window(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_sliding_window", CASES, every)


@pytest.mark.parametrize("index", range(USUAL), ids=lambda index: str(SHAPES[index]))
def test_no_cycle_is_lost_between_frames(index: int) -> None:
    frames = words(index)
    _, cycles = frames.cycles(((), ()))
    unit = frames.unit
    assert cycles[-1] - cycles[-1 - unit.outputs] == max(unit.cycles, unit.words)
