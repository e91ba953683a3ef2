import numpy as np
import pytest

from vecq_hw.data.blended import SIDE, blended_objects
from vecq_hw.errors import VecqError

RANDOM = np.random.default_rng(0)
# A level tells the half: objects and photographs to train on are below 0.5 or dark, those to test
# on are not.
PHOTOGRAPHS = tuple(
    (RANDOM.uniform(size=(20, 3, 32, 32)) / 2 + low).astype(np.float32) for low in (0, 0.5)
)


def objects(size=20):
    """A frame of one pixel to train on, its corner darker; a full square to test on."""
    frame = np.zeros((1, 1, size, size), np.float32)
    frame[..., [0, -1], :] = frame[..., [0, -1]] = 0.8
    frame[..., 0, 0] = 0.3
    return frame, np.ones((1, 1, size, size), np.float32)


def test_masks_are_the_objects_and_the_rest_is_the_photograph():
    made = blended_objects(objects(), PHOTOGRAPHS, train=40, test=30)
    assert made.x_train.shape == (40, 3, SIDE, SIDE)
    assert made.y_train.shape == (40, SIDE, SIDE)
    assert made.x_train.dtype == np.float32
    assert made.y_test.dtype == bool
    for images, masks, photographs in (
        (made.x_train, made.y_train, PHOTOGRAPHS[0]),
        (made.x_test, made.y_test, PHOTOGRAPHS[1]),
    ):
        assert 0 <= images.min()
        assert images.max() <= 1
        large = photographs.repeat(2, axis=2).repeat(2, axis=3)
        for image, mask in zip(images, masks, strict=True):
            # One photograph has all pixels beside the mask, and few within.
            same = (large == image).all(axis=1)
            (found,) = np.flatnonzero(same[:, ~mask].all(axis=1))
            assert not same[found][mask].any()


def test_objects_keep_their_shape_at_any_size_and_place():
    made = blended_objects(objects(), PHOTOGRAPHS, train=40, test=40)
    sizes, corners = set(), set()
    for mask in made.y_test:  # a square of 20 to 40 pixels
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        assert mask.sum() == len(rows) * len(columns)
        assert abs(len(rows) - len(columns)) <= 1
        assert 20 <= len(rows) <= 41
        sizes.add(len(rows))
        corners.add((rows[0], columns[0]))
    assert len(sizes) > 10
    assert len(corners) > 30
    for mask in made.y_train:  # a hollow frame without its dark corner
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        top, left = rows[0], columns[0]
        assert not mask[top, left]
        assert mask[rows[-1], columns[-1]]
        assert not mask[top + 3 : rows[-1] - 2, left + 3 : columns[-1] - 2].any()


def test_seeds_are_fixed_and_more_images_begin_with_the_same():
    few = blended_objects(objects(), PHOTOGRAPHS, train=3, test=5)
    many = blended_objects(objects(), PHOTOGRAPHS, train=300, test=7)
    assert np.array_equal(few.x_train, many.x_train[:3])
    assert np.array_equal(few.y_test, many.y_test[:5])
    halves = blended_objects((objects()[0],) * 2, (PHOTOGRAPHS[0],) * 2, 9, 9)
    assert not np.array_equal(halves.x_train, halves.x_test)


@pytest.mark.parametrize(
    ("given", "ground", "count", "message"),
    [
        (objects(), PHOTOGRAPHS, 0, "one photograph at least"),
        (objects(33), PHOTOGRAPHS, 1, r"at most 32 pixels .* not of \(1, 1, 33, 33\)"),
        ((objects()[0], objects()[1][:0]), PHOTOGRAPHS, 1, "one photograph at least"),
        (PHOTOGRAPHS, PHOTOGRAPHS, 1, r"objects \(N, 1, h, w\)"),
        (objects(), objects(32), 1, r"photographs \(N, 3, 32, 32\)"),
    ],
)
def test_arrays_of_other_shapes_are_refused(given, ground, count, message):
    with pytest.raises(VecqError, match=message):
        blended_objects(given, ground, train=count, test=1)
