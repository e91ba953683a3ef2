from pathlib import Path

import pytest

from rtl_tests import harness
from rtl_tests.bench_pool import CASES


@pytest.mark.needs_verilator
def test_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The build takes longer than the cycles, and these run in no time either way.
    monkeypatch.setenv("GNUMAKEFLAGS", "OPT_FAST=-O0")
    harness.run(tmp_path, "bench_pool", CASES)
