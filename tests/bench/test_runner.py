"""What keeps a bench from running is said in a sentence, before anything is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ODD_NAME
from vecq_hw.bench import environment
from vecq_hw.bench.environment import is_plain

CODE = """
import sys
from pathlib import Path
from vecq_hw.bench.runner import main
raise SystemExit(main(Path(sys.argv[1]), "top", "bench_top", sys.argv[2:]))
"""


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.needs_verilator
def test_no_folder_that_make_takes(tmp_path: Path) -> None:
    odd = tmp_path / ODD_NAME
    (odd / "rtl").mkdir(parents=True)
    status, says = run(odd, TMPDIR=str(odd))
    assert status == 1
    assert says.startswith("make takes only letters, digits and _./+- in a path, neither ")
    assert says.count("\n") == 1
    assert "set TMPDIR to a folder with such a path" in says
    assert [path.name for path in odd.rglob("*")] == ["rtl"]


def test_a_missing_tool(tmp_path: Path) -> None:
    status, says = run(tmp_path, PATH="")
    assert (status, says) == (1, "g++ is missing; run: apt-get install g++\n")


def test_an_argument_that_is_not_known(tmp_path: Path) -> None:
    assert run(tmp_path, "lin") == (2, "'lin' is not known; give 'lint' or nothing\n")


@pytest.mark.parametrize("character", [*" #:$'\"\\;&|<>()*?[]{}!~`%=,@^\n\té", "../a b"])
def test_only_these_characters_are_plain(character: str) -> None:
    assert is_plain(Path("net-1/me_2/a+b.c"))
    assert not is_plain(Path(f"/x/a{character}b"))


TOP = """
module top (input logic clk, input logic [7:0] given, output logic [7:0] taken);
    always_ff @(posedge clk) taken <= given;
endmodule
"""
BENCH = """
import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def takes_what_is_given(dut):
    dut.given.value = 93
    for level in (0, 1, 0):
        dut.clk.value = level
        await Timer(1, "ns")
    assert dut.taken.value == 93
"""


@pytest.mark.needs_verilator
def test_tools_in_an_odd_folder_build_and_run(tmp_path: Path) -> None:
    odd, temporary = tmp_path / ODD_NAME.replace(":", ""), tmp_path / "temporary"
    odd.mkdir()
    temporary.mkdir()
    for name in ("verilator", "cocotb", "cocotb_tools"):
        # Copies: what a link leads to is in a plain folder, and Verilator's script looks there.
        shutil.copytree(environment.package(name), odd / name)
    project = tmp_path / "project"
    (project / "rtl").mkdir(parents=True)
    (project / "rtl/top.sv").write_text(TOP)
    (project / "bench_top.py").write_text(BENCH)
    path = os.pathsep.join([str(odd), *sys.path])
    status, says = run(project, PYTHONPATH=path, TMPDIR=str(temporary))
    assert status == 0, says
    assert 'name="takes_what_is_given"' in (project / "results/results.xml").read_text()
    assert list(temporary.iterdir()) == []
