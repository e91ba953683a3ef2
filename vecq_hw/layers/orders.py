"""Layers that move integers and change none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from vecq_hw.layers.tensor import LARGEST_SIZE, OfOneTensor, Tensor, dimension_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(OfOneTensor):
    """(H, W, C) becomes (H*W*C,), in this order; no integer changes."""

    name: str
    input: str

    def output(self, source: Tensor) -> Tensor:
        """The same integers as a vector."""
        return replace(source, shape=(math.prod(source.shape),))

    def problems(self, source: Tensor) -> Iterator[str]:
        """Nothing can be."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample2d(OfOneTensor):
    """Each pixel ``factor`` times down and across: nearest neighbour."""

    name: str
    input: str
    factor: tuple[int, int]

    def output(self, source: Tensor) -> Tensor:
        """The larger image."""
        height, width, channels = source.shape
        shape = (height * self.factor[0], width * self.factor[1], channels)
        return replace(source, shape=shape)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        if any(not 1 <= factor <= LARGEST_SIZE for factor in self.factor):
            yield f"the factors must be at least 1 and below 2^31, not {self.factor}"
