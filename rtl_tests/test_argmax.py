from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_argmax import CASES


@pytest.mark.needs_verilator
def test_argmax(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_argmax", CASES)
