"""SVHN in its cropped version: house numbers of 32 × 32 pixels in two files of MATLAB."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from vecq_hw import toolchain
from vecq_hw.data.dataset import Dataset, FloatImages, Labels, checked_dataset, pixels
from vecq_hw.errors import VecqError

_FILES = ("train_32x32.mat", "test_32x32.mat")
_SHAPE = (32, 32, 3)
_MOST = 1_000_000
"""Images of a file, of which SVHN has 73,257 and 26,032."""
_CLASSES = 10
_NUMBERS = (*(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)), "double", "single")
_NOTHING = ((0,), "")


def find_svhn(path: Path) -> bool:
    """Whether ``path`` is a folder with both files."""
    return all((path / file).is_file() for file in _FILES)


def read_svhn(path: Path, name: str) -> Dataset:
    """The house numbers of ``train_32x32.mat`` and ``test_32x32.mat``, (3, 32, 32) in 0..1.

    Parameters
    ----------
    path : Path
        The folder.  Each file holds ``X``, bytes of the shape (32, 32, 3, N), and ``y``, the digits
        1..10, of which 10 stands for 0.

    Raises
    ------
    VecqError
        A file cannot be read, or holds something else.
    MissingToolError
        Reading them needs scipy.
    """
    toolchain.require(toolchain.SCIKIT_LEARN)
    (x_train, y_train), (x_test, y_test) = (_part(path / file, name) for file in _FILES)
    return checked_dataset(name, x_train, y_train, x_test, y_test)


def _part(path: Path, name: str) -> tuple[FloatImages, Labels]:
    from scipy import io

    try:
        held = {key: (shape, kind) for key, shape, kind in io.whosmat(path)}
        # What it says of itself is checked before anything of that size is made.
        (*sizes, count), kind = held.get("X", _NOTHING)
        labels, label_kind = held.get("y", _NOTHING)
        fits = tuple(sizes) == _SHAPE and kind == "uint8" and 0 < count <= _MOST
        if not fits or math.prod(labels) != count or label_kind not in _NUMBERS:
            raise VecqError(
                f"{name}: '{path}' is not SVHN's: an X of bytes (32, 32, 3, N) and a y of N digits"
                " are wanted"
            )
        content: dict[str, Any] = io.loadmat(path, variable_names=("X", "y"))
    except VecqError:
        raise
    except Exception as error:  # damaged files raise a dozen kinds
        raise VecqError(f"{name}: '{path}' cannot be read or is cut short ({error})") from None
    digits = np.asarray(content["y"]).ravel()
    if not np.isin(digits, np.arange(1, _CLASSES + 1)).all():
        raise VecqError(f"{name}: the digits in '{path}' are not 1..10")
    return pixels(np.moveaxis(content["X"], (3, 2), (0, 1))), digits.astype(np.int64) % _CLASSES
