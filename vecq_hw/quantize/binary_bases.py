"""Groups of weights as sums of binary vectors: ``w = sum_i coordinate_i b_i``, b_i of -1 and +1.

The I bases of a group of n weights are stored as n codes of I bits: bit i of a weight's code is 1
where base i is +1 there.  So a code names one of the 2^I sums that a weight can be.  Coordinates
are at least 0, and 0 where there is no base; such come last in their group.  G groups are treated
at once.
"""

from __future__ import annotations

import torch

MOST_BASES = 8
"""The most bases that a code, a byte, has bits for."""
RIDGE = 1e-6
"""What is added to the normal equations, as a part of their mean diagonal: bases may be equal."""
RESIDUAL = 1e-5
"""The part of a group's magnitude below which no further base is looked for."""


def initial_bases(rows: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bases by the signs of what is left, all coordinates by least squares after each.

    Parameters
    ----------
    rows : float tensor of shape (G, n)
    most : int, 1..8

    Returns
    -------
    codes : uint8 tensor of shape (G, n)
    coordinates : float tensor of shape (G, most)

    Examples
    --------
    >>> codes, coordinates = initial_bases(torch.tensor([[3.0, 1.0, -1.0, -3.0]]), 2)
    >>> codes.tolist(), [round(float(x), 3) for x in coordinates[0]]
    ([[3, 1, 2, 0]], [2.0, 1.0])
    """
    codes = torch.zeros(rows.shape, dtype=torch.uint8, device=rows.device)
    coordinates = rows.new_zeros(len(rows), most)
    unit = rows.abs().amax(1, keepdim=True)
    wanted = rows / torch.where(unit > 0, unit, 1.0)
    left, magnitude = wanted, wanted.abs().mean(1, keepdim=True)
    for place in range(most):
        open_ = left.abs().mean(1, keepdim=True) > RESIDUAL * magnitude
        codes |= ((left >= 0) & open_).to(torch.uint8) << place
        found = torch.zeros_like(coordinates[:, : place + 1])
        found = least_squares(wanted, codes, found, torch.ones_like(wanted))
        coordinates[:, : place + 1] = torch.where(open_, found, coordinates[:, : place + 1])
        left = wanted - values(codes, coordinates)
    codes, coordinates = in_order(codes, coordinates * unit)
    return codes, coordinates


def values(codes: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
    """The weights of groups of bases, as a new tensor of shape (G, n)."""
    return sums(coordinates).gather(1, codes.long())


def sums(coordinates: torch.Tensor) -> torch.Tensor:
    """What each code stands for in each group: (G, 2^I).

    Examples
    --------
    >>> sums(torch.tensor([[2.0, 0.5]])).tolist()
    [[-2.5, 1.5, -1.5, 2.5]]
    """
    # Not by matrix products, which autocast would round.
    found = torch.zeros_like(coordinates[:, :1])
    for one in coordinates.unsqueeze(2).unbind(1):
        found = torch.cat([found - one, found + one], 1)
    return found


def signs(codes: torch.Tensor, count: int) -> torch.Tensor:
    """The first ``count`` bases as -1 and +1, int8 of shape (G, count, n)."""
    places = torch.arange(count, dtype=torch.uint8, device=codes.device).unsqueeze(1)
    return ((codes.unsqueeze(1) >> places) & 1).to(torch.int8) * 2 - 1


def nearest_sums(targets: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
    """The codes of the sums that lie nearest to the targets, the upper of two, uint8 (G, n).

    The sums of a group are sorted once; each of its weights is a binary search.
    """
    ascending, order = torch.sort(sums(coordinates), dim=1, stable=True)
    borders = ((ascending[:, 1:] + ascending[:, :-1]) / 2).contiguous()
    places = torch.searchsorted(borders, targets.contiguous(), right=True)
    return order.to(torch.uint8).gather(1, places)


def least_squares(
    targets: torch.Tensor, codes: torch.Tensor, before: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Coordinates with the smallest weighted squared distance to the targets.

    ``(B H B^T) d = B H (target - B^T before)`` is solved for the change d; the small ridge of the
    left side decides for as little change as possible where bases are equal.

    Parameters
    ----------
    targets : float tensor of shape (G, n)
    codes : uint8 tensor of shape (G, n)
    before : float tensor of shape (G, I)
    weights : float tensor of shape (G, n)
        The diagonal of H, more than 0.
    """
    bases = signs(codes, before.shape[1]).to(targets.dtype)
    weighted = bases * (weights / weights.amax(1, keepdim=True)).unsqueeze(1)
    normal = (weighted @ bases.mT).double()
    right = (weighted @ (targets - values(codes, before)).unsqueeze(2)).double()
    diagonal = normal.diagonal(dim1=1, dim2=2)
    diagonal += RIDGE * diagonal.mean(1, keepdim=True)
    change: torch.Tensor = torch.linalg.solve_ex(normal, right).result
    return before + change.squeeze(2).to(before.dtype)


def projected(codes: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """The scalar products of the rows with each of ``count`` bases: (G, count)."""
    whole = rows.sum(1)
    parts = [(rows * ((codes >> place) & 1)).sum(1) for place in range(count)]
    return 2 * torch.stack(parts, 1) - whole.unsqueeze(1)


def in_order(
    codes: torch.Tensor, coordinates: torch.Tensor, *beside: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Bases turned so that no coordinate is negative, those without one last.

    Parameters
    ----------
    beside : tensors of shape (..., G, I)
        Are put in the same order.
    """
    places = torch.arange(coordinates.shape[1], dtype=torch.uint8, device=codes.device)
    turned = ((coordinates < 0).to(torch.uint8) << places).sum(1, keepdim=True, dtype=torch.uint8)
    codes, coordinates = codes ^ turned, coordinates.abs()
    gone = coordinates == 0
    if bool((gone[:, :-1] & ~gone[:, 1:]).any()):
        order = torch.sort(gone.to(torch.uint8), dim=1, stable=True).indices
        return permuted(codes, coordinates, order, *beside)
    return (codes, coordinates, *beside)


def permuted(
    codes: torch.Tensor, coordinates: torch.Tensor, order: torch.Tensor, *beside: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The bases of each group in another order, (G, I); bits of no base are 0."""
    coordinates = coordinates.gather(1, order)
    kept = (coordinates != 0).to(torch.uint8)
    taken = torch.zeros_like(codes)
    for place in range(order.shape[1]):
        source = order[:, place : place + 1].to(torch.uint8)
        taken |= (((codes >> source) & 1) & kept[:, place : place + 1]) << place
    return taken, coordinates, *(one.gather(-1, order.expand_as(one)) for one in beside)
