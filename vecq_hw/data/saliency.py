"""The four scores of salient object detection: MAE, F-, S- and E-measure of maps against masks.

The conventions are those of PySODMetrics, the usual evaluation program: every map is stretched to
its own minimum and maximum first, and thresholds are the 256 levels of 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError

LEVELS = 256
"""Thresholds at which a map is made binary: level and above is object."""
_WEIGHT_OF_PRECISION = 0.3
"""Beta squared of the F-measure (Achanta et al., CVPR 2009)."""
_TINY = float(np.spacing(1.0))

Map = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaliencyScores:
    """Means over images; all but ``mae`` are better where they are larger.

    Attributes
    ----------
    mae : float
        Mean absolute error.
    max_f : float
        The largest value of the F-measure's curve, which is averaged over images first.  Tables
        that average precision and recall over images before have other numbers.
    s_measure : float
        Structure measure (Fan et al., ICCV 2017), objects and regions weighted alike.
    max_e : float
        The largest value of the E-measure's curve, averaged over images first.
    adaptive_e : float
        E-measure (Fan et al., IJCAI 2018) at twice the mean of each map, as VecQ's Table 12 has it.
    """

    mae: float
    max_f: float
    s_measure: float
    max_e: float
    adaptive_e: float


def saliency_scores(pairs: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]]) -> SaliencyScores:
    """The scores of all pairs of a map and a mask; images may differ in size.

    Parameters
    ----------
    pairs : iterable of (map, mask)
        A map is (H, W) in 0..1, a mask (H, W) of truth values.

    Raises
    ------
    VecqError
        There is no pair, or one that is no map and mask of the same size.
    """
    single, f_curves, e_curves = [], [], []
    for number, (given, given_mask) in enumerate(pairs):
        saliency, mask = _checked(number, given, given_mask)
        saliency = stretched(saliency)
        error = mean_absolute_error(saliency, mask)
        single.append((error, s_measure(saliency, mask), adaptive_e_measure(saliency, mask)))
        f_curves.append(f_curve(saliency, mask))
        e_curves.append(e_curve(saliency, mask))
    if not single:
        raise VecqError("there is no saliency map to score; at least one map and mask are wanted")
    mae, s, adaptive_e = np.mean(single, axis=0).tolist()
    return SaliencyScores(
        mae=mae,
        max_f=float(np.mean(f_curves, axis=0).max()),
        s_measure=s,
        max_e=float(np.mean(e_curves, axis=0).max()),
        adaptive_e=adaptive_e,
    )


def stretched(saliency: Map) -> Map:
    """The map with its minimum at 0 and its maximum at 1; a map of one value stays as it is.

    The map has the shape (H, W), as the result.
    """
    least, most = saliency.min(), saliency.max()
    return saliency if least == most else (saliency - least) / (most - least)


def mean_absolute_error(saliency: Map, mask: Mask) -> float:
    """The mean of |S - G| over the pixels.

    Map and mask have the shape (H, W).
    """
    return float(np.abs(saliency - mask).mean())


def f_curve(saliency: Map, mask: Mask) -> npt.NDArray[np.float64]:
    """The F-measure at each threshold, (256,); 0 where no pixel of the object is found.

    Map and mask have the shape (H, W); the result is from 0 to 1.

    Examples
    --------
    >>> mask = np.array([[True, True], [False, False]])
    >>> f_curve(np.array([[1.0, 0.5], [0, 0]]), mask)[[0, 1, 255]]
    array([0.56521739, 1.        , 0.8125    ])
    """
    right, wrong = _found(saliency, mask)
    precision = right / np.maximum(right + wrong, 1)
    recall = right / max(int(mask.sum()), 1)
    numerator = (1 + _WEIGHT_OF_PRECISION) * precision * recall
    denominator = _WEIGHT_OF_PRECISION * precision + recall
    curve = np.zeros(LEVELS)
    np.divide(numerator, denominator, out=curve, where=numerator > 0)
    return curve


def s_measure(saliency: Map, mask: Mask) -> float:
    """The structure measure: half of it is of the object, half of four regions.

    Without an object it is 1 - mean S, with nothing else mean S.  A region of a single pixel has no
    variance, and one without pixels no weight.

    Map and mask have the shape (H, W); the result is from 0 to 1.
    """
    part = float(mask.mean())
    if part in (0.0, 1.0):
        return float(abs(1 - part - saliency.mean()))
    of_object = part * _alike(saliency[mask]) + (1 - part) * _alike(1 - saliency[~mask])
    return max(0.0, (of_object + _regions(saliency, mask)) / 2)


def e_curve(saliency: Map, mask: Mask) -> npt.NDArray[np.float64]:
    """The E-measure at each of the 256 thresholds.

    Map and mask have the shape (H, W), the result (256,).
    """
    return _aligned(*_found(saliency, mask), mask)


def adaptive_e_measure(saliency: Map, mask: Mask) -> float:
    """The E-measure at twice the map's mean, at most 1.

    Map and mask have the shape (H, W).
    """
    found = saliency >= min(2 * float(saliency.mean()), 1.0)
    right, wrong = (np.array([np.count_nonzero(found & where)]) for where in (mask, ~mask))
    return float(_aligned(right, wrong, mask)[0])


def _checked(number: int, given: npt.ArrayLike, given_mask: npt.ArrayLike) -> tuple[Map, Mask]:
    saliency, mask = np.asarray(given), np.asarray(given_mask)
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size < 2:
        raise VecqError(
            f"mask {number} has the type {mask.dtype} and the shape {mask.shape}; truth values of"
            " (H, W), two pixels or more, are wanted"
        )
    if saliency.dtype.kind != "f" or saliency.shape != mask.shape:
        raise VecqError(
            f"map {number} has the type {saliency.dtype} and the shape {saliency.shape}; floats of"
            f" {mask.shape}, as its mask, are wanted"
        )
    if not ((saliency >= 0) & (saliency <= 1)).all():
        raise VecqError(f"map {number} has values outside of 0..1, or that are no numbers")
    return saliency.astype(np.float64), mask


def _found(saliency: Map, mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many pixels of the object and of the rest reach each threshold, (256,) each."""
    levels = (saliency * (LEVELS - 1)).astype(np.uint8)  # rounded down, as the usual program does
    histograms = (np.bincount(levels[where], minlength=LEVELS) for where in (mask, ~mask))
    right, wrong = (np.cumsum(histogram[::-1])[::-1] for histogram in histograms)
    return right, wrong


