import json
import os
from pathlib import Path

import numpy as np
import pytest

from vecq_hw.data.decode import decode_image
from vecq_hw.data.saliency import (
    adaptive_e_measure,
    e_curve,
    f_curve,
    mean_absolute_error,
    s_measure,
    saliency_scores,
    stretched,
)
from vecq_hw.errors import VecqError

ROW = np.array([[1, 0.5, 0.5, 0]])
OBJECT = np.array([[True, True, False, False]])
REFERENCE = Path(os.environ.get("VECQ_DATA", "data")) / "sod" / "metric-reference"


def test_scores_of_four_pixels_by_hand():
    # Three thresholds matter: 128..255 find one pixel, 1..127 three, 0 all.
    assert mean_absolute_error(ROW, OBJECT) == 0.25
    curve = f_curve(ROW, OBJECT)
    assert curve[255] == curve[128] == pytest.approx(1.3 * 1 * 0.5 / (0.3 * 1 + 0.5), abs=1e-12)
    assert curve[127] == curve[1] == pytest.approx(1.3 * 2 / 3 / (0.3 * 2 / 3 + 1), abs=1e-12)
    assert curve[0] == pytest.approx(1.3 * 0.5 / (0.3 * 0.5 + 1), abs=1e-12)
    # The object, and the inverse of the rest, have the values 1 and 0.5: mean 0.75, variance 0.125.
    alike = 1.5 / (0.75**2 + 1 + 0.125**0.5)
    # Regions: one pixel without variance, and three of mean 1/3 each, variances 1/12 and 1/3 and
    # covariance 1/12: 4/9 · 1/12 over 2/9 · 5/12.
    assert s_measure(ROW, OBJECT) == pytest.approx((alike + 0.25 + 0.75 * 0.4) / 2, abs=1e-12)
    # With one pixel found the four products are 12/13, -, -0.8 and 0.8 for 1, 0, 1 and 2 pixels.
    one = ((25 / 13) ** 2 + 0.2**2 + 2 * 1.8**2) / 4 / 3
    assert e_curve(ROW, OBJECT)[[255, 128, 127, 1]] == pytest.approx(one, abs=1e-12)
    assert e_curve(ROW, OBJECT)[0] == pytest.approx(1 / 3, abs=1e-12)
    assert adaptive_e_measure(ROW, OBJECT) == pytest.approx(one, abs=1e-12)  # threshold 1


def test_regions_meet_at_the_rounded_centre():
    saliency = np.array([[1, 0.5, 0.5, 0, 0]])
    mask = np.array([[True, False, True, True, False]])
    # The centre is at 5/3, so three pixels are on the left: means 2/3 each, sums of squares 1/6 and
    # 2/3, of products 1/6.  On the right the map is 0, the mask is not.
    of_object = 0.6 * 1 / (0.5**2 + 1 + 0.5) + 0.4 * 1.5 / (0.75**2 + 1 + 0.125**0.5)
    left = 4 * 4 / 9 * 1 / 6 / (8 / 9 * 5 / 6)
    assert s_measure(saliency, mask) == pytest.approx((of_object + 0.6 * left) / 2, abs=1e-12)


def test_the_adaptive_threshold_is_twice_the_mean():
    saliency = np.array([[1, 0.5, 0.5, 0, 0, 0, 0, 0]])
    mask = np.array([[True] * 3 + [False] * 5])
    curve = e_curve(saliency, mask)
    assert adaptive_e_measure(saliency, mask) == curve[127] == pytest.approx(8 / 7)
    assert curve[128] != curve[127]


def test_masks_without_object_and_without_ground():
    for mask, s in ((np.zeros((1, 4), bool), 0.5), (np.ones((1, 4), bool), 0.5)):
        assert s_measure(ROW, mask) == s
    assert f_curve(ROW, np.zeros((1, 4), bool)).max() == 0
    assert e_curve(ROW, np.zeros((1, 4), bool))[[0, 1, 255]] == pytest.approx([0, 1 / 3, 1])
    assert e_curve(ROW, np.ones((1, 4), bool))[[0, 1, 255]] == pytest.approx([4 / 3, 1, 1 / 3])


@pytest.mark.parametrize("corner", [(0, 0), (0, 4), (2, 0), (2, 4)])
def test_an_object_of_one_pixel_in_a_corner_has_finite_scores(corner):
    mask = np.zeros((3, 5), bool)
    mask[corner] = True
    perfect = saliency_scores([(mask.astype(float), mask)])
    assert (perfect.mae, perfect.max_f) == (0, pytest.approx(1))
    assert perfect.s_measure == pytest.approx(1)
    assert perfect.max_e == perfect.adaptive_e == pytest.approx(15 / 14)


def test_curves_are_averaged_before_the_largest_is_taken():
    maps = [np.array([[0.0, 0.2, 1.0]]), np.array([[0.0, 0.8, 1.0]])]
    masks = [np.array([[False, True, True]]), np.array([[False, False, True]])]
    # Either curve reaches 1, but at thresholds below 0.2 here and above 0.8 there.
    assert [f_curve(*pair).max() for pair in zip(maps, masks, strict=True)] == [1, 1]
    mean = saliency_scores(zip(maps, masks, strict=True)).max_f
    assert mean == pytest.approx((1 + 1.3 * 0.5 / (0.3 + 0.5)) / 2)


def test_maps_are_stretched_unless_they_are_flat():
    assert stretched(np.array([[0.25, 0.75, 0.5]])).tolist() == [[0, 1, 0.5]]
    assert stretched(np.array([[0.25, 0.25]])).tolist() == [[0.25, 0.25]]
    dim = saliency_scores([(ROW / 2 + 0.25, OBJECT)])
    assert dim == saliency_scores([(ROW, OBJECT)])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no saliency map to score"),
        ([(ROW, OBJECT), (ROW, OBJECT.astype(int))], "mask 1 has the type int64 and the shape"),
        ([(ROW[:, :3], OBJECT)], r"map 0 .* the shape \(1, 3\); floats of \(1, 4\)"),
        ([(OBJECT, OBJECT)], "map 0 has the type bool"),
        ([(ROW * 255, OBJECT)], r"map 0 has values outside of 0\.\.1"),
        ([(ROW * np.nan, OBJECT)], "that are no numbers"),
        ([(ROW[:, :1], OBJECT[:, :1])], r"mask 0 .* the shape \(1, 1\); .* two pixels or more"),
    ],
)
def test_what_is_no_map_and_mask_is_refused(pairs, message):
    with pytest.raises(VecqError, match=message):
        saliency_scores(pairs)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="VECQ_DATA has no sod/metric-reference")
def test_scores_equal_those_of_pysodmetrics():
    pairs = []
    for path in sorted((REFERENCE / "masks").iterdir()):
        mask, saliency = (
            decode_image((REFERENCE / kind / path.name).read_bytes())[0]
            for kind in ("masks", "preds")
        )
        pairs.append((saliency / 255, mask > 128))
    wanted = json.loads((REFERENCE / "version_performance.json").read_text())["v1_4_0"]
    scores = saliency_scores(pairs)
    for found, name in (
        (scores.mae, "MAE"),
        (scores.max_f, "maxFm"),
        (scores.s_measure, "Smeasure"),
        (scores.max_e, "maxEm"),
        (scores.adaptive_e, "adpEm"),
    ):
        assert found == pytest.approx(wanted[name], abs=1e-6), name
