"""Sums over neighbours, and a network of a graph on every target."""

from __future__ import annotations

import numpy as np
import pytest

from rtl_tests.test_cycles import compare
from tests import plain
from tests.graph_networks import HIDDEN, MESSAGE, gcn, neighbours
from tests.strategies import random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import GatherSum, Input
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import TARGETS
from vecq_hw.verify.vectors import corner_vectors


def one(source=(1, 4, 2), fmt=IntFormat(4, signed=False), **fields) -> Network:  # noqa: B008
    given = {"indptr": [0, 2, 2, 5], "indices": [0, 3, 1, 1, 2], **fields}
    layer = GatherSum(name="g", input="x", **given)
    entry = Input(name="x", shape=source, format=fmt)
    return Network(name="one", inputs=(entry,), layers=(layer,), outputs=("g",))


def test_rows_sum_what_they_list_and_formats_hold_the_worst():
    network = one(shifts=[0, 3, 1, 0])
    x = np.array([[[[1, 2], [3, 4], [5, 6], [7, 8]]]])
    assert simulate(network, x).tolist() == [[[[8, 10], [0, 0], [58, 76]]]]
    # The last row: twice eightfold, once twofold.
    assert repr(network.tensors["g"].format) == "u9[0..270]"
    signed = one(fmt=IntFormat(3, signed=True))
    assert repr(signed.tensors["g"].format) == "s5[-12..9]"
    above = one(fmt=IntFormat(4, False, 2, 5), indptr=[0, 2, 5])
    assert repr(above.tensors["g"].format) == "u4[4..15]"
    assert one(indptr=[0, 0], indices=np.zeros(0, int)).tensors["g"].format.hi == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: one(source=(4,)), r"layer 'g': it reads a tensor of shape \(4,\)"),
        (lambda: one(indptr=[0]), r"have the shapes \(1,\) and \(5,\); \(rows \+ 1,\)"),
        (lambda: one(indptr=[1, 5]), "must rise from 0 to the 5 indices"),
        (lambda: one(indptr=[0, 4]), "must rise from 0 to the 5 indices"),
        (lambda: one(indptr=[0, 3, 2, 5]), "must rise from 0 to the 5 indices"),
        (lambda: one(indices=[0, 4, 1, 1, 2]), "0..4 leave the 4 positions of 'x'"),
        (lambda: one(indices=[0, -1, 1, 1, 2]), "-1..2 leave the 4 positions"),
        (lambda: one(shifts=[0, 1]), r"the shifts have the shape \(2,\), not \(4,\)"),
        (lambda: one(shifts=[0, 1, -1, 0]), "0 to 62, not -1"),
        (lambda: one(shifts=[0, 1, 63, 0]), "0 to 62, not 63"),
        (lambda: one(shifts=[0, 60, 0, 0]), "layer 'g': the sums would need more than 63 bits"),
        (lambda: one(indices=[0.5] * 5), "an integer array is wanted"),
    ],
)
def test_impossible_sums_are_refused(make, says):
    with pytest.raises(VecqError, match=says):
        make()


def test_a_graph_network_is_its_formula_in_whole_numbers():
    network = gcn()
    indptr, indices = neighbours(60)
    adjacency = np.zeros((60, 60), np.int64)
    adjacency[np.repeat(np.arange(60), np.diff(indptr)), indices] = 1
    assert np.array_equal(adjacency, adjacency.T)
    words, messages, sums, states, mixed, _ = network.layers
    x = random_inputs(network, 5, 0)

    def line(layer, values, fmt):
        m, b = layer.mantissa[layer.rows], layer.offset[layer.rows]
        return np.clip((values * m + b + (1 << 11)) >> 12, fmt.lo, fmt.hi)

    hidden = x[:, 0].astype(np.int64) @ words.weights.values[:, 0, 0].T
    hidden = line(messages, hidden, MESSAGE) << sums.shifts[:, np.newaxis]
    hidden = line(states, adjacency @ hidden, HIDDEN) @ mixed.weights.values[:, 0, 0].T
    expected = adjacency @ hidden
    assert np.array_equal(simulate(network, x)[:, 0], expected)
    assert np.unique(expected).size > 100
    assert plain.evaluate(network, x[0].tolist())["scores"] == expected[:1].tolist()


@pytest.mark.needs_verilator
def test_a_graph_network_moves_each_word_in_the_cycle_that_the_model_says(tmp_path):
    network = gcn(nodes=20, words=4, hidden=4, classes=2)
    compare({"gcn": (network, default_schedule(network, 2))}, tmp_path)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_a_graph_network_is_the_same_on_every_target(tmp_path):
    network = gcn()
    inputs = np.concatenate([random_inputs(network, 20, 1), corner_vectors(network)])
    report = verify(network, inputs, targets=TARGETS, folder=tmp_path)
    taken = [row for row in report.rows if not row.name.startswith("hls4ml")]
    assert len(taken) >= 3
    for row in taken:
        if row.name == "qonnx":
            assert row.status is Status.UNSUPPORTED
            assert "with rows" in row.message
        else:
            assert (row.status, row.mismatches) == (Status.PASSED, 0), row.message
