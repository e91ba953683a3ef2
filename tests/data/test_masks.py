"""Images with masks: from folders, archives and arrays, and what is refused."""

import re

import numpy as np
import pytest

from tests.data.test_images import archive, encoded, folder
from vecq_hw import data
from vecq_hw.errors import VecqError

MASKS = np.random.default_rng(0).integers(0, 2, (4, 6, 5)).astype(bool)
IMAGES = np.random.default_rng(1).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def files():
    """Three images to train on and one to test on; the order of names is not that of endings."""
    names = ("train", "a"), ("train", "a-1"), ("train", "b"), ("test", "a")
    contents = {}
    for (split, name), image, mask in zip(names, IMAGES, MASKS, strict=True):
        contents[f"{split}/images/{name}.bmp"] = encoded(image, "BMP")
        # Near to white and black, as a program leaves them that scaled a mask.
        contents[f"{split}/masks/{name}.png"] = encoded((mask * 200 + 20).astype(np.uint8))
    return contents


@pytest.mark.parametrize("form", [folder, archive])
def test_each_image_has_the_mask_of_its_name(tmp_path, form):
    path = form(tmp_path, files())
    for _ in range(2):  # decoded, and from the cache
        found = data.load(path)
        assert found.masked
        assert found.classes == 2
        assert found.shape == (3, 6, 5)
        assert found.y_train.dtype == bool
        assert np.array_equal(found.y_train, MASKS[:3])
        assert np.array_equal(found.y_test, MASKS[3:])
        assert np.array_equal(np.round(found.x_train * 255), IMAGES[:3].transpose(0, 3, 1, 2))
    assert "3 + 1 samples of (3, 6, 5), masks" in repr(found)


def test_bilevel_masks_are_read_as_they_are(tmp_path):
    contents = files()
    contents["test/masks/a.png"] = encoded(MASKS[3])
    assert np.array_equal(data.load(folder(tmp_path, contents)).y_test, MASKS[3:])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train/masks/b.png": None}, "'train/images/b.bmp' has no file of its name in 'train/m"),
        ({"test/images/a.bmp": None}, "the class 'test/images' holds no image"),
        ({"train/masks/a.bmp": encoded(IMAGES[0], "BMP")}, "two files of 'train/masks' have the"),
        ({"test/masks/a.png": encoded(IMAGES[0])}, "it is coloured, the images before it are gray"),
        ({"test/masks/a.png": encoded(np.zeros((5, 6), np.uint8))}, "scale them to one size"),
        ({"test/masks/a.png": encoded(np.zeros((6, 5), np.uint8))}, "every pixel of y_test is 0"),
    ],
)
def test_masks_that_fit_no_images_are_refused(tmp_path, changes, says):
    contents = {name: content for name, content in (files() | changes).items() if content}
    path = folder(tmp_path, contents)
    for name, content in changes.items():
        if content is None:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(VecqError, match=re.escape(says)):
        data.load(path)


def test_coloured_masks_are_refused(tmp_path):
    contents = {
        name: encoded(IMAGES[0]) if "masks" in name else content
        for name, content in files().items()
    }
    with pytest.raises(VecqError, match="a mask in 'train/masks' is coloured"):
        data.load(folder(tmp_path, contents))


def arrays(**changes):
    x = np.random.default_rng(2).normal(size=(4, 2, 6, 5))
    return {"x_train": x, "y_train": MASKS, "x_test": x, "y_test": MASKS} | changes


def test_arrays_with_masks_of_any_numbers_0_and_1(tmp_path):
    for kind in (np.bool_, np.uint8, np.float32):
        np.savez(tmp_path / "set.npz", **arrays(y_train=MASKS.astype(kind)))
        assert np.array_equal(data.load(tmp_path / "set.npz").y_train, MASKS)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y_train": MASKS * 255}, "y_train holds other numbers than 0 and 1"),
        ({"y_test": MASKS * 0.5}, "y_test holds other numbers than 0 and 1"),
        ({"y_test": MASKS[:, 0, 0]}, "y_test has the shape (4,) beside samples of (2, 6, 5)"),
        ({"y_train": MASKS[:3]}, "y_train has the shape (3, 6, 5)"),
        ({"y_train": MASKS[:, :5, :5]}, "y_train has the shape (4, 5, 5)"),
        ({"y_train": np.ones_like(MASKS)}, "every pixel of y_train is 1"),
    ],
)
def test_arrays_that_are_no_masks_are_refused(changes, says):
    with pytest.raises(VecqError, match=re.escape(says)):
        data.checked_dataset("mine", **arrays(**changes))
