"""The widths of graph networks: what is stored, and what finds the fewest bits."""

from __future__ import annotations

import json
import sys
from collections import deque

import numpy as np
import pytest

from tests.graph_networks import small_graph
from vecq_hw import cli
from vecq_hw.data.graphs import KEYS
from vecq_hw.errors import VecqError
from vecq_hw.search.graphs import GraphMeasured, GraphSpace, search_graph, stored_bits
from vecq_hw.train.graph_bits import GraphBits, read_graph_bits
from vecq_hw.train.graph_convolution import GraphSettings

SPACE = GraphSpace(weights=(2, 4), features=(2, 4, 8), buckets=(3, 8))


class Formula:
    """An engine whose accuracies are a function of the widths, so that the best are known."""

    def __init__(self):
        self.done = deque()
        self.measured = []

    def slots(self):
        return 1

    def submit(self, number, function, graph, bits, settings):
        first, second = bits.weights
        lost = 0.1 * (first < 4) + 0.01 * (second < 2)
        lost += 0.1 * (bits.states[0] < 5) + 0.05 * (bits.messages[0] < 3)
        self.measured.append(bits)
        found = GraphMeasured(integer_accuracy=0.8 - lost, stored_bits=stored_bits(graph, bits))
        self.done.append((number, found))

    def next_done(self):
        return self.done.popleft()


def test_stored_bits_are_those_of_weights_and_of_each_node():
    graph = small_graph()
    bits = GraphBits(weights=(4, 2), messages=(8, 6, 4), states=(4, 2, 1), buckets=(3, 8))
    counts = np.bincount(bits.bucket_of(graph.degrees), minlength=3)
    weights = 16 * graph.words * 4 + 16 * graph.classes * 2
    features = 16 * (counts * (12, 8, 5)).sum()
    assert stored_bits(graph, bits) == weights + features


def test_a_point_is_its_widths_and_its_places():
    assert list(SPACE.layers.values()) == [(2, 4)] * 2 + [(2, 4, 8)] * 6
    assert SPACE.size == 2**2 * 3**6
    places = dict(zip(SPACE.layers, (1, 0, 2, 1, 0, 1, 1, 0), strict=True))
    point = SPACE.point(places)
    assert SPACE.places(point) == places
    assert SPACE.bits(point) == GraphBits(
        weights=(4, 2), messages=(8, 4, 2), states=(4, 4, 2), buckets=(3, 8)
    )
    assert SPACE.text(point) == "W4-2 M8-4-2 H4-4-2"


def test_bit_selection_finds_fewer_bits_than_random_choice_by_as_many_measurements():
    graph, stored = small_graph(), {}
    for optimizer in ("abs", "random"):
        for seed in range(2):
            place = Formula()
            found = search_graph(
                graph,
                GraphSpace(),
                GraphSettings(seed=seed),
                trials=32,
                optimizer=optimizer,
                min_accuracy=0.75,
                place=place,
            )
            assert len(found.trials) == len(place.measured) == len(set(place.measured)) == 32
            enough = [r.measured for r in found.trials if r.measured.integer_accuracy >= 0.75]
            assert found.best.measured.stored_bits == min(one.stored_bits for one in enough)
            assert found.best in found.front or found.front[0].measured.integer_accuracy > 0.75
            if optimizer == "abs":  # the last are drawn near what was good before
                widths = np.array([list(one.point.values()) for one in found.trials])
                good = [one.measured.integer_accuracy >= 0.75 for one in found.trials[:-4]]
                differ = (widths[-4:, np.newaxis] != widths[:-4][good]).sum(2).min(1)
                assert np.median(differ) <= 4
            stored.setdefault(optimizer, []).append(found.best.measured.stored_bits)
    assert max(stored["abs"]) < min(stored["random"])


def test_what_is_known_is_not_measured_again_and_the_same_seed_finds_the_same():
    graph, known = small_graph(), {}
    settings = GraphSettings(epochs=3, seed=5)

    def run():
        return search_graph(graph, SPACE, settings, trials=5, min_accuracy=0.0, known=known)

    first, again = run(), run()
    assert [one.point for one in first.trials] == [one.point for one in again.trials]
    assert min(one.measured.seconds for one in first.trials) > 0
    assert max(one.measured.seconds for one in again.trials) == 0
    assert first.best.measured.integer_accuracy == again.best.measured.integer_accuracy


def test_widths_at_which_all_signals_die_are_trials_as_others():
    graph = small_graph()
    space = GraphSpace(weights=(2, 4), features=(1,))  # no message is above zero, so no state is
    found = search_graph(graph, space, GraphSettings(epochs=1), trials=3, min_accuracy=0.5)
    assert [one.measured.integer_accuracy for one in found.trials] == [0.0] * 3
    assert all("has died" in one.measured.reason for one in found.trials)
    assert found.best is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"optimizer": "grid"}, "a graph is searched by abs, nsga2, tpe, random, not 'grid'"),
        ({"min_accuracy": 80.0}, "--min-accuracy is a share of the nodes, 0 to 1, not 80"),
        ({"trials": 0}, "there is at least one trial"),
    ],
)
def test_impossible_searches_are_refused(wrong, says):
    usual = {"trials": 1, "min_accuracy": 0.5}
    with pytest.raises(VecqError, match=says):
        search_graph(small_graph(), SPACE, GraphSettings(epochs=1), **usual | wrong)


@pytest.fixture
def main(monkeypatch, capsys, tmp_path):
    """`vecq search` on a small graph in this process: status, output, errors."""
    graph = small_graph()
    held = {key: getattr(graph, key) for key in KEYS if key != "shape"}
    np.savez(tmp_path / "own.npz", **held, shape=np.array([graph.nodes, graph.words]))

    def run(*arguments):
        common = ("search", "--data", tmp_path / "own.npz", "--out", tmp_path / "out")
        monkeypatch.setattr(sys, "argv", ["vecq", *map(str, (*common, *arguments))])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, shown.err

    return run


def test_the_command_writes_the_widths_that_train_takes(main, tmp_path):
    few = ("--trials", 4, "--epochs", 4, "--bits", "2,4", "--activation-bits", "2,4")
    status, shown, errors = main(*few, "--min-accuracy", 0)
    assert status == 0, errors
    assert "--bits-file" in shown
    assert "trial 3 of 4" in errors
    report = json.loads((tmp_path / "out" / "trials.json").read_text())
    assert len(report["trials"]) == 4
    best = report["trials"][report["best"]]
    assert best["stored_bits"] == min(one["stored_bits"] for one in report["trials"])
    bits = read_graph_bits(tmp_path / "out" / "bits.json")
    assert bits.tree() == best["bits"]
    assert stored_bits(small_graph(), bits) == best["stored_bits"]
    status, shown, errors = main(*few, "--min-accuracy", 1)
    assert status == 1, errors
    assert "no trial has 100.00 % of the validation nodes right" in shown
    assert not (tmp_path / "out" / "bits.json").exists()


def test_options_that_mean_nothing_to_a_graph_are_refused(main, tmp_path):
    for given in (("--device", "ecp5-25k"), ("--keep", "a=2"), ("--methods", "vecq")):
        status, _, errors = main(*given)
        assert status == 2
        assert f"has no use for {given[0]}" in errors
    assert not (tmp_path / "out" / "trials.json").exists()
