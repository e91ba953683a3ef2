"""Layers that choose among channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vecq_hw.formats import IntFormat
from vecq_hw.layers.tensor import OfOneTensor, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgMax(OfOneTensor):
    """Along the channels the index of the largest code, of several the lowest; one channel is left.

    Its tensor counts: the step is 1.
    """

    name: str
    input: str

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the indices."""
        fmt = IntFormat.covering(0, source.channels - 1, signed=False)
        return Tensor(shape=(*source.shape[:-1], 1), format=fmt, step=1.0)

    def problems(self, source: Tensor) -> Iterator[str]:
        """Nothing can be."""
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK(OfOneTensor):
    """Along the channels the indices of the largest codes; ``count`` channels are left.

    The largest comes first, of equal ones the lowest index.  Its tensor counts: the step is 1.
    """

    name: str
    input: str
    count: int

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the indices."""
        fmt = IntFormat.covering(0, source.channels - 1, signed=False)
        return Tensor(shape=(*source.shape[:-1], self.count), format=fmt, step=1.0)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        if not 1 <= self.count <= source.channels:
            yield f"it gives 1 to {source.channels} of so many channels, not {self.count}"
