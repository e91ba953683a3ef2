import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vecq_hw import data
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.quantize import vecq
from vecq_hw.train import (
    build_model,
    evaluate,
    fit,
    load_model_factory,
    mlp,
    predict,
    quantize_model,
)

torch.set_num_threads(1)  # on small networks a second thread only waits


def blobs(samples=60, features=6, classes=3, seed=0):
    """Three well separated clouds, some of their values negative."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, features)) * 3
    y = np.arange(2 * samples) % classes
    x = centres[y] + rng.normal(size=(2 * samples, features)) * 0.5
    return data.checked_dataset("blobs", x[:samples], y[:samples], x[samples:], y[samples:])


def trained(seed, model_seed=0):
    torch.manual_seed(model_seed)
    model = quantize_model(build_model("mlp", (6,), 3))
    history = fit(model, blobs(), epochs=4, batch_size=16, seed=seed, progress=False)
    return model, history


def test_fit_learns_and_leaves_evaluation_mode():
    model, history = trained(0)
    assert len(history) == 4
    assert history[-1] < history[0]
    assert not model.training
    assert evaluate(model, blobs().x_test, blobs().y_test) == 1.0


def test_the_same_seed_gives_the_same_bits():
    first, second, other = trained(7), trained(7), trained(8)
    assert first[1] == second[1] != other[1]
    state, again = first[0].state_dict(), second[0].state_dict()
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_fit_leaves_the_users_random_numbers_alone():
    torch.manual_seed(3)
    model = mlp(6, 3)
    before = torch.get_rng_state()
    fit(model, blobs(), epochs=1, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_progress_bar_on_a_terminal_alone(monkeypatch, capsys):
    fit(mlp(6, 3), blobs(), epochs=2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("TERM", "xterm")
    for progress in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        fit(mlp(6, 3), blobs(), epochs=2, progress=progress)
        assert ("epoch 2, loss" in terminal.getvalue()) == progress


class Interrupting(nn.Module):
    """Ctrl-C in the middle of the third step."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.steps = 0

    def forward(self, x):
        self.steps += 1
        if self.steps == 3:
            raise KeyboardInterrupt
        return self.fc(x)


def test_interrupt_keeps_what_was_learnt():
    model = Interrupting()
    before = model.fc.weight.detach().clone()
    with pytest.raises(KeyboardInterrupt):
        fit(model, blobs(), epochs=5, batch_size=16, progress=True)
    assert model.steps == 3
    assert not model.training
    assert not torch.equal(model.fc.weight, before)
    assert torch.isfinite(model.fc.weight).all()


def test_a_last_batch_of_one_sample_is_left_out():
    set_of_33 = blobs(samples=33)
    model = quantize_model(mlp(6, 3))
    fit(model, set_of_33, epochs=1, batch_size=16, progress=False)
    assert int(model.bn1.num_batches_tracked) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "at least one epoch, not 0"),
        ({"batch_size": 1}, "at least 2 samples"),
        ({"batch_size": 2.5}, "at least 2 samples .*, not 2.5"),
        ({"batch_size": True}, "at least 2 samples .*, not True"),
        ({"epochs": "3"}, "at least one epoch, not '3'"),
        ({"seed": -1}, "a seed is 0 to 9223372036854775807, not -1"),
        ({"seed": 10**22}, "a seed is 0 to 9223372036854775807, not 1000"),
        ({"learning_rate": "0.1"}, "learning rate must be positive and at most 1e30, not '0.1'"),
        ({"learning_rate": 0.0}, "learning rate must be positive"),
        ({"learning_rate": float("nan")}, "learning rate must be positive"),
        ({"learning_rate": 1e37}, "learning rate must be positive and at most 1e30, not 1e[+]37"),
        ({"learning_rate": 1e30, "epochs": 3}, "training diverged in epoch"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(VecqError, match=message):
        fit(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3)), blobs(), progress=False, **settings)


def changed(**fields):
    return dataclasses.replace(blobs(), **fields)


def frozen():
    return mlp(6, 3).requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "samples", "message"),
    [
        (
            mlp(6, 1),
            changed(classes=1, y_train=np.zeros(60, np.int64)),
            "at least 2 classes, not 1",
        ),
        (mlp(6, 1), changed(y_train=np.linspace(0, 1, 60)), "labels of the type float64 .* wanted"),
        (mlp(6, 3), changed(y_train=np.zeros((60, 1), np.int64)), r"shape \(60, 1\) are given"),
        (mlp(6, 3), changed(y_train=np.full(60, 3)), r"labels lie in 0..2, not in 3..3"),
        (
            mlp(6, 3),
            changed(x_train=np.full((60, 6), np.nan, np.float32)),
            "blobs: x_train holds NaN or infinite",
        ),
        (
            mlp(6, 3),
            changed(x_train=np.zeros((60, 6), np.float32)),
            "blobs: every value of x_train is 0; samples that differ",
        ),
        (frozen(), blobs(), "no parameter that could be trained"),
        (nn.Flatten(), blobs(), "no parameter that could be trained"),
        (mlp(6, 3).to("meta"), blobs(), "lies on the device 'meta'"),
        (nn.Sequential(nn.LazyLinear(3)), blobs(), "has no shape yet"),
        ("mlp", blobs(), "training takes a Module, not str"),
        (mlp(6, 3), [1, 2], "training takes a Dataset, not list"),
    ],
)
def test_what_would_train_nothing_is_refused(model, samples, message):
    with pytest.raises(VecqError, match=message):
        fit(model, samples, epochs=1, progress=False)


