"""What a data set is: arrays of samples and labels that have been checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError

FloatImages = npt.NDArray[np.float32]
Samples = npt.NDArray[Any]
"""Floats, or the indices of a text's tokens."""
Masks = npt.NDArray[np.bool_]
"""Whether each pixel of an image belongs to the object, (N, H, W)."""
Labels = npt.NDArray[np.int64]
Targets = npt.NDArray[Any]
"""Labels, or masks."""
FIRST_WORD = 4
"""Index of a vocabulary's first token; 0 is padding, 1 a start, 2 an unknown token, 3 unused."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Samples to train on and to test on, samples first.

    Attributes
    ----------
    name : str
    x_train, x_test : float32 arrays of shape (N, C), (N, C, L) or (N, C, H, W)
        Sequences and images are channels-first, as torch wants them.  Of texts int64 arrays of
        shape (N, L), the indices of tokens.
    y_train, y_test : int64 arrays of shape (N,), 0..classes - 1
        Of images with masks boolean arrays of shape (N, H, W): whether a pixel belongs to the
        object.
    classes : int
        Of images with masks 2: the rest and the object.
    validation : (samples, labels) or None
        Neither trained on nor tested on: what the epochs of a training are compared by.
    vocabulary : tuple of str
        Of texts: the token of the index ``FIRST_WORD + n``; else empty.
    notes : tuple of str
        What a user should know of how it was read, a sentence each.
    """

    name: str
    x_train: Samples
    y_train: Targets
    x_test: Samples
    y_test: Targets
    classes: int
    validation: tuple[Samples, Labels] | None = None
    vocabulary: tuple[str, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (C,), (C, L) or (C, H, W)."""
        return self.x_train.shape[1:]

    @property
    def masked(self) -> bool:
        """Whether each pixel has a label instead of each sample."""
        return self.y_train.ndim == 3

    @property
    def digest(self) -> str:
        """SHA-256 of all samples and labels, of validation too, as 64 hexadecimal digits."""
        total = hashlib.sha256()
        arrays = (self.x_train, self.y_train, self.x_test, self.y_test, *(self.validation or ()))
        for array in arrays:
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def __repr__(self) -> str:
        told = "masks" if self.masked else f"{self.classes} classes"
        return (
            f"Dataset({self.name}: {len(self.x_train)} + {len(self.x_test)} samples of"
            f" {self.shape}, {told})"
        )


def checked_dataset(
    name: str,
    x_train: npt.ArrayLike,
    y_train: npt.ArrayLike,
    x_test: npt.ArrayLike,
    y_test: npt.ArrayLike,
) -> Dataset:
    """A data set of arrays that came from outside; the labels of training tell the classes.

    Images (N, C, H, W) may have masks (N, H, W) of 0 and 1 in place of labels.

    Raises
    ------
    VecqError
        Shapes that do not fit each other, samples that are no numbers or all the same, labels that
        are no integers or leave 0..classes - 1, a class without a sample, masks of other numbers
        than 0 and 1 or all alike.
    """
    train = _samples(name, "x_train", x_train)
    test = _samples(name, "x_test", x_test)
    if train.shape[1:] != test.shape[1:]:
        raise VecqError(
            f"{name}: samples of x_train have the shape {train.shape[1:]},"
            f" those of x_test {test.shape[1:]}; they must agree"
        )
    check_samples(name, train)
    if _array(name, "y_train", y_train).ndim == 3:
        return Dataset(
            name=name,
            x_train=train,
            y_train=_masks(name, "y_train", y_train, train),
            x_test=test,
            y_test=_masks(name, "y_test", y_test, test),
            classes=2,
        )
    train_labels = _labels(name, "y_train", y_train, len(train))
    test_labels = _labels(name, "y_test", y_test, len(test))
    classes = int(train_labels.max()) + 1
    if classes < 2:
        raise VecqError(f"{name}: y_train holds one class; at least two are wanted")
    if int(test_labels.max()) >= classes:
        raise VecqError(
            f"{name}: y_test holds the label {test_labels.max()}, y_train only 0..{classes - 1}"
        )
    # np.bincount would allocate up to the largest label, which may be absurd.
    present = np.unique(train_labels)
    if len(present) != classes:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        raise VecqError(
            f"{name}: y_train has no sample of class {gaps[0]};"
            " number the classes 0, 1, 2, ... without gaps"
        )
    return Dataset(
        name=name,
        x_train=train,
        y_train=train_labels,
        x_test=test,
        y_test=test_labels,
        classes=classes,
    )


def check_samples(name: str, x_train: npt.NDArray[np.floating]) -> None:
    """Refuse samples to train on that tell nothing: NaN, infinite, or all of one value.

    ``x_train`` has any shape, the samples along axis 0; ``name`` is that of the data set.

    Raises
    ------
    VecqError
        A value is NaN or infinite, or all are equal.
    """
    if not np.isfinite(x_train).all():
        raise VecqError(f"{name}: x_train holds NaN or infinite values; leave those samples out")
    if x_train.min() == x_train.max():
        raise VecqError(
            f"{name}: every value of x_train is {x_train.flat[0]:g}; samples that differ are wanted"
        )


def pixels(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> FloatImages:
    """Bytes 0..255, or 16 bits 0..65535, as float32 in 0..1; any shape, which stays."""
    return codes.astype(np.float32) / np.float32(np.iinfo(codes.dtype).max)


def _samples(name: str, key: str, given: npt.ArrayLike) -> FloatImages:
    x = _array(name, key, given)
    if x.dtype.kind not in "biuf":
        raise VecqError(f"{name}: {key} has the type {x.dtype}; floats or integers are wanted")
    if x.ndim not in (2, 3, 4) or not x.size:
        raise VecqError(
            f"{name}: {key} has the shape {x.shape}; (N, C), (N, C, L) or (N, C, H, W) is wanted"
        )
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(converted).all():
        raise VecqError(f"{name}: {key} holds NaN or infinite values, or some beyond float32")
    return converted


def _array(name: str, key: str, given: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths, say
        reason = str(error).splitlines()[0]
        raise VecqError(f"{name}: {key} cannot be made an array ({reason})") from None


def _labels(name: str, key: str, given: npt.ArrayLike, samples: int) -> Labels:
    y = _array(name, key, given)
    if y.dtype.kind not in "iu":
        raise VecqError(f"{name}: {key} has the type {y.dtype}; integer labels are wanted")
    if y.shape != (samples,):
        raise VecqError(
            f"{name}: {key} has the shape {y.shape}; one label a sample, ({samples},), is wanted"
        )
    if int(y.min()) < 0:
        raise VecqError(f"{name}: {key} holds the label {y.min()}; labels start at 0")
    if int(y.max()) >= 1 << 31:
        raise VecqError(f"{name}: {key} holds the label {y.max()}; labels count classes from 0")
    return y.astype(np.int64)


def _masks(name: str, key: str, given: npt.ArrayLike, x: FloatImages) -> Masks:
    y = _array(name, key, given)
    wanted = (len(x), *x.shape[2:])
    if x.ndim != 4 or y.shape != wanted:
        raise VecqError(
            f"{name}: {key} has the shape {y.shape} beside samples of {x.shape[1:]}; images"
            " (N, C, H, W) with a mask (H, W) each are wanted"
        )
    masks = y.astype(np.bool_)
    if y.dtype.kind not in "biuf" or not np.array_equal(masks, y):
        raise VecqError(f"{name}: {key} holds other numbers than 0 and 1, which a mask is made of")
    if masks.all() or not masks.any():
        raise VecqError(
            f"{name}: every pixel of {key} is {int(masks.flat[0])}; masks that tell an object from"
            " the rest are wanted"
        )
    return masks
