"""MNIST's idx files and CIFAR-10's binary ones, in miniature."""

import contextlib
import gzip
import io
import tarfile

import numpy as np
import pytest

from vecq_hw import data
from vecq_hw.errors import VecqError


def idx(array, kind=8):
    head = bytes((0, 0, kind, array.ndim))
    return head + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def mnist(tmp_path, **changes):
    rng = np.random.default_rng(0)
    contents = {
        "train-images-idx3-ubyte": idx(rng.integers(0, 256, (12, 5, 4))),
        "train-labels-idx1-ubyte": idx(np.arange(12) % 3),
        "t10k-images-idx3-ubyte": idx(rng.integers(0, 256, (6, 5, 4))),
        "t10k-labels-idx1-ubyte": idx(np.arange(6) % 3),
    }
    contents |= {name.replace("_", "-"): content for name, content in changes.items()}
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in contents.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


def test_idx_files_plain_and_packed(tmp_path):
    folder = mnist(tmp_path)
    plain = data.load(folder)
    assert plain.shape == (1, 5, 4)
    assert plain.y_train.tolist() == [0, 1, 2] * 4
    raw = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    assert np.array_equal(plain.x_train.ravel(), raw.astype(np.float32) / np.float32(255))
    for path in list(folder.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = data.load(folder)
    assert np.array_equal(packed.x_test, plain.x_test)


def test_where_named_sets_lie(tmp_path, monkeypatch):
    mnist(tmp_path)
    assert data.load("mnist", tmp_path).classes == 3
    assert data.load("mnist", tmp_path / "mnist").classes == 3
    monkeypatch.setenv("VECQ_DATA", str(tmp_path))
    assert data.load("mnist").name == "mnist"
    with pytest.raises(VecqError, match=r"say with --data-dir or VECQ_DATA"):
        data.load("cifar10")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t10k_labels_idx1_ubyte": None}, "there is no 't10k-labels-idx1-ubyte'"),
        ({"train_labels_idx1_ubyte": idx(np.arange(11) % 3)}, r"one label a sample, \(12,\)"),
        ({"train_labels_idx1_ubyte": idx(np.zeros((12, 1)))}, "00 00 08 01, is wanted"),
        ({"train_labels_idx1_ubyte": idx(np.zeros(12), kind=13)}, "begins with the bytes 00 00 0d"),
        ({"train_labels_idx1_ubyte": b""}, "begins with the bytes of nothing"),
        ({"train_labels_idx1_ubyte": idx(np.arange(12))[:6]}, "ends within its header"),
        ({"train_labels_idx1_ubyte": idx(np.arange(12))[:-1]}, r"holds 19 bytes.*\(12\).*of 20"),
        ({"train_labels_idx1_ubyte": idx(np.arange(12)) + b"x"}, "holds more than 20 bytes"),
        ({"t10k_labels_idx1_ubyte": idx(np.arange(6))}, "y_test holds the label 5"),
        ({"train_labels_idx1_ubyte": idx(np.arange(12) % 2 * 2)}, "no sample of class 1"),
        ({"t10k_images_idx3_ubyte": idx(np.zeros((6, 4, 4)))}, "they must agree"),
    ],
)
def test_faulty_idx_files(tmp_path, changes, message):
    with pytest.raises(VecqError, match=message) as caught:
        data.load(mnist(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_a_cut_gzip_file(tmp_path):
    folder = mnist(tmp_path, train_labels_idx1_ubyte=None)
    content = gzip.compress(idx(np.arange(12) % 3))
    for damaged in (content[:-9], content[:5], b"plain", content[:20] + b"\0" * 9):
        (folder / "train-labels-idx1-ubyte.gz").write_bytes(damaged)
        with pytest.raises(VecqError, match=r"labels-idx1-ubyte\.gz' cannot be read or is cut"):
            data.load(folder)


def test_gzip_files_that_unpack_to_far_more_are_refused_by_their_header(tmp_path):
    folder = mnist(tmp_path, train_images_idx3_ubyte=None)
    path = folder / "train-images-idx3-ubyte.gz"
    sizes = np.array([100, 1000, 1000], ">u4").tobytes()
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + sizes + bytes(100_000_000)))
    with pytest.raises(VecqError, match=r"it would unpack from [\d,]+ bytes to 100,000,016"):
        data.load(folder)
    # a header that is honest about little does not let more through
    sizes = np.array([12, 4, 4], ">u4").tobytes()
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + sizes + bytes(1_000_000)))
    with pytest.raises(VecqError, match="holds more than 208 bytes"):
        data.load(folder)
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + b"\xff" * 12))
    with pytest.raises(VecqError, match="would unpack from"):
        data.load(folder)


