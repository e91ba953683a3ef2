"""Data sets by name or path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vecq_hw import toolchain
from vecq_hw.arguments import closest
from vecq_hw.data import blended
from vecq_hw.data.cifar import find_cifar, read_cifar
from vecq_hw.data.dataset import Dataset, checked_dataset
from vecq_hw.data.folder import data_folder
from vecq_hw.data.graphs import GRAPHS
from vecq_hw.data.idx import find_idx, read_idx_folder
from vecq_hw.data.images import Progress, find_images, read_images
from vecq_hw.data.svhn import find_svhn, read_svhn
from vecq_hw.data.texts import find_reviews, find_texts, read_reviews, read_texts, read_titles
from vecq_hw.errors import VecqError
from vecq_hw.unpack import NpzReader

DIGITS_TEST = 597
"""Test samples of both splits of the digits; 1,200 remain to train on."""
_DIGITS = ("digits", "digits-last")
_PLACES = {
    "mnist": ("mnist", "MNIST/raw", "MNIST", "."),
    "cifar10": (
        "cifar10",
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        "cifar10.zip",
        "CIFAR-10",
        ".",
    ),
    "svhn": ("svhn", "SVHN", "."),
    "imdb": ("imdb", "text/imdb", "."),
    "thucnews-titles": ("thucnews-titles", "text/thucnews-titles", "."),
    "keywords": ("keywords.npz", "keywords/keywords.npz"),
    "intrusion": ("intrusion.npz", "intrusion/intrusion.npz"),
}
"""In the data folder; the last two hold features that a user has made."""
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(
    name: str | Path, folder: str | Path | None = None, progress: Progress | None = None
) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : str or Path
        'digits': scikit-learn's 1,797 handwritten digits, (1, 8, 8) in 0..1, in a stratified split
        (seed 0) of 1,200 and 597.  'digits-last': the same images, the last 597 to test on; they
        were written by other people than the rest, which is harder.

        'mnist', 'cifar10', 'svhn', 'imdb', 'thucnews-titles', and one's own 'keywords' and
        'intrusion', .npz files as below: looked for in ``folder``.
        'blended-objects': images with masks, made from 'mnist' and 'cifar10' there.

        Else a path: an .npz file with ``x_train``, ``y_train``, ``x_test``, ``y_test`` (samples
        first; features (N, C), sequences (N, C, L) or images (N, C, H, W); floats or integers;
        labels 0, 1, 2, ..., or masks (N, H, W) of 0 and 1); a folder of idx files; a folder of
        CIFAR-10's binary files, or their .tar.gz, or of SVHN's two .mat files; a folder or .zip of
        ``{train,test}/CLASS/FILE`` images, or of ``{train,test}/images/NAME`` with a mask
        ``{train,test}/masks/NAME`` for each; a .txt or .tsv file with lines of
        ``text<TAB>label``, or a folder of such files (``train.txt``, ``test.txt`` and perhaps
        ``dev.txt``).
    folder : str or Path, optional
        Where named data sets lie; else :func:`data_folder` says it.
    progress : callable (done, total), optional
        Told of images as they are decoded, which is done once.

    Raises
    ------
    VecqError
        There is no such data set, or it cannot be used; the message says why.
    MissingToolError
        The digits need scikit-learn, image files need Pillow.
    """
    if str(name) in _DIGITS:
        return _digits(str(name))
    if str(name) == blended.NAME:
        return read_blended_objects(folder, progress=progress)
    if str(name) in GRAPHS:
        raise VecqError(f"data '{name}' is a graph, whose nodes 'vecq train' alone classifies")
    try:
        if str(name) in _PLACES:
            return _read(_found(str(name), folder), str(name), progress)
        path = Path(name)
        if not path.exists():
            raise VecqError(f"data '{name}': {_instead(path)}")
        return _read(path, f"data '{name}'", progress)
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise VecqError(f"data '{name}' cannot be read: {error.strerror or error}") from None


def read_blended_objects(
    folder: str | Path | None = None,
    objects: str = "mnist",
    train: int = 4000,
    test: int = 1000,
    progress: Progress | None = None,
) -> Dataset:
    """Blended objects of two sets in the user's folder.

    Parameters
    ----------
    folder : str or Path, optional
        Where ``mnist`` and ``cifar10`` lie, as :func:`vecq_hw.data.load` looks for them.
    objects : str
        'mnist', or the path of a folder of other idx files, such as Fashion-MNIST's.
    train, test : int
        How many images of each half.

    Raises
    ------
    VecqError
        A set is not there or cannot be read.
    """
    given = load(objects, folder)
    ground = load("cifar10", folder, progress)
    return blended.blended_objects(
        (given.x_train, given.x_test), (ground.x_train, ground.x_test), train, test
    )


