"""CIFAR-10 in its binary version: records of a label and 32 × 32 pixels in three planes."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from vecq_hw.data.dataset import Dataset, checked_dataset, pixels
from vecq_hw.errors import VecqError
from vecq_hw.unpack import Unpacked

_TRAIN = tuple(f"data_batch_{index}.bin" for index in range(1, 6))
_TEST = "test_batch.bin"
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_CLASSES = 10


def find_cifar(path: Path) -> bool:
    """Whether ``path`` is a folder of the binary version, or its archive as it is loaded down."""
    return path.name.endswith((".tar.gz", ".tgz", ".tar")) or (path / _TEST).is_file()


def read_cifar(path: Path, name: str) -> Dataset:
    """The data set of ``data_batch_1.bin`` to ``5`` and ``test_batch.bin``, (3, 32, 32) in 0..1.

    Parameters
    ----------
    path : Path
        The folder with these files, or ``cifar-10-binary.tar.gz``, which is read in place.

    Raises
    ------
    VecqError
        A file is missing, cut short or holds a label beyond 9.
    """
    files = _folder(path, name) if path.is_dir() else _archive(path, name)
    records = [_records(name, file, files[file]) for file in (*_TRAIN, _TEST)]
    train, test = np.concatenate(records[:-1]), records[-1]
    return checked_dataset(name, _images(train), train[:, 0], _images(test), test[:, 0])


def _folder(path: Path, name: str) -> dict[str, bytes]:
    contents = {}
    for file in (*_TRAIN, _TEST):
        try:
            contents[file] = (path / file).read_bytes()
        except OSError as error:
            raise VecqError(
                f"{name}: '{path / file}' cannot be read: {error.strerror or error}"
            ) from None
    return contents


def _archive(path: Path, name: str) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    wanted = {*_TRAIN, _TEST}
    try:
        with (
            path.open("rb") as packed,
            tarfile.open(fileobj=cast(BinaryIO, Unpacked(packed)), mode="r|") as archive,
        ):
            for member in archive:
                file = PurePosixPath(member.name).name
                stream = archive.extractfile(member) if member.isreg() and file in wanted else None
                if stream is not None:
                    contents[file] = stream.read()
                if contents.keys() == wanted:
                    break
    except VecqError as error:
        raise VecqError(f"{name}: '{path}': {error}") from None
    except Exception as error:  # damaged archives raise a dozen kinds
        raise VecqError(f"{name}: '{path}' cannot be read or is cut short ({error})") from None
    for file in (*_TRAIN, _TEST):
        if file not in contents:
            raise VecqError(f"{name}: there is no '{file}' in '{path}'")
    return contents


def _records(name: str, file: str, content: bytes) -> npt.NDArray[np.uint8]:
    if not content or len(content) % _RECORD:
        raise VecqError(
            f"{name}: '{file}' holds {len(content)} bytes, which are no whole number of records of"
            f" {_RECORD}; load it down again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    if int(records[:, 0].max()) >= _CLASSES:
        raise VecqError(
            f"{name}: '{file}' holds the label {records[:, 0].max()}; CIFAR-10 has 0..9"
        )
    return records


def _images(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return pixels(records[:, 1:].reshape(-1, *_SHAPE))
