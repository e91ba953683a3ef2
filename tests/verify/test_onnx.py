"""onnxruntime among the targets, and the project that a command writes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hls_networks import mlp
from tests.random_networks import random_pair
from tests.random_record import MAKERS, inputs_of
from vecq_hw import storage
from vecq_hw.emit.project import Project
from vecq_hw.errors import MissingToolError
from vecq_hw.toolchain import make_word
from vecq_hw.verify import targets
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.onnx import TARGET
from vecq_hw.verify.vectors import random_vectors

pytest.importorskip("onnxruntime")


def test_it_is_a_target(tmp_path: Path) -> None:
    assert targets.choose(["onnx"]) == (TARGET,)
    assert TARGET in targets.choose(None)
    network = mlp("net", 2).network()
    (row,) = verify(network, random_vectors(network, 300), targets=[TARGET], folder=tmp_path).rows
    assert (row.status, row.vectors, row.outputs, row.mismatches) == (
        Status.PASSED,
        300,
        3000,
        0,
    ), row.message


def test_several_ends(tmp_path: Path) -> None:
    network, _ = random_pair(MAKERS[5], "net", 11)
    assert len(network.inputs) + len(network.outputs) > 2
    inputs = inputs_of(network, 6, 0)
    (row,) = verify(network, inputs, targets=[TARGET], folder=tmp_path).rows
    assert row.status is Status.PASSED, row.message


def _tampered(file: str, before: str, after: str):
    def emit(*arguments: object) -> Project:
        files = dict(TARGET.emit(*arguments).files)
        assert before in files[file]
        return Project({**files, file: files[file].replace(before, after)})

    return replace(TARGET, emit=emit)


def test_a_wrong_model_is_found_and_located(tmp_path: Path) -> None:
    from onnx import ModelProto, numpy_helper

    network = mlp("net", 2).network()

    def emit(*arguments: object) -> Project:
        files = dict(TARGET.emit(*arguments).files)
        model = ModelProto.FromString(files["model.onnx"])
        weights = next(t for t in model.graph.initializer if t.name.endswith("weights"))
        values = numpy_helper.to_array(weights).copy()
        values ^= 1
        weights.CopyFrom(numpy_helper.from_array(values, weights.name))
        return Project({**files, "model.onnx": model.SerializeToString()})

    broken = replace(TARGET, emit=emit)
    inputs = random_vectors(network, 50)
    (row,) = verify(network, inputs, targets=[broken], folder=tmp_path).rows
    assert row.status is Status.FAILED
    assert row.message.startswith("layer 'net_")


def test_a_model_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    network = mlp("net", 2).network()
    broken = _tampered("run.py", "compute, parts = load(), []", "raise SystemExit(7)")
    (row,) = verify(network, random_vectors(network, 2), targets=[broken], folder=tmp_path).rows
    assert row.status is Status.ERROR
    assert "does not finish (status 7)" in row.message


def test_without_its_tools_it_is_left_out_unless_it_is_named(tmp_path: Path) -> None:
    (missing, *others) = TARGET.tools
    absent = replace(TARGET, tools=(replace(missing, find=lambda: None), *others))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "TARGETS", (absent,))
        assert targets.choose(None) == ()
        assert targets.choose(["onnx"]) == (absent,)
    network = mlp("net", 2).network()
    with pytest.raises(MissingToolError, match=r'onnx is missing .*pip install "onnx'):
        verify(network, random_vectors(network, 2), targets=[absent], folder=tmp_path)


def test_the_command_writes_a_project_whose_own_test_passes(tmp_path: Path) -> None:
    storage.save(mlp("net", 2).network(), tmp_path / "network.npz")
    command = [sys.executable, "-m", "vecq_hw", "emit", "onnx", "network.npz", "--out", "project"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("run its test with: make -C project\n")
    result = subprocess.run(
        ["make", "-C", "project", f"PYTHON={make_word(sys.executable)}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("205 vectors, 2050 outputs, 0 differences\n")
