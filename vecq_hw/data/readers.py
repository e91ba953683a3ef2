"""Data sets by name or path."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from vecq_hw import toolchain
from vecq_hw.data.dataset import Dataset, checked_dataset
from vecq_hw.errors import VecqError

DIGITS_TEST = 597
"""Test samples of both splits of the digits; 1,200 remain to train on."""
_KEYS = ("x_train", "y_train", "x_test", "y_test")


def load(name: str | Path) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : str or Path
        'digits': scikit-learn's 1,797 handwritten digits, (1, 8, 8) in 0..1, in a stratified split
        (seed 0) of 1,200 and 597.  'digits-last': the same images, the last 597 to test on; they
        were written by other people than the rest, which is harder.  Else the path of an .npz file
        with ``x_train``, ``y_train``, ``x_test``, ``y_test``: samples first, features or
        channels-first images, floats or integers; labels 0, 1, 2, ....

    Raises
    ------
    VecqError
        There is no such data set, or it cannot be used; the message says why.
    MissingToolError
        The digits need scikit-learn.
    """
    if str(name) in ("digits", "digits-last"):
        return _digits(str(name))
    path = Path(name)
    if path.suffix != ".npz" and not path.exists():
        raise VecqError(
            f"data '{name}': 'digits', 'digits-last' or the path of an .npz file is wanted"
        )
    return _npz(path)


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
        # np.load leaves a file that it opened itself open when it fails.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                held = ", ".join(archive.files) or "nothing"
                raise VecqError(f"{where}: there is no '{missing[0]}' in it; it holds {held}")
            arrays = [archive[key] for key in _KEYS]
    except FileNotFoundError:
        raise VecqError(f"{where}: there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"{where} is a folder; an .npz file is wanted") from None
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            raise VecqError(
                f"{where} holds pickled objects, which are not loaded; save plain arrays of numbers"
            ) from None
        raise VecqError(
            f"{where} is no .npz file or is cut short; write it with numpy.savez"
        ) from None
    return checked_dataset(where, *arrays)