def _read(path: Path, name: str, progress: Progress | None) -> Dataset:
    """The data set at ``path``, of whatever kind is seen there."""
    if path.suffix == ".npz":
        return _npz(path)
    if name == "thucnews-titles":
        return read_titles(path, name)
    if find_reviews(path):
        return read_reviews(path, name)
    if find_texts(path):
        return read_texts(path, name)
    if find_idx(path):
        return read_idx_folder(path, name)
    if find_cifar(path):
        return read_cifar(path, name)
    if find_svhn(path):
        return read_svhn(path, name)
    if find_images(path):
        return read_images(path, name, progress)
    if path.is_dir():
        raise VecqError(
            f"{name}: '{path}' is a folder without idx files (train-images-idx3-ubyte), CIFAR-10's"
            " test_batch.bin, SVHN's train_32x32.mat, imdb.npz, the folders train and test or the"
            " texts train.txt and test.txt"
        )
    return _npz(path)


def _instead(path: Path) -> str:
    """What to say where there is nothing at ``path`` and no data set has its name."""
    names = [*_DIGITS, *_PLACES, blended.NAME]
    close = closest(path.name, names)
    if path.parent == Path() and close is not None:
        return f"there is no such data set or file; did you mean '{close}'?"
    if path.suffix or path.parent != Path():
        return "there is no such file or folder"
    named = ", ".join(f"'{one}'" for one in names)
    return (
        f"{named} or the path of an .npz file, of a folder, of a .zip of images or of a .txt file"
        " of texts is wanted"
    )


def _found(name: str, folder: str | Path | None) -> Path:
    """The first of the usual places of a named data set where there is one."""
    base = data_folder(folder)
    for place in _PLACES[name]:
        path = base / place
        archives = sorted(path.glob(f"{name}*.zip")) if path.is_dir() else []
        for candidate in (path, *archives):
            if candidate.exists() and any(find(candidate) for find in _kinds(name)):
                return candidate
    raise VecqError(
        f"data '{name}' is not in '{base}'; say with --data-dir or VECQ_DATA in which folder"
        f" {_PLACES[name][0]} lies"
    )


def _kinds(name: str) -> tuple[Callable[[Path], bool], ...]:
    """What tells whether a path holds the named data set."""
    match name:
        case "imdb":
            return (find_reviews,)
        case "thucnews-titles":
            return (find_texts,)
        case "svhn":
            return (find_svhn, find_images)
        case "keywords" | "intrusion":
            return (Path.is_file,)
        case _:
            return (find_idx, find_cifar, find_images)


def _digits(name: str) -> Dataset:
    toolchain.require(toolchain.SCIKIT_LEARN)
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = (images / 16.0).reshape(-1, 1, 8, 8)
    if name == "digits":
        x_train, x_test, y_train, y_test = train_test_split(
            x, labels, test_size=DIGITS_TEST, stratify=labels, random_state=0
        )
    else:
        x_train, x_test = x[:-DIGITS_TEST], x[-DIGITS_TEST:]
        y_train, y_test = labels[:-DIGITS_TEST], labels[-DIGITS_TEST:]
    return checked_dataset(name, x_train, y_train, x_test, y_test)


def _npz(path: Path) -> Dataset:
    where = f"data '{path}'"
    try:
        with path.open("rb") as file, NpzReader(file) as archive:
            missing = [key for key in _KEYS if key not in archive.names]
            if not missing:
                arrays = [archive.read(key) for key in _KEYS]
            held = ", ".join(archive.names) or "nothing"
    except FileNotFoundError:
        raise VecqError(f"{where}: there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"{where} is a folder; an .npz file is wanted") from None
    except OSError as error:
        raise VecqError(f"{where} cannot be read: {error.strerror or error}") from None
    except VecqError as error:
        raise VecqError(
            f"{where} cannot be read as an .npz file that numpy.savez writes: {error}"
        ) from None
    if missing:
        raise VecqError(f"{where}: there is no '{missing[0]}' in it; it holds {held}")
    return checked_dataset(where, *arrays)
