"""Reading what others wrote with no more memory than its size deserves: .npz, .npy, .gz; no pickle.

Compressed files of a few kilobytes can announce gigabytes.  So sizes are taken from the headers and
judged before anything is unpacked, and never more is read than was announced.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError

FREE_BYTES = 64 << 20
"""So much may come out of a file of any size."""
MOST_TIMES = 100
"""Beyond that, at most so many times the size of the file: weights of 1 bit shrink 16-fold, MNIST
5-fold, deflate can do 1,032-fold."""


def in_proportion(unpacked: int, packed: int) -> bool:
    """Whether a file of ``packed`` bytes may hold so many."""
    return unpacked <= max(FREE_BYTES, MOST_TIMES * packed)


def check_unpacked(unpacked: int, packed: int) -> None:
    """Refuse contents that are out of proportion to the file that holds them, both in bytes.

    Raises
    ------
    VecqError
        They are more than :func:`in_proportion` allows.
    """
    if not in_proportion(unpacked, packed):
        raise VecqError(
            f"it would unpack from {packed:,} bytes to {unpacked:,}, but at most {MOST_TIMES} times"
            f" the size, or {FREE_BYTES:,} bytes, are unpacked; store it uncompressed if need be"
        )


class NpzReader:
    """The arrays of an .npz file, one at a time; a context manager as zipfile.ZipFile is.

    Attributes
    ----------
    names : tuple of str
        Of the arrays, without '.npy'.

    Raises
    ------
    VecqError
        The file is no archive of arrays, or out of proportion; the message does not name the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._packed = file.seek(0, 2)
            file.seek(0)
            self._archive = zipfile.ZipFile(file)
        except Exception as error:  # damaged archives raise a dozen kinds
            raise VecqError(_reason(error)) from None
        members = self._archive.namelist()
        self.names = tuple(name[:-4] for name in members if name.endswith(".npy"))
        self._unpacked = 0

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def read(self, name: str) -> npt.NDArray[Any]:
        """The array ``name``, of numbers or truth values.

        It has the shape that its header tells.

        Raises
        ------
        VecqError
            There is no such array, it is damaged or of another type, or it would unpack to far more
            than the file's size.
        """
        try:
            member = self._archive.getinfo(f"{name}.npy")
            self._unpacked += member.file_size
            check_unpacked(self._unpacked, self._packed)
            with self._archive.open(member) as file:
                return _array(file, member.file_size, f"'{name}'")
        except VecqError:
            raise
        except Exception as error:
            raise VecqError(_reason(error)) from None


def read_npy(path: str | Path) -> npt.NDArray[Any]:
    """The numbers of an .npy file.

    They have the shape that the header tells.

    Raises
    ------
    VecqError
        The file is missing, cut short, or holds something else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _array(file, path.stat().st_size, "it")
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except Exception as error:
        raise VecqError(f"'{path}' is no array of numbers (.npy): {_reason(error)}") from None


def read_npz(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file by their names.

    Each has the shape that its header tells.

    Raises
    ------
    VecqError
        The file is missing, cut short, or holds something else.
    """
    try:
        with Path(path).open("rb") as file, NpzReader(file) as reader:
            return {name: reader.read(name) for name in reader.names}
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except VecqError as error:
        raise VecqError(f"'{path}' holds no arrays of numbers (.npz): {error}") from None


def gunzip(content: bytes, wanted: int) -> bytes:
    """The first ``wanted`` bytes that are packed in ``content``, or as many as there are."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return file.read(wanted)


class Unpacked:
    """A file, unpacked where it is gzipped, to be read from front to end in proportion to its size.

    For readers that trust the sizes in a header and can be told no limit, such as tarfile.

    Raises
    ------
    VecqError
        From :meth:`read`, once more has been read than the file deserves.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._packed, self._read = file.seek(0, 2), 0
        file.seek(0)
        gzipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file = gzip.GzipFile(fileobj=file) if gzipped else file

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, or those that are left."""
        content = self._file.read(size)
        self._read += len(content)
        check_unpacked(self._read, self._packed)
        return content


def _array(file: Any, size: int, it: str) -> npt.NDArray[Any]:
    """One array in the .npy format, in a file of ``size`` bytes that messages call ``it``."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise VecqError(f"{it} has the format version {version}; (1, 0) or (2, 0) is wanted")
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, by_columns, dtype = read_header(file)
    if dtype.hasobject:
        raise VecqError(f"{it} holds pickled objects, which are not loaded; save plain arrays")
    if dtype.kind not in "biufc":
        raise VecqError(f"{it} has the type {dtype}; numbers are wanted")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if any(length < 0 for length in shape) or wanted != there:
        raise VecqError(f"{it} has the shape {shape}, which takes {wanted:,} bytes, not {there:,}")
    values = bytearray(wanted)
    view, filled = memoryview(values), 0
    while filled < wanted:
        count = file.readinto(view[filled:])
        if not count:
            raise VecqError(f"{it} is cut short")
        filled += count
    file.read(1)  # the end of a member, where its checksum is compared
    array: npt.NDArray[Any] = np.frombuffer(values, dtype)
    return array.reshape(shape, order="F" if by_columns else "C")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
