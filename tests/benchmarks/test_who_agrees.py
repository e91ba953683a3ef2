"""The judges beside the targets, and the table of the README."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.hls4ml_front_end import outputs
from python.who_agrees import BEGIN, END, in_readme, table
from tests.hls_networks import Builder, mlp
from tests.shares import nightly
from vecq_hw.formats import IntFormat
from vecq_hw.simulate import simulate
from vecq_hw.verify.vectors import random_vectors

U8 = IntFormat(8, signed=False)


def image():
    net = Builder("net", (8, 8, 2), U8).conv(4, 3, (3, 3), bias=50).rescale(U8)
    net = net.pool((2, 2), (2, 2)).conv(3, 2, (2, 2)).rescale(U8).flatten()
    return net.dense(5, 4, bias=9).network()


@pytest.mark.needs_cxx
@pytest.mark.parametrize(
    "network", [nightly(mlp("net", 3).network(), name="dense"), nightly(image(), name="image")]
)
def test_hls4ml_reads_our_qonnx_files_rightly(network):
    x = random_vectors(network, 100)
    expected = simulate(network, x).reshape(len(x), -1)
    assert np.array_equal(outputs(network, x), expected)


def _row(vectors, mismatches=0, status="passed"):
    counts = {"vectors": vectors, "integers": 10 * vectors, "mismatches": mismatches}
    return {**counts, "status": status, "message": ""}


def test_the_table_says_what_ran_what_differs_and_what_did_not_run():
    record = {"onnx": {str(b): _row(100) for b in range(1, 9)}, "qonnx": {"2": _row(100, 3)}}
    record["rtl"] = {"2": _row(100), "8": _row(0, status="error")}
    lines = table(record).splitlines()
    assert "| onnxruntime, standard ONNX | W1..W8 | 800 | 8,000 | 0 |" in lines
    assert "| qonnx, QONNX | W2 | 100 | 1,000 | 3 |" in lines
    assert "| SystemVerilog, Verilator | W2; W8 error | 100 | 1,000 | 0 |" in lines
    assert "| HLS C++, g++ | not run |  |  |  |" in lines


def test_the_readme_has_the_marks_between_which_the_table_stands():
    text = (Path(__file__).parents[2] / "README.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    changed = in_readme(text, "| new |")
    assert f"{BEGIN}\n| new |\n{END}" in changed
    assert in_readme(changed, "| again |") == in_readme(text, "| again |")
