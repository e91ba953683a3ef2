from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_frame_width import CASES


@pytest.mark.needs_verilator
def test_frame_width(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_frame_width", CASES)
