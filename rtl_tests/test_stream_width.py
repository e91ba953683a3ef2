from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_stream_width import CASES


@pytest.mark.needs_verilator
def test_stream_width(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_stream_width", CASES)
