from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_matrix_vector import CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(8)
def test_matrix_vector(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_matrix_vector", CASES, every)
