import shutil
from pathlib import Path

import pytest

from rtl_tests.bench_uart_link import TOP
from rtl_tests.harness import QUICK_BUILD, run_bench
from vecq_hw import assets


@pytest.mark.needs_verilator
def test_uart_link(tmp_path: Path) -> None:
    shutil.copytree(assets.rtl(), tmp_path / "rtl")
    (tmp_path / "rtl" / "echo.sv").write_text(TOP)
    run_bench(tmp_path, "echo", "rtl_tests.bench_uart_link", QUICK_BUILD)
