"""From a file of texts to an integer network."""

import csv
import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.train.test_command import main
from vecq_hw import data, storage
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense, Embedding, Lstm
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import PRESETS, build_model, evaluate, fit, load_checkpoint, quantize_model

MODEL = """
from torch import nn

from vecq_hw.train.models_text import TextConvLSTM


def small():
    model = TextConvLSTM(vocabulary=20)
    model.embedding = nn.Embedding(20, 6)
    model.conv = nn.Conv1d(6, 4, 3)
    model.pool = nn.MaxPool1d(2)
    model.lstm = nn.LSTM(4, 4, batch_first=True)
    model.fc = nn.Linear(4, 1)
    return model
"""
WORDS = ("the", "film", "was", "very", "long", "and", "slow", "fine")


def films(path, count=300):
    """Texts of 4 to 9 words, good where 'fine' is the last of the two words that tell."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        text = list(rng.choice(WORDS[:6], rng.integers(3, 9)))
        text.insert(int(rng.integers(0, len(text))), WORDS[6 + number % 2])
        lines.append(f"{' '.join(text)} {(number % 2 and 'fine') or 'slow'}\t{number % 2}\n")
    path.write_text("".join(lines))
    return path


def test_a_file_of_texts_becomes_an_integer_network(tmp_path, monkeypatch, capsys):
    path, model = films(tmp_path / "films.tsv"), tmp_path / "model.py"
    model.write_text(MODEL)
    out = tmp_path / "out"
    command = (
        *("train", "--data", path, "--model", f"{model}:small", "--epochs", 12),
        *("--learning-rate", 0.02, "--weight-bits", 4, "--out", out),
    )
    status, shown, errors = main(*command, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0, errors
    assert "the last 9 words of a text are read" in shown or "the last 10 words" in shown
    assert "of those for validation" in shown
    dataset = data.load(path)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["integer_accuracy"] > 0.9
    assert metrics["qat_accuracy"] > 0.9
    assert metrics["prediction_differences"] <= 1
    assert len(metrics["validation_accuracies"]) == 12
    assert metrics["validation_accuracies"][-1] > 0.9
    assert (out / "vocabulary.txt").read_text().split() == list(dataset.vocabulary)
    with (out / "train.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["validation_accuracy"]) > 0.9
    network = storage.load(out / "network.npz")
    kinds = {type(layer) for layer in network.layers}
    assert {Embedding, Conv2d, Lstm, Dense} <= kinds
    codes = network_inputs(network, dataset.x_test)
    right = predictions(network, simulate(network, codes)) == dataset.y_test
    assert right.mean() == metrics["integer_accuracy"]
    # What goes on finds the vocabulary and the history as they were.
    status, _, errors = main(
        *("train", "--resume", "--model", f"{model}:small", "--out", out),
        monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 0, errors
    assert json.loads((out / "metrics.json").read_text())["losses"] == metrics["losses"]


def test_one_score_tells_two_classes_apart(tmp_path):
    dataset = data.load(films(tmp_path / "films.txt", 60))
    torch.manual_seed(0)
    twin = quantize_model(build_model("imdb", dataset.shape, 2), 2, 8, input_shape=dataset.shape)
    assert fit(twin, dataset, epochs=1)[0] == pytest.approx(np.log(2), abs=0.2)
    with torch.no_grad():
        scores = twin(torch.from_numpy(dataset.x_test))
    assert scores.shape == (len(dataset.x_test), 1)
    wanted = scores.numpy()[:, 0] > 0
    assert evaluate(twin, dataset.x_test, wanted.astype(np.int64)) == 1.0
    network = lower(twin, dataset.shape)
    found = predictions(network, simulate(network, network_inputs(network, dataset.x_test)))
    assert found.tolist() == wanted.astype(int).tolist()
    assert prediction_differences(twin, network, dataset.x_test) == 0
    with torch.no_grad():
        twin.get_submodule("fc").bias += 1 + abs(float(scores.max())) * (1 if found.any() else -1)
    assert prediction_differences(twin, network, dataset.x_test) > 0


def test_indices_that_the_model_has_no_entry_for(tmp_path):
    dataset = data.load(films(tmp_path / "films.txt", 60))
    few = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(4 * dataset.shape[0], 2))
    with pytest.raises(VecqError, match="has 12 indices, but the model's Embedding 9 entries"):
        fit(few, dataset, epochs=1)
    with pytest.raises(VecqError, match="no Embedding that reads them"):
        fit(nn.Linear(dataset.shape[0], 2), dataset, epochs=1)


@pytest.mark.parametrize(
    ("name", "classes", "weights"), [("lstm-imdb", 2, 2_638_895), ("lstm-thucnews-titles", 10, 0)]
)
def test_presets_for_texts(name, classes, weights):
    preset = PRESETS[name]
    model = build_model(preset.model, (100,), classes)
    assert not weights or sum(one.numel() for one in model.parameters()) == pytest.approx(
        weights, abs=1000
    )
    # As Keras begins: words near zero, gates that forget open.
    assert 0.049 < model.get_parameter("embedding.weight").abs().max().item() <= 0.05
    size = model.get_submodule("lstm").hidden_size
    assert model.get_parameter("lstm.bias_ih_l0").nonzero()[:, 0].tolist() == [
        *range(size, 2 * size)
    ]
    assert model(torch.zeros(2, 100, dtype=torch.int64)).shape == (2, 1 if classes == 2 else 10)


def test_the_checkpoint_of_texts_is_read_back(tmp_path, monkeypatch, capsys):
    path, out = films(tmp_path / "films.txt", 60), tmp_path / "out"
    command = ("train", "--data", path, "--model", "thucnews", "--epochs", 1, "--out", out)
    status, _, errors = main(
        *command, "--weight-bits", "float", "--activation-bits", "float",
        monkeypatch=monkeypatch, capsys=capsys,
    )  # fmt: skip
    assert status == 0, errors
    model, recipe = load_checkpoint(out / "checkpoint.pt")
    assert recipe.shape == (10,) or recipe.shape == (9,)
    assert model.get_parameter("embedding.weight").shape == (5000, 128)
