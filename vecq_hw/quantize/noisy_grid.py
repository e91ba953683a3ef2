"""Weights under logistic noise on uniform grids that lie within each other, as SRQ has them.

A weight w, the step alpha, and noise of the scale s give each point ``alpha i`` of a two's
complement grid the probability

    pi_i  =  (F(i + 1/2) - F(i - 1/2)) / Z,    F(t) = sigmoid((alpha t - w) / s),

where Z makes their sum one.  Of several grids, each of which holds the ones before it, the points
of grid j count ``shares[j]`` more before Z divides them.

No tensor has a number for each weight and point.  Sums over a grid telescope to the edges between
its points, and all edges but the few within :data:`REACH` noise scales of the weight have F = 0 or
1.  And with one step and one noise for a layer, what a weight passes on depends on its position
alone: where there are more weights than positions that could be told apart, it is computed once
for each position and looked up.

Every grid is symmetric about -1/2; positions are counted from there, in steps, so that edges are
the integers ``-2^(k-1)..2^(k-1)`` and points lie half-way.  ``alpha / s`` is the sharpness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import torch

from vecq_hw import arithmetic
from vecq_hw.formats import TwosComplement

REACH = 12.0
"""Noise scales beyond which F is taken for 0 or 1, as it is within 1e-5."""
RESOLUTION = 128
"""Positions within one noise scale that are told apart."""
SHARPNESS = (1.0, 100.0)
"""The range of a step in noise scales.  With as much noise as a step, the expected
value is straight within 0.1 % of it; with less than a hundredth it is a staircase."""
_FARTHEST = 600.0
"""Noise scales beyond a grid that are told apart; float64 holds the probability that is left."""
_BLOCK = 1 << 16
"""Positions that are computed at a time."""


class Gradient(Enum):
    """What the quantized weights pass to the weights, the step and the noise."""

    ALL = "all"
    """The gradient of the value expected over all points of the grid: a smooth staircase."""
    MAX = "max"
    """The gradient of the probability of the point that was taken, times its value, alone."""
    IDENTITY = "identity"
    """To the weights unchanged within the range of the grid, to the noise nothing."""


class Forward(Enum):
    """Which point of the grid a weight takes in training."""

    NEAREST = "nearest"
    """The most probable one."""
    SAMPLE = "sample"
    """One that is drawn by the probabilities."""


@dataclass(frozen=True, slots=True)
class Nested:
    """Grids within each other, and what is done with them.

    Attributes
    ----------
    widths : tuple of int
        Bits of each grid, ascending.
    gradient : Gradient
    generator : torch.Generator or None
        Draws the points; None takes the most probable ones.
    """

    widths: tuple[int, ...]
    gradient: Gradient = Gradient.ALL
    generator: torch.Generator | None = None


def noisy_weights(
    w: torch.Tensor,
    log_step: torch.Tensor,
    log_noise: torch.Tensor,
    shares: torch.Tensor,
    nested: Nested,
) -> torch.Tensor:
    """The points that weights take, times the step; with gradients to all tensors.

    Parameters
    ----------
    w : float tensor
    log_step, log_noise : scalar tensors
        Logarithms of alpha and s.
    shares : tensor, one for each of the widths
        How much more the points of that grid count than those of the next one; positive.
    nested : Nested
    """
    result: torch.Tensor = _Noisy.apply(w, log_step, log_noise, shares, nested)  # type: ignore[no-untyped-call]
    return result


class _Noisy(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any,
        w: torch.Tensor,
        log_step: torch.Tensor,
        log_noise: torch.Tensor,
        shares: torch.Tensor,
        nested: Nested,
    ) -> torch.Tensor:
        step = log_step.exp()
        if nested.generator is None and len(nested.widths) == 1:
            codes = _nearest(w / step, nested.widths[0])
        else:
            codes = _Noise(_sharpness(log_step, log_noise), shares.tolist(), nested).taken(w / step)
        context.save_for_backward(w, log_step, log_noise, shares, codes)
        context.nested = nested
        return codes * step

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:
        w, log_step, log_noise, shares, codes = context.saved_tensors
        noise = _Noise(_sharpness(log_step, log_noise), shares.tolist(), context.nested)
        step = log_step.exp()
        slopes = noise.slopes(w / step, codes)
        to_w = gradient * slopes.position
        to_noise = -noise.sharp * _dot(gradient, slopes.sharpness) * step
        to_step = _dot(gradient, codes) * step - _dot(to_w, w) - to_noise
        to_shares = torch.zeros_like(shares)  # what one grid alone passes on
        if slopes.shares:
            to_shares = torch.stack([_dot(gradient, slope) * step for slope in slopes.shares])
        return to_w, to_step, to_noise, to_shares, None


class _Slopes(NamedTuple):
    """Derivatives of the point that weights pass on, in steps."""

    position: torch.Tensor
    sharpness: torch.Tensor
    shares: tuple[torch.Tensor, ...] = ()
    """None where the shares pass nothing on."""


class _Noise:
    """Points that weights take, and what they pass on, by their positions.

    Parameters
    ----------
    sharp : float
    shares : list of float
    nested : Nested
    """

    def __init__(self, sharp: float, shares: list[float], nested: Nested) -> None:
        self.sharp, self.shares, self.nested = sharp, shares, nested
        self.end = (1 << (nested.widths[-1] - 1)) + REACH / sharp
        """Beyond it, probabilities no longer change."""

    def taken(self, where: torch.Tensor) -> torch.Tensor:
        """The points that weights take, at positions in steps from 0."""
        if self.nested.generator is not None:
            return self._drawn(self._centred(where), self.nested.generator)
        return self._by_position(where, lambda at: (self._likeliest(at),))[0]

    def slopes(self, where: torch.Tensor, taken: torch.Tensor) -> _Slopes:
        """What weights pass on that took these points."""
        match self.nested.gradient:
            case Gradient.IDENTITY:
                fmt = TwosComplement(self.nested.widths[-1]).code_format
                inside = (where >= fmt.lo - 0.5) & (where < fmt.hi + 0.5)
                return _Slopes(inside.to(where.dtype), torch.zeros_like(where))
            case Gradient.ALL:
                found = self._by_position(where, self._of_all)
            case Gradient.MAX if self.nested.generator is None:
                found = self._by_position(where, lambda at: self._of_one(at, self._likeliest(at)))
            case Gradient.MAX:
                slopes = self._of_one(self._centred(where.double()), taken.double())
                found = [slope.to(where.dtype) for slope in slopes]
        return _Slopes(found[0], found[1], tuple(found[2:]))

    def _centred(self, where: torch.Tensor) -> torch.Tensor:
        """Positions from the middle of the grids; those without a slope as near as such can be."""
        return (where + 0.5).clamp_(-self.end, self.end)

    def _by_position(
        self,
        where: torch.Tensor,
        function: Callable[[torch.Tensor], Sequence[torch.Tensor]],
    ) -> list[torch.Tensor]:
        """What a function of positions says of each weight, at the nearest that are told apart."""
        density = RESOLUTION * self.sharp
        half = math.ceil(self.end * density) + 1
        if where.numel() <= 2 * half:
            at, index = self._centred(where.double()).reshape(-1), None
        else:
            index = torch.add(0.5 * density + half, where, alpha=density)
            # Training that diverged is refused when the epoch is over.
            index = index.nan_to_num_(0.0).clamp_(0, 2 * half - 1).int().reshape(-1)
            cells = torch.arange(-half, half, dtype=torch.float64, device=where.device)
            at = (cells + 0.5) / density
        parts = [function(part) for part in torch.split(at, _BLOCK)]
        columns = [torch.cat(part).to(where.dtype) for part in zip(*parts, strict=True)]
        if index is not None:
            columns = [column.index_select(0, index) for column in columns]
        return [column.reshape(where.shape) for column in columns]

    def _of_all(self, at: torch.Tensor) -> list[torch.Tensor]:
        """The derivatives of the expected point."""
        # Mirrored, so that small probabilities are no differences of large ones.
        sign, at = torch.where(at < 0, -1.0, 1.0), at.abs()
        grids = [_grid(at, self.sharp, bits) for bits in self.nested.widths]
        expected = [_expected(grid, self.sharp) for grid in grids]
        moving = (at < self.end).to(at.dtype)
        if len(grids) == 1:
            (only,) = expected
            return [only.position * moving, sign * only.sharpness]
        parts = self._parts(grids)
        mean = _weighted(parts, [one.value for one in expected])
        position, sharpness, shares = [], [], []
        for share, part, grid, one in zip(self.shares, parts, grids, expected, strict=True):
            apart = one.value - mean
            position.append(one.position + apart * grid.ends.position)
            sharpness.append(one.sharpness + apart * grid.ends.sharpness)
            shares.append(sign * apart * part / share)
        return [_weighted(parts, position) * moving, sign * _weighted(parts, sharpness), *shares]

    def _of_one(self, at: torch.Tensor, taken: torch.Tensor) -> list[torch.Tensor]:
        """The derivatives of the probability of one point for each weight, times the point."""
        grids = [_grid(at, self.sharp, bits) for bits in self.nested.widths]
        parts = self._parts(grids)
        point = _between(at, self.sharp, taken, taken + 1)
        ends = [grid.ends for grid in grids]
        held = [_holds(taken, bits) for bits in self.nested.widths]
        weight = _weighted(self.shares, held)
        total = _weighted(self.shares, [one.probability for one in ends])
        passed = taken * weight * point.probability / total
        moving = (at.abs() < self.end).to(at.dtype)
        return [
            passed
            * (point.position - _weighted(parts, [grid.ends.position for grid in grids]))
            * moving,
            passed * (point.sharpness - _weighted(parts, [grid.ends.sharpness for grid in grids])),
            *(
                passed * (one / weight - part / share)
                for one, part, share in zip(held, parts, self.shares, strict=True)
            ),
        ]

    def _likeliest(self, at: torch.Tensor) -> torch.Tensor:
        """The most probable points."""
        # Of the points of a grid that the one before it lacks, the nearest is the best.
        nearest = [_nearest(at - 0.5, bits) for bits in self.nested.widths]
        if len(nearest) == 1:
            return nearest[0]
        scores = [
            _between(at, self.sharp, points, points + 1).probability
            * _weighted(self.shares, [_holds(points, bits) for bits in self.nested.widths])
            for points in nearest
        ]
        best = torch.stack(scores).argmax(0, keepdim=True)
        return torch.stack(nearest).gather(0, best).squeeze(0)

    def _drawn(self, at: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Points that are drawn: first the grid, then where the noise leads within its range."""
        numbers = torch.rand(2, *at.shape, generator=generator, dtype=at.dtype).to(at.device)
        grids = [_grid(at, self.sharp, bits) for bits in self.nested.widths]
        bounds = torch.stack(self._parts(grids)).cumsum(0)
        which = (numbers[0] >= bounds[:-1]).sum(0, keepdim=True)
        lower, over, probability, edge = (
            torch.stack(column).gather(0, which).squeeze(0)
            for column in (
                [grid.ends.lower for grid in grids],
                [grid.ends.over for grid in grids],
                [grid.ends.probability for grid in grids],
                [torch.full_like(at, grid.edge) for grid in grids],
            )
        )
        # Both sides of the noise's distribution, since 1 - F may be too small to subtract from 1.
        below = lower + numbers[1] * probability
        above = over + (1 - numbers[1]) * probability
        noise = below.log() - above.log()
        points: torch.Tensor = torch.floor(at + noise / self.sharp)
        return points.clamp(-edge, edge - 1)

    def _parts(self, grids: Sequence[_Grid]) -> list[torch.Tensor]:
        """How probable it is that a point is one by the share of each grid."""
        every = [grid.ends.probability for grid in grids]
        total = _weighted(self.shares, every)
        return [share * one / total for share, one in zip(self.shares, every, strict=True)]