def test_there_is_nothing_right_in_a_regression():
    x = blobs().x_test
    with pytest.raises(
        VecqError, match=r"scores of the shape \(1,\), so it tells no classes apart"
    ):
        evaluate(mlp(6, 1), x, np.zeros(60))
    with pytest.raises(
        VecqError, match=r"scores of the shape \(1,\), so it tells no classes apart"
    ):
        predict(mlp(6, 1), x)
    with pytest.raises(VecqError, match="labels of the type float64"):
        evaluate(mlp(6, 3), x, np.linspace(0, 1, 60))
    images = nn.Sequential(nn.Linear(6, 12), nn.Unflatten(1, (4, 3)))
    with pytest.raises(VecqError, match=r"\(60, 4, 3\); \(N, classes\) is wanted"):
        evaluate(images, x, np.zeros(60, np.int64))
    for nothing in (x[:0], None, "x"):
        with pytest.raises(VecqError, match="there is no sample to predict"):
            predict(mlp(6, 3), nothing)
    for size in (0, 2.5):
        with pytest.raises(VecqError, match=f"a batch holds at least 1 sample, not {size}"):
            predict(mlp(6, 3), x, size)
    with pytest.raises(VecqError, match=r"a torch.nn.Module is wanted, not str"):
        predict("mlp", x)
    with pytest.raises(VecqError, match=r"fails on samples of the shape \(5,\)"):
        predict(mlp(6, 3), x[:, :5])


def test_a_layer_that_died_is_named():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    with torch.no_grad():
        model[2].bias.fill_(-1000.0)
    twin = quantize_model(model)
    fit(twin, blobs(), epochs=1, progress=False)
    for use in (lambda: predict(twin, blobs().x_test), lambda: lower(twin)):
        with pytest.raises(VecqError, match=r"quantizer '3' has met nothing but zeros.* died"):
            use()
    with pytest.raises(VecqError, match=r"met no value but zero in training mode.*has died"):
        twin(torch.ones(1, 6))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_samples_that_say_nothing_are_named_as_such(value):
    twin = quantize_model(nn.Sequential(nn.Linear(6, 3, bias=False)), bias_bits=None)
    twin(torch.full((9, 6), value))
    for use in (lambda: predict(twin, blobs().x_test), lambda: lower(twin)):
        with pytest.raises(VecqError, match=r"has met no finite value but zero; train it, or run"):
            use()


def test_prediction_leaves_each_layer_in_its_mode():
    model = mlp(6, 3)
    model.bn1.eval()
    predict(model, blobs().x_test)
    assert [model.training, model.bn1.training, model.bn2.training] == [True, False, True]


def test_a_model_that_does_not_fit_the_data():
    with pytest.raises(VecqError, match=r"fails on samples of the shape \(6,\)"):
        fit(mlp(7, 3), blobs(), progress=False)
    with pytest.raises(VecqError, match="one score for each of the 3 classes"):
        fit(mlp(6, 2), blobs(), progress=False)


def test_predict_works_in_batches_and_restores_the_mode():
    model = mlp(6, 3).train()
    x = blobs().x_test
    assert np.array_equal(predict(model, x, batch_size=7), predict(model, x))
    assert model.training


def test_the_users_own_loop():
    torch.manual_seed(0)
    samples = blobs()
    twin = quantize_model(mlp(6, 3), 2, 8)
    loader = DataLoader(
        TensorDataset(torch.from_numpy(samples.x_train), torch.from_numpy(samples.y_train)),
        batch_size=20,
        shuffle=True,
    )
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    codes = vecq(twin.fc1.weight, 2).codes
    for _ in range(5):
        twin.train()
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(x), y).backward()
            optimizer.step()
    assert evaluate(twin, samples.x_test, samples.y_test) == 1.0
    assert not torch.equal(codes, vecq(twin.fc1.weight, 2).codes)
    again = quantize_model(mlp(6, 3), 2, 8)
    again.load_state_dict(twin.state_dict())
    x = torch.from_numpy(samples.x_test)
    assert torch.equal(again.eval()(x), twin.eval()(x))


def test_without_torch_the_import_says_what_to_install():
    code = (
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n"
        "import vecq_hw.PACKAGE"
    )
    for package in ("quantize", "train", "lower"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("PACKAGE", package)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "MissingToolError: torch is missing (training); run: pip install" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "'resnet': mlp, cnn, .* or FILE.py:FUNCTION is wanted"),
        ("nothing.py:make", "there is no file 'nothing.py'"),
        ("{}/model.py:absent", "has no function 'absent'"),
        ("{}/model.py:number", "has no function 'number'"),
        ("{}/model.py:", "FILE.py:FUNCTION is wanted"),
        ("{}/broken.py:make", "failed: SyntaxError"),
        ("{}/model.py:fails", "failed: ValueError: no luck"),
        ("{}/model.txt:make", "is no Python file"),
    ],
)
def test_model_names(tmp_path, name, message):
    (tmp_path / "model.py").write_text(
        "number = 3\ndef fails():\n    raise ValueError('no luck')\n"
    )
    (tmp_path / "model.txt").write_text("")
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(VecqError, match=message):
        build_model(name.format(tmp_path), (6,), 3)


def test_factory_of_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import torch\ndef make():\n    return torch.nn.Linear(2, 2)\n")
    assert isinstance(load_model_factory(f"{file}:make")(), nn.Linear)


def test_built_in_models():
    x = torch.rand(4, 3, 9, 11)
    assert build_model("cnn", (3, 9, 11), 5)(x).shape == (4, 5)
    assert build_model("mlp", (3, 9, 11), 5)(x).shape == (4, 5)
    for shape in ((6,), (1, 3, 8)):
        with pytest.raises(VecqError, match="the cnn takes images"):
            build_model("cnn", shape, 5)
