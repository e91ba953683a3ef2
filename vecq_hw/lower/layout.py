"""Where torch and the network keep the axes of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecq_hw.train.rearrange import Rearrange, reshape, transpose


@dataclass(frozen=True, slots=True)
class Layout:
    """How the axes of a sample of torch lie in a tensor of the network.

    Attributes
    ----------
    rank : int
        Axes of the sample: 1 of a vector, 2 of a sequence, 3 of an image.
    last : bool
        Whether torch has the channels last, as the network has: (L, C), not (C, L).
    """

    rank: int
    last: bool = False

    def sample(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the sample whose tensor has ``shape``."""
        if self.rank == 1:
            return shape
        *places, channels = shape[3 - self.rank :]
        return (*places, channels) if self.last else (channels, *places)

    def tensor(self, sample: Sequence[int]) -> tuple[int, ...]:
        """The shape of the tensor of a sample."""
        if self.rank == 1:
            return tuple(sample)
        channels, *places = sample if not self.last else (sample[-1], *sample[:-1])
        return (*[1] * (3 - self.rank), *places, channels)

    def to_sample(self, shape: tuple[int, ...]) -> Rearrange:
        """The rearrangement of a tensor of ``shape`` to the sample."""
        sample = self.sample(shape)
        if self.rank == 1 or self.last:
            return reshape(shape, sample)
        places = shape[3 - self.rank : -1]
        order = (len(places), *range(len(places)))
        return transpose((*places, shape[-1]), order)

    def from_sample(self, sample: Sequence[int]) -> Rearrange:
        """The rearrangement of a sample to its tensor."""
        shape = self.tensor(sample)
        if self.rank == 1 or self.last:
            return reshape(sample, shape)
        return Rearrange(sample, (*range(1, self.rank), 0), shape)


VECTOR = Layout(1)
