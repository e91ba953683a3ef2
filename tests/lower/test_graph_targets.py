"""Trained graph networks on the generated targets: a small one, and Cora."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.graph_networks import small_graph
from vecq_hw.data import Graph, load_graph
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import Conv2d, Weights
from vecq_hw.lower.graph_convolution import lower_graph
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.train.graph_bits import GraphBits
from vecq_hw.train.graph_convolution import GraphConvolution, GraphSettings, on_graph, train_graph
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose

MIXED = GraphBits(weights=(4, 2), messages=(4, 3), states=(4, 2), buckets=(4,))


def check_equal(
    network: Network, codes: IntArray, targets: list[str], folder: Path, simd: int = 1
) -> None:
    # All hidden values at once.
    folds = {**default_schedule(network).folds, "words": Fold(pe=16, simd=simd)}
    schedule = Schedule(folds=folds)
    report = verify(network, codes, targets=choose(targets), folder=folder, schedule=schedule)
    assert [row.name for row in report.rows] == targets
    for row in report.rows:
        assert (row.status, row.mismatches) == (Status.PASSED, 0), row.message
        assert row.outputs == np.prod(network.tensors["scores"].shape)
        assert row.distinct_outputs > 10


def reading(network: Network, words: IntArray) -> Network:
    """The network without its other words."""
    (source,), (product, *rest) = network.inputs, network.layers
    assert isinstance(product, Conv2d)
    assert isinstance(product.weights, Weights)
    weights = replace(product.weights, codes=product.weights.codes[..., words])
    return replace(
        network,
        inputs=(replace(source, shape=(*source.shape[:-1], words.size)),),
        layers=(replace(product, weights=weights), *rest),
    )


def read_words(graph: Graph, multiple_of: int) -> IntArray:
    """The words that some node has, and of those that none has the first to fill the last group."""
    some = graph.codes.any(axis=(0, 1, 2))
    found = np.flatnonzero(some)
    return np.sort(np.append(found, np.flatnonzero(~some)[: -found.size % multiple_of]))


def test_a_trained_network_moves_to_a_graph_of_the_same_words_alone():
    graph = small_graph()
    model = train_graph(graph, MIXED, GraphSettings(epochs=2))
    part = graph.part(graph.around(0, 30))
    assert lower_graph(on_graph(model, part)).inputs[0].shape == (1, 30, graph.words)
    with pytest.raises(VecqError, match="trained on 24 words and 3 classes, the graph 'small' has"):
        on_graph(model, small_graph(words=25))


@pytest.mark.needs_cxx
def test_the_part_of_a_trained_network_has_its_scores_in_cpp(tmp_path):
    graph = small_graph()
    model = train_graph(graph, MIXED, GraphSettings(epochs=5))
    part = graph.part(graph.around(0, 20))
    check_equal(lower_graph(on_graph(model, part)), part.codes, ["hls"], tmp_path)


@pytest.fixture(scope="module")
def cora() -> GraphConvolution:
    if "VECQ_DATA" not in os.environ:
        pytest.skip("VECQ_DATA does not say where Cora lies")
    return train_graph(load_graph("cora"), MIXED, GraphSettings(epochs=20))


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_two_hundred_nodes_of_cora_have_the_same_scores_on_every_target(cora, tmp_path):
    part = cora.graph.part(cora.graph.around(0, 200))
    assert (part.nodes, part.words) == (200, 1433)
    assert np.unique(MIXED.bucket_of(part.degrees)).size == 2
    network = lower_graph(on_graph(cora, part))
    # 1,433, a prime number, could only be read one per cycle: 286,600 cycles for each frame.
    words = read_words(part, 16)
    assert words.size % 16 == 0
    read, codes = reading(network, words), part.codes[..., words]
    # The exact sums: codes behind them hide a word that is missing.
    ours, whole = (
        simulate(net, given, taps=("words",))["words"]
        for net, given in ((read, codes), (network, part.codes))
    )
    np.testing.assert_array_equal(ours, whole)
    check_equal(read, codes, ["hls", "hls-dpi", "rtl"], tmp_path, simd=16)


@pytest.mark.nightly
@pytest.mark.needs_cxx
def test_all_of_cora_has_the_scores_of_the_simulator_in_cpp(cora, tmp_path):
    check_equal(lower_graph(cora), cora.graph.codes, ["hls"], tmp_path)
