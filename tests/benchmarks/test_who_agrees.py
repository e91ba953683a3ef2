"""The judges beside the targets, and the table of the README."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.hls4ml_front_end import outputs
from benchmarks.origin import commit
from python.who_agrees import BEGIN, END, in_readme, keep, table, write
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


def test_each_row_of_the_record_names_the_commit_that_it_ran_on(tmp_path):
    """Rows are kept from run to run, so the record as a whole is of no one commit."""
    keep(tmp_path / "row.json", "hls", 4, _row(100))
    row = json.loads((tmp_path / "row.json").read_text())
    assert row == {"bits": 4, "name": "hls", **_row(100), "commit": commit()}
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    write({"hls": {"4": row}}, 95, tmp_path / "out.json", tmp_path / "README.md")
    tree = json.loads((tmp_path / "out.json").read_text())
    assert tree["executors"]["hls"]["4"]["commit"] == commit()
    assert "commit" not in tree
