"""Graphs whose nodes are to be classified: citations between papers, with the words of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.data.dataset import Labels
from vecq_hw.data.folder import data_folder
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.unpack import read_npz

GRAPHS = ("cora", "citeseer")
"""Those that have a name; looked for as ``NAME/NAME.npz`` and ``NAME.npz`` in the data folder."""
KEYS = ("indptr", "indices", "shape", "edges", "labels", "train", "val", "test")
MOST_ENTRIES = 1 << 28
"""Words times nodes, which the input of a network holds one by one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes with words and neighbours; some of them have labels to learn from.

    Attributes
    ----------
    name : str
    indptr, indices : int64 arrays of shape (N + 1,) and (words of all nodes,)
        The words of each node in CSR form.
    words, classes : int
        How many different ones there are; nodes of a part may have fewer.
    edges : int64 array of shape (E, 2)
        Each once, whichever way round, none from a node to itself.
    labels : int64 array of shape (N,)
        0..classes - 1, or -1 for a node without.
    train, val, test : int64 arrays
        Nodes to train on, to choose the best parameters by, and to report.
    """

    name: str
    indptr: IntArray
    indices: IntArray
    words: int
    classes: int
    edges: IntArray
    labels: Labels
    train: IntArray
    val: IntArray
    test: IntArray

    @property
    def nodes(self) -> int:
        """N."""
        return self.indptr.size - 1

    @cached_property
    def neighbours(self) -> tuple[IntArray, IntArray]:
        """Row pointers and nodes of the adjacency matrix with each node beside its neighbours.

        Of the shapes (N + 1,) and (2 E + N,); the nodes of a row are ascending.
        """
        own = np.arange(self.nodes)
        rows = np.concatenate([self.edges[:, 0], self.edges[:, 1], own])
        columns = np.concatenate([self.edges[:, 1], self.edges[:, 0], own])
        order = np.lexsort((columns, rows))
        counts = np.bincount(rows, minlength=self.nodes)
        return np.append(0, counts.cumsum()), columns[order]

    @property
    def degrees(self) -> IntArray:
        """How many neighbours each node has; shape (N,)."""
        return np.diff(self.neighbours[0]) - 1

    @property
    def word_counts(self) -> IntArray:
        """How many words each node has; shape (N,)."""
        return np.diff(self.indptr)

    @property
    def codes(self) -> npt.NDArray[np.uint8]:
        """1 where a node has a word, as an integer network takes it; shape (1, 1, N, words)."""
        result = np.zeros((1, 1, self.nodes, self.words), np.uint8)
        result[0, 0, np.repeat(np.arange(self.nodes), self.word_counts), self.indices] = 1
        return result

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays, as 64 hexadecimal digits."""
        total = hashlib.sha256()
        for key in ("indptr", "indices", "edges", "labels", "train", "val", "test"):
            array = getattr(self, key)
            total.update(f"{key}{array.shape}".encode())
            total.update(np.ascontiguousarray(array, "<i8").data)
        return total.hexdigest()

    def around(self, node: int, count: int) -> IntArray:
        """The ``count`` nodes that are the fewest edges away from one, the nearest first.

        Of shape (count,), fewer where no more can be reached; of equally near ones those of the
        lowest numbers.
        """
        indptr, indices = self.neighbours
        found = {node: None}
        nearest = [node]
        while nearest and len(found) < count:
            lists = [indices[indptr[one] : indptr[one + 1]].tolist() for one in nearest]
            nearest = sorted({one for each in lists for one in each} - found.keys())
            found.update(dict.fromkeys(nearest))
        return np.array([*found][:count])

    def part(self, nodes: IntArray) -> Graph:
        """The graph of these nodes, in this order, with the edges among them.

        They are of shape (n,), each once.
        """
        place = np.full(self.nodes, -1)
        place[nodes] = np.arange(nodes.size)
        edges = place[self.edges]
        lists = [self.indices[self.indptr[node] : self.indptr[node + 1]] for node in nodes]

        def kept(mask: IntArray) -> IntArray:
            found = place[mask]
            return found[found >= 0]

        return Graph(
            name=self.name,
            indptr=np.append(0, np.cumsum([one.size for one in lists])),
            indices=np.concatenate(lists),
            words=self.words,
            classes=self.classes,
            edges=edges[(edges >= 0).all(axis=1)],
            labels=self.labels[nodes],
            train=kept(self.train),
            val=kept(self.val),
            test=kept(self.test),
        )

    def __repr__(self) -> str:
        return (
            f"Graph({self.name}: {self.nodes} nodes, {len(self.edges)} edges, {self.words} words,"
            f" {self.classes} classes; {self.train.size} + {self.val.size} + {self.test.size}"
            " labelled nodes)"
        )


