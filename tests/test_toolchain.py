from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import tomllib
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from vecq_hw import assets, processes, toolchain
from vecq_hw.errors import MissingToolError


def test_every_tool_is_installed_here():
    assert [tool.name for tool in toolchain.TOOLS if tool.find() is None] == []


def test_a_missing_tool_is_named_with_the_command_that_installs_it():
    absent = replace(toolchain.COCOTB, find=lambda: None)
    with pytest.raises(MissingToolError) as error:
        toolchain.require(toolchain.CXX, absent)
    assert "cocotb is missing (RTL test benches); run: pip install" in str(error.value)


def test_programs_are_looked_up_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.CXX.find() is None
    assert toolchain.PERL.find() is None


def test_verilator_runs_in_its_environment_and_ours_stays_untouched():
    before = dict(os.environ)
    environment = toolchain.simulation_environment()
    assert dict(os.environ) == before
    result = subprocess.run(
        ["verilator", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert "rev" in result.stdout


def test_ap_types_hold_what_the_headers_include():
    place = toolchain.AP_TYPES.find()
    assert place is not None
    assert all((place / name).is_file() for name in ("ap_int.h", "hls_stream.h"))


def test_sources_are_found_in_a_checkout():
    assert (assets.hls_include() / "vecq").is_dir()
    assert (assets.rtl() / "vecq.f").is_file()
    assert isinstance(assets.rtl(), Path)


def test_hints_name_packages_that_can_be_had_with_the_versions_of_pyproject():
    root = assets.rtl().parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    extras += project["dependencies"]
    extras += (root / "constraints.txt").read_text().splitlines()
    for install in [*(t.install for t in toolchain.TOOLS), *toolchain._INSTALLED_BY.values()]:
        assert install.startswith(("pip install ", "apt-get install "))
        assert "vecq" not in install
        assert set(re.findall(r'"([^"]+)"', install)) <= set(extras)


def test_a_bench_waits_in_one_place_alone():
    benches = [*(assets.rtl().parent / "rtl_tests").glob("*.py")]
    benches += (assets.rtl().parent / "vecq_hw" / "bench").glob("*.py")
    found = set()
    for path in benches:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.While) and any(
                isinstance(inner, ast.Await) for inner in ast.walk(node)
            ):
                found.add((path.name, ast.unparse(node.test)))
    assert found == {
        ("stream.py", "next(stalls)"),  # random, each with a probability below one
        ("stream.py", "len(self.words) < wanted"),
        ("bench_cycles.py", "len(taken) < words"),
        ("bench_packets.py", "next(stalls)"),
        ("bench_uart_link.py", "True"),  # watches a line until the test ends
        ("bench_uart_link.py", "not whole.done"),  # a frame is answered or given up in each turn
        ("bench_uart_link.py", "waited < patience"),
        ("hls4ml.py", "True"),  # watches, and is cancelled
        ("hls4ml.py", "next(stalls)"),
    }


def test_nothing_is_left_of_a_process_that_took_too_long(tmp_path):
    mark = f"VECQ_TEST={uuid.uuid4()}"
    environment = dict([*os.environ.items(), mark.split("=")])
    command = ["sh", "-c", 'sleep 300 & touch "$TMPDIR/left" && sleep 300']
    with pytest.raises(subprocess.TimeoutExpired) as expired:
        processes.run_process(command, tmp_path, environment, 0.5)
    assert expired.value.timeout == 0.5
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                left.append((folder / "cmdline").read_text())
    assert left == []
