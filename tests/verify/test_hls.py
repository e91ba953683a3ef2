from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hls_networks import mlp
from vecq_hw.emit import hls
from vecq_hw.errors import MissingToolError
from vecq_hw.verify import hls as target
from vecq_hw.verify.target import TargetError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, built and run by make alone, in a folder whose name has a blank."""
    case = mlp("small net", 2).case()
    folder = tmp_path_factory.mktemp("hls") / "a project"
    hls.emit(case.network, case.schedule, case.vectors).write(folder)
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "AP_TYPES")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    result = subprocess.run(
        ["make"],
        cwd=folder,
        env={**environment, "PATH": search},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "20 vectors, 200 outputs, 0 differences" in result.stderr
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A copy elsewhere: the project does not know where it lies."""
    return shutil.copytree(built, tmp_path / "moved")


def expected(folder: Path) -> np.ndarray:
    return np.loadtxt(folder / "vectors" / "outputs.txt", dtype=np.int64)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@pytest.mark.needs_cxx
def test_run_returns_the_outputs(project: Path) -> None:
    assert np.array_equal(target.TARGET.run(project), expected(project))


@pytest.mark.needs_cxx
@pytest.mark.nightly  # as test_targets.py's controls
def test_a_flipped_weight_bit_is_found(project: Path) -> None:
    file = project / "src" / "small_net_4_parameters.hpp"
    first = re.search(r"0x[0-9a-f]+", file.read_text())
    assert first is not None
    text = file.read_text()
    flipped = hex(int(first[0], 16) ^ 1)
    file.write_text(text[: first.start()] + flipped + text[first.end() :])
    outputs = np.asarray(target.run(project))
    differences = np.argwhere(outputs != expected(project))
    assert len(differences)
    own = subprocess.run(["./build/test"], cwd=project, capture_output=True, text=True)
    vector, element = differences[0]
    assert own.returncode == 1
    assert own.stderr.startswith(
        f"vector {vector}, element {element}: expected {expected(project)[vector, element]},"
        f" actual {outputs[vector, element]}\n"
    )
    assert f"{len(differences)} differences" in own.stderr


@pytest.mark.needs_cxx
@pytest.mark.nightly  # as test_targets.py's controls
def test_a_wrong_rounding_constant_is_found(project: Path) -> None:
    change(project / "include" / "vecq" / "rescale.hpp", "<< (shift - 1)", "<< (shift - 2)")
    assert np.any(target.run(project) != expected(project))
    assert subprocess.run(["make"], cwd=project, capture_output=True).returncode != 0


@pytest.mark.needs_cxx
@pytest.mark.parametrize(
    ("end", "where"),
    [
        ("out.write(x);", "small_net_x_stream' is read while empty"),
        ("m_axis.write(packed);", "m_axis"),
    ],
)
def test_a_dropped_word_is_found(project: Path, end: str, where: str) -> None:
    change(project / "include" / "vecq" / "axis.hpp", end, f"if (index != 1) {end}")
    with pytest.raises(TargetError, match=f"vector 0: .*{where}"):
        target.run(project)


@pytest.mark.needs_cxx
def test_what_does_not_finish_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "vectors" / "inputs.txt"
    inputs = file.read_text()
    file.write_text(inputs.replace("\n", " 1\n", 1))
    with pytest.raises(TargetError, match="vector 0: 24 integers are wanted in"):
        target.run(project)
    file.write_text("256" + inputs[inputs.index(" ") :])
    with pytest.raises(TargetError, match="the input 256 leaves its format"):
        target.run(project)
    file.write_text(inputs)
    (project / "src" / "small_net.cpp").write_text("#error mutated\n")
    with pytest.raises(TargetError, match=r"does not build(.|\n)*#error mutated"):
        target.run(project)
    monkeypatch.setattr(target, "TIME_LIMIT_SECONDS", 0.01)
    with pytest.raises(TargetError, match=r"took more than 0\.01 s"):
        target.run(project)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match=r"g\+\+ is missing .*; run: apt-get install g\+\+"):
        target.run(tmp_path)
