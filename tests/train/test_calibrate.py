"""What loaders yield, and what calibration makes of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vecq_hw.errors import VecqError
from vecq_hw.train import calibrate

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5)).astype(np.float32)


def trained():
    """A linear classifier of 3 classes that is right on 18 of 24 labels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def labels():
    y = trained()(torch.from_numpy(X)).argmax(1).numpy()
    y[:6] = (y[:6] + 1) % 3
    return y


Y = labels()
ONE_HOT = np.eye(3)[Y]


@pytest.mark.parametrize(
    "loader",
    [
        [(torch.from_numpy(X), torch.from_numpy(Y))],
        [[X, Y]],
        ((X[:20], Y[:20]), (X[20:], Y[20:])),
        [(X.astype(np.float64), Y.astype(np.int8))],
        [(np.ascontiguousarray(X[::-1])[::-1], Y)],  # strides below 0
        [(torch.from_numpy(X).double(), Y.tolist())],
        [(X, Y[:, None])],
        [(X, Y.astype(np.float32))],
        [(X, ONE_HOT)],
        [(X, ONE_HOT.astype(bool))],
        [(X, torch.from_numpy(ONE_HOT.astype(np.int64)))],
        [(X.tolist(), Y)],
        DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=7),
    ],
)
def test_samples_and_classes_in_every_form(loader, capsys):
    result = calibrate(trained(), loader)
    assert result.float_accuracy == 18 / 24
    wanted = calibrate(trained(), [(X, Y)]) if len(list(loader)) == 1 else None
    if wanted:
        assert result.accuracy == wanted.accuracy
        for one, other in zip(result.model.buffers(), wanted.model.buffers(), strict=True):
            assert torch.equal(one, other)
    assert "75.00% right in float" in capsys.readouterr().out


@pytest.mark.parametrize(
    "loader",
    [[X], [(X,)], [torch.from_numpy(X)], [(X, X)], [(X, Y + 0.5)], [(X, np.ones((24, 3)))]],
)
def test_without_classes_there_is_no_accuracy(loader, capsys):
    result = calibrate(trained(), loader)
    assert (result.float_accuracy, result.accuracy) == (None, None)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("targets", [np.zeros(24, int), np.zeros((24, 1)), X[:, :1]])
def test_one_output_is_no_classifier(targets):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    assert calibrate(model, [(X, targets)]).accuracy is None


def test_a_map_of_scores_has_no_single_class():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3))
    images = torch.rand(4, 1, 5, 5)
    assert calibrate(model, [(images, torch.zeros(4, 3, 3).long())]).accuracy is None
    assert calibrate(model, [(images, torch.zeros(4).long())]).accuracy is None


def test_float64_models_and_indices_of_embeddings():
    double = trained().double()
    assert calibrate(double, [(X, Y)]).float_accuracy == 18 / 24
    torch.manual_seed(0)
    text = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    words = RNG.integers(0, 9, (10, 3)).astype(np.int32)
    assert calibrate(text, [(words, np.zeros(10, int))]).accuracy is not None


class OneShot:
    """A loader that is empty when it is read again."""

    def __init__(self):
        self.left = [(X, Y)]

    def __iter__(self):
        left, self.left = self.left, []
        return iter(left)


PIXELS = RNG.integers(0, 256, (24, 5), dtype=np.uint8)


@pytest.mark.parametrize(
    ("loader", "says"),
    [
        (iter([X]), "the loader is read twice; give a DataLoader or a list of batches"),
        ([], "the loader gave no batch"),
        (OneShot(), "24 samples and then 0; one that can be read again"),
        (torch.from_numpy(X), r"not a Tensor; give a list with the one batch, \[x\]"),
        (X, r"not an ndarray; give a list"),
        (TensorDataset(torch.from_numpy(X)), "DataLoader\\(dataset, batch_size=64\\)"),
        (7, "a DataLoader or a list of batches is wanted, not an int"),
        (None, "not a NoneType"),
        ({"x": X}, "not a dict with the keys 'x'"),
        ("loader", "not a str"),
        ([PIXELS], "batch 1 holds torch.uint8; real numbers as the model takes them"),
        ([X > 0], "batch 1 holds torch.bool"),
        ([X, PIXELS.astype(np.int64)], "batch 2 holds torch.int64"),
        ([X.astype(complex)], "batch 1 holds torch.complex128"),
        ([np.array([{}, {}])], "batch 1: an ndarray holds no numbers"),
        ([np.array([["a"]])], "batch 1: an ndarray holds no numbers"),
        ([{"image": X, "label": Y}], r"such as \[\(b\['image'\], b\['label'\]\) for b in loader\]"),
        ([{}], "batch 1 is a dict with the keys of nothing"),
        ([(X, Y, Y)], r"batch 1 is a tuple of 3; .*\[\(x, y\) for x, y, \*_ in loader\]"),
        ([()], "batch 1 is a tuple of 0"),
        ([None], "batch 1 is a NoneType"),
        ([3.0], "batch 1 is a float"),
        ([X[0]], r"batch 1 has the shape \(5,\)"),
        ([X[:0]], r"batch 1 has the shape \(0, 5\)"),
        ([(X, Y[:3])], r"batch 1 has 24 samples, but labels of the shape \(3,\)"),
        ([(X, 3)], r"labels of the shape \(\)"),
        ([(X, "cat")], "the labels of batch 1: a str holds no numbers"),
        ([(X, Y + 1)], r"batch 1 has the label 3, but the model scores the classes 0\.\.2"),
        ([(X, Y - 1)], "batch 1 has the label -1"),
        ([X, np.full((3, 5), np.nan)], "batch 2 holds NaN"),
        (
            [np.full((3, 5), 1e300)],
            "batch 1 holds NaN, infinite values or some beyond",
        ),
        ([np.zeros((3, 5)), np.zeros((2, 5))], "every value of all batches is 0; samples that"),
        ([X[:, :4]], r"the model fails on batch 1 of the shape \(24, 4\): "),
    ],
)
def test_what_cannot_serve_is_refused_in_one_sentence(loader, says):
    model = trained()
    with pytest.raises(VecqError, match=says) as caught:
        calibrate(model, loader)
    assert "\n" not in str(caught.value)
    assert not model.training
