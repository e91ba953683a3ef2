from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_joins import CASES


@pytest.mark.needs_verilator
def test_joins(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_joins", CASES)
