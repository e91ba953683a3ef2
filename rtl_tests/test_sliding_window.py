from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_sliding_window import CASES


@pytest.mark.needs_verilator
def test_sliding_window(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_sliding_window", CASES)
