"""Layers that bring several tensors together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vecq_hw.formats import IntFormat
from vecq_hw.layers.tensor import Tensor


def _join_problems(names: Sequence[str], sources: Sequence[Tensor], axes: int) -> Iterator[str]:
    """Whether all tensors have one format, one step, and one shape but for the last axes."""
    first = sources[0]
    for name, tensor in zip(names, sources, strict=True):
        same = (first.format.bits, first.format.signed) == (
            tensor.format.bits,
            tensor.format.signed,
        )
        if not same or tensor.step != first.step:
            yield (
                f"'{names[0]}' is {first.format!r} of step {first.step:.6g}, but '{name}' is"
                f" {tensor.format!r} of step {tensor.step:.6g}; one format and step are wanted"
            )
        aligned = slice(len(first.shape) - axes)
        if len(tensor.shape) != len(first.shape) or tensor.shape[aligned] != first.shape[aligned]:
            yield f"'{names[0]}' has the shape {first.shape}, but '{name}' {tensor.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """The exact sum of tensors of one shape, one format and one step."""

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of the sums."""
        lo, hi = sum(s.format.lo for s in sources), sum(s.format.hi for s in sources)
        fmt = IntFormat.covering(lo, hi, sources[0].format.signed)
        return replace(sources[0], format=fmt)

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from _join_problems(self.inputs, sources, axes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Tensors of one format and one step, one behind the other along the channels."""

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of all channels."""
        shape, fmt = sources[0].shape, sources[0].format
        lo, hi = min(s.format.lo for s in sources), max(s.format.hi for s in sources)
        channels = sum(source.channels for source in sources)
        fmt = IntFormat(fmt.bits, fmt.signed, lo, hi)
        return replace(sources[0], shape=(*shape[:-1], channels), format=fmt)

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from _join_problems(self.inputs, sources, axes=1)
