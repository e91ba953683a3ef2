"""Objects blended onto photographs: images with exact masks, made from MNIST and CIFAR-10.

A stand-in for the data sets of salient object detection, none of which can be passed on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.data.dataset import Dataset, FloatImages, Masks
from vecq_hw.errors import VecqError

NAME = "blended-objects"
SIDE = 64
"""The width and height of the images, in pixels."""
_SEEDS = {"train": 0, "test": 1}
_OBJECT = 0.5
"""How bright a pixel of the mask is, at least, beside the brightest of its object."""
_BLOCK = 256
"""Images made at a time, so that a set takes little more memory than its result."""


def blended_objects(
    objects: tuple[FloatImages, FloatImages],
    photographs: tuple[FloatImages, FloatImages],
    train: int = 4000,
    test: int = 1000,
) -> Dataset:
    """Tinted objects on photographs; those of the test half come from the test halves alone.

    Images are (3, 64, 64) in 0..1, masks (64, 64).

    The same arrays give the same images, whatever the counts: image number k of a half is drawn
    from k and the half alone.

    Parameters
    ----------
    objects : two float arrays (N, 1, h, w) in 0..1, at most 32 × 32
        Bright on black, to train and to test on: MNIST or Fashion-MNIST.
    photographs : two float arrays (N, 3, 32, 32) in 0..1
        CIFAR-10's.
    train, test : int
        How many images of each half.

    Raises
    ------
    VecqError
        Arrays of other shapes, or no images at all.
    """
    halves = {}
    for place, (split, count) in enumerate((("train", train), ("test", test))):
        shapes = objects[place].shape, photographs[place].shape
        if count < 1 or not all(shapes[0]) or not all(shapes[1]):
            raise VecqError("blended objects are made of one object and one photograph at least")
        fits = len(shapes[0]) == 4 and shapes[0][1] == 1 and max(shapes[0][2:]) <= SIDE // 2
        if not fits or shapes[1][1:] != (3, SIDE // 2, SIDE // 2):
            raise VecqError(
                f"blended objects are made of objects (N, 1, h, w) of at most {SIDE // 2} pixels"
                f" and photographs (N, 3, {SIDE // 2}, {SIDE // 2}), not of {shapes[0]} and"
                f" {shapes[1]}"
            )
        halves[split] = _half(objects[place], photographs[place], count, _SEEDS[split])
    (x_train, masks_train), (x_test, masks_test) = halves["train"], halves["test"]
    return Dataset(
        name=NAME,
        x_train=x_train,
        y_train=masks_train,
        x_test=x_test,
        y_test=masks_test,
        classes=2,
    )


def _half(
    objects: FloatImages, photographs: FloatImages, count: int, seed: int
) -> tuple[FloatImages, Masks]:
    images = np.empty((count, 3, SIDE, SIDE), np.float32)
    masks = np.empty((count, SIDE, SIDE), bool)
    for number, begin in enumerate(range(0, count, _BLOCK)):
        end = min(begin + _BLOCK, count)
        random = np.random.default_rng((seed, number))
        made = _blended(objects, photographs, random)
        images[begin:end], masks[begin:end] = (part[: end - begin] for part in made)
    return images, masks


def _blended(
    objects: FloatImages, photographs: FloatImages, random: np.random.Generator
) -> tuple[FloatImages, Masks]:
    """A block of images: one and a half to two times as large an object, anywhere, of any tint."""
    height, width = objects.shape[2:]
    chosen = objects[random.integers(len(objects), size=_BLOCK), 0]
    brightest = chosen.max(axis=(1, 2), keepdims=True)
    chosen = chosen / np.where(brightest > 0, brightest, 1)
    ground = photographs[random.integers(len(photographs), size=_BLOCK)]
    ground = ground.repeat(2, axis=2).repeat(2, axis=3)
    factors = random.uniform(1.0, 2.0, _BLOCK)
    tints = random.uniform(0.0, 1.0, (_BLOCK, 3, 1, 1)).astype(np.float32)
    opacity = random.uniform(0.6, 1.0, (_BLOCK, 1, 1, 1)).astype(np.float32)
    # Where each row and column of the image lies in the object's own, by the nearest pixel.
    rows, columns = (
        _places(random.uniform(size=_BLOCK), factors, size) for size in (height, width)
    )
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None
    ]
    cover = chosen[
        np.arange(_BLOCK)[:, None, None],
        rows.clip(0, height - 1)[:, :, None],
        columns.clip(0, width - 1)[:, None],
    ]
    cover = np.where(inside, cover, 0)
    masks = cover >= _OBJECT
    # The object has its own shades; beside the mask nothing of it is seen.
    amount = opacity * masks[:, None]
    shaded = tints * cover[:, None]
    return ground * (1 - amount) + shaded * amount, masks


def _places(
    offsets: npt.NDArray[np.float64], factors: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.int64]:
    """The object's pixel for each of ``SIDE`` of each image, below 0 or beyond where there is none.

    An offset of 0 puts the object at the beginning, one of 1 at the end.
    """
    begin = np.floor(offsets * (SIDE - factors * size + 1))
    at = (np.arange(SIDE) - begin[:, None] + 0.5) / factors[:, None]
    return np.floor(at).astype(np.int64)
