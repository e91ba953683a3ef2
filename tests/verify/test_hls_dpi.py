from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ODD_NAME
from tests.hls_networks import Builder
from tests.shares import nightly
from vecq_hw.bench.ports import load_ports
from vecq_hw.emit import hls
from vecq_hw.errors import MissingToolError
from vecq_hw.formats import IntFormat
from vecq_hw.schedule import Fold
from vecq_hw.verify import hls_dpi
from vecq_hw.verify.target import TargetError

pytestmark = [pytest.mark.needs_cxx, pytest.mark.needs_verilator]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of 35 × 5 bits in, of 6 × 13 bits out, in a folder with an odd name."""
    case = (
        Builder("net", (5, 7, 5), IntFormat(5, True))
        .conv(6, 3, (2, 2), (1, 2), fold=Fold(pe=6, simd=5))
        .case()
    )
    folder = tmp_path_factory.mktemp("dpi") / ODD_NAME
    return hls.emit(case.network, case.schedule, case.vectors).write(folder)


def expected(folder: Path) -> np.ndarray:
    return np.loadtxt(folder / "vectors" / "outputs.txt", dtype=np.int64)


def test_the_bench_gives_the_outputs(project: Path, alone: dict[str, str]) -> None:
    assert np.array_equal(hls_dpi.TARGET.run(project), expected(project))
    lint = subprocess.run(
        [sys.executable, "cosim/run.py", "lint"],
        cwd=project,
        env=alone,
        capture_output=True,
        text=True,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_streams_of_a_chosen_width_end_with_a_partial_word(tmp_path: Path) -> None:
    """Words of 64 bits: 35 pixels of 5 channels in, 6 of 5 out."""
    case = Builder("net", (5, 7, 5), IntFormat(5, True)).conv(5, 3, (2, 2), (3, 2)).case()
    schedule = replace(case.schedule, axis_bits=64)
    folder = hls.emit(case.network, schedule, case.vectors).write(tmp_path / "p")
    assert load_ports(folder / "manifest.json")[1].keeps[1] != 0xFF
    assert np.array_equal(hls_dpi.TARGET.run(folder), expected(folder))
    axis = folder / "include" / "vecq" / "axis.hpp"
    text = axis.read_text()
    axis.write_text(text.replace("(Elements - word * LaneCount)", "LaneCount", 1))
    assert axis.read_text() != text
    with pytest.raises(TargetError, match=r"word \d+ .*keep is 0x"):
        hls_dpi.run(folder)


def test_a_changed_weight_is_found(project: Path, alone: dict[str, str]) -> None:
    (file,) = project.glob("src/*_parameters.hpp")
    text = file.read_text()
    file.write_text(re.sub(r"0x([0-9a-f]+)", lambda m: hex(int(m[1], 16) ^ 1), text, count=1))
    assert np.any(hls_dpi.run(project) != expected(project))  # not what was built before
    made = subprocess.run(
        [sys.executable, "cosim/run.py"],
        cwd=project,
        env=alone,
        capture_output=True,
        text=True,
    )
    file.write_text(text)
    assert made.returncode == 1
    assert re.search(r"frame \d+, element \d+: expected -?\d+, actual -?\d+", made.stderr)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("include/vecq/axis.hpp", "last = last ? 1 : 0", "last = index == 0", "last is 1"),
        nightly("cosim/rtl/net.sv", "|| m_axis_TREADY", "|| !m_axis_TREADY", "must be 1"),
        nightly(
            "cosim/net_dpi.cpp", "  while (!s_axis", "  while (false && !s_axis", "after a reset"
        ),
        ("src/net.cpp", "#include", "#error mutated\n#include", "#error mutated"),
    ],
)
def test_broken_streams_are_errors(
    project: Path, file: str, old: str, new: str, message: str
) -> None:
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    try:
        if message == "after a reset":  # found by the bench's other test
            message = r"after a reset|words before|no word came"
        with pytest.raises(TargetError, match=message):
            hls_dpi.run(project)
    finally:
        (project / file).write_text(text)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match="g\\+\\+ is missing"):
        hls_dpi.run(tmp_path)
