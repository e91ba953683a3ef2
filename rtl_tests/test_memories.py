"""Memories: what an FPGA has block RAM for, and the files of those that are only read.

A project works from any folder, and a file that is lost or cut off stops whoever looks for it.
"""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from rtl_tests import networks
from rtl_tests.formal import attempt
from vecq_hw import assets
from vecq_hw.emit.project import Project
from vecq_hw.toolchain import simulation_environment

# Cell, parameters, words and bits of its memory.
MEMORIES = [
    ("vecq_sliding_window", {"Height": 8, "Width": 5, "KernelRows": 3, "WordBits": 6}, 16, 6),
    ("vecq_pool", {"Height": 8, "Width": 6, "KernelRows": 2, "ElementBits": 5}, 16, 5),
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
        "read_verilog -sv cells/*.sv",
        f"chparam {values} {cell}",
        f"hierarchy -top {cell}",
        *("proc", "flatten", "opt", "memory -nomap"),
        "select -assert-count 1 t:$mem_v2",
        f"select -assert-count 1 t:$mem_v2 {chosen}",
    ]
    failed, output = yosys(tmp_path, commands)
    assert not failed, output[-2000:]


@pytest.mark.needs_yosys
@pytest.mark.parametrize("bits", [6, 9], ids=["logic", "block RAM"])
def test_no_memory_of_a_table_has_more_than_eight_ports(bits: int, tmp_path: Path) -> None:
    # What yosys needs to map a memory is exponential in its ports.
    (tmp_path / "table.mem").write_text("".join(f"{7 * i % 251:x}\n" for i in range(1 << bits)))
    lanes = f"-set Channels 16 -set Lanes 16 -set InputBits {bits}"
    commands = [
        "read_verilog -sv cells/*.sv",
        f'chparam {lanes} -set File "table.mem" vecq_lookup',
        "hierarchy -top vecq_lookup",
        *("proc", "flatten", "opt", "memory -nomap"),
        "select -assert-count 2 t:$mem_v2",
        "select -assert-count 2 t:$mem_v2 r:RD_PORTS=8 %i",
    ]
    failed, output = yosys(tmp_path, commands)
    assert not failed, output[-2000:]


def yosys(folder: Path, commands: list[str]) -> tuple[bool, str]:
    with contextlib.suppress(FileExistsError):
        (folder / "cells").symlink_to(assets.rtl())  # a path that yosys reads, whatever is in it
    return attempt({}, commands, folder=folder)


# Sends the words of standard input, one frame each, and prints the frames that come out.
MAIN = """\
#include "Vrandom13.h"
#include "verilated.h"
#include <cstdio>

int main() {
  Vrandom13 top;
  top.m_axis_tready = 1;
  top.s_axis_tlast = 1;
  unsigned long long word = 0;
  bool more = std::scanf("%llx", &word) == 1;
  for (int cycle = 0; cycle < 1000; cycle++) {
    top.aresetn = cycle > 3;
    top.s_axis_tvalid = top.aresetn && more;
    top.s_axis_tdata = word;
    top.aclk = 0;
    top.eval();
    const bool moves = top.s_axis_tvalid && top.s_axis_tready;
    if (top.aresetn && top.m_axis_tvalid) std::printf("%x\\n", unsigned(top.m_axis_tdata));
    top.aclk = 1;
    top.eval();
    if (moves) more = std::scanf("%llx", &word) == 1;
  }
}
"""


@pytest.fixture(scope="module")
def project() -> Project:
    """A Dense of a single lane and a Rescale."""
    return networks.project(13)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Path:
    """The project compiled from a folder that is not its own."""
    folder = tmp_path_factory.mktemp("memories")
    project.write(folder / "project")
    (folder / "main.cpp").write_text(MAIN)
    (folder / "elsewhere").mkdir()
    rtl = folder / "project" / "rtl"
    command = ["verilator", "--cc", "--exe", "--build", "--top-module", "random13", "-Wno-fatal"]
    command += ["-MAKEFLAGS", "OPT_FAST=-O0 OPT_GLOBAL=-O0", str(folder / "main.cpp")]
    subprocess.run(
        [*command, *map(str, [*rtl.glob("*.vlt"), *sorted(rtl.glob("*.sv"))])],
        cwd=folder / "elsewhere",
        env=simulation_environment(),
        check=True,
        capture_output=True,
    )
    return folder


