from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_upsample import CASES


@pytest.mark.needs_verilator
def test_upsample(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_upsample", CASES)
