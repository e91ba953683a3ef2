"""Networks that give maps: the loss of each pixel, what is told of them, the command."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from tests.train.test_command import main
from vecq_hw import data, storage
from vecq_hw.data.saliency import saliency_scores
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.quantize import weight_method
from vecq_hw.search.models import with_validation
from vecq_hw.simulate import network_inputs, object_maps, simulate
from vecq_hw.train import (
    PRESETS,
    Settings,
    Training,
    build_model,
    evaluate,
    load_checkpoint,
    predict_maps,
    quantize_model,
)
from vecq_hw.train.product import ProductStage

torch.set_num_threads(1)


def net(planes=1):
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Conv2d(6, planes, 3, padding=1),
    )


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 8 * 6, 2))


def squares(samples=48, seed=0):
    """A bright square on noise; images (2, 8, 6) and masks (8, 6)."""
    rng = np.random.default_rng(seed)
    x = rng.random((samples, 2, 8, 6)).astype(np.float32) * 0.5
    masks = np.zeros((samples, 8, 6), bool)
    for mask, row, column in zip(masks, *rng.integers(0, 4, (2, samples)), strict=True):
        mask[row : row + 4, column : column + 3] = True
    x[:, 0] += masks
    return {"x_train": x, "y_train": masks, "x_test": x[:20], "y_test": masks[:20]}


def dataset():
    return data.checked_dataset("squares", **squares())


def test_the_loss_is_the_binary_cross_entropy_of_each_pixel():
    torch.manual_seed(0)
    model = net()
    found = dataset()
    x, masks = torch.from_numpy(found.x_train), torch.from_numpy(found.y_train)
    scores = model.train()(x).detach()
    wanted = F.binary_cross_entropy_with_logits(scores, masks[:, None].float())
    right = ((scores[:, 0] > 0) == masks).double().mean()
    epoch = Training(model, found, Settings(epochs=1, batch_size=48)).run_epoch()
    assert epoch.loss == pytest.approx(float(wanted), rel=1e-5)
    assert epoch.accuracy == pytest.approx(float(right), abs=1e-6)


def test_masks_are_cropped_and_mirrored_with_their_images():
    given = squares()
    given["x_train"] = np.repeat(given["y_train"][:, None], 2, 1).astype(np.float32)
    settings = Settings(epochs=1, batch_size=16, padding=2, flip=True)
    training = Training(net(), data.checked_dataset("squares", **given), settings)
    moved = 0
    for chosen, x, y in training.batches():
        assert torch.equal(x[:, 0], y.float())
        moved += int((y != torch.from_numpy(given["y_train"])[chosen]).any((1, 2)).sum())
    assert moved > 24


@pytest.mark.parametrize("planes", [1, 2])
def test_maps_of_the_integer_network_are_those_of_training(planes):
    torch.manual_seed(1)
    found = dataset()
    twin = quantize_model(net(planes), 4, 8)
    training = Training(twin, found, Settings(epochs=8, batch_size=16, learning_rate=0.02))
    while not training.finished:
        training.run_epoch()
    network = lower(twin, found.shape)
    maps = object_maps(network, simulate(network, network_inputs(network, found.x_test)))
    assert maps.shape == found.y_test.shape
    trained = predict_maps(twin, found.x_test)
    np.testing.assert_allclose(maps, trained, atol=1e-2)
    assert (maps.round() == trained.round()).all()
    assert ((maps > 0.5) == found.y_test).mean() > 0.95


def test_a_teacher_with_one_score_is_followed():
    torch.manual_seed(2)
    method = weight_method("pq", scalar_channels=2, distilled=True)
    twin = quantize_model(net(), 2, 8, method=method)
    found = dataset()
    x, y = torch.from_numpy(found.x_train), torch.from_numpy(found.y_train).long()
    twin.train()(x)
    stage = ProductStage(twin.eval(), x, 0, lambda text: None)
    stage.advance(1.0)
    score = stage._teacher(x).detach()
    scores = torch.cat([torch.zeros_like(score), score], 1)
    assert float(stage.loss(scores, x, y)) == pytest.approx(0, abs=1e-6)
    wanted = F.binary_cross_entropy_with_logits(score + 1, score.sigmoid())
    wanted = wanted - F.binary_cross_entropy_with_logits(score, score.sigmoid())
    scores = torch.cat([torch.zeros_like(score), score + 1], 1)
    assert float(stage.loss(scores, x, y)) == pytest.approx(float(wanted), rel=1e-4)


def test_models_and_data_without_maps_are_refused():
    found = dataset()
    with pytest.raises(VecqError, match=r"\(48, 2, 8, 6\) is wanted: one score .* of each pixel"):
        Training(flat(), found, Settings(epochs=1, batch_size=48)).run_epoch()
    with pytest.raises(VecqError, match=r"\(N, 1, H, W\), or two are wanted for a map"):
        predict_maps(flat(), found.x_test)
    with pytest.raises(VecqError, match=r"\(N, classes\) is wanted"):
        evaluate(net(), found.x_test, found.y_test)
    with pytest.raises(VecqError, match="squares has masks, but a search compares"):
        with_validation(found, 0)
    other = data.Dataset(
        name="other", classes=2, x_train=found.x_train, y_train=found.y_train.astype(int),
        x_test=found.x_test, y_test=found.y_test,
    )  # fmt: skip
    with pytest.raises(VecqError, match="boolean masks"):
        Training(net(), other, Settings(epochs=1))
    torch.manual_seed(0)
    twin = quantize_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2, 8)
    twin.train()(torch.rand(8, 4))
    network = lower(twin.eval(), (4,))
    with pytest.raises(VecqError, match=r"gives \(2,\); one score of each pixel"):
        object_maps(network, np.zeros((1, 2), np.int64))


def test_presets_of_maps_give_one_score_of_each_pixel():
    names = [name for name in PRESETS if name.endswith("-blended")]
    assert len(names) == 4
    for name in names:
        with torch.device("meta"):
            model = build_model(PRESETS[name].model, (3, 64, 64), 2)
            assert model(torch.empty(2, 3, 64, 64)).shape == (2, 1, 64, 64)


def test_the_command_trains_scores_and_draws_maps(tmp_path, monkeypatch, capsys):
    def run(*arguments, status=0):
        found = main(*arguments, monkeypatch=monkeypatch, capsys=capsys)
        assert found[0] == status, found[2]
        return found[1] if status == 0 else found[2]

    (tmp_path / "own.py").write_text("from tests.train.test_masks import net")
    np.savez(tmp_path / "squares.npz", **squares())
    model = ("--data", tmp_path / "squares.npz", "--model", f"{tmp_path / 'own.py'}:net")
    settings = ("--epochs", 4, "--batch-size", 16, "--learning-rate", 0.02)
    first, second = tmp_path / "float", tmp_path / "w2"
    run("train", *model, *settings, "--weight-bits", "float", "--activation-bits", "float",
        "--out", first)  # fmt: skip
    shown = run("train", *model, *settings, "--from", first / "checkpoint.pt", "--out", second,
                "--plot", second / "maps.png")  # fmt: skip
    metrics = json.loads((second / "metrics.json").read_text())
    found = dataset()
    network = storage.load(second / "network.npz")
    maps = object_maps(network, simulate(network, network_inputs(network, found.x_test)))
    trained, _ = load_checkpoint(second / "checkpoint.pt", f"{tmp_path / 'own.py'}:net")
    for kind, values in (("integer", maps), ("qat", predict_maps(trained, found.x_test))):
        wanted = asdict(saliency_scores(zip(values, found.y_test, strict=True)))
        assert metrics[f"{kind}_scores"] == pytest.approx(wanted, rel=1e-6)
    wanted = json.loads((first / "metrics.json").read_text())["qat_scores"]
    assert metrics["float_scores"] == pytest.approx(wanted, rel=1e-6)  # floats, of other batches
    assert "qat_accuracy" not in metrics
    said = f"MAE {metrics['integer_scores']['mae']:.4f}, max F "
    assert f"integer {said}" in shown
    assert re.search(rf"{metrics['pixel_differences']} of 960 pixels decided otherwise", shown)
    simulated = run("simulate", second / "network.npz", "--data", tmp_path / "squares.npz",
                    "--json", tmp_path / "report.json")  # fmt: skip
    assert f"20 vectors, {said}" in simulated
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["integer_scores"] == metrics["integer_scores"]
    with Image.open(second / "maps.png") as picture:
        assert picture.width > 5 * 100  # image, mask and three maps

    errors = run("train", "--epochs", 1, "--out", tmp_path / "digits", "--plot",
                 tmp_path / "digits.png", status=2)  # fmt: skip
    assert "--plot draws the maps of images with masks, which Dataset(digits" in errors
    assert not (tmp_path / "digits").exists()