def simulated(built: Path, project: Project) -> tuple[int, str]:
    """Exit status and words of the simulation, run from another folder."""
    source = project.files["vectors/inputs.txt"]
    done = subprocess.run(
        [built / "elsewhere" / "obj_dir" / "Vrandom13"],
        cwd=built / "elsewhere",
        input="".join(f"{int(line) & 0xFF:x}\n" for line in source.splitlines()),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.needs_verilator
def test_a_simulation_runs_from_any_folder(built: Path, project: Project) -> None:
    status, words = simulated(built, project)
    expected = [int(line) & 0xFFFF for line in project.files["vectors/outputs.txt"].splitlines()]
    assert not status
    assert len(set(expected)) > 20
    assert [int(word, 16) for word in words.split()] == expected


@pytest.mark.needs_verilator
@pytest.mark.parametrize(
    "name", ["dense13_0_weights", "dense13_0_bias", "rescale13_0_mantissa", "rescale13_0_offset"]
)
def test_a_simulation_without_a_memory_file_ends_with_an_error(
    name: str, built: Path, project: Project
) -> None:
    path = built / "project" / "rtl" / f"{name}.mem"
    kept = path.read_text()
    try:
        path.unlink()
        status, words = simulated(built, project)
        assert status
        assert f"there is no memory file './{name}.mem'" in words.replace(f"{path.parent}/", "")
        path.write_text("// the head alone\n")
        status, words = simulated(built, project)
        assert status
        assert f"{name}.mem' must have 1 words, but has 0" in words
    finally:
        path.write_text(kept)


@pytest.mark.needs_yosys
def test_synthesis_reads_a_project_from_any_folder_and_stops_without_a_memory_file(
    tmp_path: Path, project: Project
) -> None:
    project.write(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    commands = [
        f"read_verilog -sv {tmp_path}/project/rtl/*.sv",
        "hierarchy -check -top random13",
        "proc",
        "memory_collect",
        "select -assert-count 4 vecq_rom*/t:$mem* *vecq_rom/t:$mem*",
    ]
    failed, output = yosys(tmp_path / "elsewhere", commands)
    assert not failed, output[-2000:]
    (tmp_path / "project" / "rtl" / "dense13_0_bias.mem").unlink()
    failed, output = yosys(tmp_path / "elsewhere", commands)
    assert failed
    assert "Can not open file `./dense13_0_bias.mem`" in output


@pytest.mark.needs_yosys
def test_the_top_says_where_all_memories_are(tmp_path: Path, project: Project) -> None:
    memories = tmp_path / "memories"
    memories.mkdir()
    project.write(tmp_path / "project")
    for path in (tmp_path / "project" / "rtl").glob("*.mem"):
        shutil.move(path, memories / path.name)
    for folder, found in ((f"{tmp_path}/", False), (f"{memories}/", True)):
        text = f'module board;\n  random13 #(.MemoryFolder("{folder}")) accelerator ();\n'
        (tmp_path / "board.sv").write_text(f"{text}endmodule\n")
        read = f"read_verilog -sv {tmp_path}/project/rtl/*.sv board.sv"
        failed, output = yosys(tmp_path, [read, "hierarchy -check -top board"])
        assert failed != found, output[-2000:]


@pytest.mark.needs_yosys
def test_synthesis_stops_where_a_memory_is_given_no_file(tmp_path: Path) -> None:
    text = "module top (input logic c, a, output logic [7:0] d);\n"
    text += "  vecq_rom #(.Words(2)) rom (.clk_i(c), .enable_i(1'b1), .address_i(a), .data_o(d));\n"
    (tmp_path / "top.sv").write_text(f"{text}endmodule\n")
    commands = ["read_verilog -sv cells/*.sv top.sv", "hierarchy -check -top top"]
    failed, output = yosys(tmp_path, commands)
    assert failed
    assert "`\\File' has no default value and has not been overridden" in output
