"""Row memories are what an FPGA has block RAM for: one port writes, a register reads."""

import os
import sys
from pathlib import Path

import pytest

from rtl_tests.formal import SCRIPT
from vecq_hw import assets
from vecq_hw.toolchain import run_process

# Cell, parameters, words and bits of its memory.
MEMORIES = [
    ("vecq_sliding_window", {"Height": 8, "Width": 5, "KernelRows": 3, "WordBits": 6}, 15, 6),
    ("vecq_pool", {"Height": 8, "Width": 6, "KernelRows": 2, "ElementBits": 5}, 12, 5),
    ("vecq_upsample", {"Width": 7, "Folds": 3, "WordBits": 4}, 21, 4),
]


@pytest.mark.needs_yosys
@pytest.mark.parametrize(("cell", "parameters", "words", "bits"), MEMORIES)
def test_rows_lie_in_a_memory_that_a_register_reads(
    cell: str, parameters: dict[str, int], words: int, bits: int, tmp_path: Path
) -> None:
    values = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    wanted = {"SIZE": words, "WIDTH": bits, "RD_PORTS": 1, "WR_PORTS": 1, "RD_CLK_ENABLE": "1'1"}
    chosen = " ".join(f"r:{name}={value} %i" for name, value in wanted.items())
    commands = [
        *(f"read_verilog -sv -defer {path}" for path in sorted(assets.rtl().glob("*.sv"))),
        f"chparam {values} {cell}",
        f"hierarchy -top {cell}",
        *("proc", "flatten", "opt", "memory -nomap"),
        "select -assert-count 1 t:$mem_v2",
        f"select -assert-count 1 t:$mem_v2 {chosen}",
    ]
    (tmp_path / "proof.ys").write_text("\n".join(commands))
    status, output = run_process(
        [sys.executable, "-c", SCRIPT], tmp_path, dict(os.environ), timeout=60
    )
    assert not status, output[-2000:]