def graph_path(name: str | Path, folder: Path) -> Path | None:
    """Where a graph of that name or path would be; None where ``name`` means something else.

    A path means a graph where it is an .npz file that holds edges.
    """
    if str(name) in GRAPHS:
        own = folder / f"{name}.npz"
        return own if own.is_file() else folder / str(name) / f"{name}.npz"
    path = Path(name)
    if path.suffix != ".npz" or not path.is_file():
        return None
    try:
        return path if "edges" in read_npz(path) else None
    except VecqError:
        return None


def load_graph(name: str | Path, folder: str | Path | None = None) -> Graph:
    """Read a graph by its name or path.

    Parameters
    ----------
    name : str or Path
        One of :data:`GRAPHS`, or an .npz file as :func:`read_graph` takes it.
    folder : str or Path, optional
        Where named graphs lie; else VECQ_DATA in the environment, else 'data'.

    Raises
    ------
    VecqError
        There is no such graph, or its arrays do not fit each other.
    """
    return read_graph(graph_path(name, data_folder(folder)) or Path(name), str(name))


def read_graph(path: Path, name: str) -> Graph:
    """The graph of an .npz file with the arrays :data:`KEYS`.

    ``indptr`` and ``indices`` list the words of each node, ``shape`` is (nodes, words), ``edges``
    has the shape (E, 2), ``labels`` has -1 where a node has none.

    Raises
    ------
    VecqError
        The file is missing or damaged, or its arrays do not fit each other.
    """
    if not path.is_file():
        raise VecqError(
            f"data '{name}': there is no file '{path}'; say with --data-dir or VECQ_DATA in which"
            " folder it lies"
        )
    held = read_npz(path)
    for key in KEYS:
        if key not in held:
            there = ", ".join(held) or "nothing"
            raise VecqError(f"data '{name}': there is no '{key}' in '{path}'; it holds {there}")
        if held[key].dtype.kind not in "iu":
            raise VecqError(
                f"data '{name}': '{key}' has the type {held[key].dtype}; integers are wanted"
            )
    for problem in _problems(held):
        raise VecqError(f"data '{name}': {problem}")
    arrays = {key: held[key].astype(np.int64) for key in KEYS if key != "shape"}
    classes = int(arrays["labels"].max()) + 1
    return Graph(name=name, words=int(held["shape"][1]), classes=classes, **arrays)


def _problems(held: dict[str, npt.NDArray[Any]]) -> list[str]:
    """What is wrong with the arrays of a graph, the first thing first."""
    shape = held["shape"].ravel().tolist()
    if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] > MOST_ENTRIES:
        return [f"shape is {shape}; (nodes, words) is wanted, at most {MOST_ENTRIES:,} in all"]
    nodes, words = shape
    wanted = {"indptr": (nodes + 1,), "labels": (nodes,)}
    for key, one in wanted.items():
        if held[key].shape != one:
            return [f"'{key}' has the shape {held[key].shape}, not {one}"]
    if held["indices"].ndim != 1:
        return [f"'indices' has the shape {held['indices'].shape}, not (words of all nodes,)"]
    edges, indptr, labels = held["edges"], held["indptr"].astype(np.int64), held["labels"]
    if edges.ndim != 2 or edges.shape[1] != 2:
        return [f"'edges' has the shape {edges.shape}, not (edges, 2)"]
    if indptr[0] or indptr[-1] != held["indices"].size or (np.diff(indptr) < 0).any():
        return [f"'indptr' must rise from 0 to the {held['indices'].size} indices"]
    problems = []
    for key, most in (("indices", words), ("edges", nodes), *((s, nodes) for s in KEYS[-3:])):
        array = held[key]
        if array.size and not 0 <= array.min() <= array.max() < most:
            problems.append(
                f"'{key}' reaches from {array.min()} to {array.max()}, not 0..{most - 1}"
            )
    if problems:
        return problems
    ordered = np.sort(edges.astype(np.int64), axis=1)
    if (ordered[:, 0] == ordered[:, 1]).any():
        problems.append("an edge leads from a node to itself; leave such edges out")
    if len(np.unique(ordered, axis=0)) != len(edges):
        problems.append("'edges' names an edge twice; name each once, whichever way round")
    listed = np.repeat(np.arange(nodes), np.diff(indptr)) * words + held["indices"]
    if np.unique(listed).size != listed.size:
        problems.append("'indices' names a word of a node twice; name each once")
    for key in KEYS[-3:]:
        if held[key].ndim != 1 or not held[key].size:
            problems.append(f"'{key}' has the shape {held[key].shape}; a list of nodes is wanted")
        elif (labels[held[key]] < 0).any():
            problems.append(f"'{key}' names a node without a label")
    if labels.max() < 1 or labels.max() >= nodes or labels.min() < -1:
        problems.append(f"the labels {labels.min()}..{labels.max()} are no classes 0, 1, 2, ...")
    return problems
