import shutil
from pathlib import Path

import pytest

from rtl_tests import harness

TOP = "faulty_stream"


@pytest.mark.needs_verilator
def test_both_ends_name_every_broken_rule(tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    shutil.copy(Path(__file__).parent / f"{TOP}.sv", tmp_path / "rtl")
    (tmp_path / "vectors").mkdir()
    for end in ("inputs", "outputs"):
        (tmp_path / f"vectors/{end}.txt").write_text("3\n250\n7\n")
    harness.run_bench(tmp_path, TOP, "rtl_tests.bench_stream")