class _Between(NamedTuple):
    """Two edges, and the probability between them, which may be small, but not zero."""

    lower: torch.Tensor
    """F at the lower one."""
    upper: torch.Tensor
    over: torch.Tensor
    """F and 1 - F at the upper one."""
    probability: torch.Tensor
    position: torch.Tensor
    sharpness: torch.Tensor
    """Derivatives of its logarithm."""


def _between(
    at: torch.Tensor, sharp: float, low: torch.Tensor | float, high: torch.Tensor | float
) -> _Between:
    below, above = sharp * (low - at), sharp * (high - at)
    lower, rest = below.sigmoid(), below.neg().sigmoid()
    upper, over = above.sigmoid(), above.neg().sigmoid()
    # F(high) - F(low), without a difference of neighbours.
    probability = upper * rest * -(below - above).expm1()
    moved = (above * upper * over - below * lower * rest) / (sharp * probability)
    return _Between(lower, upper, over, probability, sharp * (lower - over), moved)


class _Grid(NamedTuple):
    """One grid, and what its outermost edges say of each position."""

    edge: int
    """Where the upper edge lies, ``2^(k-1)``; the lower one lies at its negative."""
    at: torch.Tensor
    """The positions; far ones nearer, where the probability has not vanished."""
    ends: _Between


