"""Random crops and mirror images of a batch at once, on the device where it lies."""

from __future__ import annotations

import torch
from torch.nn import functional


def draw_views(samples: int, padding: int, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """Which part of each padded image is taken, and whether it is mirrored.

    Returns
    -------
    int64 tensor of shape (samples, 3)
        First row and column, 0..2 · padding, and 1 where the image is mirrored.
    """
    corners = torch.randint(2 * padding + 1, (samples, 2), generator=generator)
    mirrored = torch.randint(1 + flip, (samples, 1), generator=generator)
    return torch.cat([corners, mirrored], 1)


def take_views(x: torch.Tensor, views: torch.Tensor, padding: int) -> torch.Tensor:
    """Images padded with zeros, cropped to their size again and mirrored as ``views`` say.

    Parameters
    ----------
    x : tensor of shape (N, C, H, W)
    views : int64 tensor of shape (N, 3), as of :func:`draw_views`

    Examples
    --------
    >>> x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> take_views(x, torch.tensor([[1, 1, 1]]), 1)[0, 0].tolist()
    [[2.0, 1.0], [4.0, 3.0]]
    >>> take_views(x, torch.tensor([[0, 2, 0]]), 1)[0, 0].tolist()
    [[0.0, 0.0], [2.0, 0.0]]
    """
    _, channels, height, width = x.shape
    top, left, mirrored = views.to(x.device)[:, :, None].unbind(1)
    rows = top + torch.arange(height, device=x.device)
    columns = torch.arange(width, device=x.device)
    columns = left + torch.where(mirrored > 0, width - 1 - columns, columns)
    padded = functional.pad(x, (padding,) * 4)
    # One gather of single pixels: flat positions in each padded plane, the same for its channels.
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    places = places.reshape(len(x), 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, places).view_as(x)
