from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_compact import ALSO, CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(6)
def test_compact(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_compact", CASES, every, ALSO)
