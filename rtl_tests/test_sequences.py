from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_sequences import CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(4)
def test_sequences(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_sequences", CASES, every)
