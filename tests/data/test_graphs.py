"""Graphs from files, and the parts of them that networks read."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.graph_networks import small_graph
from vecq_hw import data
from vecq_hw.data.graphs import KEYS, read_graph
from vecq_hw.errors import VecqError


def arrays(**changed):
    graph = small_graph()
    held = {key: getattr(graph, key) for key in KEYS if key != "shape"}
    return {**held, "shape": np.array([graph.nodes, graph.words]), **changed}


def test_a_graph_is_read_as_it_was_written(tmp_path, monkeypatch):
    graph = small_graph()
    (tmp_path / "cora").mkdir()
    np.savez(tmp_path / "cora" / "cora.npz", **arrays())
    monkeypatch.setenv("VECQ_DATA", str(tmp_path))
    found = data.load_graph("cora")
    assert found.digest == graph.digest
    assert repr(found).startswith("Graph(cora: 90 nodes")
    assert data.load_graph(tmp_path / "cora" / "cora.npz").digest == graph.digest
    with pytest.raises(VecqError, match="data 'citeseer': there is no file"):
        data.load_graph("citeseer")
    with pytest.raises(VecqError, match="'cora' is a graph, whose nodes 'vecq train' alone"):
        data.load("cora")


def test_neighbours_are_the_rows_of_the_symmetric_matrix_with_the_nodes_themselves():
    graph = small_graph()
    matrix = np.eye(graph.nodes, dtype=int)
    for one, other in graph.edges:
        matrix[one, other] += 1
        matrix[other, one] += 1
    indptr, indices = graph.neighbours
    rows = np.repeat(np.arange(graph.nodes), np.diff(indptr))
    assert np.array_equal(np.argwhere(matrix), np.stack([rows, indices], axis=1))
    assert matrix.max() == 1
    assert graph.degrees.tolist() == (matrix.sum(axis=1) - 1).tolist()
    assert graph.degrees[-1] == 0 < 20 < graph.degrees[0]
    assert graph.codes[0, 0].sum(axis=1).tolist() == graph.word_counts.tolist()


def test_a_part_of_a_graph_has_the_words_and_edges_of_its_nodes():
    graph = small_graph()
    nodes = np.array([40, 0, 4, 8, 60])
    part = graph.part(nodes)
    assert np.array_equal(part.codes[0, 0], graph.codes[0, 0, nodes])
    held = {frozenset(edge) for edge in graph.edges.tolist()}
    wanted = {(i, j) for i in range(5) for j in range(5) if frozenset((nodes[i], nodes[j])) in held}
    found = part.edges.tolist()
    assert {(i, j) for i, j in found} | {(j, i) for i, j in found} == wanted
    assert [nodes[part.train].tolist(), nodes[part.val].tolist(), nodes[part.test].tolist()] == [
        [0, 4, 8],
        [40],
        [60],
    ]


def test_a_part_may_lack_a_class_and_is_grown_from_the_nearest_nodes():
    graph = small_graph()
    two = graph.part(np.array([0, 3, 6]))  # of class 0 alone
    assert two.classes == 3
    near = graph.around(7, 60).tolist()
    assert near[0] == 7
    assert len(set(near)) == len(near) == 60
    linked = np.eye(graph.nodes, dtype=int)
    linked[tuple(graph.edges.T)] = linked[tuple(graph.edges[:, ::-1].T)] = 1
    distance = np.full(graph.nodes, 99)
    for steps in range(10, -1, -1):
        distance[np.linalg.matrix_power(linked, steps)[7] > 0] = steps
    assert distance[near].tolist() == sorted(distance)[:60]
    alone = graph.nodes - 1
    assert graph.around(alone, 5).tolist() == [alone]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"shape": np.array(3)}, r"shape is \[3\]; \(nodes, words\) is wanted"),
        ({"shape": np.array([1 << 40, 1 << 40])}, "at most 268,435,456 in all"),
        ({"labels": np.zeros(3, int)}, r"'labels' has the shape \(3,\), not \(90,\)"),
        ({"labels": np.full(90, 0)}, r"the labels 0..0 are no classes"),
        ({"edges": np.zeros(4, int)}, r"'edges' has the shape \(4,\)"),
        ({"edges": np.array([[0, 90]])}, "'edges' reaches from 0 to 90, not 0..89"),
        ({"edges": np.array([[5, 5]])}, "from a node to itself"),
        ({"edges": np.array([[5, 6], [6, 5]])}, "names an edge twice"),
        ({"indptr": np.arange(91)}, "'indptr' must rise from 0"),
        ({"train": np.array([-1])}, "'train' reaches from -1 to -1"),
        ({"test": np.array([], int)}, r"'test' has the shape \(0,\); a list of nodes"),
        ({"labels": np.array([*[0, 1] * 44, 1, -1])}, "'test' names a node without a label"),
        ({"val": np.array([0.5])}, "'val' has the type float64; integers are wanted"),
    ],
)
def test_arrays_that_are_no_graph_are_refused(changed, says, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(**changed))
    with pytest.raises(VecqError, match=says):
        read_graph(path, "own")


def test_words_that_are_listed_twice_and_missing_arrays_are_refused(tmp_path):
    held = arrays()
    held["indices"] = held["indices"].copy()
    held["indices"][1] = held["indices"][0]
    np.savez(tmp_path / "twice.npz", **held)
    with pytest.raises(VecqError, match="names a word of a node twice"):
        read_graph(tmp_path / "twice.npz", "twice")
    del held["edges"]
    np.savez(tmp_path / "less.npz", **held)
    with pytest.raises(VecqError, match=r"there is no 'edges' in .*; it holds"):
        read_graph(tmp_path / "less.npz", "less")


@pytest.mark.skipif("VECQ_DATA" not in os.environ, reason="VECQ_DATA does not say where it lies")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [("cora", (2708, 1433, 49216, 5278, 7)), ("citeseer", (3327, 3703, 105165, 4552, 6))],
)
def test_the_public_graphs_have_their_sizes(name, sizes):
    try:
        graph = data.load_graph(name)
    except VecqError as error:
        pytest.skip(str(error))
    found = (graph.nodes, graph.words, graph.indices.size, len(graph.edges), graph.classes)
    assert found == sizes
    assert (graph.train.size, graph.val.size, graph.test.size) == (20 * graph.classes, 500, 1000)
