import importlib.util
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from vecq_hw import data
from vecq_hw.errors import MissingToolError, VecqError


def arrays(**changes):
    rng = np.random.default_rng(0)
    good = {
        "x_train": rng.normal(size=(20, 5)),
        "y_train": np.arange(20) % 4,
        "x_test": rng.normal(size=(8, 5)),
        "y_test": np.arange(8) % 4,
    }
    return good | changes


def saved(tmp_path, **changes):
    path = tmp_path / "set.npz"
    np.savez(path, **{k: v for k, v in arrays(**changes).items() if v is not None})
    return path


@pytest.mark.parametrize("name", ["digits", "digits-last"])
def test_digits(name):
    digits = data.load(name)
    assert digits.x_train.shape == (1200, 1, 8, 8)
    assert digits.x_test.shape == (597, 1, 8, 8)
    assert digits.shape == (1, 8, 8)
    assert digits.classes == 10
    assert digits.x_train.dtype == np.float32
    assert digits.y_test.dtype == np.int64
    assert digits.x_train.min() == 0.0
    assert digits.x_train.max() == 1.0
    assert np.array_equal(digits.x_train * 16, np.round(digits.x_train * 16))
    again = data.load(name)
    assert np.array_equal(again.x_test, digits.x_test)
    everything = np.concatenate([digits.x_train, digits.x_test]).reshape(1797, -1)
    assert len(np.unique(everything, axis=0)) == 1797


def test_splits_of_the_digits():
    stratified, last = data.load("digits"), data.load("digits-last")
    counts = np.bincount(stratified.y_test)
    whole = np.bincount(np.concatenate([stratified.y_train, stratified.y_test]))
    assert np.all(np.abs(counts - whole * 597 / 1797) < 1)
    from sklearn.datasets import load_digits

    assert np.array_equal(last.y_test, load_digits().target[1200:])
    assert np.array_equal(last.x_test.reshape(597, 64) * 16, load_digits().data[1200:])


@pytest.mark.parametrize(
    "x_train",
    [
        np.random.default_rng(1).normal(size=(20, 5)),
        np.random.default_rng(1).integers(-9, 9, size=(20, 5), dtype=np.int8),
        np.random.default_rng(1).random(size=(20, 5)) > 0.5,
    ],
)
def test_npz_of_features(tmp_path, x_train):
    loaded = data.load(saved(tmp_path, x_train=x_train))
    assert loaded.x_train.dtype == np.float32
    assert np.array_equal(loaded.x_train, x_train.astype(np.float32))
    assert loaded.shape == (5,)
    assert loaded.classes == 4


def test_npz_of_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (28, 3, 6, 4), dtype=np.uint8)
    path = saved(tmp_path, x_train=images[:20], x_test=images[20:], y_train=arrays()["y_train"])
    loaded = data.load(str(path))
    assert loaded.shape == (3, 6, 4)
    assert np.array_equal(loaded.x_test, images[20:])
    assert "20 + 8 samples of (3, 6, 4), 4 classes" in repr(loaded)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "there is no 'x_test' in it; it holds x_train, y_train, y_test"),
        ({"x_train": np.ones((20, 5), complex)}, "x_train has the type complex128"),
        ({"x_train": np.full((20, 5), np.nan)}, "x_train holds NaN"),
        ({"x_test": np.full((8, 5), -np.inf)}, "x_test holds NaN or infinite"),
        ({"x_test": np.full((8, 5), 1e300)}, "beyond float32"),
        ({"x_train": np.ones(20)}, r"\(20,\); \(N, C\), \(N, C, L\) or \(N, C, H, W\) is wanted"),
        ({"x_train": np.ones((20, 1, 2, 3, 4))}, r"shape \(20, 1, 2, 3, 4\); \(N, C\)"),
        ({"x_train": np.zeros((20, 5))}, "every value of x_train is 0; samples that differ are"),
        ({"x_train": np.full((20, 5), 0.5)}, "every value of x_train is 0.5"),
        ({"x_train": np.ones((0, 5)), "y_train": np.ones(0, int)}, "x_train has the shape"),
        ({"x_test": np.ones((8, 6))}, "they must agree"),
        ({"y_train": np.arange(19) % 4}, r"one label a sample, \(20,\), is wanted"),
        ({"y_train": np.arange(20).reshape(20, 1) % 4}, "one label a sample"),
        ({"y_train": np.arange(20) % 4 + 0.0}, "y_train has the type float64; integer labels"),
        (
            {"y_train": np.array(["cat", "dog"] * 10)},
            "'y_train' has the type <U3; numbers are wanted",
        ),
        ({"y_train": np.arange(20) % 4 - 1}, "label -1; labels start at 0"),
        ({"y_train": np.zeros(20, int)}, "holds one class"),
        ({"y_train": np.arange(20) % 4 * 2}, "no sample of class 1"),
        ({"y_train": np.arange(20) % 4 + 1}, "no sample of class 0"),
        ({"y_train": np.full(20, 1 << 40)}, "labels count classes from 0"),
        ({"y_test": np.arange(8)}, r"y_test holds the label 7, y_train only 0\.\.3"),
        ({"x_train": np.array([{}] * 20)}, "pickled objects, which are not loaded"),
    ],
)
def test_bad_npz_is_refused_in_one_sentence(tmp_path, changes, message):
    path = saved(tmp_path, **changes)
    with pytest.raises(VecqError, match=message) as caught:
        data.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("given", [[[1, 2], [3]], [[1, "a"]], object()])
