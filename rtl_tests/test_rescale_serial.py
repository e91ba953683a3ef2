from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_rescale_serial import CASES


@pytest.mark.needs_verilator
def test_rescale_serial(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_rescale_serial", CASES)
