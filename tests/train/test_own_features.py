"""Features of one's own, sequences and vectors, by the presets of their size."""

import json

import numpy as np
import pytest

from tests.train.test_command import main
from vecq_hw import data, storage
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense, Gru
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import PRESETS, build_model

CHANNELS, FRAMES = 8, 16


def tones(path, count=240):
    """Tones that rise, fall, stay or stop half-way: the bands of their frames, and noise."""
    rng = np.random.default_rng(0)
    kinds = np.arange(count) % 4
    time = np.linspace(0, 1, FRAMES)
    slope = np.array([1.0, -1.0, 0.0, 0.0])[kinds, np.newaxis]
    start = rng.uniform(3, 5, (count, 1))
    pitch = start + 2.5 * slope * (time - 0.5)
    bands = np.exp(-((np.arange(CHANNELS)[:, np.newaxis] - pitch[:, np.newaxis]) ** 2))
    bands[kinds == 3, :, FRAMES // 2 :] = 0
    x = bands + rng.normal(0, 0.1, bands.shape)
    saved(path, x, kinds)


def traffic(path, count=400):
    """Two kinds of vectors."""
    x = np.random.default_rng(0).normal(size=(count, 20))
    saved(path, x, (x[:, 0] + x[:, 1] > 0).astype(np.int64))


def saved(path, x, y):
    split = 3 * len(x) // 4
    x = x.astype(np.float32)
    parts = {"x_train": x[:split], "y_train": y[:split], "x_test": x[split:], "y_test": y[split:]}
    np.savez(path, **parts)


@pytest.mark.parametrize(
    ("make", "preset", "kinds"),
    [
        (tones, "gru-keywords", {Conv2d, Gru, Dense}),
        (traffic, "mlp-intrusion", {Dense}),
    ],
)
def test_a_file_in_the_data_folder_is_trained(make, preset, kinds, tmp_path, monkeypatch, capsys):
    name = PRESETS[preset].data
    make(tmp_path / f"{name}.npz")
    command = ("train", "--preset", preset, "--data-dir", tmp_path, "--weight-bits", 4)
    few = ("--epochs", 4, "--batch-size", 12, "--threads", 1, "--out", tmp_path / "out")
    status, _, errors = main(*command, *few, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0, errors
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["integer_accuracy"] > 0.85
    network = storage.load(tmp_path / "out" / "network.npz")
    assert {type(layer) for layer in network.layers} >= kinds
    dataset = data.load(tmp_path / f"{name}.npz")
    found = predictions(network, simulate(network, network_inputs(network, dataset.x_test)))
    assert (found == dataset.y_test).mean() == metrics["integer_accuracy"]


@pytest.mark.parametrize("preset", ["gru-keywords", "mlp-intrusion", "vgg-svhn"])
def test_a_folder_without_the_file_is_named(preset, tmp_path, monkeypatch, capsys):
    command = ("train", "--preset", preset, "--data-dir", tmp_path, "--out", tmp_path / "out")
    status, _, errors = main(*command, monkeypatch=monkeypatch, capsys=capsys)
    assert status != 0
    assert f"'{PRESETS[preset].data}' is not in '{tmp_path}'" in errors
    assert not (tmp_path / "out").exists()


def test_a_keyword_has_frames():
    with pytest.raises(VecqError, match=r"takes sequences \(C, L\) of at least 4 steps"):
        build_model("gru_keywords", (8, 3), 2)
    with pytest.raises(VecqError, match="not samples of"):
        build_model("gru_keywords", (40,), 2)