def test_what_is_no_array_is_refused(given):
    with pytest.raises(VecqError, match="x_train") as caught:
        data.checked_dataset("mine", **arrays(x_train=given))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_npz(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("x,y\n1,2\n")
    array = tmp_path / "array.npz"
    with array.open("wb") as file:
        np.save(file, np.ones(3))
    short = tmp_path / "short.npz"
    short.write_bytes(saved(tmp_path).read_bytes()[:300])
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    other = tmp_path / "other.npz"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY not an array")
        archive.writestr("y_train.npy", b"")
        archive.writestr("x_test.npy", b"")
        archive.writestr("y_test.npy", b"")
    for path in (text, array, short, empty, other):
        with pytest.raises(
            VecqError, match=r"cannot be read as an \.npz file that numpy"
        ) as caught:
            data.load(path)
        assert "\n" not in str(caught.value)
        assert "allow_pickle" not in str(caught.value)
    with pytest.raises(VecqError, match="there is no such file"):
        data.load(tmp_path / "nothing.npz")
    folder = tmp_path / "folder.npz"
    folder.mkdir()
    with pytest.raises(VecqError, match="is a folder"):
        data.load(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "faces",
            "data 'faces': 'digits', 'digits-last', 'mnist', 'cifar10', 'svhn', 'imdb',"
            " 'thucnews-titles', 'keywords', 'intrusion', 'blended-objects' or the path of",
        ),
        ("mnits", "data 'mnits': there is no such data set or file; did you mean 'mnist'?"),
        ("MNIST", "did you mean 'mnist'?"),
        ("cifar-10", "did you mean 'cifar10'?"),
        ("digit", "did you mean 'digits'?"),
        ("digits_last", "did you mean 'digits-last'?"),
        ("absent/mnist", "data 'absent/mnist': there is no such file or folder"),
        ("absent.npz", "data 'absent.npz': there is no such file or folder"),
        ("x" * 300, "cannot be read: File name too long"),
        ("x" * 300 + ".npz", "cannot be read: File name too long"),
        ("a\0b", "or the path of an .npz"),
    ],
)
def test_unknown_names(name, says):
    with pytest.raises(VecqError) as caught:
        data.load(name)
    assert says in str(caught.value)


def test_npz_of_sequences(tmp_path):
    x = np.random.default_rng(0).normal(size=(28, 3, 9))
    loaded = data.load(saved(tmp_path, x_train=x[:20], x_test=x[20:]))
    assert loaded.shape == (3, 9)
    assert np.array_equal(loaded.x_test, x[20:].astype(np.float32))


def test_an_npz_that_announces_more_than_it_holds(tmp_path):
    path = saved(tmp_path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["x_train.npy"] = members["x_train.npy"].replace(b"(20, 5)", b"(20000000000000, 5)", 1)
    header = members["x_train.npy"]
    at = header.index(b"\n")
    members["x_train.npy"] = header[: at - 12] + header[at:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(
        VecqError,
        match=r"'x_train' has the shape \(20000000000000, 5\), which takes [\d,]+ bytes, not 800",
    ):
        data.load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if name != "x_train.npy" else bytes(70 << 20))
    with pytest.raises(VecqError, match="would unpack from"):
        data.load(path)


def test_missing_scikit_learn(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name)
    )
    with pytest.raises(MissingToolError, match="scikit-learn is missing"):
        data.load("digits")


def test_data_loads_no_torch():
    code = "import sys, vecq_hw.data; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
