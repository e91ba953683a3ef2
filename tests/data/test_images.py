"""Image files in class folders: layouts, the cache, and what is refused."""

import contextlib
import io
import os
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from vecq_hw import data
from vecq_hw.data import images
from vecq_hw.errors import VecqError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def drawn(shape=(6, 5, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def files(shape=(6, 5, 3)):
    """Three training images and one test image of each of the classes cat and dog."""
    return {
        f"{split}/{label}/{index}.png": encoded(drawn(shape, seed=10 * index + len(label + split)))
        for split, count in (("train", 3), ("test", 1))
        for label in ("cat", "dog")
        for index in range(count)
    }


def folder(tmp_path, contents):
    for name, content in contents.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "set"


def archive(tmp_path, contents):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("form", [folder, archive])
@pytest.mark.parametrize("shape", [(6, 5, 3), (6, 5)])
def test_pixels_and_labels_of_class_folders(tmp_path, form, shape):
    contents = files(shape) | {"train/.DS_Store": b"x", "__MACOSX/train/cat/0.png": b"x"}
    contents["train/cat/.hidden"] = b"x"
    loaded = data.load(form(tmp_path, contents))
    assert loaded.shape == ((3, 6, 5) if len(shape) == 3 else (1, 6, 5))
    assert loaded.y_train.tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded.y_test.tolist() == [0, 1]
    wanted = np.asarray(Image.open(io.BytesIO(contents["train/dog/1.png"])))
    wanted = wanted.transpose(2, 0, 1) if wanted.ndim == 3 else wanted[None]
    assert np.array_equal(np.round(loaded.x_train[4] * 255), wanted)
    assert loaded.x_train.dtype == np.float32


def test_images_are_decoded_once(tmp_path, monkeypatch):
    path = folder(tmp_path, files())
    told = []
    first = data.load(path, progress=lambda done, total: told.append((done, total)))
    assert told == [(index, 8) for index in range(1, 9)]
    second = data.load(path, progress=lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(first.x_train, second.x_train)
    assert np.array_equal(first.y_test, second.y_test)
    # a damaged cache is made again, and so is that of other files
    (cached,) = images.cache_folder().iterdir()
    cached.write_bytes(cached.read_bytes()[:50])
    told.clear()
    assert np.array_equal(
        data.load(path, progress=lambda *_: told.append(0)).x_train, first.x_train
    )
    assert len(told) == 8
    (path / "train/cat/9.png").write_bytes(encoded(drawn()))
    assert len(data.load(path).x_train) == 7


def test_interrupted_decoding_leaves_no_cache(tmp_path):
    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    path = folder(tmp_path, files())
    with pytest.raises(KeyboardInterrupt):
        data.load(path, progress=stop)
    assert not images.cache_folder().exists()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("no folder")
    assert len(data.load(folder(tmp_path, files())).x_train) == 6


@pytest.mark.parametrize("form", [folder, archive])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train/cat/5.png": encoded(drawn((6, 4, 3)))}, "4 × 6 pixels, 'train/cat/0.png' 5 × 6"),
        ({"train/cat/5.png": b"no image"}, "'train/cat/5.png': it is no image or is damaged"),
        (
            {"train/cat/5.png": encoded(drawn())[:60]},
            "'train/cat/5.png': it is no image or is damaged",
        ),
        ({"train/cow/5.png": encoded(drawn())}, "no class 'cow' in test"),
        ({"test/cow/5.png": encoded(drawn())}, "no class 'cow' in train"),
        (
            {"train/ant/.hidden": b"", "test/ant/0.png": encoded(drawn())},
            "the class 'train/ant' holds no image",
        ),
    ],
)
def test_faulty_images_are_refused(tmp_path, form, changes, message):
    with pytest.raises(VecqError, match=message) as caught:
        data.load(form(tmp_path, files() | changes))
    assert "\n" not in str(caught.value)
    assert not images.cache_folder().exists()


def test_colour_among_gray_images(tmp_path):
    contents = files((6, 5)) | {"train/cat/5.png": encoded(drawn())}
    with pytest.raises(VecqError, match=r"'train/cat/5.png': it is coloured"):
        data.load(folder(tmp_path, contents))
    # gray among coloured ones is three equal planes
    contents = files() | {"train/cat/5.png": encoded(drawn((6, 5)))}
    loaded = data.load(archive(tmp_path, contents))
    assert np.array_equal(loaded.x_train[3][0], loaded.x_train[3][2])


@pytest.mark.parametrize("name", ["../train/cat/7.png", "/train/cat/7.png", "C:\\train\\7.png"])
def test_an_archive_with_paths_outside(tmp_path, name):
    with pytest.raises(VecqError, match="a path outside of it"):
        data.load(archive(tmp_path, files() | {name: encoded(drawn())}))


@pytest.mark.parametrize("name", [".", "./", "train", "train/", "train//x.png"])
def test_odd_names_in_an_archive_are_no_images(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = archive(tmp_path, files() | {name: b""})
    with contextlib.suppress(VecqError):
        assert len(data.load(path).x_train) == 6


@pytest.mark.parametrize("kind", ["pipe", "folder", "broken link"])
def test_what_is_no_file_in_a_class_is_refused(tmp_path, kind):
    path = folder(tmp_path, files())
    odd = path / "train/cat/odd.png"
    match kind:
        case "pipe":
            os.mkfifo(odd)
        case "folder":
            odd.mkdir()
        case _:
            odd.symlink_to(tmp_path / "absent.png")
    with pytest.raises(VecqError, match=r"train/cat/odd.png' is no file"):
        data.load(path)
    odd.rename(odd.with_name(".odd.png"))
    assert len(data.load(path).x_train) == 6


def test_layouts_and_archives_that_are_none(tmp_path):
    with pytest.raises(VecqError, match="train/CLASS/FILE and test/CLASS/FILE"):
        data.load(archive(tmp_path, {"cat/0.png": encoded(drawn())}))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive(tmp_path, files()).read_bytes()[:-40])
    with pytest.raises(VecqError, match="cannot be read or is cut short"):
        data.load(cut)
    locked = tmp_path / "locked.zip"
    content = bytearray(archive(tmp_path, files()).read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.index(b"PK\x01\x02") + 4)
    content[at + 8] |= 1  # the first entry of the directory, as if it were encrypted
    locked.write_bytes(content)
    with pytest.raises(VecqError, match="cannot be read or is cut short"):
        data.load(locked)
    with pytest.raises(VecqError, match="no such file"):
        data.load(tmp_path / "absent.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VecqError, match="is a folder without idx files"):
        data.load(tmp_path / "empty")


def test_cifar10_as_images_is_found_by_name(tmp_path):
    (tmp_path / "cifar10").mkdir()
    archive(tmp_path, files()).rename(tmp_path / "cifar10" / "cifar10-png.zip")
    assert data.load("cifar10", tmp_path).shape == (3, 6, 5)
