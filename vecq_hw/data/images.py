"""Images in class folders, ``train/CLASS/FILE`` and ``test/CLASS/FILE``, in a folder or a .zip.

In place of classes there may be ``images`` and ``masks``.  Files are decoded once; the pixels are
kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw import toolchain
from vecq_hw.data.dataset import Dataset, checked_dataset, pixels
from vecq_hw.data.decode import Pixels, decode_image
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.unpack import NpzReader, check_unpacked

Progress = Callable[[int, int], None]
"""Called with how many images are decoded and how many there are."""

_VERSION = 3
"""The version of the cached arrays, and of how images are read."""
_SPLITS = ("train", "test")
_MASKED = ("images", "masks")
"""Classes of these two names are no classes but images and the masks of their objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """The images of a folder or archive: for each split and class the files, all sorted.

    ``stamp`` changes when a file does; ``packed`` is the size of all of them in bytes.
    """

    files: dict[str, dict[str, list[str]]]
    stamp: list[tuple[str, int, int]]
    packed: int


def find_images(path: Path) -> bool:
    """Whether ``path`` is a .zip, or a folder with the folders ``train`` and ``test``."""
    if path.is_dir():
        return all((path / split).is_dir() for split in _SPLITS)
    return path.suffix.lower() == ".zip"


def read_images(path: Path, name: str, progress: Progress | None = None) -> Dataset:
    """The data set of a folder or .zip of class folders; (1 or 3, H, W) in 0..1.

    Where the folders are ``images`` and ``masks``, each image has the mask of its name, whatever
    its ending; white is the object.  Else the folders are classes, numbered in the order of their
    sorted names.  Hidden files are passed over.  Images are gray where the first one is, else RGB;
    :func:`~vecq_hw.data.decode.decode_image` tells what is read.  8 and 16 bits may stand side by
    side.

    Parameters
    ----------
    progress : callable, optional
        Told of each image that is decoded; where the cache has the pixels, nothing is.

    Raises
    ------
    VecqError
        No such layout, an empty class, a file that is no image, images of mixed sizes, paths that
        leave the archive, pixels that are out of proportion to the files.
    MissingToolError
        Decoding needs Pillow.
    """
    toolchain.require(toolchain.PILLOW)
    try:
        if path.is_dir():
            listing = _listed_folder(path, name)
            return _decoded(name, listing, lambda file: (path / file).read_bytes(), progress)
        with zipfile.ZipFile(path) as archive:
            listing = _listed_archive(archive, name)
            return _decoded(name, listing, archive.read, progress)
    except FileNotFoundError:
        raise VecqError(f"{name}: there is no file '{path}'") from None
    except (
        *(OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError),
        zipfile.BadZipFile,
    ) as error:
        # RuntimeError: it is encrypted, or packed in a way that zipfile does not know.
        raise VecqError(f"{name}: '{path}' cannot be read or is cut short ({error})") from None


