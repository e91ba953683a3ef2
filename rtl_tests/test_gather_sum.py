from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_gather_sum import CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(6)
def test_gather_sum(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_gather_sum", CASES, every)
