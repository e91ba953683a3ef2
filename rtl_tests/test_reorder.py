from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_reorder import CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(3)
def test_reorder(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_reorder", CASES, every)
