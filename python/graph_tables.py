"""Print how small the features of a graph get, and how accurate its networks stay.

::

    VECQ_DATA=... python python/graph_tables.py cora            # memory alone
    VECQ_DATA=... python python/graph_tables.py cora --seeds 10 # and a training for each seed
    VECQ_DATA=... python python/graph_tables.py cora --search 24 --epochs 40 --learning-rate 0.05
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace

import numpy as np
import torch

from vecq_hw.data import GRAPHS, Graph, load_graph
from vecq_hw.lower.graph_convolution import lower_graph
from vecq_hw.search.graphs import (
    GraphMeasured,
    GraphSpace,
    float_accuracy,
    measure_graph,
    search_graph,
)
from vecq_hw.simulate import simulate
from vecq_hw.train.graph_bits import GraphBits, feature_memory
from vecq_hw.train.graph_convolution import (
    GraphSettings,
    integer_scores,
    node_accuracy,
    predict_nodes,
    train_graph,
)

WIDTHS = (
    None,
    GraphBits.uniform(8, 8, 8),
    GraphBits.uniform(4, 4, 4),
    GraphBits.uniform(2, 8, 2),
)
MANTISSA_BITS = (24, 28, 32)
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
    """Mean and deviation of the integer accuracy, and how many scores are not the trained ones."""
    mantissas = ", ".join(map(str, MANTISSA_BITS))
    print(f"\n{graph.test.size} test nodes, {epochs} epochs, {seeds} seeds\n")
    print(
        f"| widths | validation | test | below float | each seed | scores of"
        f" {seeds * graph.nodes * graph.classes:,} that differ, mantissas of {mantissas} bits |"
    )
    print("|---|---|---|---|---|---|")
    floats: list[float] = []
    for bits in WIDTHS:
        tests, validations, differ = [], [], dict.fromkeys(MANTISSA_BITS, 0)
        for seed in range(seeds):
            model = train_graph(graph, bits, GraphSettings(epochs=epochs, seed=seed))
            classes, own = predict_nodes(model), integer_scores(model)
            if own is not None:
                for mantissa in MANTISSA_BITS:
                    network = lower_graph(model, mantissa_bits=mantissa)
                    scores = simulate(network, graph.codes)[0, 0]
                    differ[mantissa] += int(np.count_nonzero(scores != own))
                classes = scores.argmax(1)
            tests.append(100 * node_accuracy(graph, classes, graph.test))
            validations.append(100 * node_accuracy(graph, classes, graph.val))
            print(f"{bits or 'float'}, seed {seed}: {tests[-1]:.1f} %", file=sys.stderr, flush=True)
        floats = floats or tests
        below = "" if bits is None else f"{statistics.mean(floats) - statistics.mean(tests):.2f}"
        total = "" if bits is None else ", ".join(map(str, differ.values()))
        each = " ".join(f"{one:.1f}" for one in tests)
        print(
            f"| {bits or 'float'} | {spread(validations)} | {spread(tests)} | {below} | {each} |"
            f" {total} |",
            flush=True,
        )


def print_search(graph: Graph, trials: int, seeds: int, trial: GraphSettings, loss: float) -> None:
    """The fewest bits that each optimizer finds by as many measurements, for each seed."""
    print(
        f"\n{trials} measurements of {trial.epochs} epochs at the rate {trial.learning_rate:g};"
        f" within {100 * loss:g} % of the float network on the validation nodes\n"
    )
    print(
        "| seed | wanted | optimizer | kbit | validation | test, whole recipe | widths |"
        " accurate enough |"
    )
    print("|---|---|---|---|---|---|---|---|")
    space = GraphSpace()
    for seed in range(seeds):
        settings = replace(trial, seed=seed)
        wanted = float_accuracy(graph, settings) - loss
        known: dict[GraphBits, GraphMeasured] = {}
        for bits in (GraphBits.uniform(8, 8, 8), GraphBits.uniform(4, 4, 4)):
            known[bits] = measure_graph(graph, bits, settings)
            shown = f"{known[bits].stored_bits / 1000:.0f} | {percent(known[bits])}"
            print(f"| {seed} | {100 * wanted:.1f} | none | {shown} | | {bits} | |")
        for optimizer in ("abs", "random"):
            found = search_graph(
                graph,
                space,
                settings,
                trials=trials,
                optimizer=optimizer,
                min_accuracy=wanted,
                known=known,
                tell=lambda text: print(text, file=sys.stderr, flush=True),
            )
            right = [r.measured for r in found.trials if r.measured is not None]
            enough = sum(one.integer_accuracy >= wanted for one in right)
            row = "| | | |"
            if found.best is not None and found.best.measured is not None:
                bits, best = space.bits(found.best.point), found.best.measured
                classes = predict_nodes(train_graph(graph, bits, GraphSettings(seed=seed)))
                test = 100 * node_accuracy(graph, classes, graph.test)
                row = f"| {best.stored_bits / 1000:.0f} | {percent(best)} | {test:.1f} | {bits}"
            print(f"| {seed} | {100 * wanted:.1f} | {optimizer} {row} | {enough} |", flush=True)


def percent(found: GraphMeasured) -> str:
    """The accuracy on the validation nodes."""
    return f"{100 * found.integer_accuracy:.1f}"


def spread(values: list[float]) -> str:
    """Mean and standard deviation over the seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", choices=GRAPHS)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--search", type=int, default=0, metavar="TRIALS")
    parser.add_argument("--loss", type=float, default=0.05, help="That a search allows.")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=0.01, help="Of a search.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    graph = load_graph(given.graph)
    if given.search:
        trial = GraphSettings(epochs=given.epochs, learning_rate=given.learning_rate)
        print_search(graph, given.search, given.seeds or 1, trial, given.loss)
        return
    print_memory(graph)
    if given.seeds:
        print_seeds(graph, given.seeds, given.epochs)


if __name__ == "__main__":
    main()