def _alike(values: Map) -> float:
    """How near the values are to 1, and to each other: 2 m / (m² + 1 + s)."""
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + spread + _TINY)


def _regions(saliency: Map, mask: Mask) -> float:
    """The similarity of the four regions about the centre of the object, by their areas."""
    middle = np.argwhere(mask).mean(axis=0).round().astype(int) + 1
    total = 0.0
    for rows in (slice(None, middle[0]), slice(middle[0], None)):
        for columns in (slice(None, middle[1]), slice(middle[1], None)):
            region = mask[rows, columns]
            if region.size:
                total += region.size * _similarity(saliency[rows, columns], region)
    return total / mask.size


def _similarity(saliency: Map, mask: Mask) -> float:
    """The structural similarity of a region of at least one pixel."""
    x, y = float(saliency.mean()), float(mask.mean())
    from_x, from_y = saliency - x, mask - y
    # Sums in place of variances: how many pixels there are is in both parts of the fraction.
    squares = float((from_x**2).sum() + (from_y**2).sum())
    numerator = 4 * x * y * float((from_x * from_y).sum())
    denominator = (x**2 + y**2) * squares
    if numerator != 0:
        return numerator / (denominator + _TINY)
    return 1.0 if denominator == 0 else 0.0


def _aligned(
    right: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], mask: Mask
) -> npt.NDArray[np.float64]:
    """The E-measure of binary maps, of each the pixels found of the object and of the rest.

    Within each of the four kinds of pixels (found or not, object or not) all have the same value,
    so that the mean over pixels is one over four counts.  It is divided by the pixels less one, as
    in the authors' program, so that a small image without an error has more than 1.
    """
    size, objects = mask.size, int(mask.sum())
    found = right + wrong
    if objects in (0, size):
        total = (found if objects else size - found).astype(np.float64)
    else:
        map_mean, mask_mean = found / size, objects / size
        total = np.zeros(len(found))
        missed = objects - right
        for count, in_map, in_mask in (
            (right, 1, 1),
            (wrong, 1, 0),
            (missed, 0, 1),
            (size - found - missed, 0, 0),
        ):
            a, b = in_map - map_mean, in_mask - mask_mean
            total += count * (2 * a * b / (a**2 + b**2 + _TINY) + 1) ** 2 / 4
    return total / (size - 1 + _TINY)