NAMES = [*(f"data_batch_{index}.bin" for index in range(1, 6)), "test_batch.bin"]


def cifar(tmp_path, **changes):
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for index, name in enumerate(NAMES):
        records = np.random.default_rng(index).integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] = (np.arange(4) + index) % 5
        content = changes.get(name.partition(".")[0], records.tobytes())
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


def packed(folder, path):
    with tarfile.open(path, "w:gz") as file:
        for name in NAMES:
            content = (folder / name).read_bytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def test_cifar_files_and_their_archive(tmp_path):
    folder = cifar(tmp_path)
    plain = data.load("cifar10", tmp_path)
    assert plain.x_train.shape == (20, 3, 32, 32)
    assert plain.y_train[:5].tolist() == [0, 1, 2, 3, 1]
    record = (folder / "data_batch_2.bin").read_bytes()[3073 : 2 * 3073]
    assert plain.y_train[5] == record[0]
    assert np.round(plain.x_train[5, 2, 31, 30] * 255) == record[1 + 2 * 1024 + 31 * 32 + 30]
    path = packed(folder, tmp_path / "cifar-10-binary.tar.gz")
    again = data.load(path)
    assert np.array_equal(again.x_test, plain.x_test)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(VecqError, match="cannot be read or is cut short"):
        data.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_3": None}, r"data_batch_3.bin' cannot be read: No such file"),
        ({"data_batch_3": bytes(3072)}, "holds 3072 bytes, which are no whole number of records"),
        ({"data_batch_3": b""}, "holds 0 bytes"),
        ({"test_batch": b"\x0a" + bytes(3072)}, r"test_batch.bin' holds the label 10"),
    ],
)
def test_faulty_cifar_files(tmp_path, changes, message):
    with pytest.raises(VecqError, match=message):
        data.load(cifar(tmp_path, **changes))


def test_an_archive_without_a_batch(tmp_path):
    folder = cifar(tmp_path)
    path = tmp_path / "half.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        file.add(folder / NAMES[0], NAMES[0])
    with pytest.raises(VecqError, match=r"there is no 'data_batch_2.bin' in"):
        data.load(path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("target", ["/etc/hostname", "test_batch.bin", "absent"])
def test_links_in_an_archive_are_no_files(tmp_path, kind, target):
    path = tmp_path / "links.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in NAMES:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            file.addfile(member)
    with pytest.raises(VecqError, match=r"there is no 'data_batch_1.bin' in"):
        data.load(path)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path, kind):
    """However the bytes are called; a reader of headers would take all of a long name at once."""
    path = tmp_path / "bomb.tar.gz"
    member = tarfile.TarInfo(NAMES[0])
    member.type, member.size = kind, 70 << 20
    path.write_bytes(gzip.compress(member.tobuf() + bytes(member.size + 1024), 1))
    with pytest.raises(VecqError, match="would unpack from"):
        data.load(path)


@pytest.mark.parametrize("packing", ["", ":gz", ":bz2", ":xz"])
def test_damaged_archives_are_refused_or_whole(tmp_path, packing):
    folder, path = cifar(tmp_path), tmp_path / "set.tar"
    with tarfile.open(path, f"w{packing}") as file:
        for name in NAMES:
            file.add(folder / name, name)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    if packing in ("", ":gz"):
        assert len(data.load(path).x_train) == 20
    for _ in range(12):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 4):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(VecqError):
            data.load(path)
