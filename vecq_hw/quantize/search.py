"""The interval that is best for the weights at hand, whatever their distribution.

With M = 2^(k-1) codes on either side, ``|v| = 1/2 + sum over j of [|w| >= j interval]``, j from 1
to M - 1, so that a table of tail counts N(t) and tail sums S(t) of |w| gives the angle:

    <v, w> = S(0) / 2 + sum_j S(j interval),    <v, v> = n / 4 + sum_j 2 j N(j interval).

The table has equal bins.  Intervals of a whole number of bins have all their thresholds on edges of
bins; their angles are exact.
"""

from __future__ import annotations

import torch

from vecq_hw.quantize.weights import root_mean_square

BINS = 1 << 19
"""In all rows together."""
MOST_BINS = 1 << 16
LEAST_BINS_AN_INTERVAL = 16
COARSE, RARE, FINE = 48, 16, 17
"""Candidates of each pass."""
NARROWEST = 0.4
"""The narrowest Gaussian interval: narrower than a uniform distribution wants, none is tried."""
TABLE_BITS = 8
"""With more, there are more thresholds than weights, and a few candidates are tried outright."""


def searched_interval(rows: torch.Tensor, bits: int, gaussian: float) -> torch.Tensor:
    """The interval with the smallest angle between w and v, of each row.

    Parameters
    ----------
    rows : float tensor of shape (R, n), R scales
    bits : int, 1..16
    gaussian : float
        The best interval, in units of the root mean square, of Gaussian weights.

    Returns
    -------
    float tensor of shape (R, 1), in units of w; 1 where a row is all zero
    """
    magnitude = rows.abs()
    peak, spread = magnitude.amax(1, keepdim=True), root_mean_square(rows)
    half = 1 << (bits - 1)
    if bits == 1:  # any interval gives the same codes
        return torch.where(peak > 0, peak, 1.0)
    search = _tabled if bits <= TABLE_BITS else _tried
    found = search(magnitude, peak, spread * gaussian, half)
    return torch.where(peak > 0, found, 1.0)


def _tabled(
    magnitude: torch.Tensor, peak: torch.Tensor, gaussian: torch.Tensor, half: int
) -> torch.Tensor:
    count, size = magnitude.shape
    bins = min(MOST_BINS, max(BINS // count, LEAST_BINS_AN_INTERVAL * half))
    width = torch.where(peak > 0, peak, 1.0).double() / bins
    numbers, sums = _tails(magnitude, width, bins)
    shortest = torch.where(peak > 0, gaussian / peak, 1.0).amin().clamp(max=1.0)
    first = max(1.0, NARROWEST * float(shortest) * bins)
    last = max(first + 1, min(1.1 / half, 1.0) * bins, float(bins) / half)
    ladder = torch.cat(
        [
            torch.logspace(0, 1, COARSE, base=last / first, device=magnitude.device) * first,
            # Only weights that already lie on few values gain from leaving outer codes unused.
            torch.logspace(0, 1, RARE, base=bins / last, device=magnitude.device) * last,
        ]
    )
    tried = ladder.round().long().expand(count, -1)
    best = _best(numbers, sums, tried, half, size)
    reach = (best * (last / first) ** (1 / COARSE) - best).ceil().long().clamp(min=1)
    steps = torch.linspace(-1, 1, FINE, device=magnitude.device)
    tried = (best + (reach * steps).round().long()).clamp(min=1)
    best = _best(numbers, sums, tried, half, size)
    return (best * width).to(magnitude.dtype)


def _tails(
    magnitude: torch.Tensor, width: torch.Tensor, bins: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts and sums of what lies in each bin or above: (R, bins + 2), the last column 0."""
    count, columns = len(magnitude), bins + 2
    place = (magnitude / width.to(magnitude.dtype)).long().clamp_(max=bins)
    place += columns * torch.arange(count, device=place.device).unsqueeze(1)
    flat = place.reshape(-1)
    tails = [
        torch.bincount(flat, weights, minlength=count * columns).reshape(count, columns).double()
        for weights in (None, magnitude.reshape(-1).double())
    ]
    numbers, sums = (tail.flip(1).cumsum(1).flip(1) for tail in tails)
    return numbers, sums


def _best(
    numbers: torch.Tensor, sums: torch.Tensor, tried: torch.Tensor, half: int, size: int
) -> torch.Tensor:
    """The one of each row's candidates, in bins, that has the smallest angle: (R, 1)."""
    j = torch.arange(1, half, device=tried.device)
    edges = (tried.unsqueeze(2) * j).clamp_(max=numbers.shape[1] - 1).flatten(1)
    shape = (*tried.shape, half - 1)
    cross = sums[:, :1] / 2 + sums.gather(1, edges).reshape(shape).sum(2)
    square = size / 4 + (numbers.gather(1, edges).reshape(shape) * (2 * j)).sum(2)
    return tried.gather(1, (cross.square() / square).argmax(1, keepdim=True))


def _tried(
    magnitude: torch.Tensor, peak: torch.Tensor, gaussian: torch.Tensor, half: int
) -> torch.Tensor:
    # From the Gaussian interval to the one that clips nothing, whichever is longer.
    ends = torch.where(peak > 0, gaussian, 1.0), torch.where(peak > 0, peak / (half - 0.5), 1.0)
    best, largest = ends[1], torch.full_like(peak, -1.0).double()
    for part in torch.linspace(0, 1, 13).tolist():
        interval = ends[0] ** (1 - part) * ends[1] ** part
        v = (magnitude / interval).floor_().clamp_(max=half - 1).add_(0.5).double()
        cosine = (v * magnitude).sum(1, keepdim=True).square() / v.square().sum(1, keepdim=True)
        best = torch.where(cosine > largest, interval, best)
        largest = torch.maximum(cosine, largest)
    return best
