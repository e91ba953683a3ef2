from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_matrix_vector import CASES


@pytest.mark.needs_verilator
def test_matrix_vector(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_matrix_vector", CASES)
