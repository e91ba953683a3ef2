import shutil
from pathlib import Path

import pytest

from rtl_tests import harness

TOP = "faulty_stream"


@pytest.mark.needs_verilator
def test_the_sink_names_every_broken_rule(tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    shutil.copy(Path(__file__).parent / f"{TOP}.sv", tmp_path / "rtl")
    harness.run_bench(tmp_path, TOP, "rtl_tests.bench_stream")
