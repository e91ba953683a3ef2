"""Imported TFLite files in C++ and in SystemVerilog: the integers of the file on every target."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.interop.test_tflite_walk import CONV, Chain
from vecq_hw.interop import Imported, import_bytes, import_file
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate.dataflow import fifo_depths, simulate_pace
from vecq_hw.verify.compare import verify
from vecq_hw.verify.targets import choose

FOLDER = os.environ.get("VECQ_MODELS")
MODELS = {
    "tflm_hello_world_int8": {"hls": 64, "rtl": 64},
    "mlperf_tiny_ad_autoencoder_int8": {"hls": 50, "rtl": 2},
    "mlperf_tiny_kws_dscnn_int8": {"hls": 50, "rtl": 2},
    "mlperf_tiny_resnet8_int8": {"hls": 50, "rtl": 2},
}
"""How many vectors each target gets."""


def agree(made: Imported, codes: np.ndarray, folder: Path, targets: tuple[str, ...]) -> None:
    """No integer of a target differs from the simulator's."""
    report = verify(made.network, codes, targets=choose(targets), folder=folder)
    assert report.passed, [row.message for row in report.rows]
    for row in report.rows:
        assert (row.vectors, row.mismatches) == (len(codes), 0)
        assert row.distinct_outputs > 1
        print(f"{made.network.name} {row.name}: 0 of {row.outputs} integers differ")


def cycles(network: Network) -> float:
    """Between two samples, with at most eight lanes a layer."""
    schedule = default_schedule(network)
    return simulate_pace(network, schedule, fifo_depths(network, schedule)).interval


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.parametrize("semantics", ["ruy", "xnnpack"])
def test_a_residual_block_in_circuits(tmp_path, semantics):
    """Sides padded unequally, a sum of two scales, Rescales and Thresholds."""
    m = Chain(21)
    x = m.codes((7, 6, 3))
    strided = CONV | {"StrideH": 2, "StrideW": 2}
    a = m.mac("CONV_2D", x, (4, 3, 5), m.draw(5, 3, 3, 3), 0, 1, **strided)
    b = m.mac("CONV_2D", a, (4, 3, 5), m.draw(5, 3, 3, 5), 0, 0, **CONV)
    s = float(np.float32(m.scales[a] + m.scales[b]))
    y = m.codes((4, 3, 5), s=s, z=-20)
    m.node("ADD", [a, b], [y], FusedActivationFunction=1)
    made = import_bytes(m.file([x], [y]), "block", semantics=semantics)
    fmt = made.network.inputs[0].format
    codes = np.random.default_rng(0).integers(fmt.lo, fmt.hi + 1, (6, 7, 6, 3))
    agree(made, codes, tmp_path, ("hls", "rtl"))


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.skipif(FOLDER is None, reason="VECQ_MODELS does not name the folder of the models")
@pytest.mark.parametrize("target", ["hls", "rtl"])
@pytest.mark.parametrize("name", MODELS)
def test_published_files_in_circuits(tmp_path, name, target):
    made = import_file(Path(FOLDER or "") / f"{name}.tflite")
    with np.load(Path(FOLDER or "") / "expected" / f"{name}.npz") as arrays:
        x = arrays["x"].astype(int)
    (first,) = made.report.inputs
    codes = (x - first.zero_point).reshape(-1, *first.shape)
    fmt, count = made.network.inputs[0].format, MODELS[name][target]
    more = np.random.default_rng(0).integers(fmt.lo, fmt.hi + 1, (count, *first.shape))
    codes = np.concatenate([codes, more])[:count]
    agree(made, codes, tmp_path, (target,))
    print(f"{name}: {cycles(made.network)} cycles between two samples")
