"""A graph convolutional network of random weights on a random graph, in integers by hand."""

from __future__ import annotations

import numpy as np

from vecq_hw.data.graphs import Graph
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Conv2d, GatherSum, Input, Rescale, Weights
from vecq_hw.network import Network

MESSAGE, HIDDEN = IntFormat(4, signed=True), IntFormat(4, signed=False)


def neighbours(nodes: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """The rows of a symmetric adjacency matrix with all nodes themselves, few of them crowded."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, nodes + 1)
    ends = rng.choice(nodes, (2 * nodes, 2), p=weights / weights.sum())
    linked = np.eye(nodes, dtype=bool)
    linked[tuple(ends.T)] = linked[tuple(ends[:, ::-1].T)] = True
    linked[-1, :-1] = linked[:-1, -1] = False  # a node without neighbours
    return np.append(0, linked.sum(axis=1).cumsum()), np.nonzero(linked)[1]


def gcn(nodes: int = 60, words: int = 12, hidden: int = 8, classes: int = 4) -> Network:
    """Two layers ``D^(-1/2) A D^(-1/2) H W``; the codes of a node hold ``D^(-1/2) H``.

    The factors of a node belong to the class of its degree.  Messages of crowded nodes have a
    coarser step: their codes are shifted before they are summed.
    """
    rng = np.random.default_rng(1)
    indptr, indices = neighbours(nodes)
    degrees = np.diff(indptr)
    known, kinds = np.unique(degrees, return_inverse=True)
    factors = known**-0.5
    coarse = (known > 5).astype(np.int64)

    def weights(outputs: int, channels: int) -> Weights:
        codes = rng.integers(-2, 2, (outputs, 1, 1, channels))
        return Weights(codes=codes, grid=MidRise(2))

    def rescale(name: str, source: str, gains: np.ndarray, fmt: IntFormat) -> Rescale:
        channels = hidden
        mantissa = np.rint(gains[:, np.newaxis] * rng.uniform(0.5, 1.5, channels) * 2**12)
        offset = np.broadcast_to(rng.integers(-(2**12), 2**13, channels), mantissa.shape)
        return Rescale(
            name=name,
            input=source,
            mantissa=mantissa.astype(np.int64),
            offset=offset,
            shift=12,
            format=fmt,
            rows=kinds,
        )

    layers = (
        Conv2d(name="words", input="x", weights=weights(hidden, words)),
        rescale("messages", "words", factors / 2**coarse, MESSAGE),
        GatherSum(
            name="sums", input="messages", indptr=indptr, indices=indices, shifts=coarse[kinds]
        ),
        rescale("states", "sums", factors**2, HIDDEN),
        Conv2d(name="mixed", input="states", weights=weights(classes, hidden)),
        GatherSum(name="scores", input="mixed", indptr=indptr, indices=indices),
    )
    source = Input(name="x", shape=(1, nodes, words), format=IntFormat(1, signed=False))
    return Network(name="gcn", inputs=(source,), layers=layers, outputs=("scores",))


def small_graph(nodes: int = 90, words: int = 24, classes: int = 3) -> Graph:
    """Nodes whose words and neighbours are mostly those of their class; the last is alone."""
    rng = np.random.default_rng(3)
    labels = np.arange(nodes) % classes
    likely = (np.arange(words) % classes == labels[:, np.newaxis]) * 0.5 + 0.1
    held = rng.random((nodes, words)) < likely
    held[-1] = False
    alike = labels[:, np.newaxis] == labels
    drawn = np.triu(rng.random((nodes, nodes)) < np.where(alike, 0.1, 0.01), 1)
    drawn[0, ::4] = True  # one node of many neighbours
    drawn[:, -1] = drawn[0, 0] = False
    return Graph(
        name="small",
        indptr=np.append(0, held.sum(axis=1).cumsum()),
        indices=np.nonzero(held)[1],
        words=words,
        classes=classes,
        edges=np.argwhere(drawn),
        labels=labels,
        train=np.arange(30),
        val=np.arange(30, 50),
        test=np.arange(50, nodes),
    )
