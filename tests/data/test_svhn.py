"""SVHN's two files of MATLAB, and others in their place."""

import numpy as np
import pytest
from scipy.io import savemat

from vecq_hw import data
from vecq_hw.errors import VecqError


def folder(path, **changes):
    """Both files, twenty images each; ``changes`` are made in the second."""
    rng = np.random.default_rng(0)
    path.mkdir(exist_ok=True)
    held = {}
    for file in ("train", "test"):
        images = rng.integers(0, 256, (32, 32, 3, 20)).astype(np.uint8)
        held = {"X": images, "y": np.arange(20)[:, np.newaxis].astype(np.uint8) % 10 + 1}
        if file == "test":
            held |= changes
        savemat(path / f"{file}_32x32.mat", held, do_compression=True)
    return held


def test_the_pixels_are_where_they_were(tmp_path, monkeypatch):
    held = folder(tmp_path / "svhn")
    monkeypatch.setenv("VECQ_DATA", str(tmp_path))
    for found in (data.load("svhn"), data.load(tmp_path / "svhn")):
        assert found.x_test.shape == (20, 3, 32, 32)
        assert found.y_test.tolist() == [*range(1, 10), 0] * 2
        wanted = held["X"][5, 7, 2, 11] / np.float32(255)
        assert found.x_test[11, 2, 5, 7] == wanted
        assert found.classes == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"X": np.zeros((32, 32, 20), np.uint8)},
        {"X": np.zeros((32, 32, 3, 20))},
        {"X": np.zeros((32, 31, 3, 20), np.uint8)},
        {"y": np.ones((19, 1), np.uint8)},
        {"y": np.array(["1"] * 20, object)},
    ],
)
def test_other_arrays_are_refused(tmp_path, changes):
    folder(tmp_path / "svhn", **changes)
    with pytest.raises(VecqError, match="is not SVHN's: an X of bytes"):
        data.load(tmp_path / "svhn")


def test_other_digits_and_damage_are_refused(tmp_path):
    folder(tmp_path, y=np.arange(20))
    with pytest.raises(VecqError, match=r"the digits in '.*test_32x32.mat' are not 1..10"):
        data.load(tmp_path)
    for content in (b"", b"MATLAB", (tmp_path / "train_32x32.mat").read_bytes()[:-300]):
        (tmp_path / "test_32x32.mat").write_bytes(content)
        with pytest.raises(VecqError, match=r"cannot be read or is cut short|is not SVHN's"):
            data.load(tmp_path)
