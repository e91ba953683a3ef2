"""MNIST and its relatives: idx files, plain or gzipped (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vecq_hw.data.dataset import Dataset, checked_dataset, pixels
from vecq_hw.errors import VecqError
from vecq_hw.unpack import check_unpacked, gunzip

_UNSIGNED_BYTE = 8
_SPLITS = ("train", "t10k")


def find_idx(folder: Path) -> bool:
    """Whether the training images of an idx data set lie in ``folder``."""
    return _place(folder, "train", "images", 3) is not None


def read_idx_folder(folder: Path, name: str) -> Dataset:
    """The data set of the four files ``{train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]``.

    Images become (1, H, W) in 0..1.

    Raises
    ------
    VecqError
        A file is missing, of another kind, damaged or cut short; see also
        :func:`~vecq_hw.data.checked_dataset`.
    """
    arrays = []
    for split in _SPLITS:
        for kind, axes in (("images", 3), ("labels", 1)):
            path = _place(folder, split, kind, axes)
            if path is None:
                raise VecqError(f"{name}: there is no '{_file(split, kind, axes)}' in '{folder}'")
            values = read_idx(path, axes)
            arrays.append(pixels(values[:, None]) if kind == "images" else values)
    return checked_dataset(name, *arrays)


def read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """The bytes of one idx file, as an array with ``axes`` axes.

    The header is two zero bytes, the type of the values, the number of axes and the length of each,
    as 32-bit big-endian integers.

    The array has the shape that the header tells.

    Raises
    ------
    VecqError
        The file cannot be read or unpacked, is no idx file of bytes with so many axes, holds more
        or fewer bytes than its header tells of, or would unpack to far more than its size.
    """
    begin = 4 + 4 * axes
    try:
        packed = path.read_bytes()
        header = _begin(path, packed, begin)
        if header[:4] != bytes((0, 0, _UNSIGNED_BYTE, axes)):
            raise VecqError(
                f"'{path}' begins with the bytes {header[:4].hex(' ') or 'of nothing'}; an idx file"
                f" of bytes with {axes} axes, 00 00 08 {axes:02x}, is wanted"
            )
        if len(header) < begin:
            raise VecqError(f"'{path}' ends within its header; load it down again")
        lengths = np.frombuffer(header, ">u4", axes, offset=4).tolist()
        wanted = begin + math.prod(lengths)
        try:
            check_unpacked(wanted, len(packed))
        except VecqError as error:
            raise VecqError(f"'{path}': {error}") from None
        content = _begin(path, packed, wanted + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise VecqError(f"'{path}' cannot be read or is cut short ({error})") from None
    if len(content) != wanted:
        held = len(content) if len(content) < wanted else f"more than {wanted}"
        raise VecqError(
            f"'{path}' holds {held} bytes where its header"
            f" ({' × '.join(map(str, lengths))}) tells of {wanted}; load it down again"
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(lengths)


def _begin(path: Path, packed: bytes, count: int) -> bytes:
    """The first ``count`` bytes of what a file holds, or all where there are less."""
    return gunzip(packed, count) if path.suffix == ".gz" else packed[:count]


def _place(folder: Path, split: str, kind: str, axes: int) -> Path | None:
    wanted = _file(split, kind, axes)
    candidates = (folder / wanted, folder / f"{wanted}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _file(split: str, kind: str, axes: int) -> str:
    return f"{split}-{kind}-idx{axes}-ubyte"
