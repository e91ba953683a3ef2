"""Which bases go: those that the loss needs least, over all layers (ALQ, section 4.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch


class Bases(NamedTuple):
    """The bases of a layer, as pruning sees them.

    Attributes
    ----------
    importance : float tensor of shape (O, groups, I)
        By how much the loss grows without a base, as far as known; infinite where there is none.
    block : int
        Outputs next to each other that lose bases together, so that a group has as many in each.
    top_k : float, 0..1
        The part of the layer's bases that one step may take.
    least : int, from 1
        Bases that each output keeps, if it has as many.
    """

    importance: torch.Tensor
    block: int
    top_k: float
    least: int = 1


def limits(layers: Sequence[Bases], excess: int) -> list[torch.Tensor]:
    """How many bases each group may keep, (O, groups), where ``excess`` of them have to go.

    Of each layer, the ``top_k`` part with the least importance is looked at, or twice the part
    that has to go of all bases where that is more.  Of these the least over all layers go, as far
    as an output has more than it is to keep: one without any base would be a constant.  In a block,
    each group loses the least important base of all outputs that have as many bases as any.
    """
    total = sum(int(torch.isfinite(layer.importance).sum()) for layer in layers)
    units = [_units(layer, 2 * excess / max(total, 1)) for layer in layers]
    costs = torch.cat([cost for cost, _, _ in units])
    sizes = torch.cat([size for _, size, _ in units])
    order = torch.sort(costs, stable=True).indices
    gone = torch.zeros_like(order, dtype=torch.bool)
    gone[order] = sizes[order].cumsum(0) <= excess
    result = []
    end = 0
    for layer, (cost, _, places) in zip(layers, units, strict=True):
        start, end = end, end + len(cost)
        outputs, groups, _ = layer.importance.shape
        counts = _in_blocks(layer)[0].isfinite().sum(3)
        most = counts.amax(1)
        lost = torch.bincount(places[gone[start:end]], minlength=most.numel()).reshape(most.shape)
        left = torch.minimum(counts, (most - lost).unsqueeze(1))
        result.append(left.reshape(-1, groups)[:outputs])
    return result


def _units(layer: Bases, least: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What may go together: the cost, how many bases it is, and the group of the block it is of.

    A base costs at least as much as one of its group that goes before it.
    """
    ascending, members = _in_blocks(layer)
    present = ascending.isfinite()
    counts = present.sum(3, keepdim=True)
    # From the last: rank 0 goes first of the outputs that have the most bases.
    most = counts.amax(1, keepdim=True)
    ranks = torch.arange(ascending.shape[3], device=ascending.device)
    shifted = (ranks - (most - counts)).clamp(min=0)
    goes = (ranks >= most - counts) & (ranks < most)
    costs = torch.where(goes, ascending.gather(3, shifted), 0.0).sum(1).cummax(2).values
    sizes = goes.sum(1)
    blocks, groups, _ = sizes.shape
    places = torch.arange(blocks * groups, device=sizes.device).reshape(blocks, groups, 1)
    chosen = (sizes > 0) & _spared(costs, goes, layer.least)
    number = int(sizes.sum())
    costs = (costs / members)[chosen]
    sizes, places = sizes[chosen], places.expand(chosen.shape)[chosen]
    order = torch.sort(costs, stable=True).indices
    ends = sizes[order].cumsum(0)
    share = min(1.0, max(layer.top_k, least))
    order = order[ends - sizes[order] < math.ceil(share * number)]
    return costs[order], sizes[order], places[order]


def _spared(costs: torch.Tensor, goes: torch.Tensor, least: int) -> torch.Tensor:
    """Which units, the cheapest first, leave ``least`` bases to all outputs that they take from.

    Parameters
    ----------
    costs : float tensor of shape (blocks, groups, I)
    goes : bool tensor of shape (blocks, block, groups, I)
        Whether a unit takes a base of an output.
    """
    order = torch.sort(costs.flatten(1), dim=1, stable=True).indices
    taken = goes.flatten(2).gather(2, order.unsqueeze(1).expand(-1, goes.shape[1], -1))
    lost = taken.cumsum(2)
    few = (taken & (lost > lost[:, :, -1:] - least)).any(1)
    return torch.empty_like(few).scatter_(1, order, ~few).reshape(costs.shape)


def _in_blocks(layer: Bases) -> tuple[torch.Tensor, torch.Tensor]:
    """Importances of each group upwards, (blocks, block, groups, I); outputs of each block."""
    importance = torch.sort(layer.importance, dim=2, stable=True).values
    outputs, groups, most = importance.shape
    block = min(layer.block, outputs)
    filled = -(-outputs // block) * block
    importance = torch.cat(
        [importance, importance.new_full((filled - outputs, groups, most), math.inf)]
    )
    members = torch.full((filled // block, 1, 1), float(block), device=importance.device)
    members[-1] -= filled - outputs
    return importance.reshape(-1, block, groups, most), members
