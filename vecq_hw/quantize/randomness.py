"""Random numbers of a quantizer: the same in every process and after a checkpoint as without it."""

from __future__ import annotations

import hashlib
import zlib

import torch
from torch import nn


class RandomState(nn.Module):
    """Which random numbers a quantizer draws next, as a buffer of its own.

    The numbers do not depend on the device, nor on what else is drawn; each process of a
    distributed training draws the same ones.

    Parameters
    ----------
    w : float tensor
        The weights as they are now: layers of other weights draw other numbers.

    Examples
    --------
    >>> state = RandomState(torch.ones(3))
    >>> first = torch.rand(2, generator=state.generator())
    >>> bool((first == torch.rand(2, generator=state.generator())).any())
    False
    """

    state: torch.Tensor
    """int64, (3,): of the weights, of the training, how often something was drawn."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        of_weights = zlib.crc32(w.detach().double().cpu().contiguous().numpy().tobytes())
        self.register_buffer("state", torch.tensor([of_weights, 0, 0]))

    def seed(self, seed: int) -> None:
        """Let a training's seed tell the numbers, unless some of them were drawn already."""
        if not bool(self.state[2]):
            self.state[1] = seed

    def generator(self) -> torch.Generator:
        """The next generator, on the CPU; it serves one step."""
        text = repr(self.state.tolist()).encode()
        self.state[2] += 1
        # The generator of torch takes no more than 32 bits of a seed.
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
        return torch.Generator().manual_seed(seed)
