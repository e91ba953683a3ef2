from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_rescale_serial import CASES
from tests.shares import one_in


@pytest.mark.needs_verilator
@one_in(5)
def test_rescale_serial(tmp_path: Path, every: int) -> None:
    harness.run(tmp_path, "bench_rescale_serial", CASES, every)
