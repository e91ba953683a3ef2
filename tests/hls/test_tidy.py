"""clang-tidy over the headers, through a project that uses all of them, and over their tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hls_networks import all_layers
from tests.random_networks import random_pair, random_sequence
from tests.shares import nightly
from vecq_hw.emit import hls
from vecq_hw.emit.project import Vectors
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES, VERILATOR
from vecq_hw.verify.vectors import random_vectors

ROOT = Path(__file__).parents[2]
TIDY = Path(sys.executable).with_name("clang-tidy")


def tidy(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    verilator = VERILATOR.find()
    assert verilator is not None
    command = [
        *(TIDY, "--quiet", f"--config-file={ROOT / '.clang-tidy'}", source, "--", "-std=c++17"),
        *("-I", folder / "include", "-I", folder / "src", "-Wno-unknown-pragmas"),
        *("-isystem", AP_TYPES.find(), "-isystem", verilator / "include" / "vltstd"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.skipif(not TIDY.exists(), reason="clang-tidy is not installed (the lint extra)")
@pytest.mark.parametrize("seed", [1, 6], ids=["Embedding and Gru", "Lstm and Gru"])
def test_clang_tidy_finds_nothing_in_sequences(seed: int, tmp_path: Path) -> None:
    network, schedule = random_pair(random_sequence, "net", seed)
    inputs = random_vectors(network, 1)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    hls.emit(network, replace(schedule, axis_bits=None), vectors).write(tmp_path)
    result = tidy(tmp_path / "src" / "net.cpp", tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.needs_cxx
@pytest.mark.skipif(not TIDY.exists(), reason="clang-tidy is not installed (the lint extra)")
@pytest.mark.parametrize("names", [["net.cpp"], nightly(["net_dpi.cpp", "net_test.cpp"])])
def test_clang_tidy_finds_nothing(names: list[str], tmp_path: Path) -> None:
    """The top includes every header."""
    case = all_layers().case(4)
    hls.emit(case.network, case.schedule, case.vectors).write(tmp_path)
    sources = sorted(tmp_path.rglob("*.cpp"))
    assert [source.name for source in sources] == ["net_dpi.cpp", "net.cpp", "net_test.cpp"]
    sources = [source for source in sources if source.name in names]
    header = tmp_path / "include" / "vecq" / "stream.hpp"
    if "net_test.cpp" in names:
        sources.append(ROOT / "tests" / "hls" / "test_arithmetic.cpp")
    for source in sources:
        result = tidy(source, tmp_path)
        assert result.returncode == 0, result.stdout
    with header.open("a") as file:
        file.write("inline bool negated(bool x) { return x ? false : true; }\n")
    found = tidy(tmp_path / "src" / "net.cpp", tmp_path)
    assert found.returncode != 0
    assert "[readability-simplify-boolean-expr" in found.stdout
