"""Every layer that hls4ml computes, and hls4ml among the targets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.hls4ml_networks import branches, corners, inputs
from tests.hls_networks import Builder, mlp
from tests.shares import nightly
from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.hls4ml import TARGET, trace
from vecq_hw.verify.targets import choose


@pytest.mark.needs_cxx
@pytest.mark.parametrize(
    ("network", "io_type"),
    [
        nightly(branches(1), "io_parallel", name="parallel"),
        nightly(branches(3), "io_stream", name="stream"),
        pytest.param(corners(), "io_parallel", id="corners"),
    ],
)
def test_every_layer_equals_its_tap(network: Network, io_type: str) -> None:
    x = inputs(network)
    traced = trace(network, x, io_type=io_type)
    taps = simulate(network, x, taps=[layer.name for layer in network.layers])
    assert traced.keys() == taps.keys()
    for name, expected in taps.items():
        assert np.array_equal(traced[name], expected), name
        assert len(np.unique(expected)) > 1 or name == "corners_tiny", name


@pytest.mark.needs_cxx
def test_a_clamp_to_a_single_value_is_that_value() -> None:
    network = Builder("n", (3,), IntFormat(4, True)).dense(2, 2).rescale(IntFormat(5, True, 10, 10))
    assert np.all(trace(network.network(), inputs(network.network()))["n_1"] == 10)


def test_what_a_float_does_not_hold_is_refused() -> None:
    wide = Builder("wide", (3,), IntFormat(44, False)).dense(2, 16).network()
    with pytest.raises(VecqError, match=r"tensor 'wide_0' reaches \d+; .* exact up to 2\^53"):
        trace(wide, inputs(wide))


@pytest.mark.needs_cxx
def test_it_is_a_target(tmp_path: Path) -> None:
    assert choose(["hls4ml"]) == (TARGET,)
    network = mlp("net", 2).network()
    x = inputs(network)
    (row,) = verify(network, x, targets=[TARGET], folder=tmp_path).rows
    assert (row.status, row.vectors, row.outputs, row.mismatches) == (Status.PASSED, 35, 350, 0)


def test_the_command_writes_the_project(tmp_path: Path) -> None:
    storage.save(mlp("net", 2).network(), tmp_path / "network.npz")
    command = [sys.executable, "-m", "vecq_hw", "emit", "hls4ml", "network.npz", "--out", "project"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "simulating 205 vectors\nwriting down net for hls4ml\n"
    assert result.stdout.endswith("run its test with: make -C project\n")
    assert (tmp_path / "project" / "vecq_test.cpp").exists()


def test_what_it_cannot_take_is_no_failure(tmp_path: Path) -> None:
    pool = Builder("net", (4, 4, 1), IntFormat(4, True)).pool((2, 2), (2, 2), (1, 1)).network()
    assert isinstance(pool, Network)
    (row,) = verify(pool, inputs(pool), targets=[TARGET], folder=tmp_path).rows
    assert row.status is Status.UNSUPPORTED
    assert row.message == "unsupported: layer 'net_0' (MaxPool2d with padding on signed codes)"
