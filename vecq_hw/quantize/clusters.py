"""Blocks of weights and the words that stand for them: the k-means of product quantization.

Stock et al., *And the Bit Goes Down*, ICLR 2020, section 3.2: what counts is the error of a layer's
outputs on the activations X that it reads, ``|X (m - c)|^2`` of a block m and its word c.  All
places of a layer share one matrix ``G = X^T X / n``, so that this is ``(m - c)^T G (m - c)``, the
Euclidean distance of blocks that were multiplied by the Cholesky factor of G; and where X has full
column rank, the paper's step for the words, ``pinv(X) X`` of the mean, is the mean.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from vecq_hw.errors import VecqError

RIDGE = 1e-4
"""A part of the mean diagonal of G, which is added to it for activations that are seldom not 0."""
SPLIT = 1e-2
"""By how many root mean squares the two halves of a split cluster are moved apart."""
_TABLE = 1 << 18
"""Distances that are held at once: they fit into a cache."""


def clustered(
    blocks: torch.Tensor,
    words: int,
    moments: torch.Tensor | None = None,
    iterations: int = 25,
    tell: Callable[[int], object] = lambda iteration: None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Words for blocks, and the index of each block's word; the same again from the same blocks.

    The words start as blocks drawn from a fixed seed.  In each iteration every block takes the
    nearest word, and every word becomes the mean of its blocks; a word without any takes half of
    the largest cluster that is left.

    Parameters
    ----------
    blocks : float tensor of shape (n, d)
    words : int, 1 or more
    moments : tensor of shape (d, d), optional
        Second moments of the activations that meet a block, G above; without them all inputs of a
        block count alike.
    iterations : int, 0 or more
        With 0 the words are what they start as.  It ends early where no block changes its word.
    tell : callable
        Called before each iteration with its number, from 0.

    Returns
    -------
    words : float tensor of shape (words, d)
        Where there are no more different blocks than words, these blocks, and the last one again.
    indices : int64 tensor of shape (n,)
    """
    different, inverse = torch.unique(blocks, dim=0, return_inverse=True)
    if len(different) <= words:
        rest = different[-1:].expand(words - len(different), -1)
        return torch.cat([different, rest]), inverse
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randperm(len(different), generator=generator)[:words]
    book = different[drawn.to(blocks.device)]
    factor = _factor(moments, blocks)
    # Of any size: the square of a small weight may be none.
    scale = blocks.abs().amax()
    spread = SPLIT * (blocks / scale).square().mean().sqrt() * scale
    seen = blocks / scale @ factor
    indices = nearest(seen, book / scale @ factor)
    for iteration in range(iterations):
        tell(iteration)
        counts = torch.bincount(indices, minlength=words)
        sums = torch.zeros_like(book).index_add_(0, indices, blocks)
        book = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], book)
        split = _split(book, counts, spread, generator) if iteration < iterations - 1 else None
        book = book if split is None else split
        before, indices = indices, nearest(seen, book / scale @ factor)
        if split is None and torch.equal(before, indices):
            break
    return book, indices


def nearest(blocks: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """The index of the nearest word of each block, the first of several: int64, shape (n,)."""
    half = words.square().sum(1) / 2
    indices = torch.empty(len(blocks), dtype=torch.int64, device=blocks.device)
    rows = max(_TABLE // len(words), 1)
    table = blocks.new_empty(min(rows, len(blocks)), len(words))
    for start in range(0, len(blocks), rows):
        part = blocks[start : start + rows]
        distances = torch.addmm(half, part, words.T, alpha=-1, out=table[: len(part)])
        torch.argmin(distances, 1, out=indices[start : start + rows])
    return indices


def _split(
    book: torch.Tensor, counts: torch.Tensor, spread: torch.Tensor, generator: torch.Generator
) -> torch.Tensor | None:
    """The book with the largest clusters split for the words without blocks; None without any."""
    empty = (counts == 0).nonzero()[:, 0]
    count = min(len(empty), int((counts > 1).sum()))
    if not count:
        return None
    empty = empty[:count]
    largest = torch.topk(counts, count).indices
    draws = torch.randn(count, book.shape[1], generator=generator, dtype=book.dtype)
    shift = draws.to(book.device) * spread
    result = book.clone()
    result[empty] = book[largest] + shift
    result[largest] = book[largest] - shift
    return result


def _factor(moments: torch.Tensor | None, blocks: torch.Tensor) -> torch.Tensor:
    """The matrix by which blocks are multiplied before they are compared: lower triangular."""
    size = blocks.shape[1]
    unit = torch.eye(size, dtype=torch.float64, device=blocks.device)
    if moments is None or not bool(moments.any()):
        return unit.to(blocks.dtype)
    if moments.shape != (size, size) or not bool(torch.isfinite(moments).all()):
        raise VecqError(
            f"second moments of the inputs of a block are {size} × {size} finite numbers, which"
            " these are not"
        )
    given = moments.to(unit)
    mean = given.diagonal().mean()
    factor: torch.Tensor = torch.linalg.cholesky(given / mean + RIDGE * unit)
    return factor.to(blocks.dtype)
