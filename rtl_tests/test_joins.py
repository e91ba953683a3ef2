from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_joins import ALSO, CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(5)
def test_joins(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_joins", CASES, every, ALSO)
