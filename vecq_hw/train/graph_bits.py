"""Widths in a graph convolutional network, and how many bits its features take with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vecq_hw import trees
from vecq_hw.arguments import format_version, read_json, whole_number
from vecq_hw.data.graphs import Graph
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, checked_weight_bits

VERSION = 1
"""The version of the format of a file of widths."""
HIDDEN = 16
"""Values of a node between the two layers."""
FLOAT_BITS = 32
"""Bits of each feature in the network that a saving is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphBits:
    """How many bits everything has that a graph convolutional network of two layers stores.

    Attributes
    ----------
    weights : (int, int)
        Of the weights of each layer.
    messages, states : tuple of int
        Of what the first and the second layer gather: signed sums of words, and unsigned hidden
        values.  One width for all nodes, or one for each bucket of neighbours.
    buckets : tuple of int, rising
        A node is in the bucket of as many of these limits as its neighbours reach.
    """

    weights: tuple[int, int] = (4, 4)
    messages: tuple[int, ...] = (4,)
    states: tuple[int, ...] = (4,)
    buckets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.weights) != 2:
            raise VecqError(f"weights of two layers have two widths, not {self.weights}")
        for bits in self.weights:
            checked_weight_bits(bits)
        limits = [whole_number(one, "limits of buckets are at least 1", 1) for one in self.buckets]
        if sorted(set(limits)) != limits:
            raise VecqError(f"the limits of buckets rise, {self.buckets} do not")
        for name, widths in (("messages", self.messages), ("states", self.states)):
            for bits in widths:
                whole_number(bits, f"{name} have 1 to 16 bits", 1, 16)
            if len(widths) not in (1, len(limits) + 1):
                raise VecqError(
                    f"{name} have one width, or {len(limits) + 1} for the buckets"
                    f" {self.buckets}, not {len(widths)}"
                )

    @classmethod
    def uniform(cls, weights: int, messages: int, states: int) -> GraphBits:
        """The same everywhere."""
        return cls(weights=(weights, weights), messages=(messages,), states=(states,))

    def bucket_of(self, degrees: IntArray) -> IntArray:
        """The bucket of each node by how many neighbours it has.

        ``degrees`` has the shape (nodes,), as the result.
        """
        return np.searchsorted(np.array(self.buckets, np.int64), degrees, side="right")

    def of_nodes(self, widths: Sequence[int], degrees: IntArray) -> IntArray:
        """The width of each node, of ``messages`` or ``states``.

        ``degrees`` has the shape (nodes,), as the result.
        """
        found = np.array(widths)
        return found[self.bucket_of(degrees)] if len(widths) > 1 else found.repeat(degrees.size)

    def tree(self) -> dict[str, list[int]]:
        """As a bits file holds it; :func:`read_graph_bits` is the reverse."""
        names = ("weights", "messages", "states", "buckets")
        return {name: list(getattr(self, name)) for name in names}

    def __str__(self) -> str:
        first, second = self.weights
        weights = f"{first}" if first == second else f"{first}-{second}"
        return f"W{weights} M{_listed(self.messages)} H{_listed(self.states)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMemory:
    """Bits of all features of all nodes.

    Attributes
    ----------
    words, states, messages : int
        Of the input, of what is between the layers, and of what the first layer gathers.
    float_words, float_states : int
        The same in 32 bits; messages have the size of states.
    """

    words: int
    states: int
    messages: int
    float_words: int
    float_states: int

    @property
    def factor(self) -> float:
        """How many times smaller input and states are than in 32 bits."""
        return (self.float_words + self.float_states) / (self.words + self.states)

    @property
    def factor_without_input(self) -> float:
        """The same of the states alone."""
        return self.float_states / self.states

    @property
    def factor_of_all(self) -> float:
        """The same of input, messages and states."""
        return (self.float_words + 2 * self.float_states) / (
            self.words + self.messages + self.states
        )


def feature_memory(graph: Graph, bits: GraphBits, word_bits: int = 1) -> FeatureMemory:
    """How many bits the features take, every word of every node stored.

    Parameters
    ----------
    word_bits : int
        Of each word of each node; they are binary, so that one bit loses nothing.
    """
    degrees = graph.degrees
    entries, values = graph.nodes * graph.words, graph.nodes * HIDDEN
    return FeatureMemory(
        words=entries * word_bits,
        states=HIDDEN * int(bits.of_nodes(bits.states, degrees).sum()),
        messages=HIDDEN * int(bits.of_nodes(bits.messages, degrees).sum()),
        float_words=entries * FLOAT_BITS,
        float_states=values * FLOAT_BITS,
    )


def read_graph_bits(path: str | Path) -> GraphBits:
    """The widths of a JSON file: an object with some of the fields of :class:`GraphBits`.

    ``version`` says the version of the format as well; without it that is the first.

    Raises
    ------
    VecqError
        The file cannot be read, is of another form, or its widths are impossible.
    """
    form = '{"weights": [4, 2], "messages": [4], "states": [4, 2], "buckets": [8]}'
    tree = read_json(path, "bits file", form)
    usual = trees.encode(GraphBits(), GraphBits, [])
    if isinstance(tree, dict):
        format_version(tree.pop("version", 1), VERSION, f"bits file '{path}'")
    if not isinstance(tree, dict) or not tree.keys() <= usual.keys():
        raise VecqError(f"bits file '{path}' is of another form; {form} is that of a graph")
    try:
        found: GraphBits = trees.decode({**usual, **tree}, GraphBits, iter(()), "widths")
    except VecqError as error:
        raise VecqError(f"bits file '{path}': {error}") from None
    return found


def _listed(widths: Sequence[int]) -> str:
    return "-".join(map(str, widths))
