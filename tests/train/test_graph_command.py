"""`vecq train` of a graph: from its file to an integer network that holds it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from tests.graph_networks import small_graph
from vecq_hw import cli, storage
from vecq_hw.data.graphs import KEYS
from vecq_hw.simulate import simulate


@pytest.fixture
def main(monkeypatch, capsys, tmp_path):
    """The command on a small graph in this process: status, output, errors."""
    graph = small_graph()
    held = {key: getattr(graph, key) for key in KEYS if key != "shape"}
    np.savez(tmp_path / "own.npz", **held, shape=np.array([graph.nodes, graph.words]))

    def run(*arguments, command="train"):
        common = (command, "--data", tmp_path / "own.npz")
        common += ("--out", tmp_path / "out") if command == "train" else ()
        monkeypatch.setattr(sys, "argv", ["vecq", *map(str, (*common, *arguments))])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, shown.err

    return run


def test_the_network_that_is_written_holds_the_graph_and_has_the_accuracy_that_is_told(
    main, tmp_path
):
    (tmp_path / "bits.json").write_text(
        json.dumps({"weights": [4, 2], "states": [4, 2], "buckets": [8]})
    )
    status, shown, errors = main("--bits-file", tmp_path / "bits.json", "--epochs", 20)
    assert status == 0, errors
    assert "0 of 90 predictions differ" in shown
    out = tmp_path / "out"
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["widths"] == "W4-2 M4 H4-2"
    graph = small_graph()
    found = simulate(storage.load(out / "network.npz"), graph.codes)[0, 0].argmax(1)
    right = float((found == graph.labels)[graph.test].mean())
    assert metrics["integer_accuracy"] == right
    assert len((out / "train.csv").read_text().splitlines()) == 21
    # The same accuracy by the simulator, which finds the words of the nodes by --data too.
    status, shown, errors = main(out / "network.npz", "--json", "-", command="simulate")
    assert status == 0, errors
    assert json.loads(shown[shown.index("{") :])["integer_accuracy"] == right
    status, _, errors = main("--epochs", 2)
    assert status == 2
    assert "holds a finished training" in errors
    floats = ("--weight-bits", "float", "--activation-bits", "float")
    status, shown, errors = main(*floats, "--epochs", 2, "--force")
    assert status == 0, errors
    assert not (out / "network.npz").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--model", "mlp"), "is a graph, whose network has no use for --model"),
        (("--weight-bits", "float"), "are both float or both quantized"),
        (("--bits-file", "bits.json"), "bits file 'bits.json' cannot be read"),
    ],
)
def test_options_that_mean_nothing_are_refused(main, tmp_path, given, says):
    status, _, errors = main(*given)
    assert status == 2
    assert says in errors
    assert not (tmp_path / "out" / "network.npz").exists()


@pytest.mark.parametrize("text", ['{"fc1": 4}', '{"messages": 4}', "[]", '{"states": [4, 2]}', "{"])
def test_bits_files_of_another_form_are_refused(main, tmp_path, text):
    (tmp_path / "bits.json").write_text(text)
    status, _, errors = main("--bits-file", tmp_path / "bits.json")
    assert status == 2
    assert "bits file" in errors
