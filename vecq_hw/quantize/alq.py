"""ALQ (Qu et al., *Adaptive Loss-aware Quantization for Multi-bit Networks*, CVPR 2020): sums of
binary bases.

A group of weights is a sum of binary bases, as many as the loss needs there: those that it needs
least are pruned, over all layers, until a weight has less than a bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import torch

from vecq_hw.arguments import member, real_number, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, TwosComplement
from vecq_hw.quantize.alq_groups import Grouping, Groups
from vecq_hw.quantize.alq_pruning import Bases, limits
from vecq_hw.quantize.alq_schedule import Phase, kept, schedule
from vecq_hw.quantize.binary_bases import (
    in_order,
    initial_bases,
    least_squares,
    nearest_sums,
    permuted,
    projected,
    values,
)
from vecq_hw.quantize.codes import BaseCodes, WeightCodes
from vecq_hw.quantize.weights import WeightQuantizer

LARGEST = 127
"""The largest of the integers that stand for the coordinates of a layer."""
MOMENTUM, SQUARES, EPSILON = 0.9, 0.999, 1e-8
"""The constants of AMSGrad."""
MOST_ROUNDS = 100
_PRUNE = "prune of ALQ is at least 0 and less than 1"
_TOP_K = "top_k of ALQ is more than 0 and at most 1"


class Alq(WeightQuantizer):
    """Sums of at most ``bits`` binary bases for each group of weights, ``w = sum_i alpha_i b_i``.

    It moves its weights itself.  With m, v, v_max the moments of AMSGrad, t steps after their
    start, ``g = rate m / (1 - 0.9^t)`` and ``h = sqrt(v_max / (1 - 0.999^t)) + 1e-8``, a step is
    of one of three kinds (section 4):

    * bases: each weight gets the sum of its group that is nearest to ``w - g / h``, and the
      coordinates are fitted to these targets by least squares, weighted by h;
    * coordinates: AMSGrad on alpha, the gradient of which is the projection of that of w;
    * pruning: as coordinates, then bases go whose ``f = -g alpha + h alpha^2 / 2`` is least.

    Training begins with *straight-through* bases, of which the targets are kept from step to step;
    then come rounds of the three kinds; then again straight-through bases and, at the end,
    coordinates.  The integer network has one step a layer: the largest coordinate is 127 of them.

    Parameters
    ----------
    w : float tensor, outputs along axis 0
    bits : int, 1..6
        Bases of each group to start from.
    groups : Groups
        Of the weights of a convolution.
    part : int
        Input channels of a group, of a dense layer or at one tap of a pixel; 0 for all.
    rounds : int or None, 0..100
        Of bases, coordinates, and pruning; without it 2, or 0 from a single base, whose signs
        change by straight-through steps alone.
    prune : float, 0 to less than 1
        The part of all bases that goes in each round.
    top_k : float, 0..1
        The part of the bases of a layer that a step of pruning may choose from.
    block : int
        Outputs next to each other which keep as many bases of a group as each other.
    """

    BITS = range(1, 7)
    BLOCKS = True
    OWN_STEP = True

    bases: torch.Tensor
    """uint8, (groups, n): a bit for each base."""
    coordinates: torch.Tensor
    """(groups, bits), at least 0; 0 where there is no base."""
    moments: torch.Tensor
    """m, v, v_max of the weights, (3, groups, n)."""
    coordinate_moments: torch.Tensor
    """The same of the coordinates, (3, groups, bits)."""
    clock: torch.Tensor
    """int64, (3,): which phase this is, its steps so far, the bases at the start."""

    def __init__(
        self,
        w: torch.Tensor,
        bits: int,
        groups: Groups = Groups.AUTO,
        part: int = 0,
        rounds: int | None = None,
        prune: float = 0.2,
        top_k: float = 0.005,
        block: int = 1,
    ) -> None:
        super().__init__(w, bits)
        self.grouping = Grouping(tuple(w.shape), member(Groups, groups, "groups of ALQ"), part)
        rounds = (2 if self.bits > 1 else 0) if rounds is None else rounds
        rounds = whole_number(rounds, f"ALQ has 0 to {MOST_ROUNDS} rounds", 0, MOST_ROUNDS)
        self.block = whole_number(block, "a block of ALQ has 1 output or more", 1)
        self.prune, self.top_k = real_number(prune, _PRUNE), real_number(top_k, _TOP_K)
        if not 0 <= self.prune < 1:
            raise VecqError(f"{_PRUNE}, not {prune!r}")
        if not 0 < self.top_k <= 1:
            raise VecqError(f"{_TOP_K}, not {top_k!r}")
        self.schedule = schedule(rounds)
        rows = self.grouping.rows(w.detach())
        bases, coordinates = initial_bases(rows, self.bits)
        self.register_buffer("bases", bases)
        self.register_buffer("coordinates", coordinates)
        self.register_buffer("moments", rows.new_zeros(3, *bases.shape))
        self.register_buffer("coordinate_moments", rows.new_zeros(3, *coordinates.shape))
        clock = torch.tensor([0, 0, int((coordinates > 0).sum())], device=rows.device)
        self.register_buffer("clock", clock)
        self._rate = 0.0

    @property
    def grid(self) -> TwosComplement:
        """The grid of the fewest bits that hold the sums of the integer coordinates."""
        most = int(self.integer_coordinates()[0].sum(1).amax())
        return TwosComplement(max(IntFormat.covering(-most, most).bits, 2))

    @property
    def phase(self) -> Phase:
        """What the next step moves."""
        return self.schedule[int(self.clock[0])].phase

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sums of the integer coordinates, and the step; of ``w`` only the shape counts."""
        coordinates, step = self.integer_coordinates()
        return self.grouping.weights(values(self.bases, coordinates), w), step

    def integer_coordinates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The coordinates in steps, 0..127, as a float tensor, and the step.

        The coordinates have the shape of :attr:`coordinates`, the step is a scalar.
        """
        step = self.coordinates.amax() / LARGEST
        unit = torch.where(step > 0, step, 1.0)
        return torch.floor(self.coordinates / unit + 0.5), unit

    @torch.no_grad()
    def codes(self, w: torch.Tensor) -> WeightCodes:
        """Bases where a group has several input channels at a tap, else values.

        Filters repeat their coordinates at each tap.
        """
        scalars, size = super().codes(w), self.grouping.run
        if size == 1 or w.ndim < 2:
            return scalars
        coordinates, step = self.integer_coordinates()
        bases, counts = [], []
        for place in range(max(1, int((coordinates > 0).sum(1).amax()))):
            base = self.grouping.weights((self.bases >> place) & 1, w)
            bases.append(base.reshape(len(w), -1, size, *w.shape[2:]).movedim(2, -1))
            count = coordinates[:, place : place + 1].expand(self.bases.shape)
            counts.append(self.grouping.weights(count, w)[:, ::size])
        return BaseCodes(
            torch.stack(bases, -2), torch.stack(counts, -1).to(torch.int16), step.double()
        )

    @torch.no_grad()
    def own_step(self, w: torch.Tensor, rate: float) -> None:
        """Move bases or coordinates by the gradient, as the phase says; the weights follow."""
        if w.grad is None:
            return
        self.clock[1] += 1
        self._rate = rate
        gradient, phase = self.grouping.rows(w.grad), self.phase
        place, time, _ = self.clock.tolist()
        rows = values(self.bases, self.coordinates)
        match phase:
            case Phase.STRAIGHT | Phase.BASES:
                # Training begins at the weights themselves, later phases at what they became.
                if phase is Phase.STRAIGHT and (place == 0 or time > 1):
                    rows = self.grouping.rows(w.detach())
                targets = self._move_bases(rows, gradient, rate)
            case Phase.COORDINATES | Phase.PRUNING:
                self._move_coordinates(gradient, rate)
            case _:
                assert_never(phase)
        rows = targets if phase is Phase.STRAIGHT else values(self.bases, self.coordinates)
        w.copy_(self.grouping.weights(rows, w))

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Go over to the phase that is due; its moments start anew."""
        due = max(place for place, part in enumerate(self.schedule) if progress >= part.start)
        if due > int(self.clock[0]):
            self.clock[0], self.clock[1] = due, 0
            self.moments.zero_()
            self.coordinate_moments.zero_()

    @classmethod
    def advance_together(cls, quantizers: Sequence[WeightQuantizer], progress: float) -> None:
        """Prune the bases that are due, over all layers; those that never moved are left alone."""
        layers = [one for one in quantizers if isinstance(one, Alq) and int(one.clock[1])]
        goal, have = 0.0, 0
        for one in layers:
            goal += int(one.clock[2]) * kept(one.schedule, one.prune, progress)
            have += int((one.coordinates > 0).sum())
        excess = have - math.ceil(goal)
        if excess <= 0:
            return
        given = []
        for one in layers:
            # Of small layers a step takes more than top_k, since it takes no part of a base.
            part = kept(one.schedule, one.prune, progress) ** 2
            outputs = one.grouping.outputs
            least = max(1, int(int(one.clock[2]) * part / outputs))
            importance = one._importance().reshape(outputs, -1, one.bits)
            given.append(Bases(importance, one.block, one.top_k, least))
        for one, most in zip(layers, limits(given, excess), strict=True):
            one._keep(most.reshape(-1))

    def _move_bases(self, start: torch.Tensor, gradient: torch.Tensor, rate: float) -> torch.Tensor:
        """Fit bases and coordinates to where the weights should go; where that is."""
        g, h = self._moved(self.moments, gradient, rate)
        targets = start - g / h
        counts = (self.coordinates > 0).sum(1)
        bases, coordinates = self.bases.clone(), self.coordinates.clone()
        for count in range(1, self.bits + 1):  # fewer bases have fewer sums
            chosen = (counts == count).nonzero().squeeze(1)
            if len(chosen):
                wanted, before = targets[chosen], coordinates[chosen, :count]
                nearest = nearest_sums(wanted, before)
                bases[chosen] = nearest
                coordinates[chosen, :count] = least_squares(wanted, nearest, before, h[chosen])
        self._take(*in_order(bases, coordinates))
        return targets

    def _move_coordinates(self, gradient: torch.Tensor, rate: float) -> None:
        present = self.coordinates > 0
        projection = projected(self.bases, gradient, self.bits) * present
        g, h = self._moved(self.coordinate_moments, projection, rate)
        coordinates = torch.where(present, self.coordinates - g / h, 0.0)
        self.coordinate_moments[0] *= torch.where(coordinates < 0, -1.0, 1.0)
        self._take(*in_order(self.bases, coordinates, self.coordinate_moments))

    def _moved(
        self, moments: torch.Tensor, gradient: torch.Tensor, rate: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The pseudo-gradient and the pseudo-Hessian, with the moments moved by a gradient."""
        mean, square, most = moments
        mean.lerp_(gradient, 1 - MOMENTUM)
        square.mul_(SQUARES).addcmul_(gradient, gradient, value=1 - SQUARES)
        torch.maximum(most, square, out=most)
        return self._pseudo(moments, rate)

    def _pseudo(self, moments: torch.Tensor, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        time = int(self.clock[1])
        g = moments[0] * (rate / (1 - MOMENTUM**time))
        return g, moments[2].sqrt() / math.sqrt(1 - SQUARES**time) + EPSILON

    def _importance(self) -> torch.Tensor:
        """By how much the loss grows without a base; infinite where there is none.

        Late in being pruned, when coordinates do not move, by how much the weights change.
        """
        found = self.coordinates.square() * self.grouping.size
        if self.phase in (Phase.COORDINATES, Phase.PRUNING):
            g, h = self._pseudo(self.coordinate_moments, self._rate)
            found = h * self.coordinates.square() / 2 - g * self.coordinates
        return torch.where(self.coordinates > 0, found, math.inf)

    def _keep(self, most: torch.Tensor) -> None:
        """Take the least important bases out of groups that have more than ``most``."""
        importance = self._importance()
        found = importance.isfinite()
        chosen = (found.sum(1) > most).nonzero().squeeze(1)
        if not len(chosen):
            return
        importance = torch.where(found, importance, -math.inf)[chosen]
        order = torch.sort(importance, dim=1, descending=True, stable=True).indices
        ranks = torch.empty_like(order).scatter_(
            1, order, torch.arange(self.bits, device=order.device).expand_as(order)
        )
        kept = ranks < most[chosen].unsqueeze(1)
        coordinates = torch.where(kept, self.coordinates[chosen], 0.0)
        moments = self.coordinate_moments[:, chosen] * kept
        bases, coordinates, moments = permuted(self.bases[chosen], coordinates, order, moments)
        self.bases[chosen], self.coordinates[chosen] = bases, coordinates
        self.coordinate_moments[:, chosen] = moments

    def _take(self, bases: torch.Tensor, coordinates: torch.Tensor, *moments: torch.Tensor) -> None:
        self.bases.copy_(bases)
        self.coordinates.copy_(coordinates)
        for one in moments:
            self.coordinate_moments.copy_(one)
