"""Print how small the features of a graph get, and how accurate its networks stay.

::

    VECQ_DATA=... python python/graph_tables.py cora            # memory alone
    VECQ_DATA=... python python/graph_tables.py cora --seeds 10 # and a training for each seed
"""

from __future__ import annotations

import argparse
import statistics
import sys

import numpy as np
import torch

from vecq_hw.data import GRAPHS, Graph, load_graph
from vecq_hw.lower.graph_convolution import lower_graph
from vecq_hw.simulate import simulate
from vecq_hw.train.graph_bits import GraphBits, feature_memory
from vecq_hw.train.graph_convolution import (
    GraphSettings,
    integer_scores,
    node_accuracy,
    predict_nodes,
    train_graph,
)

WIDTHS = (None, GraphBits.uniform(8, 8, 8), GraphBits.uniform(4, 4, 4))
MIXED = GraphBits(weights=(4, 4), messages=(4,), states=(4, 3, 2, 1), buckets=(4, 8, 16))


def print_memory(graph: Graph) -> None:
    """A row for each width of states and of words."""
    print(f"{graph!r}; {graph.indices.size} words held\n")
    print("| states | word bits | factor | with messages (4 bits) | without the input |")
    print("|---|---|---|---|---|")
    for states in ((8,), (4,), (2,), (1,), MIXED.states):
        buckets = MIXED.buckets if len(states) > 1 else ()
        bits = GraphBits(states=states, buckets=buckets)
        for word_bits in (1, 4, 8):
            memory = feature_memory(graph, bits, word_bits)
            print(
                f"| {'-'.join(map(str, states))} | {word_bits} | {memory.factor:.2f} |"
                f" {memory.factor_of_all:.2f} | {memory.factor_without_input:.2f} |"
            )


def print_seeds(graph: Graph, seeds: int, epochs: int) -> None:
    """Mean and deviation of the accuracy of each network, and what differs in integers."""
    print(f"\n{graph.test.size} test nodes, {epochs} epochs, {seeds} seeds\n")
    print("| widths | accuracy | each seed | integer scores that differ |")
    print("|---|---|---|---|")
    for bits in WIDTHS:
        found, differ = [], 0
        for seed in range(seeds):
            model = train_graph(graph, bits, GraphSettings(epochs=epochs, seed=seed))
            found.append(100 * node_accuracy(graph, predict_nodes(model), graph.test))
            if bits is not None:
                scores = simulate(lower_graph(model), graph.codes)[0, 0]
                differ += int(np.count_nonzero(scores != integer_scores(model)))
            print(f"{bits or 'float'}, seed {seed}: {found[-1]:.1f} %", file=sys.stderr, flush=True)
        spread = statistics.stdev(found) if seeds > 1 else 0.0
        each = " ".join(f"{one:.1f}" for one in found)
        total = "" if bits is None else f"{differ} of {seeds * graph.nodes * graph.classes}"
        mean = statistics.mean(found)
        print(f"| {bits or 'float'} | {mean:.2f} ± {spread:.2f} | {each} | {total} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", choices=GRAPHS)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    graph = load_graph(given.graph)
    print_memory(graph)
    if given.seeds:
        print_seeds(graph, given.seeds, given.epochs)


if __name__ == "__main__":
    main()
