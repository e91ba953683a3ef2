"""Graph networks: quantized ones train, and become integer networks of the same scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests import plain
from tests.graph_networks import small_graph
from vecq_hw.arithmetic import quantize
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, TwosComplement
from vecq_hw.layers import Rescale
from vecq_hw.lower.graph_convolution import lower_graph
from vecq_hw.quantize import RowsReLU, RowsSigned
from vecq_hw.simulate import simulate
from vecq_hw.train.graph_bits import GraphBits, feature_memory
from vecq_hw.train.graph_convolution import (
    GraphConvolution,
    GraphSettings,
    integer_scores,
    node_accuracy,
    predict_nodes,
    train_graph,
)

FEW = GraphSettings(epochs=30, learning_rate=0.05)
MIXED = GraphBits(weights=(4, 2), messages=(8, 6, 4), states=(4, 2, 1), buckets=(3, 8))


@pytest.mark.parametrize(
    "bits",
    [GraphBits.uniform(8, 8, 8), GraphBits.uniform(1, 4, 1), MIXED],
    ids=str,
)
def test_the_integer_network_has_the_scores_of_the_trained_one(bits):
    graph = small_graph()
    model = train_graph(graph, bits, FEW)
    network = lower_graph(model)
    scores = simulate(network, graph.codes)[0, 0]
    assert np.array_equal(scores, integer_scores(model))
    assert np.array_equal(scores.argmax(1), predict_nodes(model))
    assert plain.evaluate(network, graph.codes[0].tolist())["scores"] == [scores.tolist()]
    assert np.unique(scores).size > 30


def test_codes_of_a_bucket_have_its_width_and_are_rounded_once():
    graph = small_graph()
    model = train_graph(graph, MIXED, FEW)
    network = lower_graph(model)
    assert [layer.name for layer in network.layers if isinstance(layer, Rescale)] == [
        "messages",
        "messages_cut",
        "states",
        "states_cut",
    ]
    taps = simulate(network, graph.codes, taps=("messages_cut", "states_cut"))
    bucket = MIXED.bucket_of(graph.degrees)
    for name, widths, signed in (("messages", (8, 6, 4), True), ("states", (4, 2, 1), False)):
        codes = taps[f"{name}_cut"][0, 0]
        for place, bits in enumerate(widths):
            fmt = IntFormat(bits, signed)
            own = codes[bucket == place]
            assert fmt.contains(int(own.min()), int(own.max()))
    # The whole range of the narrow ones is used.
    assert taps["states_cut"][0, 0][bucket == 2].max() == 1


def test_rows_of_a_quantizer_are_each_the_rule_with_their_own_step():
    rows = torch.tensor([0, 1, 1, 0, 2])
    quantizer = RowsReLU((4, 2, 1), rows)
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    quantizer.double()(x)
    quantizer.eval()
    found = quantizer(x)
    assert quantizer.shifts == (0, 2, 3)
    for row, place in enumerate(rows.tolist()):
        step = float(quantizer.step) * 2 ** quantizer.shifts[place]
        fmt = quantizer.formats[place]
        assert np.array_equal(quantize(x[row].numpy(), step, fmt) * step, found[row].numpy())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_step_has_the_least_fourth_powers_of_errors_even_on_long_tails(bits):
    rows = torch.zeros(20, dtype=torch.int64)
    for quantizer, power in ((RowsSigned((bits,), rows), 5), (RowsReLU((bits,), rows), 1)):
        x = torch.randn(20, 50, generator=torch.Generator().manual_seed(1)).double() ** power
        quantizer.double().train()(x)

        def error(step, x=x, fmt=quantizer.format):
            wanted = x.numpy() if fmt.signed else x.relu().numpy()
            return ((quantize(x.numpy(), step, fmt) * step - wanted) ** 4).sum()

        found = float(quantizer.step)
        assert error(found) <= min(error(found * 2.0**k) for k in (-2, -1, -0.5, 0.5, 1, 2))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_weights_of_words_reach_the_largest_where_zero_leaves_enough_others(bits):
    graph = small_graph()
    model = GraphConvolution(graph, GraphBits.uniform(bits, 4, 4))
    with torch.no_grad():
        largest = 50 * float(model.word_weights.abs().max())
        model.word_weights[0, 0] = largest
        model.word_weights[1, 1] = 0.0
        found = model.word_quantizer(model.word_weights)
    grid = (
        lower_graph(train_graph(graph, model.bits, replace(FEW, epochs=1))).layers[0].weights.grid
    )
    assert (grid == TwosComplement(bits)) is (bits >= 3)
    if bits >= 3:
        assert float(found[0, 0]) == pytest.approx(largest)
    assert (float(found[1, 1]) == 0.0) is (bits >= 3)


def test_steps_follow_what_evaluation_sees_and_stand_still_under_dropout():
    graph = small_graph()
    model = GraphConvolution(graph, GraphBits.uniform(4, 4, 4))
    model.follow()
    steps = [float(model.messages.step), float(model.states.step)]
    assert min(steps) > 0
    model.train()
    model()
    assert [float(model.messages.step), float(model.states.step)] == steps
    with torch.no_grad():
        model.word_weights *= 2
    model.follow()
    assert float(model.messages.step) > steps[0]
    assert not model.training


def test_a_network_learns_what_words_and_neighbours_say():
    graph = small_graph()
    for bits in (None, GraphBits.uniform(4, 4, 4)):
        model = train_graph(graph, bits, FEW)
        assert node_accuracy(graph, predict_nodes(model), graph.test) > 0.8
    again = train_graph(graph, GraphBits.uniform(4, 4, 4), FEW)
    assert np.array_equal(integer_scores(model), integer_scores(again))


def test_what_cannot_be_lowered_is_refused():
    graph = small_graph()
    with pytest.raises(VecqError, match="the network of a graph is float"):
        lower_graph(GraphConvolution(graph, None))
    with pytest.raises(VecqError, match="has met no data"):
        lower_graph(GraphConvolution(graph, MIXED))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"weights": (4,)}, "weights of two layers have two widths"),
        ({"states": (4, 3)}, r"states have one width, or 1 for the buckets \(\), not 2"),
        ({"buckets": (4, 4)}, "limits of buckets rise"),
        ({"messages": (17,)}, "messages have 1 to 16 bits"),
    ],
)
def test_impossible_widths_are_refused(given, says):
    with pytest.raises(VecqError, match=says):
        GraphBits(**given)


def test_memory_counts_every_value_of_every_node():
    graph = small_graph()
    nodes, words = graph.nodes, graph.words
    memory = feature_memory(graph, MIXED, word_bits=4)
    counts = np.bincount(MIXED.bucket_of(graph.degrees), minlength=3).tolist()
    assert memory.words == nodes * words * 4
    assert memory.states == 16 * (4 * counts[0] + 2 * counts[1] + counts[2])
    assert memory.messages == 16 * (8 * counts[0] + 6 * counts[1] + 4 * counts[2])
    assert memory.factor == 32 * nodes * (words + 16) / (memory.words + memory.states)
    assert feature_memory(graph, GraphBits.uniform(4, 8, 8)).factor_without_input == 4


def test_one_bit_of_each_word_makes_the_features_of_cora_thirty_times_smaller():
    nodes, words = 2708, 1433
    graph = replace(
        small_graph(nodes=90),
        indptr=np.zeros(nodes + 1, np.int64),
        indices=np.zeros(0, np.int64),
        words=words,
    )
    four = GraphBits.uniform(4, 4, 4)
    memory = feature_memory(graph, four)
    assert memory.factor == 1449 * 32 / (1433 + 16 * 4) > 30
    assert memory.factor_without_input == 8
    # Words of four bits cannot reach it, whatever the states have.
    assert feature_memory(graph, GraphBits(states=(1,)), word_bits=4).factor < 8.1
