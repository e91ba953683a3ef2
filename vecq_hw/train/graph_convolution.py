"""A graph convolutional network of two layers, float or quantized, and its training.

Kipf and Welling, *Semi-Supervised Classification with Graph Convolutional Networks*, ICLR 2017, on
binary words; the widths are those of Feng et al., *SGQuant*, ICTAI 2020.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import nn

from vecq_hw.arguments import real_number, whole_number
from vecq_hw.data.dataset import Labels
from vecq_hw.data.graphs import Graph
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.quantize import Interval, MinMax, RowsReLU, RowsSigned, Vecq, WeightQuantizer
from vecq_hw.train.graph_bits import HIDDEN, GraphBits

LEAST_ZERO_BITS = 3
"""From so many bits on, weights of words have a code of zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSettings:
    """How it is trained; all nodes are one batch, and Adam moves the parameters.

    Attributes
    ----------
    epochs : int
    learning_rate : float
    weight_decay : float
        Of the first layer.
    dropout : float, 0..1
        Which part of the words, and of the states, is left out in each epoch.
    seed : int
        Of the parameters and of what is left out.
    """

    epochs: int = 200
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    dropout: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.epochs, "there is at least one epoch", 1)
        whole_number(self.seed, "a seed is at least 0", 0)
        real_number(self.learning_rate, "a learning rate is a positive number")
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and 0 <= self.dropout < 1):
            raise VecqError(
                "a positive learning rate, a weight decay of at least 0 and a dropout from 0 to"
                f" below 1 are wanted, not {self.learning_rate:g}, {self.weight_decay:g} and"
                f" {self.dropout:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEpoch:
    """What became of one epoch: the loss of the training nodes, the accuracy of the validation."""

    number: int
    loss: float
    accuracy: float
    seconds: float


class GraphConvolution(nn.Module):
    """``softmax(A ReLU(A X W1 + b) W2)`` with ``A = D^(-1/2) (adjacency + 1) D^(-1/2)``.

    Words of a node count ``1 / n`` each.  What is gathered are values that hold ``D^(-1/2)``.

    Parameters
    ----------
    graph : Graph
    bits : GraphBits or None
        None leaves the network float.
    dropout : float
    """

    word_list: torch.Tensor
    word_starts: torch.Tensor
    node_list: torch.Tensor
    node_starts: torch.Tensor
    word_factor: torch.Tensor
    factor: torch.Tensor

    def __init__(self, graph: Graph, bits: GraphBits | None, dropout: float = 0.5) -> None:
        super().__init__()
        self.graph, self.bits, self._dropout = graph, bits, dropout
        indptr, indices = graph.neighbours
        factor = torch.from_numpy(graph.degrees + 1).double().rsqrt()[:, None]
        words = torch.from_numpy(graph.word_counts).clamp(min=1)[:, None]
        for name, values in (
            ("word_list", torch.from_numpy(graph.indices)),
            ("word_starts", torch.from_numpy(graph.indptr[:-1])),
            ("node_list", torch.from_numpy(indices)),
            ("node_starts", torch.from_numpy(indptr[:-1])),
            ("word_factor", (factor / words).float()),
            ("factor", factor.float()),
        ):
            self.register_buffer(name, values, persistent=False)
        self.word_weights = nn.Parameter(torch.empty(HIDDEN, graph.words))
        self.bias = nn.Parameter(torch.zeros(HIDDEN))
        self.state_weights = nn.Parameter(torch.empty(graph.classes, HIDDEN))
        nn.init.xavier_uniform_(self.word_weights)
        nn.init.xavier_uniform_(self.state_weights)
        self.word_quantizer: nn.Module = nn.Identity()
        self.state_quantizer: nn.Module = nn.Identity()
        self.messages: nn.Module = nn.Identity()
        self.states: nn.Module = nn.ReLU()
        if bits is not None:
            first, second = self.word_weights.detach(), self.state_weights.detach()
            self.word_quantizer = _of_words(first, bits.weights[0])
            self.state_quantizer = Vecq(second, bits.weights[1], interval=Interval.SEARCH)
            bucket = torch.from_numpy(bits.bucket_of(graph.degrees))
            alike = torch.zeros_like(bucket)
            one, many = bits.messages, bits.states
            self.messages = RowsSigned(one, bucket if len(one) > 1 else alike)
            self.states = RowsReLU(many, bucket if len(many) > 1 else alike)

    def train(self, mode: bool = True) -> GraphConvolution:
        """Change the mode; but steps follow in :meth:`follow` alone, never under dropout."""
        super().train(mode)
        self.messages.eval()
        self.states.eval()
        return self

    def forward(self) -> torch.Tensor:
        """The scores of all nodes; shape (N, classes)."""
        return self.factor * self.sums()

    @torch.no_grad()
    def follow(self) -> torch.Tensor:
        """The scores in evaluation mode, while messages and states tell what their steps be.

        What dropout leaves is doubled: steps that followed it would be too coarse for a network
        that drops nothing.

        The shape is (nodes, classes).
        """
        self.eval()
        self.messages.train()
        self.states.train()
        scores: torch.Tensor = self()
        self.eval()
        return scores

    def sums(self) -> torch.Tensor:
        """The scores without the factor of the node, which changes none of their orders.

        The shape is (nodes, classes).
        """
        rows = self.word_quantizer(self.word_weights).T.contiguous()
        counts = functional.dropout(
            torch.ones(self.word_list.shape, dtype=rows.dtype), self._dropout, self.training
        )
        words = functional.embedding_bag(
            self.word_list, rows, self.word_starts, mode="sum", per_sample_weights=counts
        )
        messages = self.messages(self.word_factor * words)
        mixed = self.factor.square() * self._gathered(messages) + self.factor * self.bias
        states = functional.dropout(self.states(mixed), self._dropout, self.training)
        weights: torch.Tensor = self.state_quantizer(self.state_weights)
        return self._gathered(states) @ weights.T

    def _gathered(self, values: torch.Tensor) -> torch.Tensor:
        return functional.embedding_bag(self.node_list, values, self.node_starts, mode="sum")


def _of_words(weights: torch.Tensor, bits: int) -> WeightQuantizer:
    """The quantizer of the weights of words, most of which tell nothing while a few tell much.

    A code of zero serves the many, and a step such that the largest fits the few.  With 2 bits
    that would leave three values, and almost all weights zero.
    """
    if bits >= LEAST_ZERO_BITS:
        return MinMax(weights, bits)
    return Vecq(weights, bits, interval=Interval.SEARCH)


def train_graph(
    graph: Graph,
    bits: GraphBits | None,
    settings: GraphSettings = GraphSettings(),
    after_epoch: Callable[[GraphEpoch], None] = lambda epoch: None,
) -> GraphConvolution:
    """Train on the training nodes; the parameters are those of the best validation accuracy.

    Of several equally good epochs that with the least validation loss counts.  The result is in
    evaluation mode.

    Parameters
    ----------
    bits : GraphBits or None
        None trains a float network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = GraphConvolution(graph, bits, settings.dropout)
        first = [model.word_weights, model.bias]
        groups: list[dict[str, Any]] = [
            {"params": first, "weight_decay": settings.weight_decay},
            {"params": [model.state_weights]},
        ]
        optimizer = torch.optim.Adam(groups, lr=settings.learning_rate)
        labels = torch.from_numpy(graph.labels)
        train, val = torch.from_numpy(graph.train), torch.from_numpy(graph.val)
        best: tuple[float, float] | None = None
        kept = {}
        model.follow()
        for number in range(1, settings.epochs + 1):
            begin = time.perf_counter()
            model.train()
            loss = functional.cross_entropy(model()[train], labels[train])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scores = model.follow()[val]
            right = float((scores.argmax(1) == labels[val]).float().mean())
            worth = right, -float(functional.cross_entropy(scores, labels[val]))
            if best is None or worth > best:
                best = worth
                kept = {name: value.clone() for name, value in model.state_dict().items()}
            after_epoch(
                GraphEpoch(
                    number=number,
                    loss=float(loss.detach()),
                    accuracy=right,
                    seconds=time.perf_counter() - begin,
                )
            )
        model.load_state_dict(kept)
    return model


def predict_nodes(model: GraphConvolution) -> Labels:
    """The class of each node, the lowest of several that are as likely.

    The shape is (nodes,).
    """
    scores = integer_scores(model)
    if scores is None:
        with torch.no_grad():
            scores = copied_in_double(model).sums().numpy()
    result: Labels = scores.argmax(1)
    return result


def integer_scores(model: GraphConvolution) -> IntArray | None:
    """The scores of all nodes as integers, (N, classes); None of a float network.

    All of them are computed in double precision, where sums of codes are exact but for a last bit.
    """
    twin = copied_in_double(model)
    if not isinstance(twin.states, RowsReLU) or not isinstance(twin.state_quantizer, Vecq):
        return None
    with torch.no_grad():
        _, step = twin.state_quantizer.integers(twin.state_weights)
        return torch.round(twin.sums() / (twin.states.step * step)).long().numpy()


def on_graph(model: GraphConvolution, graph: Graph) -> GraphConvolution:
    """A trained network on another graph of the same words and classes, in evaluation mode.

    Raises
    ------
    VecqError
        The graph has other numbers of words or classes.
    """
    own = model.graph
    if (graph.words, graph.classes) != (own.words, own.classes):
        raise VecqError(
            f"the network was trained on {own.words} words and {own.classes} classes, the graph"
            f" '{graph.name}' has {graph.words} and {graph.classes}"
        )
    moved = GraphConvolution(graph, model.bits)
    moved.load_state_dict(model.state_dict())
    return moved.eval()


def copied_in_double(model: GraphConvolution) -> GraphConvolution:
    """The same network in evaluation mode, with every parameter and buffer in double precision."""
    twin = on_graph(model, model.graph).double()
    degrees, words = (torch.from_numpy(a) for a in (model.graph.degrees, model.graph.word_counts))
    twin.factor = (degrees + 1).double().rsqrt()[:, None]
    twin.word_factor = twin.factor / words.clamp(min=1)[:, None]
    return twin


def node_accuracy(graph: Graph, classes: Labels, nodes: IntArray) -> float:
    """Which part of ``nodes``, shape (n,), has its class in ``classes``, shape (N,): 0..1."""
    return float((classes[nodes] == graph.labels[nodes]).mean())