def cache_folder() -> Path:
    """Where decoded images are kept: ``vecq-hw`` in XDG_CACHE_HOME, else in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vecq-hw"


def _listed_folder(path: Path, name: str) -> _Listing:
    found, stamp = [], []
    for split in _SPLITS:
        for folder in sorted(one for one in (path / split).iterdir() if one.is_dir()):
            inside = folder.relative_to(path).as_posix()
            found.append(f"{inside}/")
            for file in folder.iterdir():
                if file.name.startswith("."):
                    continue
                if not file.is_file():  # to read a pipe would wait for ever
                    raise VecqError(f"{name}: '{file}' is no file")
                state = file.stat()
                found.append(f"{inside}/{file.name}")
                stamp.append((str(file), state.st_size, state.st_mtime_ns))
    packed = sum(size for _, size, _ in stamp)
    return _Listing(files=_by_class(found), stamp=sorted(stamp), packed=packed)


def _listed_archive(archive: zipfile.ZipFile, name: str) -> _Listing:
    entries = archive.infolist()
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in "".join(parts.parts[:1]):
            raise VecqError(f"{name}: the archive holds '{entry.filename}', a path outside of it")
    packed = sum(entry.compress_size for entry in entries)
    # Entries may claim the same bytes of the archive, so that their sum is beyond its size.
    packed = min(packed, Path(str(archive.filename)).stat().st_size)
    try:
        check_unpacked(sum(entry.file_size for entry in entries), packed)
    except VecqError as error:
        raise VecqError(f"{name}: '{archive.filename}': {error}") from None
    stamp = sorted((entry.filename, entry.file_size, entry.CRC) for entry in entries)
    files = _by_class([entry.filename for entry in entries])
    return _Listing(files=files, stamp=stamp, packed=packed)


def _by_class(found: list[str]) -> dict[str, dict[str, list[str]]]:
    """Files by split and class; a name that ends in '/' is a class without files as yet."""
    files: dict[str, dict[str, list[str]]] = {split: {} for split in _SPLITS}
    for file in sorted(found):
        split, _, rest = file.partition("/")
        label, slash, image = rest.partition("/")
        if split not in files or not slash or label.startswith("."):
            continue
        held = files[split].setdefault(label, [])
        if image and not image.startswith("."):
            held.append(file)
    return files


def _decoded(
    name: str, listing: _Listing, read: Callable[[str], bytes], progress: Progress | None
) -> Dataset:
    """The data set of the listed files: from the cache, else decoded and cached."""
    classes = _classes(name, listing)
    key = json.dumps([_VERSION, listing.stamp]).encode()
    path = cache_folder() / f"{hashlib.sha256(key).hexdigest()}.npz"
    arrays = _cached(path)
    if arrays is None:
        total = sum(len(files) for split in listing.files.values() for files in split.values())
        decoder = _Decoder(name, read, total, listing.packed, progress)
        make = _with_masks if classes == [*_MASKED] else _with_labels
        arrays = make(name, listing, classes, decoder)
        buffer = io.BytesIO()
        np.savez(buffer, *arrays)
        try:
            write_atomically(path, buffer.getvalue())
        except VecqError:
            pass  # without a cache folder it is decoded again next time
    x_train, y_train, x_test, y_test = arrays
    return checked_dataset(name, pixels(x_train), y_train, pixels(x_test), y_test)


def _classes(name: str, listing: _Listing) -> list[str]:
    train, test = (listing.files[split] for split in _SPLITS)
    if not train or not test:
        raise VecqError(
            f"{name}: images are wanted as train/CLASS/FILE and test/CLASS/FILE; there is no"
            f" {'test' if train else 'train'}/CLASS"
        )
    for label in sorted(train.keys() ^ test.keys()):
        split = "test" if label in train else "train"
        raise VecqError(f"{name}: there is no class '{label}' in {split}, but in the other split")
    for split in _SPLITS:
        for label, files in listing.files[split].items():
            if not files:
                raise VecqError(f"{name}: the class '{split}/{label}' holds no image")
    return sorted(train)


def _cached(path: Path) -> list[npt.NDArray[Any]] | None:
    try:
        with path.open("rb") as file, NpzReader(file) as archive:
            return [archive.read(f"arr_{index}") for index in range(4)]
    except (OSError, VecqError):  # a damaged one is made again
        return None


class _Decoder:
    """Image files to pixels, all of them alike in size and colour within one group of files."""

    def __init__(
        self,
        name: str,
        read: Callable[[str], bytes],
        total: int,
        packed: int,
        progress: Progress | None,
    ) -> None:
        self._name, self._read, self._progress = name, read, progress
        self._total, self._packed, self._done = total, packed, 0

    def group(self, files: list[str], *more: list[str]) -> list[Pixels]:
        """The pixels of each list, (N, 1 or 3, H, W)."""
        first: tuple[str, Pixels] | None = None
        arrays = []
        for part in (files, *more):
            images: list[Pixels] = []
            for file in part:
                content = self._read(file)
                try:
                    image = decode_image(content)
                    if first is None:
                        first = file, image
                        check_unpacked(self._total * image.nbytes, self._packed)
                    image = _coloured_as(first[1], image)
                except VecqError as error:
                    raise VecqError(f"{self._name}: '{file}': {error}") from None
                if image.shape != first[1].shape:
                    raise VecqError(
                        f"{self._name}: '{file}' has {_size(image)}, '{first[0]}'"
                        f" {_size(first[1])}; scale them to one size"
                    )
                images.append(image)
                self._done += 1
                if self._progress is not None:
                    self._progress(self._done, self._total)
            arrays.append(_stacked(images))
        return arrays


def _with_labels(
    name: str, listing: _Listing, classes: list[str], decoder: _Decoder
) -> list[npt.NDArray[Any]]:
    """Images and the numbers of their classes, to train and to test on."""
    counts, files = [], []
    for split in _SPLITS:
        held = [listing.files[split][label] for label in classes]
        counts.append([len(part) for part in held])
        files.append([file for part in held for file in part])
    train, test = decoder.group(*files)
    y_train, y_test = (np.repeat(np.arange(len(classes)), count) for count in counts)
    return [train, y_train, test, y_test]


def _with_masks(
    name: str, listing: _Listing, classes: list[str], decoder: _Decoder
) -> list[npt.NDArray[Any]]:
    """Images and their masks, to train and to test on: white, or nearer to it, is the object."""
    files: dict[str, list[list[str]]] = {kind: [] for kind in _MASKED}
    for split in _SPLITS:
        found = {}
        for kind in _MASKED:
            found[kind] = {PurePosixPath(file).stem: file for file in listing.files[split][kind]}
            if len(found[kind]) < len(listing.files[split][kind]):
                raise VecqError(f"{name}: two files of '{split}/{kind}' have the same name")
            files[kind].append([found[kind][stem] for stem in sorted(found[kind])])
        given, masks = (found[kind] for kind in _MASKED)
        for stem in sorted(given.keys() ^ masks.keys()):
            there, where = (given, "masks") if stem in given else (masks, "images")
            raise VecqError(f"{name}: '{there[stem]}' has no file of its name in '{split}/{where}'")
    x_train, x_test = decoder.group(*files["images"])
    whether = []
    for split, part in zip(_SPLITS, decoder.group(*files["masks"]), strict=True):
        if (part != part[:, :1]).any():
            raise VecqError(f"{name}: a mask in '{split}/masks' is coloured; gray ones are wanted")
        whether.append(part[:, 0] > np.iinfo(part.dtype).max // 2)
    return [x_train, whether[0], x_test, whether[1]]


def _coloured_as(first: Pixels, image: Pixels) -> Pixels:
    """The image gray or RGB as the first one."""
    if len(image) == len(first):
        return image
    if len(image) == 1:
        return np.repeat(image, 3, axis=0)
    if (image != image[:1]).any():
        raise VecqError("it is coloured, the images before it are gray")
    return image[:1]


def _stacked(images: list[Pixels]) -> Pixels:
    """All in one array, as deep as the deepest: 255 times 257 is 65535."""
    if all(image.dtype == np.uint8 for image in images):
        return np.stack(images)
    return np.stack(
        [image if image.dtype == np.uint16 else image * np.uint16(257) for image in images]
    )


def _size(image: Pixels) -> str:
    _, height, width = image.shape
    return f"{width} × {height} pixels"