def _grid(at: torch.Tensor, sharp: float, bits: int) -> _Grid:
    edge = 1 << (bits - 1)
    at = at.clamp(-edge - _FARTHEST / sharp, edge + _FARTHEST / sharp)
    return _Grid(edge, at, _between(at, sharp, -edge, edge))


class _Expected(NamedTuple):
    """The expected point of one grid, counted from the middle, and its derivatives."""

    value: torch.Tensor
    position: torch.Tensor
    sharpness: torch.Tensor


def _expected(grid: _Grid, sharp: float) -> _Expected:
    """By the edges between the points, those that are near; (T, n) of them."""
    at, edge, ends = grid.at, grid.edge, grid.ends
    interior, near = 2 * edge - 1, math.ceil(REACH / sharp)
    terms = min(interior, 2 * near)
    first = (at.floor() + (1 - near)).clamp_(1 - edge, edge - terms)
    above = torch.arange(terms, dtype=at.dtype, device=at.device).reshape(-1, 1) + (first - at)
    upper = (sharp * above).sigmoid()
    density = upper * (1 - upper)
    # From the last point downwards: F of each edge, less that of the lowest.  It is 1 above those
    # terms; of the edges below them nothing is left.
    to_last = upper.sum(0) - terms * ends.lower + (edge - terms - first) * (1 - ends.lower)
    to_last = to_last / ends.probability
    to_first = interior - to_last
    low, high = ends.lower * (1 - ends.lower), ends.upper * ends.over
    position = density.sum(0) - to_last * high - to_first * low
    moved = to_last * (edge - at) * high - to_first * (edge + at) * low - (density * above).sum(0)
    return _Expected(
        edge - 0.5 - to_last, sharp * position / ends.probability, moved / ends.probability
    )


def _nearest(where: torch.Tensor, bits: int) -> torch.Tensor:
    """The points nearest to positions in steps from 0."""
    fmt = TwosComplement(bits).code_format
    return arithmetic.quantize(where, 1.0, fmt, floor=torch.floor)


def _holds(points: torch.Tensor, bits: int) -> torch.Tensor:
    """1 where the grid holds the points, else 0."""
    fmt = TwosComplement(bits).code_format
    return ((points >= fmt.lo) & (points <= fmt.hi)).to(points.dtype)


def _sharpness(log_step: torch.Tensor, log_noise: torch.Tensor) -> float:
    return min(max(float((log_step - log_noise).double().exp()), SHARPNESS[0]), SHARPNESS[1])


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum()


def _weighted(
    weights: Sequence[torch.Tensor | float], values: Sequence[torch.Tensor]
) -> torch.Tensor:
    """The sum of the products."""
    products = [weight * value for weight, value in zip(weights, values, strict=True)]
    return torch.stack(products).sum(0)
